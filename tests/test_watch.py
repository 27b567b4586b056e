"""Alarms: what raises them, what does not, and that they depend on the samples alone."""

import gzip
import itertools
import json
import random

import numpy as np
import pytest

from gen.collapse import DIVERSITY
from gen.core import Lineage, Sample, Score, replace
from gen.watch import MEANS, Measured, Watch, alarms, watched


def no_vector(sample):
    return None


def round_of(tasks, round, response="It is so."):
    return [Sample(f"{round}-{i}", t, Lineage(f"{i}", round=round), response=response) for i, t in enumerate(tasks)]


@pytest.fixture(scope="module")
def tasks():
    nouns = "river forest engine letter garden market violin harbour winter planet kitchen bridge".split()
    verbs = "Describe Explain Compare Draw Rewrite Summarize Classify Translate".split()
    rng = random.Random(0)
    return lambda n: [f"{rng.choice(verbs)} the {rng.choice(nouns)} and {rng.choice(nouns)} number {rng.randrange(9999)}." for _ in range(n)]


def test_every_measure_has_its_words():
    assert {*DIVERSITY} < {*MEANS}
    assert [m for m in MEANS if m not in DIVERSITY] == ["task_words", "answer_words"]


def test_rounds_that_are_too_small_are_taken_together(tasks):
    kept = [s for r, n in enumerate([40, 10, 15, 30, 5]) for s in round_of(tasks(n), r)]
    found = watched(kept, no_vector)
    assert [(m.rounds, m.kept) for m in found] == [("0", 40), ("1-2", 25), ("3", 30), ("4", 5)]
    assert found[-1].scores["distinct_2"].value is None


def test_a_period_keeps_up_with_the_first_and_with_all_before(tasks):
    kept = [s for r, n in enumerate([1000, *[60] * 40]) for s in round_of(tasks(n), r)]
    watch = Watch(no_vector)
    for sample in kept:
        watch.hear(sample)
    assert [p.least for p in watch.periods[:2]] == [20, 125]
    assert len(watch.periods) < 20
    assert all(len(p.rows) <= 500 for p in watch.periods)


def test_periods_do_not_change_as_the_run_goes_on(tasks):
    kept = [s for r in range(12) for s in round_of(tasks(33), r)]
    watch, names = Watch(no_vector), []
    for r in range(12):
        for s in kept[33 * r : 33 * (r + 1)]:
            watch.hear(s)
        names.append([p.rounds for p in watch.periods if p.full])
    assert all(earlier == later[: len(earlier)] for earlier, later in itertools.pairwise(names))


def test_healthy_rounds_raise_no_alarm_and_copies_do(tasks):
    rounds = [round_of(tasks(60), r) for r in range(3)]
    assert alarms(watched([s for r in rounds for s in r], no_vector)) == []
    again = round_of((tasks(5) * 12), 3)
    found = alarms(watched([s for r in (*rounds, again) for s in r], no_vector))
    assert {"distinct_2", "distinct_3", "verb_noun"} <= {a.measure for a in found}
    [line] = [a.text for a in found if a.measure == "distinct_2"]
    assert line.startswith("round 3: tasks repeat their phrases: distinct_2 fell from 0.")
    assert "(round 0) to 0." in line
    assert line.endswith("; more varied seeds, a higher --temperature")


def test_near_neighbours_and_crowded_topics_raise_alarms(tasks):
    rng = np.random.default_rng(0)
    rows = {}

    def vector(sample):
        return rows[sample.id]

    kept = [s for r in range(3) for s in round_of(tasks(200), r)]
    one = rng.normal(size=32)
    for s in kept:
        row = rng.normal(size=32) + (3 * one if s.lineage.round == 2 else 0)
        rows[s.id] = (row / np.linalg.norm(row)).astype("<f2").tobytes()
    found = {a.measure: a for a in alarms(watched(kept, vector))}
    assert {"distance", "occupancy"} <= found.keys()
    assert found["occupancy"].rounds == "2"


def measured(name, *values):
    empty = {m: Score(m, None, "?") for m in MEANS}
    return [Measured(str(i), 50, {**empty, name: Score(name, v)}) for i, v in enumerate(values)]


@pytest.mark.parametrize(("name", "values", "rounds"), [
    ("distinct_1", (1.0, 0.7), None), ("distinct_1", (1.0, 0.69), "1"), ("distinct_1", (1.0, 0.5, 0.6, 0.9), "1"),
    ("distinct_1", (0.5, 0.9), None), ("distinct_1", (0.0, 0.0), None), ("distinct_1", (None, 0.1), None),
    ("task_words", (10, 100), None), ("task_words", (10, 30, 120), None), ("task_words", (10, 30, 121), "2"),
    ("task_words", (10, 30, 14), "2"), ("answer_words", (10, 30, None, 15), None), ("answer_words", (9, 30, 14, 200), "3"),
])  # fmt: skip
def test_thresholds(name, values, rounds):
    found = alarms(measured(name, *values))
    assert [a.rounds for a in found] == ([] if rounds is None else [rounds])
    assert not found or ("rose" if found[0].now > found[0].first else "fell") in found[0].text


def test_a_share_may_be_given():
    assert not alarms(measured("distance", 1.0, 0.6), 0.5)
    assert alarms(measured("distance", 1.0, 0.6), 0.7)


def test_the_watch_answers_alike_whether_it_heard_more_or_not(tasks):
    """A run that goes on hears at once what an earlier process kept, beyond the round that it is asked about."""
    rounds = [round_of(tasks(40), 0), round_of(tasks(40), 1), round_of(tasks(4) * 10, 2), round_of(tasks(40), 3)]
    step, told = Watch(no_vector, 0.5), []
    for r, samples in enumerate(rounds):
        for s in samples:
            step.hear(s)
        told.append((step.stops(r), step.lowest))
    whole = Watch(no_vector, 0.5)
    for s in (s for r in rounds for s in r):
        whole.hear(s)
    assert [(whole.stops(r), whole.lowest) for r in range(4)] == told
    assert [stop for stop, _ in told] == [False, False, True, True]
    assert told[0][1] == 1.0
    assert told[1][1] > 0.8
    assert told[2][1] < 0.5
    late = Watch(no_vector, 0.5)
    for s in (s for r in rounds for s in r):
        late.hear(s)
    assert late.stops(3), "what was known when the third round was done still counts"
    assert late.lowest == told[2][1]


def test_without_a_bound_nothing_is_measured_while_the_run_goes_on(tasks, monkeypatch):
    watch = Watch(no_vector)
    for s in [*round_of(tasks(40), 0), *round_of(tasks(4) * 10, 1)]:
        watch.hear(s)
    monkeypatch.setattr("gen.watch.measure", lambda rounds: pytest.fail("it measured"))
    assert not watch.stops(1)


def test_real_rounds_raise_no_alarm_and_real_collapse_does(shared):
    with gzip.open(shared / "alpaca/alpaca_data.json.gz") as file:
        rows = random.Random(2).sample(json.load(file), 400)
    real = [Sample(f"{i}", r["instruction"], Lineage(f"{i}", round=i // 100), input=r["input"], response=r["output"]) for i, r in enumerate(rows)]
    assert alarms(watched(real, no_vector)) == []
    few = random.Random(3).sample(real, 5)
    third = [replace(random.Random(i).choice(few), id=s.id, lineage=s.lineage) if i >= 300 and i % 5 < 2 else s for i, s in enumerate(real)]
    found = alarms(watched(third, no_vector))
    assert {"distinct_2", "distinct_3", "verb_noun"} <= {a.measure for a in found}
    assert {a.rounds for a in found} == {"3"}
