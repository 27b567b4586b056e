"""Measuring: concurrent, journaled, never twice; the gate reads it in canonical order."""

import asyncio
import hashlib
import random
import struct
from dataclasses import dataclass

import pytest

from gen import recipe as recipes
from gen.assess import Record
from gen.core import KEEP, Completion, Likelihood, Message, Request, Sampling, Score, Scoring, Verdict, replace
from gen.engines.scripted import Scripted
from gen.gate import Admission, Gate
from gen.journal import scoring_key
from gen.pool import Pool
from gen.rollout import Talk
from gen.rounds import Run


class Named:
    passport = property(lambda self: type("P", (), {"name": type(self).__name__.lower()}))


@dataclass(frozen=True)
class Surprise(Named):
    """Drops answers that a model finds too likely."""

    max: float = 1.2

    def score(self, sample):
        [bare, asked] = yield [Scoring((), sample.response or ""), Scoring(sample.messages[:-1], sample.response or "")]
        return Score("surprise", sum(bare.logprobs) / sum(asked.logprobs))

    def judge(self, score):
        return Verdict(score.value <= self.max, "too_likely", value=score.value)


@dataclass(frozen=True)
class Twin(Named):
    """Drops what has the same vector as anything kept of another family."""

    def text(self, sample):
        return sample.instruction

    def open(self):
        return TwinIndex({}, [])


@dataclass
class TwinIndex:
    first: dict
    expected: list

    def expect(self, coming):
        self.expected.append([s.id for s, _ in coming])

    def judge(self, sample, vector):
        found = self.first.get(vector)
        near = found is not None and found.lineage.root != sample.lineage.root
        return Verdict(False, "twin", nearest=found.id) if near else KEEP

    def admit(self, sample, vector):
        self.first.setdefault(vector, sample)


@dataclass(frozen=True)
class Short(Named):
    def check(self, sample):
        return Verdict(len(sample.instruction) < 200, "too_long")


class Measuring(Scripted):
    """Scores and embeds by the text alone, after a while that differs from run to run; counts what it is asked."""

    def __init__(self, write, width=8):
        super().__init__(write, width=width)
        self.scoring_width, self.scripts, self.scored, self.embedded = width, frozenset(["latin"]), [], []

    async def score(self, scoring):
        await asyncio.sleep(random.random() / 300)
        self.scored.append((scoring.messages, scoring.text))
        seed = hashlib.sha256(repr((scoring.messages, scoring.text)).encode()).digest()
        return Likelihood(tuple(-1 - byte / 100 for byte in seed[: 1 + len(scoring.text) % 7]))

    async def embed(self, text):
        await asyncio.sleep(random.random() / 300)
        self.embedded.append(text)
        return struct.pack("<2e", float(len(text) % 30), 1.0)


def run_it(folder, seeds, engine, filters=(Short(), Twin(), Surprise()), on_run=None, **changes):
    async def go():
        recipe = recipes.with_values(recipes.build({}), changes)
        engines = dict.fromkeys(("evolver", "answerer", "judge", "scorer"), engine)
        with Pool.open(folder) as pool:
            gate = Gate(filters)
            prints = {role: e.fingerprint for role, e in engines.items()} | {"embedder": engine.fingerprint}
            admission = Admission(gate, 1, recipe.budget, Record(gate, pool, prints))
            admission.restore(pool)
            run = Run(recipe, seeds, pool, engines, admission, embedder=engine)
            if on_run:
                on_run(run)
            await run.execute()
            kept = list(pool.kept(1))
            return run, kept, pool.funnel(1), [s for k in kept for s in pool.scores(k.id)]

    return asyncio.run(go())


def texts(kept):
    return [(s.id, s.instruction, s.response) for s in kept]


@pytest.fixture
def straight(tmp_path, seeds, write):
    return run_it(tmp_path / "straight", seeds, Measuring(write))


def test_the_pool_does_not_depend_on_what_is_measured_first(tmp_path, seeds, write, straight):
    _, kept, funnel, scores = straight
    assert {row.reason for row in funnel} > {"twin", "too_likely", "too_long"}, "every filter has a case"
    assert len(scores) == len(kept) > 5
    for width in (1, 32):
        again = run_it(tmp_path / f"w{width}", seeds, Measuring(write, width))
        assert texts(again[1]) == texts(kept)
        assert again[2:] == (funnel, scores)


def test_only_what_the_rules_keep_is_measured_and_nothing_twice(tmp_path, seeds, write):
    engine = Measuring(write)
    _, _, funnel, _ = run_it(tmp_path / "run", seeds, engine)
    judged = [row for row in funnel if row.by in ("", "twin", "surprise", "short") and row.reason != "pending"]
    short = sum(row.count for row in judged if row.by != "short")
    assert len(engine.scored) <= 2 * short
    assert len(set(engine.scored)) == len(engine.scored)
    assert len(set(engine.embedded)) == len(engine.embedded)
    assert all(len(text) < 200 for text in engine.embedded)
    run_it(tmp_path / "all", seeds, everything := Measuring(write), score_all=True)
    assert any(len(text) >= 200 for text in everything.embedded)


def test_an_interrupted_run_goes_on_and_measures_nothing_again(tmp_path, seeds, write, straight):
    engines = Measuring(write, 4), Measuring(write, 4)
    stop = lambda run: asyncio.get_running_loop().call_later(0.15, run.stop, "interrupted")
    run, kept, *_ = run_it(tmp_path / "run", seeds, engines[0], on_run=stop)
    assert run.why == "interrupted"
    assert texts(kept) == texts(straight[1])[: len(kept)]
    assert texts(run_it(tmp_path / "run", seeds, engines[1])[1]) == texts(straight[1])
    assert engines[0].scored
    assert not set(engines[0].scored) & set(engines[1].scored)


def test_a_target_holds_where_samples_are_measured(tmp_path, seeds, write, straight):
    _, kept, *_ = run_it(tmp_path / "run", seeds, Measuring(write, 3), budget={"target": 12})
    assert texts(kept) == texts(straight[1])[:12]


def test_lineages_do_not_wait_for_a_measurement(tmp_path, seeds, write):
    class Slow(Measuring):
        run = None

        async def score(self, scoring):
            while "number 0." in scoring.messages[0].content if scoring.messages else False:
                if not self.run.order.active - len(self.run._measuring):
                    break
                await asyncio.sleep(0.001)
            return await super().score(scoring)

    engine = Slow(write)
    run, *_ = run_it(tmp_path / "run", seeds, engine, on_run=lambda run: setattr(engine, "run", run))
    assert run.why == "complete"


def test_texts_that_the_encoder_was_not_made_for_are_not_embedded(tmp_path, seeds, write):
    chinese = replace(seeds[0], instruction="请写一首关于秋天的诗歌。", id="zh", lineage=replace(seeds[0].lineage, root="zh"))
    engine = Measuring(write)
    run, kept, *_ = run_it(tmp_path / "run", [chinese, seeds[3]], engine, filters=(Twin(),), rounds=0)
    assert [s.id for s in kept] == ["zh", seeds[3].id]
    assert engine.embedded == [seeds[3].instruction]
    assert sum(run.assessor.uncovered.values()) == 1


def test_a_generation_that_tells_its_likelihood_need_not_be_scored(tmp_path):
    class Telling(Scripted):
        async def complete(self, request):
            return Completion("Blue.", likelihood=Likelihood((-0.5, -0.25), source="generated"))

    engine, asked = Telling([]), (Message("user", "What colour is the sky?"),)
    request = Request("answerer", asked, Sampling(), "answer")

    def ask():
        [reply] = yield [request]
        return reply

    def scored():
        [found] = yield [Scoring(asked, "Blue.")]
        return found

    async def go():
        with Pool.open(tmp_path) as pool:
            talk = Talk(dict.fromkeys(("answerer", "scorer"), engine), pool, 0)
            reply = (await talk.hold(ask(), (0,))).result
            assert reply.likelihood is None, "the same reply as one from the journal"
            found = (await talk.hold(scored(), (0,))).result
            assert pool.likelihood(scoring_key(engine.fingerprint, Scoring(asked, "Blue."))) == found
            return found

    assert asyncio.run(go()) == Likelihood((-0.5, -0.25), source="generated")


def test_what_was_never_measured_is_unscored_and_says_so():
    gate = Gate([Surprise()])
    verdict = gate.judge(replace(_sample(), response="Yes."))
    assert (verdict.keep, verdict.reason, verdict.by) == (False, "unscored", "surprise")


def _sample():
    from gen.core import Lineage, Sample

    return Sample("a", "Is it?", Lineage("a"))
