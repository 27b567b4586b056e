"""`gen prompts compare`: the same seeds, both wordings, through the loop that owns them; repeating is free."""

import json
import random
from pathlib import Path

import pytest

from gen import compare as comparing
from gen import recipe as recipes
from gen.cli import main
from gen.core import Completion
from gen.engines.scripted import Scripted
from gen.errors import EngineError, PromptError
from gen.material import read_material
from gen.prompts import Prompts
from gen.roles import Staff
from gen.tries import reads
from gen.wordings import pair_of

WORDS = "amber birch cedar dune ember fjord grove heath inlet juniper knoll lagoon marsh nook oasis pine".split()
ROLES = ("evolver", "answerer", "judge")


def reply(request):
    """Told to dig deeper, half of the rewrites cannot be read; the judge finds one in four equal."""
    import random

    text, rng = request.messages[-1].content, random.Random(request.seed)
    words = " ".join(rng.choice("amber birch cedar dune ember fjord grove heath inlet juniper knoll lagoon".split()) for _ in range(12))
    if request.role == "evolver":
        task = text.split("<task>\n")[-1].split("\n</task>")[0]
        return "no tags" if "dig deeper" in text and rng.random() < 0.5 else f"<instruction>\n{task} Use {words}.\n</instruction>"
    if request.role == "judge":
        return rng.choice(["Equal", "Not equal", "Not equal", "Not equal"])
    return f"It is the {words}."


@pytest.fixture
def seeds(tmp_path):
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps({"instruction": f"Describe the {w} of the land.", "output": f"The {w} is old and grey."}) + "\n" for w in WORDS))
    return path


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine/evolve/deepen.jinja"
    path.parent.mkdir(parents=True)
    path.write_text(Prompts().path("evolve/deepen").read_text().replace("ask for more depth", "dig deeper"))
    return path


class Counting(Scripted):
    def __init__(self, answer=reply, width=8, fails_at=0):
        super().__init__(answer, width=width)
        self.asked, self.fails_at = [], fails_at

    async def complete(self, request):
        self.asked.append(request)
        if len(self.asked) == self.fails_at:
            raise EngineError("device lost")
        return await super().complete(request)


def run(tmp_path, a, b, seeds, monkeypatch, *, engine=None, times=2, values=None, folder="run", gate=("empty", "length", "exact")):
    engine = engine or Counting()
    monkeypatch.setattr(comparing, "hire", lambda recipe, gate: Staff(dict.fromkeys(ROLES, engine)))
    scratch = tmp_path / f"scratch{random.random()}"
    recipe = recipes.build({"source": {"seeds": [str(seeds)]}, "gate": {"filters": list(gate)}})
    found = comparing.compare(
        pair_of(str(a), str(b), "", None, scratch), recipe, list(read_material(recipe).seeds.samples), tmp_path / folder, times=times,
        values=values or {}, command="gen prompts compare", say=lambda text: None, look=lambda heard: None,
    )  # fmt: skip
    return found, engine


def test_both_wordings_go_through_the_loop_and_the_gate(tmp_path, seeds, mine, monkeypatch):
    found, engine = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch)
    a, b = found.a, found.b
    assert (found.seeds, found.times, len(a.tries), len(b.tries)) == (16, 2, 32, 32)
    assert a.read == 1.0
    assert b.read == sum(t.read for t in b.tries) / 32 < 0.8
    assert {*a.reasons} == {"no_gain"}
    assert {*b.reasons} == {"no_gain", "rewrite_unparsed"}
    assert a.kept == 1 - a.reasons["no_gain"] / 32
    assert b.kept == 1 - (b.reasons["no_gain"] + b.reasons["rewrite_unparsed"]) / 32
    assert found.asked == len({(r.role, r.messages, r.seed) for r in engine.asked}) == a.questions + b.questions
    assert {"evolver", "judge", "answerer"} == {r.role for r in engine.asked}
    assert found.read.b_better == 0
    assert found.read.mean == pytest.approx(b.read - a.read)
    assert found.gate == ("empty", "length", "exact")


def test_lengths_and_costs_are_those_of_the_replies(tmp_path, seeds, mine, monkeypatch):
    found, _ = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch, times=1)
    for side in (found.a, found.b):
        good = [t for t in side.tries if t.read]
        assert side.instruction_words == pytest.approx(sum(len(t.instruction.split()) for t in good) / len(good)) == pytest.approx(6 + 13)
        assert side.response_words == pytest.approx(15)
        assert side.reply_tokens == pytest.approx(sum(t.reply_tokens for t in side.tries) / 16)
        assert all(t.generated_tokens >= t.reply_tokens > 0 for t in side.tries)
        assert all(t.prompt_tokens > 50 for t in side.tries)
        assert side.seconds > 0


def test_chance_falls_alike_on_both_sides(tmp_path, seeds, mine, monkeypatch):
    """What both ask in the same words has the same reply, so that the wording alone tells them apart."""
    _, engine = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch)
    rewrites = [r for r in engine.asked if r.role == "evolver"]
    half = len(rewrites) // 2
    assert [r.seed for r in rewrites[:half]] == [r.seed for r in rewrites[half:]]
    assert len({r.seed for r in rewrites}) == half, "each seed and turn has chances of its own"


def test_repeating_is_free_and_another_wording_costs_itself_alone(tmp_path, seeds, mine, monkeypatch):
    first, _ = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch)
    again, engine = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch)
    assert (again.asked, engine.asked) == (0, [])
    assert (again.a, again.b) == (first.a, first.b), "seconds are those of the day when it was asked"
    mine.write_text(mine.read_text().replace("dig deeper", "go on"))
    third, engine = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch)
    assert third.a == first.a
    assert 0 < third.asked <= third.b.questions


def test_a_broken_one_goes_on(tmp_path, seeds, mine, monkeypatch):
    straight, engine = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch, folder="straight")
    broken = Counting(fails_at=40)
    with pytest.raises(EngineError):
        run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch, engine=broken)
    resumed, rest = run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch)
    assert [t for s in (resumed.a, resumed.b) for t in s.tries] == [t for s in (straight.a, straight.b) for t in s.tries]
    assert len(broken.asked) - 1 + len(rest.asked) == len(engine.asked)


def test_the_result_does_not_depend_on_concurrency(tmp_path, seeds, mine, monkeypatch):
    found = [run(tmp_path, "evolve/deepen", mine, seeds, monkeypatch, engine=Counting(width=w), folder=str(w))[0] for w in (1, 64)]
    assert found[0].a.tries == found[1].a.tries
    assert found[0].b.tries == found[1].b.tries


def test_each_turn_meets_a_gate_of_its_own_that_knows_the_seeds(tmp_path, seeds, monkeypatch):
    """The same rewrite in another turn is no duplicate; the one of another seed is, and so is a seed."""

    def same(request):
        if request.role == "evolver":
            known = "amber" in request.messages[-1].content
            task = "Describe the birch of the land" if known else "Name the oldest tree of all lands, and say where it stands."
            return f"<instruction>\n{task}\n</instruction>"
        return "Not equal" if request.role == "judge" else "The yew, in Wales."

    found, _ = run(tmp_path, "evolve/deepen", "evolve/reason", seeds, monkeypatch, engine=Counting(same))
    assert [t.reason for t in found.a.tries[:3]] == ["duplicate", "", "duplicate"]
    assert found.a.reasons == {"duplicate": 15 * 2}


def test_an_answer_prompt_stands_by_itself_and_meets_the_gate(tmp_path, seeds, monkeypatch):
    path = tmp_path / "mine/evolve/answer.jinja"
    path.parent.mkdir(parents=True)
    path.write_text(Prompts().path("evolve/answer").read_text().replace("{{ instruction }}", "{{ instruction }} Be brief."))

    def answer(request):
        return "It is." if "brief" in request.messages[-1].content else "It is the oldest one of all, and it is very high."

    found, engine = run(tmp_path, "evolve/answer", path, seeds, monkeypatch, engine=Counting(answer), times=1)
    assert len(engine.asked) == 32
    assert (found.a.kept, found.b.kept) == (1.0, 1.0), "an answer does not repeat its own task"
    assert (found.a.instruction_words, found.b.instruction_words) == (12.0, 2.0)
    assert found.a.response_words is None
    assert "Be brief." in engine.asked[-1].messages[-1].content


def test_another_prompt_stands_by_itself_without_a_gate(tmp_path, seeds, monkeypatch):
    path = tmp_path / "mine/evolve/equal.jinja"
    path.parent.mkdir(parents=True)
    path.write_text(Prompts().path("evolve/equal").read_text().replace("Compare two tasks", "Weigh two tasks"))
    seeds.write_text("".join(json.dumps({"instruction": f"Sort {i}.", "first": f"Sort {i}.", "second": f"Sort {i} twice."}) + "\n" for i in range(6)))

    def judge(request):
        return "Perhaps" if "Weigh" in request.messages[-1].content and "Sort 3" in request.messages[-1].content else "Not equal"

    found, engine = run(tmp_path, "evolve/equal", path, seeds, monkeypatch, engine=Counting(judge), times=1)
    assert (found.a.kept, found.b.kept, found.kept, found.gate) == (None, None, None, ())
    assert (found.a.read, found.b.read, found.b.reasons) == (1.0, pytest.approx(5 / 6), {"unparsed": 1})
    assert "Sort 5 twice." in engine.asked[5].messages[-1].content
    seeds.write_text('{"instruction": "Sort."}\n')
    with pytest.raises(PromptError, match="nothing fills its input 'first'; give --set first=TEXT"):
        run(tmp_path, "evolve/equal", path, seeds, monkeypatch, folder="other")
    filled, _ = run(tmp_path, "evolve/equal", path, seeds, monkeypatch, folder="third", values={"first": "a", "second": "b"}, engine=Counting(judge))
    assert filled.a.read == 1.0


READS = [
    ("evolve/deepen", "<instruction>x</instruction>", ""), ("evolve/deepen", "<instruction> </instruction>", "empty"),
    ("evolve/deepen", "x", "unparsed"), ("evolve/deepen", Completion("<instruction>x</instruction>", "length"), "truncated"),
    ("evolve/deepen", Completion("", "refused"), "rejected"), ("evolve/deepen", Completion("", "overlong"), "overlong"),
    ("evolve/equal", "Equal", ""), ("evolve/equal", "Perhaps", "unparsed"), ("evolve/answer", "yes", ""),
    ("evolve/answer", " ", "empty"), ("auto_evol/apply", "<instruction>a</instruction> <instruction>b</instruction>", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "said", "fault"), READS)
def test_a_reply_is_read_as_its_passport_says(name, said, fault):
    assert reads(Prompts().get(name), said if isinstance(said, Completion) else Completion(said)) == fault


JSON = '---\npaper="arXiv"\npurpose="p"\nrole="judge"\ninputs=[]\n[reply]\nform="json"\nschema={type="object", required=["score"]}\n---\nRate.'


@pytest.mark.parametrize(
    ("said", "fault"),
    [('{"score": 3}', ""), ('```json\n{"score": 3}\n```', ""), ('{"mark": 3}', "unparsed"), ("3", "unparsed"), ("score", "unparsed"), ("[]", "unparsed")],
)
def test_json_must_have_what_its_schema_requires(tmp_path, said, fault):
    (tmp_path / "rate.jinja").write_text(JSON)
    assert reads(Prompts(tmp_path).get("rate"), Completion(said)) == fault


SCRIPT = """
[[rule]]
contains = "dig deeper"
reply = ["no \\u001b[31mtags", "<instruction>\\nExplain in two sentences why rivers bend, with one example.\\n</instruction>"]
[[rule]]
role = "evolver"
reply = ["<instruction>\\nExplain in three sentences where rivers end [bold], and why.\\n</instruction>",
  "<instruction>\\nName three rivers and the towns where they meet the sea.\\n</instruction>"]
[[rule]]
role = "judge"
reply = "Not equal"
[[rule]]
reply = "They erode the outer bank."
"""


@pytest.fixture
def place(seeds, mine, tmp_path, monkeypatch):
    (tmp_path / "script.toml").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    return ["prompts", "compare", "evolve/deepen", "mine/evolve/deepen.jinja", "--seeds", "seeds.jsonl", "--model", "script:script.toml", "--out", "c"]


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch):
    """The encoder is not the point here: it loads for seconds."""
    monkeypatch.setattr("gen.engines.embedder.open_embedder", lambda *_, **__: NoEncoder())


class NoEncoder:
    model, fingerprint, width, scripts = "none", "none", 1, None

    async def open(self):
        raise EngineError("no encoder here")

    async def close(self):
        """Nothing to close."""


def test_the_command_shows_both_sides_what_may_be_said_and_examples(place, capsys):
    assert main([*place, "--show", "2"]) == 0
    told = capsys.readouterr()
    out = told.out
    assert "B: mine/evolve/deepen.jinja (evolve/deepen@" in out
    assert "16 seeds, each 3 times by either; gate: empty, length," in out
    assert "replies that can be read" in out
    assert "100% (48 of 48)" in out
    assert "rewrite_unparsed" in out
    assert "sign test, p = " in out
    assert out.count("\nseed ") == 2
    assert out.count("\n  A ") == 2 * 3
    assert "rivers end [bold], and why." in out
    assert "\x1b[31m" not in out
    assert "Without 'ifd' in the gate" in told.err
    assert main([*place, "--show", "0"]) == 0
    assert "0 questions answered" in capsys.readouterr().out


def test_json_holds_every_try(place, capsys):
    assert main([*place, "--json", "--quiet", "--times", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seeds"], len(found["a"]["tries"]), found["a"]["read"]) == (16, 16, 1.0)
    assert {*found["read"]} >= {"mean", "low", "high", "a_better", "b_better", "equal", "p"}
    assert found["kept"]["b_better"] + found["kept"]["a_better"] + found["kept"]["equal"] == 16


MISTAKES = {
    ("--times", "0"): "expected --times of 1 or more",
    ("--set", "first"): "expected INPUT=TEXT",
    ("--model", "script:nowhere.toml"): "nowhere.toml",
    ("--seeds", "nowhere.jsonl"): "nowhere.jsonl",
    ("--prompts", "nowhere"): "not a folder",
}


@pytest.mark.parametrize("more", MISTAKES, ids=" ".join)
def test_a_mistake_is_told(place, capsys, more):
    assert main([*place, *more]) == 2
    assert MISTAKES[more] in capsys.readouterr().err


def test_other_work_in_the_folder_is_refused(place, capsys):
    assert main([*place, "--times", "1", "--quiet"]) == 0
    assert main([*place, "--times", "1", "--quiet", "--seed", "7"]) == 2
    assert "holds other work, which differs in\n  seed: 0 -> 7" in capsys.readouterr().err
    assert Path("c/pool.db").exists()
