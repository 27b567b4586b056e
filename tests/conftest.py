"""What many tests share: seeds, and canned replies that differ by seed, as a model's would."""

import asyncio
import importlib.util
import json
import os
import random
import sys
from pathlib import Path

import pytest

from gen import recipe as recipes
from gen.core import Completion, Lineage, Sample, seed_id
from gen.engines.scripted import Scripted
from gen.gate import Admission, Gate
from gen.pool import Pool
from gen.rounds import Run

# Helpers that are no tests; tests that need them say `import serving` (a program, too) or `import vllm_serving`.
for _name in ("serving", "vllm_serving", "tiny_models", "fake_vllm", "dialogue"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).parent / f"{_name}.py")
    sys.modules[_name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_name])
WORDS = "amber birch cedar dune ember fjord grove heath inlet juniper knoll lagoon marsh nook oasis pine quarry".split()
os.environ["GEN_CACHE"] = ""  # no test leaves anything in the user's own folders
ROLES = ("evolver", "answerer", "judge", "scorer")


def write(request):
    """A plausible model: rewrites add words, one judgement in five says Equal, one answer in ten is cut."""
    rng, text = random.Random(request.seed), request.messages[-1].content
    words = " ".join(rng.choice(WORDS) for _ in range(10))
    if reply := _invent(request.step, rng) or _review(request.step, rng, words):
        return reply
    if request.role == "evolver":
        task = text.split("<task>\n")[-1].split("\n</task>")[0]
        data = f"\n<input>\n| {words} |\n</input>" if request.step == "complicate" else ""
        return f"<instruction>\n{task} Use {words}.\n</instruction>{data}"
    if request.step == "feedback":
        note = rng.choice(["none", "Name the colour."])
        return f"<change>\nnone\n</change>\n<add>\n{note}\n</add>"
    if request.step == "rewrite":
        return f"<answer>\nIt is the {words}, and red.\n</answer>"
    if request.role == "judge":
        return rng.choice(["Equal", "Not equal", "Not equal", "Not equal", "Not equal"])
    reply = f"It is the {words}."
    return Completion(reply, "length", completion_tokens=12) if rng.random() < 0.1 else reply


def _review(step, rng, words):
    """Reviews of answers, every other one content, and better answers; None for other prompts."""
    fine = rng.random() < 0.5
    if step == "feedback":
        notes = f"<change>\n{'none' if fine else 'Name ' + words}\n</change>\n<add>\nnone\n</add>"
        return f"{notes}\n<scores>\ncorrectness: 4\ncompleteness: 3\nclarity: 5\n</scores>"
    if step == "critique":
        verdict = "Revision is not needed." if fine else "Revision is needed."
        return f"<comments>\nName {words}.\n</comments>\n<score>\n{9 if fine else 4}\n</score>\n<verdict>\n{verdict}\n</verdict>"
    return f"<answer>\nIt is {words}.\n</answer>" if step in ("rewrite", "revise") else None


def _invent(step, rng):
    """Tasks and instances of Self-Instruct and Alpaca, in the form of each prompt; None for other prompts."""

    def task():
        return "Explain " + " ".join(rng.choice(WORDS) for _ in range(9)) + "."

    form, base = step.removesuffix("_base"), step.endswith("_base")
    if form in ("new_instructions", "new_classification"):
        items = [f"{n}. {task()}" for n in range(9, 16)]
        return "\n".join(items)[2 if base else 0 :]
    if form == "is_classification":
        return rng.choice(["Yes", "No"])
    pairs = [(task(), rng.choice(WORDS)) for _ in range(2)]
    if form == "instances_input_first":
        form = "Example\nText: {}\nOutput: {}" if base else "<input>\n{}\n</input>\n<output>\n{}\n</output>"
        return "\n".join(form.format(*pair) for pair in pairs)
    if form == "instances_output_first":
        form = "Class label: {1}\n{0}" if base else "<output>\n{1}\n</output>\n<input>\n{0}\n</input>"
        return "\n".join(form.format(*pair) for pair in pairs)
    rows = [{"instruction": task(), "input": text, "output": output} for text, output in pairs]
    return json.dumps({"tasks": rows}) if form == "triples" else None


def make_seeds(n, answered=lambda i: i % 3 == 0):
    found = []
    for i in range(n):
        instruction, response = f"Describe the {WORDS[i % len(WORDS)]} number {i}.", "It is old." if answered(i) else None
        root = seed_id(instruction, "", response)
        found.append(Sample(root, instruction, Lineage(root), response=response))
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Whatever uses the real vLLM server is marked so, and shares one worker of xdist (`--dist loadgroup`)."""
    for item in items:
        if "vllm_server" in getattr(item, "fixturenames", ()) or item.get_closest_marker("vllm"):
            for mark in ("vllm", "slow", "process"):
                item.add_marker(mark)
            item.add_marker(pytest.mark.xdist_group("vllm"))


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory):
    """A real vLLM server with the bundled model, shared by all tests of the session: `.url`, `.model`, `.log`."""
    vllm_serving = sys.modules["vllm_serving"]
    folder = tmp_path_factory.mktemp("vllm")
    if url := os.environ.get("GEN_VLLM_URL"):
        yield vllm_serving.Vllm(url, folder / "elsewhere.log")
        return
    if vllm_serving.python() is None:
        pytest.skip(vllm_serving.MISSING)
    with vllm_serving.serve(folder) as server:
        yield server


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A "Python with vLLM" that starts the test server, with a runtime folder of its own; nothing of it is left."""
    from gen.engines import keeper, registry

    monkeypatch.setenv("GEN_RUNTIME_DIR", str(tmp_path / "runtime"))
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setattr("gen.engines.keeper.GRACE_S", 3.0)
    yield sys.modules["vllm_serving"].Stub(tmp_path / "stub")
    for record in registry.records():  # of a test that failed
        keeper.stop(record.server.pid, 1.0)


@pytest.fixture(name="write")
def _write():
    """The function that replies like a model, for engines of a test's own."""
    return write


@pytest.fixture
def seeds():
    return make_seeds(20)


@pytest.fixture
def hold():
    """Run seeds through rounds in a folder; returns the run and what was kept."""

    def hold(folder: Path, seeds, *, engine=None, width=8, on_run=None, **changes):
        async def go():
            recipe = recipes.build(changes) if "loop" in changes else recipes.with_values(recipes.build({}), changes)
            plain = [f for f in recipe.gate if f.passport.name not in recipe.optional]  # nothing here can measure
            engines = dict.fromkeys(ROLES, engine or Scripted(write, width=width))
            with Pool.open(folder) as pool:
                admission = Admission(Gate(plain), 1, recipe.budget)
                run = Run(recipe, seeds, pool, engines, admission)
                admission.restore(pool)
                if on_run:
                    on_run(run)
                await run.execute()
                return run, list(pool.kept(1))

        return asyncio.run(go())

    return hold


@pytest.fixture
def canned(monkeypatch, tmp_path, seeds):
    """Runs a recipe as the program does, on canned replies: those of a script where it exists, else on `write`; what
    needs a model to measure leaves the gate. Returns the report and the dataset's rows."""

    def run(recipe, folder: Path, script: Path | None = None, width=8, **changes):
        from gen.job import execute
        from gen.material import read_material

        optional = {name for one in (recipe, *recipe.chain) for name in one.optional}
        table = _without(recipes.table_of(recipe), optional)
        if recipe.source.seeds == () and not hasattr(recipe.stages[0].recipe.params, "split"):
            path = tmp_path / "canned.jsonl"
            rows = [{"instruction": s.instruction, "output": s.response} for s in seeds]
            path.write_text("".join(json.dumps({k: v for k, v in row.items() if v}) + "\n" for row in rows))
            table["source"] = {**table["source"], "seeds": [str(path)]}
        engine = Scripted(str(script) if script and script.exists() else write, width=width)
        monkeypatch.setattr("gen.roles._engine", lambda *_: engine)
        made = recipes.build({**table, **changes})

        async def watch(flow):
            pass

        said = []
        report = execute(made, folder, read_material(made), command="gen", watch=watch, say=said.append)
        return report, [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]

    return run


def _without(table, optional):
    """A recipe's table without some filters."""
    if isinstance(table, list):
        return [_without(one, optional) for one in table]
    found = {k: _without(v, optional) if k == "stages" else v for k, v in table.items() if k != "model"}
    if "gate" in found:
        gate = {k: v for k, v in found["gate"].items() if k not in (*optional, "optional")}
        found["gate"] = {**gate, "filters": [name for name in gate["filters"] if name not in optional]}
    return found


@pytest.fixture
def shared():
    """The folder of real data; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data is absent: expected the folder shared/data beside the project")
    return folder
