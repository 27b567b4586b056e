"""Runs of several stages: what one keeps begins the next; loops that draw from the pool; all of it resumable."""

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from gen import recipe as recipes
from gen.catalog import component
from gen.cli import main
from gen.core import Candidate, Completion, Grown, Lineage, Message, Request, Sample, Sampling, digest
from gen.engines.scripted import Scripted
from gen.errors import RecipeError
from gen.job import execute
from gen.loop import Part
from gen.material import read_material
from gen.plan import Recipe
from gen.pool import Pool


def ask(role, text, step="ask"):
    return Request(role, (Message("user", text),), Sampling(), step)


@component("invent", source="ours")
@dataclass(frozen=True, slots=True)
class Invent:
    """Two tasks of a batch's conversation: one that shows what it has drawn, one that everybody proposes."""

    GATE: ClassVar[tuple[str, ...]] = ("exact",)
    size: int = 3
    dry_batches: int = 3
    seeds_too: bool = False
    stale: int = 0
    """From this batch size on nothing new is said."""

    def asks(self):
        return ()

    def batch(self, seeds, made):
        return self.size + made // 4

    def answer(self, seed):
        yield from ()
        return Grown((Candidate(seed, given=True),), ())

    def draw(self, seeds, made, rng):
        shown = [s.instruction for s in (*rng.sample(list(seeds), 2), *rng.sample(range(len(made)), 0))]
        shown += [made[i].instruction for i in rng.sample(range(len(made)), min(2, len(made)))]
        [reply] = yield [ask("evolver", f"Seen {len(made)}: " + " / ".join(shown))]
        texts = [reply.text, "The same as ever."]
        new = [Sample("", t, Lineage(digest("invented", t)), response="yes") for t in texts]
        return Grown(tuple(map(Candidate, new)), ())


@component("double", source="ours")
@dataclass(frozen=True, slots=True)
class Double:
    """Invents, then answers: a loop of two stages."""

    GATE: ClassVar[tuple[str, ...]] = ("length", "exact")
    size: int = 3
    twice: int = 1
    GROWING: ClassVar[tuple[str, ...]] = ("twice",)

    def asks(self):
        return ()

    def parts(self):
        return (Part(Invent(self.size), gate=("exact",)), *(Part(Finish(n), of=0) for n in range(self.twice)))


@component("finish", source="ours")
@dataclass(frozen=True, slots=True)
class Finish:
    number: int = 0
    prompts: object = field(default=None, metadata={"parameter": False})

    def asks(self):
        return ()

    def answer(self, seed):
        if seed.lineage.operation == "seed" and seed.response is not None and "task" in seed.instruction:
            yield from ()
            return Grown((), ())
        [reply] = yield [ask("answerer", f"{self.number}: {seed.instruction}")]
        from gen.core import replace

        return Grown((Candidate(replace(seed, response=reply.text)),), ())


class Jitter(Scripted):
    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(random.random() / 300)
        return await super().complete(request)


def reply(request):
    text = request.messages[-1].content
    return f"Word {digest(text, request.seed)} and {len(text)} more words to say here."


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Runs a recipe in a folder on a scripted engine; returns the report, dataset rows and the pool's funnel."""
    monkeypatch.chdir(tmp_path)
    lines = [{"instruction": f"Seed task number {i}.", "output": "yes"} for i in range(6)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))

    def run(table, folder, width=8, on_flow=None):
        async def watch(flow):
            if on_flow:
                await on_flow(flow)

        engine = Jitter(reply, width=width)
        monkeypatch.setattr("gen.roles._engine", lambda *a: engine)
        recipe = table if isinstance(table, Recipe) else recipes.build({"source": {"seeds": ["seeds.jsonl"]}, **table})
        report = execute(recipe, tmp_path / folder, read_material(recipe), command="", watch=watch, say=lambda t: None)
        rows = [json.loads(line) for line in (tmp_path / folder / "dataset.jsonl").read_text().splitlines()]
        return report, rows

    return run


INVENT, DOUBLE = f"{__name__}:Invent", f"{__name__}:Double"


def texts(rows):
    return [row["instruction"] for row in rows]


def test_batches_draw_from_the_pool_as_of_two_batches_before(go, tmp_path):
    report, rows = go({"loop": INVENT, "budget": {"target": 30}}, "a")
    assert report.why == "target"
    assert len(rows) == 30
    assert [(r.reason, r.count) for r in report.funnel if r.round == 0] == [("seed_only", 6)]
    with Pool.open(tmp_path / "a", readonly=True) as pool:
        kept = list(pool.kept(1))
        for row in pool.all_grown():
            if row.round:
                [(request, _)] = pool.asked(row.asked)
                seen = int(request.messages[0].content.split()[1].rstrip(":"))
                assert seen == sum(s.lineage.round <= row.round - 2 for s in kept)


def test_a_target_is_met_exactly_at_any_concurrency_and_equals_a_longer_run(go):
    reference = go({"loop": INVENT, "budget": {"target": 40}}, "a")[1]
    for width in (1, 3, 32):
        report, rows = go({"loop": INVENT, "budget": {"target": 25}}, f"w{width}", width)
        assert report.why == "target"
        assert rows == reference[:25]
        assert go({"loop": INVENT, "budget": {"target": 40}}, f"w{width}", width)[1] == reference


def test_without_a_budget_a_loop_that_draws_gets_a_target(go):
    assert recipes.build({"loop": INVENT}).budget.target == 100
    assert recipes.build({"loop": INVENT, "budget": {"max_tokens": 9}}).budget.target is None
    chain = recipes.build({"stages": [{"loop": INVENT}, {"loop": "evolve"}]})
    assert [stage.recipe.budget.target for stage in chain.stages] == [100, None]


def test_it_ends_after_batches_that_brought_nothing_new(go, monkeypatch):
    ends = []
    monkeypatch.setitem(globals(), "reply", lambda request: "Nothing new under the sun.")
    for width in (1, 16):
        report, rows = go({"loop": INVENT, "budget": {"target": 30}}, f"w{width}", width)
        ends.append((report.why, rows))
    assert ends[0] == ends[1]
    assert ends[0][0] == "exhausted"


def test_what_one_stage_keeps_begins_the_next_and_the_last_is_the_dataset(go, tmp_path):
    report, rows = go({"loop": DOUBLE, "budget": {"target": 20}}, "a")
    assert report.why == "target"
    assert len(rows) == 20
    assert {r.stage for r in report.funnel} == {0, 1}
    with Pool.open(tmp_path / "a", readonly=True) as pool:
        first = {s.id: s for s in pool.kept(1, 0)}
        for sample in pool.kept(1, 1):
            assert sample.id in first
            assert first[sample.id].response != sample.response
            assert sample.lineage.stage == 1
    for width in (1, 32):
        assert go({"loop": DOUBLE, "budget": {"target": 20}}, f"w{width}", width)[1] == rows


def test_stages_of_a_stopped_run_go_on_and_nothing_is_asked_twice(go):
    straight = go({"loop": DOUBLE, "budget": {"target": 40}}, "straight")
    asked = 0

    async def stop(flow):
        await asyncio.sleep(0.1)
        flow.stop("interrupted")

    report, rows = go({"loop": DOUBLE, "budget": {"target": 40}}, "a", 2, stop)
    assert report.why == "interrupted"
    assert rows == straight[1][: len(rows)]
    asked += report.asked
    again, whole = go({"loop": DOUBLE, "budget": {"target": 40}}, "a", 2)
    assert whole == straight[1]
    assert again.replayed <= 4


def test_more_stages_of_the_same_loop_go_on_where_it_was(go, tmp_path):
    table = {"loop": DOUBLE, "budget": {"target": 10}}
    once = go(table, "a")[1]
    report, twice = go({**table, DOUBLE: {"twice": 2}}, "a")
    assert texts(twice) == texts(once), "the same tasks, since every pass begins with what the first stage kept"
    assert [r["output"] for r in twice] != [r["output"] for r in once]
    with pytest.raises(RecipeError, match="can only go on with more"):
        go(table, "a")


def test_the_gate_that_parts_share_moves_as_one(go, tmp_path):
    from gen.regate import regate

    _, rows = go({"loop": DOUBLE, DOUBLE: {"twice": 2}, "budget": {"target": 10}}, "a")
    for most, count in ((1, 0), (99, 10)):
        (tmp_path / "new.toml").write_text(f"[gate.length]\nmax_response_words = {most}\n")
        _, after = regate(tmp_path / "a", tmp_path / "new.toml", score_all=False, say=lambda t: None)
        assert after.kept == count
    assert (tmp_path / "a" / "dataset.jsonl").read_text().splitlines() == [json.dumps(r, ensure_ascii=False) for r in rows]


@component("pass", source="ours")
@dataclass(frozen=True, slots=True)
class Pass:
    """Keeps seeds as they are, and makes a copy of each."""

    def asks(self):
        return ()

    def answer(self, seed):
        yield from ()
        copy = Sample("", seed.instruction, Lineage("copies"), response="yes, and three words more")
        return Grown((Candidate(seed, given=True), Candidate(copy)), ())


def test_what_is_given_is_not_judged_but_remembered(go, tmp_path):
    gate = {"filters": ["exact", "length"], "length": {"min_response_words": 3}}
    report, rows = go({"loop": f"{__name__}:Pass", "gate": gate}, "a")
    assert texts(rows) == [f"Seed task number {i}." for i in range(6)]
    with Pool.open(tmp_path / "a", readonly=True) as pool:
        found = sorted((row.operation, row.reason, row.count) for row in pool.funnel(1))
    assert found == [("seed", "", 6), ("seed", "duplicate", 6)]


def test_a_chain_of_recipes_is_one_run(go, tmp_path):
    stages = [{"loop": INVENT, "target": 18}, {"loop": f"{__name__}:Finish", "gate": {"filters": ["exact"]}}]
    report, rows = go({"stages": stages}, "a")
    assert report.why == "complete"
    assert len(rows) == 18, "of the first stage's target; the seeds were shown and are no samples"
    again, same = go(recipes.read(tmp_path / "a" / "recipe.toml"), "a")
    assert again.why == "finished"
    assert same == rows
    told = recipes.build({"stages": stages, "source": {"seeds": ["seeds.jsonl"]}}).deciding()
    assert recipes.read(tmp_path / "a" / "recipe.toml").deciding() == told


@pytest.mark.parametrize(("table", "said"), [
    ({"stages": []}, "expected one table"), ({"stages": "evolve"}, "expected one table"),
    ({"stages": [{"loop": "evolv"}]}, "stage 1: no loop is called 'evolv'"),
    ({"stages": [{"loop": "evolve", "source": {}}]}, "stage 1: unknown key 'source'"),
    ({"stages": [{"loop": "evolve"}], "rounds": 2}, "inside the stage"),
    ({"stages": [{"loop": "evolve", "evolve": {"domian": "x"}}]}, "unknown key 'domian'"),
    ({"loop": INVENT, "rounds": 2}, "has no rounds"),
])  # fmt: skip
def test_a_chain_that_cannot_be_is_refused(table, said):
    with pytest.raises(RecipeError, match=said):
        recipes.build(table)


def test_a_chain_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rules = [("evolver", "<instruction>\\nName five rivers of Europe and one city that stands on each of them.\\n</instruction>"),
             ("judge", "Not equal"), ("answerer", "The Rhine flows through Basel, for one.")]  # fmt: skip
    (tmp_path / "s.toml").write_text("".join(f'[[rule]]\nrole = "{r}"\nreply = "{t}"\n' for r, t in rules))
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Name a river.", "output": "The Rhine."}\n')
    (tmp_path / "c.toml").write_text(
        '[source]\nseeds = ["seeds.jsonl"]\n[model]\nname = "script:s.toml"\n'
        '[[stages]]\nloop = "evolve"\nrounds = 1\n[stages.gate]\nfilters = ["exact"]\n'
        '[[stages]]\nloop = "evolve"\nrounds = 1\n[stages.gate]\nfilters = ["length"]\n'
    )
    assert main(["run", "c.toml", "--out", "run"]) == 0
    assert main(["funnel", "run"]) == 0
    assert main(["show", "run"]) == 0
    shown = capsys.readouterr().out
    assert "stage" in shown
    assert main(["run", "run/recipe.toml"]) == 0
    assert "already finished" in capsys.readouterr().out
