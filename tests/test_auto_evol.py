"""`gen auto-evol`: a folder with a journal and a prompt file; killed it goes on, and nothing is asked twice."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gen import auto_evol
from gen import recipe as recipes
from gen.auto_evol import improve
from gen.cli import main
from gen.core import digest
from gen.engines.scripted import Scripted
from gen.errors import EngineError, RecipeError, UserError
from gen.loops._auto_evol import AutoEvol
from gen.loops.evolve import Evolve
from gen.material import read_material
from gen.pool import Pool
from gen.prompts import Prompts
from gen.roles import Staff

ROOT = Path(__file__).parents[1]
ROLES = ("evolver", "answerer", "judge")
FEW = {"dev": 20, "batch": 4, "candidates": 3, "steps": 4, "method_patience": 2}


def reply(request):
    """A model whose methods differ in how often the answers to what they evolve ask back."""
    from gen.core import digest

    text, seed = request.messages[-1].content, request.seed
    if request.step == "analyse":
        return f"<failures>\nCase {seed % 4 + 1}: it asks for no more.\n</failures>"
    if request.step == "optimise":
        return f"<method>\nLevel {seed % 90:02}. {{{{ x }}}} {{% endraw %}}\n[[TASK]]\n<instruction>\nthe new task\n</instruction>\n</method>"
    if request.step in ("apply", "auto"):
        level = text[6:8] if text.startswith("Level ") else "70"
        return f"<instruction>\n{text.split('<task>')[1].split('</task>')[0].strip()} Go on to level {level} and say why it is so high.\n</instruction>"
    level = int(text.split("level ")[-1].split(" ")[0])
    return "Sure! Which one?" if int(digest(text, size=4), 16) % 100 < level else "The Rhine."


class Jittery(Scripted):
    """The same replies in whatever order; stops at the question number `fails_at`."""

    def __init__(self, width=8, fails_at=0, slow=0.0):
        super().__init__(reply, width=width)
        self.asked, self.fails_at, self.slow = [], fails_at, slow

    async def complete(self, request):
        self.asked.append((request.step, request.messages, request.seed))
        if len(self.asked) == self.fails_at:
            raise EngineError("device lost")
        await asyncio.sleep(self.slow + random.random() / 500)
        return await super().complete(request)


@pytest.fixture
def seeds(tmp_path):
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps({"instruction": f"Name river number {i} of the land."}) + "\n" for i in range(40)))
    return path


def run(seeds, folder, monkeypatch, engine=None, prompts="", look=lambda done, heard: None, **changes):
    engine = engine or Jittery()
    monkeypatch.setattr(auto_evol, "hire", lambda recipe, gate: Staff(dict.fromkeys(ROLES, engine)))
    recipe = recipes.build({"source": {"seeds": [str(seeds)]}, "gate": {"filters": []}, "prompts": prompts, "seed": changes.pop("seed", 0)})
    plan = AutoEvol(**{**FEW, **changes}, prompts=Prompts(Path(prompts) if prompts else None))
    told = []
    return improve(plan, recipe, folder, read_material(recipe), command="gen auto-evol", say=told.append, look=look), engine


def essence(record):
    return {k: v for k, v in record.items() if k not in ("asked", "replayed", "finished")}


def test_the_folder_holds_a_prompt_that_evolve_takes_and_the_history(seeds, tmp_path, monkeypatch):
    record, engine = run(seeds, tmp_path / "run", monkeypatch)
    saved = json.loads((tmp_path / "run/method.json").read_text())
    assert essence(record) == saved
    assert record["asked"] == len(engine.asked) == record["calls"]
    assert (record["first_lambda"], record["lambda"]) == (record["history"][0]["lambda"], min(t["lambda"] for t in saved["history"] if t["valid"]))
    assert record["lambda"] < record["first_lambda"]
    assert {*saved["history"][0]} >= {"step", "index", "text", "parent", "feedback", "lambda", "counts", "valid", "calls", "tokens"}
    [chosen] = {t["id"] for t in saved["history"] if t["chosen"] and t["step"] == max(t["step"] for t in saved["history"] if t["chosen"])}
    assert chosen == saved["id"]
    prompts = Prompts(tmp_path / "run/prompts")
    assert prompts.get("evolve/auto").ref == saved["prompt"]
    [message] = prompts.get("evolve/auto").render(instruction="Sort.", input="", domain="", language="")
    assert message.content.startswith(saved["text"].split("[[TASK]]")[0].strip() + "\n\n<task>\nSort.")
    assert "{{ x }} {% endraw %}" in message.content
    assert "evolve/auto" in [p.name for p in Evolve(operations={"auto": 1.0}, prompts=prompts).asks()]
    assert saved["id"] in prompts.get("evolve/auto").changed


def test_the_result_does_not_depend_on_concurrency_or_arrival(seeds, tmp_path, monkeypatch):
    found = [essence(run(seeds, tmp_path / str(w), monkeypatch, Jittery(width=w))[0]) for w in (1, 7, 64)]
    assert found[0] == found[1] == found[2]
    files = {(tmp_path / str(w) / "prompts/evolve/auto.jinja").read_bytes() for w in (1, 7, 64)}
    assert len(files) == 1


def test_another_seed_is_another_sample(seeds, tmp_path, monkeypatch):
    one, two = (run(seeds, tmp_path / str(s), monkeypatch, seed=s)[0] for s in (0, 1))
    assert one["history"][1]["text"] != two["history"][1]["text"]


@pytest.mark.parametrize("at", [5, 60, 100, 130])
def test_what_was_answered_is_not_asked_again(seeds, tmp_path, monkeypatch, at):
    straight, engine = run(seeds, tmp_path / "straight", monkeypatch)
    broken = Jittery(width=1, fails_at=at)
    with pytest.raises(EngineError, match="device lost"):
        run(seeds, tmp_path / "run", monkeypatch, broken)
    resumed, rest = run(seeds, tmp_path / "run", monkeypatch)
    assert essence(resumed) == essence(straight)
    assert at <= len(broken.asked) < len(engine.asked), "what was in flight came in and was kept"
    assert (resumed["asked"], resumed["replayed"]) == (len(rest.asked), len(broken.asked) - 1)
    answered = [*broken.asked[: at - 1], *broken.asked[at:], *rest.asked]
    asked = [digest(step, [m.content for m in messages], seed) for step, messages, seed in answered]
    assert len(asked) == len({*asked}) == len(engine.asked)


class Interrupting(Jittery):
    async def complete(self, request):
        if len(self.asked) == 50:
            os.kill(os.getpid(), signal.SIGINT)
        return await super().complete(request)


def test_ctrl_c_ends_it_cleanly_and_the_same_command_goes_on(place, monkeypatch, capsys):
    engine = Interrupting(width=4)
    monkeypatch.setattr(auto_evol, "hire", lambda recipe, gate: Staff(dict.fromkeys(ROLES, engine)))
    args = ["auto-evol", "seeds.jsonl", "--model", "m", "--dev", "20", "--batch", "4", "--steps", "1", "--candidates", "2"]
    assert main([*args, "--out", "run"]) == 75
    assert "stopped; the same command goes on in run" in capsys.readouterr().err
    assert 51 <= len(engine.asked) <= 51 + 4
    asked = len(engine.asked)
    assert count(Path("run")) == asked, "what was in flight is kept"
    assert not Path("run/method.json").exists()
    assert main([*args, "--out", "run", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["replayed"], found["asked"]) == (asked, len(engine.asked) - asked)


def test_a_finished_one_is_shown_again_without_an_engine(seeds, tmp_path, monkeypatch):
    first, _ = run(seeds, tmp_path / "run", monkeypatch)
    again, engine = run(seeds, tmp_path / "run", monkeypatch)
    assert essence(again) == essence(first)
    assert (again["asked"], again["finished"], engine.asked) == (0, True, [])


def test_more_steps_go_on(seeds, tmp_path, monkeypatch):
    straight, _ = run(seeds, tmp_path / "straight", monkeypatch, steps=4)
    short, _ = run(seeds, tmp_path / "run", monkeypatch, steps=1)
    longer, engine = run(seeds, tmp_path / "run", monkeypatch, steps=4)
    assert short["why"] == "steps"
    assert longer["replayed"] == short["calls"]
    assert {k: v for k, v in essence(longer).items() if k != "parameters"} == {k: v for k, v in essence(straight).items() if k != "parameters"}


def test_other_work_in_the_folder_is_refused_with_the_difference(seeds, tmp_path, monkeypatch):
    run(seeds, tmp_path / "run", monkeypatch)
    with pytest.raises(RecipeError, match=r"params\.batch: 4 -> 5"):
        run(seeds, tmp_path / "run", monkeypatch, batch=5)
    seeds.write_text(seeds.read_text() + '{"instruction": "Name a sea."}\n')
    with pytest.raises(RecipeError, match="seeds: "):
        run(seeds, tmp_path / "run", monkeypatch)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/method.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds method\.json but no journal"):
        run(seeds, tmp_path / "mine", monkeypatch)


def test_another_model_is_refused(seeds, tmp_path, monkeypatch):
    with pytest.raises(EngineError):
        run(seeds, tmp_path / "run", monkeypatch, Jittery(fails_at=9))
    other = Jittery()
    other.fingerprint = "another"
    with pytest.raises(UserError, match="the model behind answerer, evolver, judge is not the one"):
        run(seeds, tmp_path / "run", monkeypatch, other)


def test_the_users_own_files_come_along(seeds, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    (mine / "evolve").mkdir(parents=True)
    (mine / "auto_evol").mkdir()
    shipped = Prompts()
    (mine / "evolve/answer.jinja").write_text(shipped.path("evolve/answer").read_text().replace("{{ instruction }}", "Q: {{ instruction }}"))
    (mine / "auto_evol/_method.jinja").write_text(shipped.path("auto_evol/_method").read_text() + "\nBe brief.")
    record, engine = run(seeds, tmp_path / "run", monkeypatch, prompts=str(mine))
    assert any(m[-1].content.startswith("Q: ") for step, m, _ in engine.asked if step == "answer")
    kept = Prompts(tmp_path / "run/prompts")
    assert kept.get("evolve/answer").hash == Prompts(mine).get("evolve/answer").hash
    assert "Be brief." in kept.get("evolve/auto").render(instruction="a", input="", domain="", language="")[0].content
    assert (mine / "evolve").exists()
    assert not (mine / "evolve/auto.jinja").exists()


def test_steps_are_shown_as_they_end(seeds, tmp_path, monkeypatch):
    seen = []
    run(seeds, tmp_path / "run", monkeypatch, look=lambda done, heard: seen.append((len(done), heard)))
    assert seen[0] == (0, 0)
    assert seen[-1][0] >= 2
    assert seen == sorted(seen)


SCRIPT = """
[[rule]]
step = "analyse"
reply = "<failures>\\nCase 1: it asks for no more\\n</failures>"
[[rule]]
step = "optimise"
reply = ["<method>\\nBetter {{ x }}: make it harder.\\n[[TASK]]\\n<instruction>\\nthe new task\\n</instruction>\\n</method>",
  "<method>\\nno \\u001b[31mslot\\n</method>"]
[[rule]]
contains = "Better {{ x }}"
reply = ["<instruction>\\nExplain in two sentences why rivers bend, with one example.\\n</instruction>",
  "<instruction>\\nExplain in three sentences where rivers end, and in which sea.\\n</instruction>"]
[[rule]]
role = "evolver"
reply = "no tags"
[[rule]]
role = "judge"
reply = "Not equal"
[[rule]]
reply = "They erode."
"""


@pytest.fixture
def place(seeds, tmp_path, monkeypatch):
    (tmp_path / "script.toml").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    return tmp_path


ARGS = ["auto-evol", "seeds.jsonl", "--model", "script:script.toml", "--dev", "20", "--batch", "4", "--out", "run"]


def test_the_command_says_what_it_costs_what_came_of_it_and_how_to_use_it(place, capsys):
    assert main(ARGS) == 0
    told = capsys.readouterr()
    assert "At most 2,220 questions: 40 for the first method, and 218 for each of 10 steps." in " ".join(told.err.split())
    assert "fails on 0% of 20 tasks; the first one on 100%." in told.out
    assert "no_slot" in told.out
    assert "\x1b[31m" not in told.out
    use = next(line for line in told.out.splitlines() if line.startswith("Use it: "))
    assert use == "Use it: gen evolve seeds.jsonl --prompts run/prompts --operations auto=1 --model script:script.toml"
    assert main([*use.split()[3:], "--rounds", "1", "--without", "semantic", "ifd", "--out", "evolved", "--quiet"]) == 0
    rows = [json.loads(line) for line in Path("evolved/dataset.jsonl").read_text().splitlines()]
    assert rows
    with Pool.open(Path("evolved"), readonly=True) as pool:
        evolved = [c.sample for row in pool.all_grown() for c in row.candidates if c.sample.lineage.operation == "auto"]
    method = json.loads(Path("run/method.json").read_text())
    assert evolved[0].lineage.prompts[0] == method["prompt"]


def test_the_report_as_json_is_the_history(place, capsys):
    assert main([*ARGS, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "run"
    assert [t["fault"] for t in found["history"] if t["step"] == 1].count("no_slot") >= 1


MISTAKES = {
    ("--dev", "38"): "40 seeds, but dev 38 and batch 4 take 42",
    ("--dev", "0"): "dev = 0",
    ("--language", "French"): "the failure rules are English",
    ("--optimiser-temperature", "0"): "makes 5 equal candidates",
    ("--failures", "nowhere.toml"): "expected published, extended, or a TOML file",
    ("--failures", "odd.toml"): "expected published, extended, or a TOML file",
    ("--failures", "idle.toml"): "'mine': expected a name of its own, and a condition",
    ("--prompts", "nowhere"): "not a folder",
}


@pytest.mark.parametrize("more", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_before_anything_is_asked(place, capsys, more):
    Path("odd.toml").write_text('[[failure]]\nname = "mine"\nstartswith = ["x"]\n')
    Path("idle.toml").write_text('[[failure]]\nname = "mine"\n')
    assert main([*ARGS, *more]) == 2
    assert MISTAKES[more] in capsys.readouterr().err
    assert not Path("run/method.json").exists()


def test_rules_of_ones_own_are_a_file(place, capsys):
    Path("mine.toml").write_text('[[failure]]\nname = "eroded"\ncontains = ["ERODE"]\n')
    assert main([*ARGS, "--failures", "mine.toml", "--language", "French", "--json", "--quiet", "--steps", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["history"][1]["counts"] == {"eroded": 20}


def test_seeds_in_another_script_are_warned_of(place, capsys):
    Path("zh.jsonl").write_text("".join(json.dumps({"instruction": f"请说出第{i}条河的名字。"}) + "\n" for i in range(40)))
    assert main([*ARGS[:1], "zh.jsonl", *ARGS[2:]]) == 0
    assert "The failure rules are English" in capsys.readouterr().err


KILLED = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import test_auto_evol as t
from pathlib import Path
class Patch:
    def setattr(self, where, name, value): setattr(where, name, value)
t.run(Path({seeds!r}), Path({out!r}), Patch(), t.Jittery(width=4, slow=0.03))
"""


@pytest.mark.process
def test_killed_at_any_moment_it_goes_on_to_the_same_method(seeds, tmp_path, monkeypatch):
    straight, _ = run(seeds, tmp_path / "straight", monkeypatch)
    out, needed = tmp_path / "run", straight["calls"]
    program = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), seeds=str(seeds), out=str(out))
    before = 0
    for mark in (20, needed // 4, needed // 2):
        process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
        while process.poll() is None and count(out) < max(mark, before + 1):
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert before < count(out) < needed
        before = count(out)
    resumed, engine = run(seeds, out, monkeypatch)
    assert resumed["replayed"] == before
    assert len(engine.asked) == needed - before
    assert essence(resumed) == essence(straight)


def count(out):
    if not (out / "pool.db").exists():
        return 0
    try:
        db = sqlite3.connect(f"file:{out / 'pool.db'}?mode=ro", uri=True, timeout=10)
        found = db.execute("SELECT count(*) FROM journal").fetchone()[0]
        db.close()
        return found
    except sqlite3.OperationalError:  # not made yet
        return 0
