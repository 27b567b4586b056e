"""Watches a stage for collapse, round by round: hears of each kept sample in canonical order, measures the rounds
against one another (`gen.collapse`), and says what fell. By the journal alone, so that the same samples are always
judged alike."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gen.collapse import DIVERSITY, LEAST, Row, measure
from gen.core import Sample, Score, Vector, derive_seed, replace
from gen.text import count_words

MOST = 500
"""Samples of a period that are looked at: those whose ids hash lowest."""
FEW, MANY = 4, 8
"""A period has at least the FEWth part of the first (but not more than 100 samples), and the MANYth part of all before:
so they stay comparable, and a run of a thousand batches has dozens of them."""
ALARM = 0.7
"""Share of the first round's diversity below which an alarm is raised. Rounds drawn from one set (Alpaca, 20 to 500
tasks each) stay above it; where three in ten are copies of five tasks, they fall below."""
LONGER, SHORTER = 4.0, 0.5
"""How far lengths may drift from those of the first round that the loop made."""
MEANS = {
    "distinct_1": ("tasks use fewer words", "more varied seeds, a higher --temperature"),
    "distinct_2": ("tasks repeat their phrases", "more varied seeds, a higher --temperature"),
    "distinct_3": ("tasks repeat their phrases", "more varied seeds, a higher --temperature"),
    "occupancy": ("tasks crowd into fewer topics", "seeds of the topics that are missing, more weight on breadth"),
    "distance": ("tasks draw near one another", "more varied seeds, or lower --semantic.threshold"),
    "verb_noun": ("tasks ask for the same things", "more varied seeds, other operations"),
    "task_words": ("the length of tasks drifts", "look at some with `gen show`"),
    "answer_words": ("the length of answers drifts", "look at some with `gen show`"),
}


class Alarm(NamedTuple):
    rounds: str
    measure: str
    first: float
    now: float
    text: str
    """What fell, from what to what, and what to do."""


class Measured(NamedTuple):
    """One round, or several in a row where one alone kept too few to be compared, and every measure of it."""

    rounds: str
    kept: int
    scores: Mapping[str, Score]


@dataclass(slots=True)
class Period:
    """What is held of such rounds."""

    first: int
    last: int
    least: int
    """Samples that it is to have before the next one begins."""
    kept: int = 0
    _lowest: list[tuple[int, int, Row]] = field(default_factory=list)

    @property
    def rounds(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def full(self) -> bool:
        return self.kept >= self.least

    @property
    def rows(self) -> list[Row]:
        """At most MOST samples, the same whatever came in which order."""
        return [row for *_, row in sorted(self._lowest, key=lambda entry: (-entry[0], entry[1]))]

    def add(self, sample: Sample, vector: Callable[[Sample], Vector | None]) -> None:
        rank = -derive_seed("collapse", sample.id)
        self.kept += 1
        if len(self._lowest) < MOST:
            heapq.heappush(self._lowest, (rank, self.kept, _row(sample, vector)))
        elif rank > self._lowest[0][0]:
            heapq.heapreplace(self._lowest, (rank, self.kept, _row(sample, vector)))


def _row(sample: Sample, vector: Callable[[Sample], Vector | None]) -> Row:
    """What is measured of a sample, without its long texts: some ten thousand are held."""
    words = None if sample.response is None else count_words(sample.response)
    slim = replace(sample, response=None, reasoning="", system="", turns=(), meta={})
    return Row(slim, vector(sample), words)


def no_vector(_: Sample) -> None:
    return None


@dataclass(slots=True)
class Watch:
    """`hear` of every kept sample, then ask. `vector` finds what the gate compared."""

    vector: Callable[[Sample], Vector | None] = no_vector
    bound: float | None = None
    """Share of the first period's diversity at which to stop."""
    periods: list[Period] = field(default_factory=list)
    lowest: float = 1.0
    """The least that any measure of diversity came to in a whole period, as a share of the first."""
    _asked: int = -1

    def hear(self, sample: Sample) -> None:
        """In canonical order."""
        round = sample.lineage.round
        now = self.periods[-1] if self.periods else None
        if now is None or (now.full and round > now.last):
            first, before = self.periods[0].kept if now else 0, sum(p.kept for p in self.periods)
            least = max(LEAST, min(100, first // FEW), before // MANY)
            self.periods.append(now := Period(round, round, least))
        now.last = round
        now.add(sample, self.vector)

    def measured(self, until: int | None = None) -> list[Measured]:
        """The periods, each with its scores; `until`: only those that are whole when this round has ended."""
        chosen = [p for p in self.periods if until is None or (p.full and p.last <= until)]
        found = zip(chosen, measure([p.rows for p in chosen]), strict=True)
        return [Measured(p.rounds, p.kept, scores) for p, scores in found]

    def stops(self, round: int) -> bool:
        """Whether some measure of diversity of a later period was below `bound` of the first period's; to be asked when
        a round is done, and answered by what was known when each round was done."""
        for done in range(self._asked + 1, round + 1) if self.bound is not None and self.lowest >= self.bound else ():
            first, *later = self.measured(done) or [Measured("", 0, {})]
            shares = [share for now in later for share in fallen(first.scores, now.scores).values()]
            self._asked, self.lowest = done, min(self.lowest, *shares) if shares else self.lowest
        return self.bound is not None and self.lowest < self.bound


def fallen(first: Mapping[str, Score], later: Mapping[str, Score]) -> dict[str, float]:
    """Each measure of diversity as a share of what it was at first, where both were measured."""
    both = {name: (first[name].value, later[name].value) for name in DIVERSITY}
    return {name: now / then for name, (then, now) in both.items() if then and now is not None}


def alarms(seen: Sequence[Measured], share: float = ALARM) -> list[Alarm]:
    """What fell below a share of what it was at first, at its lowest; and lengths that drift."""
    found = []
    for name in MEANS:
        at = 0 if name in DIVERSITY else 1
        found += _alarm(name, seen[at], seen[at + 1 :], share) if len(seen) > at else []
    return found


def _alarm(name: str, base: Measured, later: Iterable[Measured], share: float) -> list[Alarm]:
    """The worst of the later rounds, if it is bad enough."""
    then = base.scores[name].value
    if not then:
        return []
    low, high = (share, math.inf) if name in DIVERSITY else (SHORTER, LONGER)
    values = ((m.rounds, m.scores[name].value) for m in later)
    bad = [(rounds, now) for rounds, now in values if now is not None and not low <= now / then <= high]
    if not bad:
        return []
    rounds, now = max(bad, key=lambda pair: abs(pair[1] - then))
    meaning, advice = MEANS[name]
    change = f"{name} {'fell' if now < then else 'rose'} from {then:.3g} (round {base.rounds}) to {now:.3g}"
    return [Alarm(rounds, name, then, now, f"round {rounds}: {meaning}: {change}; {advice}")]


def watched(kept: Iterable[Sample], vector: Callable[[Sample], Vector | None]) -> list[Measured]:
    """The rounds of what was kept, in canonical order, with their scores."""
    watch = Watch(vector)
    for sample in kept:
        watch.hear(sample)
    return watch.measured()
