"""Blocks of conversations, what each may know, and that nothing else decides its weights."""

import itertools
import random
from dataclasses import dataclass, field

import pytest

from gen.adapt import Adaptation, End, domain_of, tallies
from gen.core import Lineage, Sample, replace
from gen.order import Turn


@dataclass(frozen=True)
class Loop:
    operations: dict = field(default_factory=lambda: {"good": 1.0, "bad": 1.0, "off": 0.0})
    adapt_block: int = 10


class Known:
    """Every candidate of 25 seeds in rounds 1 and 2: what `good` makes is kept."""

    def __init__(self):
        rng = random.Random(0)
        names = [(r, f"{i:08d}", rng.choice(["good", "bad"])) for r in (1, 2) for i in range(25)]
        self.all = [End(*name, name[2] == "good") for name in names]
        self.asked = []

    def ends(self, gate_run, stage, after, before):
        assert (gate_run, stage) == (1, 0)
        self.asked.append((after, before))
        return [e for e in self.all if after <= (e.round, e.call) < before]


@pytest.fixture
def seeds():
    return [Sample(f"{i}", "Do it.", Lineage(f"{i}"), meta={"domain": "law"} if i % 2 else {"category": "tax"}) for i in range(25)]


def adaptation(seeds, known=None, **changes):
    return Adaptation(replace(Loop(), **changes), seeds, known or Known(), 1, 0)


@pytest.mark.parametrize(("turn", "basis"), [
    ((1, 0), (0, 20)), ((1, 9), (0, 20)), ((1, 10), (1, 0)), ((1, 24), (1, 10)), ((2, 3), (1, 20)), ((2, 10), (2, 0)),
])  # fmt: skip
def test_a_block_waits_for_all_but_the_one_before(seeds, turn, basis):
    found = adaptation(seeds)
    place = (basis[0], f"{basis[1]:08d}")
    assert found.basis(Turn(turn[0], f"{turn[1]:08d}")) == place
    found.judged_to = place
    assert found.may(Turn(turn[0], f"{turn[1]:08d}"))
    found.judged_to = (place[0], f"{basis[1] - 1:08d}" if basis[1] else "")
    assert not found.may(Turn(turn[0], f"{turn[1]:08d}"))
    assert found.may(Turn(0, "00000024"))


def test_an_heir_beside_the_first_is_of_its_seeds_block(seeds):
    assert adaptation(seeds).basis(Turn(2, "00000012.010001")) == (2, "00000000")


def test_while_seeds_are_still_to_come_the_first_block_of_a_round_waits(seeds):
    class Coming(list):
        closed = False

    coming = Coming(seeds)
    found = adaptation(coming)
    found.judged_to = (1, "00000000")
    assert not found.may(Turn(1, "00000003"))
    assert found.may(Turn(1, "00000013"))
    coming.closed, found.judged_to = True, (0, "00000020")
    assert found.may(Turn(1, "00000003"))


def test_weights_depend_on_the_verdicts_before_the_basis_alone(seeds):
    turns = [Turn(r, f"{i:08d}") for r in (1, 2) for i in range(25)]
    straight = adaptation(seeds)
    expected = {turn: straight.loop_for(turn, Loop()).operations for turn in turns}
    known = Known()
    known.all = [e if (e.round, e.call) < (2, "00000000") else e._replace(kept=not e.kept) for e in known.all]
    changed = adaptation(seeds, known)
    for turn in turns[:45]:
        assert changed.loop_for(turn, Loop()).operations == expected[turn]
    assert changed.loop_for(turns[45], Loop()).operations != expected[turns[45]]


def test_weights_do_not_depend_on_the_order_in_which_they_are_asked_for(seeds):
    turns = [Turn(r, f"{i:08d}") for r in (1, 2) for i in range(25)]
    straight = adaptation(seeds, adapt_block=3)
    expected = {turn: straight.loop_for(turn, Loop()).operations for turn in turns}
    for seed in range(3):
        random.Random(seed).shuffle(turns)
        other = adaptation(seeds, adapt_block=3)
        assert {turn: other.loop_for(turn, Loop()).operations for turn in turns} == expected


def test_it_learns_by_domain_and_what_is_off_stays_off(seeds):
    known = Known()
    known.all = [e._replace(kept=(e.operation == "good") == bool(int(e.call) % 2)) for e in known.all]  # in tax, `bad` is
    last = adaptation(seeds, known)
    law, tax = (last.loop_for(Turn(2, f"{i:08d}"), Loop()).operations for i in (21, 20))
    assert law["good"] > 0.6 > 0.4 > law["bad"]
    assert tax["good"] < 0.4 < 0.6 < tax["bad"]
    assert law.keys() == {"good", "bad"}


def test_nothing_is_read_twice_as_the_run_goes_on(seeds):
    known = Known()
    found = adaptation(seeds, known)
    for turn in [Turn(r, f"{i:08d}") for r in (1, 2) for i in range(25)]:
        found.loop_for(turn, Loop())
    reads = [(after, before) for after, before in known.asked if after < before]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(reads))


@pytest.mark.parametrize(("meta", "domain"), [
    ({}, ""), ({"domain": "law"}, "law"), ({"category": "tax", "domain": ""}, "tax"), ({"domain": 7}, "7"), ({"domain": "x" * 99}, "x" * 80),
])  # fmt: skip
def test_domains(meta, domain):
    assert domain_of(Sample("a", "b", Lineage("a"), meta=meta)) == domain


def test_tallies_by_hand(seeds):
    ends = [End(1, "00000001", "good", True), End(1, "00000003", "good", False), End(1, "00000003", "failed", False), End(1, "00000002", "bad", True)]
    found = {(t.domain, t.operation): t for t in tallies(Loop(), {f"{i:08d}": domain_of(s) for i, s in enumerate(seeds)}, ends)}
    assert found.keys() == {("law", "good"), ("law", "bad"), ("tax", "good"), ("tax", "bad")}
    law = found["law", "good"]
    assert (law.tried, law.kept, law.rate, law.first) == (2, 1, 0.5, 0.5)
    assert law.now == 1 - found["law", "bad"].now
    assert found["law", "bad"].rate is None
