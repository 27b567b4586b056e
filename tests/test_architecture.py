"""The plan of the house, as tests: who may import whom, what stays light, how big things get."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(p for room in ("gen", "filters") for p in (ROOT / room).rglob("*.py"))
FLOORS = {
    "gen.adapt": 3, "gen.insight": 3,
    "gen": 0, "gen.core": 0, "gen.errors": 0, "gen.text": 0, "gen.remarks": 0, "gen.fences": 0, "gen.repeats": 0, "gen.licences": 0,
    "gen.catalog": 1, "gen.prompts": 1, "gen.template": 1, "gen.rollout": 1, "gen.pool": 1,
    "gen.store": 1, "gen.disk": 1, "gen.schema": 1, "gen.tally": 1, "gen.codec": 1, "gen.journal": 1, "gen.loop": 1,
    "gen.blocks": 1, "gen.packing": 1, "gen.segments": 1,
    "gen.engines": 2, "gen.loops": 2, "gen.world": 2, "gen.micro": 2, "filters": 2, "gen.seeds": 2, "prompts": 2,
    "gen.recipe": 3, "gen.plan": 3, "gen.plain": 3, "gen.order": 3, "gen.resume": 3, "gen.grown": 3, "gen.flow": 3, "gen.crew": 3, "gen.sections": 3, "gen.gate": 3, "gen.assess": 3, "gen.roles": 3, "gen.rounds": 3, "gen.export": 3, "gen.card": 3, "gen.job": 3, "gen.material": 3, "gen.publish": 3, "gen.regate": 3, "gen.recipes": 3,
    "gen.doctor": 3, "gen.estimate": 3, "gen.evol_stop": 3, "gen.scoring": 3,
    "gen.verb_noun": 0, "gen.bandit": 1, "gen.collapse": 3, "gen.watch": 3,
    "gen.talking": 3, "gen.auto_evol": 3, "gen.paired": 0, "gen.wordings": 3, "gen.tries": 3, "gen.compare": 3,
    "gen.prove": 4, "gen.cli": 4, "gen.commands": 4, "gen.flags": 4, "gen.progress": 4, "gen.__main__": 4,
}  # fmt: skip
STRANGERS = {"gen.engines", "gen.loops", "filters"}
"""Rooms of the second floor that do not know one another."""
FILTERS_MAY = {"gen.core", "gen.errors", "gen.prompts", "gen.catalog", "gen.text", "gen.fences", "gen.repeats", "filters"}
ASYNC = {"gen.scoring", "gen.talking", "gen.auto_evol", "gen.compare", "gen.flow", "gen.crew", "gen.rollout", "gen.journal", "gen.assess", "gen.roles", "gen.rounds", "gen.job", "gen.estimate", "gen.progress", "gen.engines", "gen.pool", "gen.store", "gen.core"}
HEAVY = ("numpy", "torch", "transformers", "vllm", "ray", "datasets", "pyarrow", "rapidfuzz", "sentence_transformers", "trafilatura", "lxml", "pypdfium2")


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(name: str) -> str:
    """The entry of FLOORS that a module belongs to."""
    while name not in FLOORS:
        assert "." in name, f"{name} has no floor: add it to FLOORS"
        name = name.rpartition(".")[0]
    return name


def imports(path: Path) -> set[str]:
    """Our modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" for a in node.names]
            found |= {n if (ROOT / Path(*n.split("."))).with_suffix(".py").exists() else node.module for n in names}
    return {n for n in found if n.split(".")[0] in ("gen", "filters", "prompts")}


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_go_down_only(path):
    own = room(module(path))
    for name in imports(path):
        other = room(name)
        assert FLOORS[other] <= FLOORS[own], f"{module(path)} imports {name}, which is on a higher floor"
        if own in STRANGERS:
            assert other == own or other not in STRANGERS, f"{module(path)} knows {name}: rooms of floor 2 are strangers"


def test_no_import_goes_round_in_a_circle():
    graph = {module(p): imports(p) - {module(p)} for p in FILES}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"imports go round: {' -> '.join([*path[path.index(name):], name])}"
        if name in done or name not in graph:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in sorted(graph):
        visit(name)


@pytest.mark.parametrize("path", [p for p in FILES if module(p).startswith("filters")], ids=module)
def test_filters_know_only_the_ground_floors(path):
    assert {room(n) for n in imports(path)} <= FILTERS_MAY


def test_the_world_knows_nothing_of_loops():
    for path in (ROOT / "gen/world").rglob("*.py"):
        assert {room(n) for n in imports(path)} <= {"gen.world", "gen.core", "gen.errors", "gen"}, path


@pytest.mark.parametrize("path", FILES, ids=module)
def test_async_stays_in_the_shell(path):
    waits = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.AsyncFunctionDef | ast.Await)]
    assert not waits or room(module(path)) in ASYNC, f"{module(path)} line {waits[0].lineno}: async outside the shell"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_files_and_functions_are_small_enough_to_see_whole(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 300, f"{module(path)} has {len(lines)} lines, at most 300"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 40, f"{module(path)}.{node.name} has {length} lines, at most 40"


def test_doors_are_empty():
    for path in ROOT.glob("gen/**/__init__.py"):
        if path.parent.name not in ("gen", "engines", "world", "seeds"):
            assert not path.read_text().strip(), f"{path} should be empty"


LIGHT = ["gen", "gen.cli", *(module(p) for p in FILES if module(p).startswith(("gen.loops.", "filters.")))]


def test_imports_of_loops_and_filters_are_light():
    code = f"import sys; [__import__(m) for m in {LIGHT!r}]; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_heavy():
    code = f"import sys, gen.cli; gen.cli.main(['--help']); print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_nothing_names_a_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).suffix in (".py", ".toml", ".md", ".txt", ".jinja", "") and (ROOT / name).is_file():
            assert f"{ROOT}/" not in (ROOT / name).read_text(errors="ignore"), f"{name} holds a path of this machine"
