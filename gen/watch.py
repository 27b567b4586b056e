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
from gen.core import Sample, Score, Vector, derive_seed

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
    period: str
    measure: str
    first: float
    now: float
    text: str
    """What fell, from what to what, and what to do."""


@dataclass(slots=True)
class Period:
    """One round, or several in a row where one alone keeps too few to be compared."""

    first: int
    last: int
    least: int
    """Samples that it is to have before the next one begins."""
    kept: int = 0
    scores: Mapping[str, Score] = field(default_factory=dict)
    _lowest: list[tuple[int, int, Row]] = field(default_factory=list)

    @property
    def name(self) -> str:
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
            heapq.heappush(self._lowest, (rank, self.kept, Row(sample, vector(sample))))
        elif rank > self._lowest[0][0]:
            heapq.heapreplace(self._lowest, (rank, self.kept, Row(sample, vector(sample))))


def no_vector(_: Sample) -> None:
    return None


@dataclass(slots=True)
class Watch:
    """`hear` of every kept sample, then ask. `vector` finds what the gate compared."""

    vector: Callable[[Sample], Vector | None] = no_vector
    periods: list[Period] = field(default_factory=list)
    lowest: float = 1.0
    """The least that any measure of diversity came to in a whole period, as a share of the first."""
    _seen: int = 0

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

    def measured(self, until: int | None = None) -> list[Period]:
        """The periods, each with its scores; `until`: only those that are whole when this round has ended."""
        chosen = [p for p in self.periods if until is None or (p.full and p.last <= until)]
        for period, scores in zip(chosen, measure([p.rows for p in chosen]), strict=True):
            period.scores = scores
        return chosen

    def round_done(self, round: int) -> float:
        """The share of the first period's diversity that the worst one came to; to be asked after every round."""
        whole = [p for p in self.periods if p.full and p.last <= round]
        if len(whole) > max(1, self._seen):
            self._seen = len(whole)
            chosen = self.measured(round)
            shares = [share for later in chosen[1:] for share in fallen(chosen[0].scores, later.scores).values()]
            self.lowest = min(self.lowest, *shares) if shares else self.lowest
        return self.lowest


def fallen(first: Mapping[str, Score], later: Mapping[str, Score]) -> dict[str, float]:
    """Each measure of diversity as a share of what it was at first, where both were measured."""
    both = {name: (first[name].value, later[name].value) for name in DIVERSITY}
    return {name: now / then for name, (then, now) in both.items() if then and now is not None}


def alarms(periods: Sequence[Period], share: float = ALARM) -> list[Alarm]:
    """What fell below a share of what it was in the first period, at its lowest; and lengths that drift."""
    found = []
    for name in MEANS:
        for base in periods[:1] if name in DIVERSITY else periods[1:2]:
            found += _alarm(name, base, [p for p in periods if p.first > base.last], share)
    return found


def _alarm(name: str, base: Period, later: Iterable[Period], share: float) -> list[Alarm]:
    """The worst of the later periods, if it is bad enough."""
    then = base.scores[name].value
    if not then:
        return []
    low, high = (share, math.inf) if name in DIVERSITY else (SHORTER, LONGER)
    values = ((p, p.scores[name].value) for p in later)
    bad = [(p, now) for p, now in values if now is not None and not low <= now / then <= high]
    if not bad:
        return []
    period, now = max(bad, key=lambda pair: abs(pair[1] - then))
    meaning, advice = MEANS[name]
    change = f"{name} {'fell' if now < then else 'rose'} from {then:.3g} (round {base.name}) to {now:.3g}"
    return [Alarm(period.name, name, then, now, f"round {period.name}: {meaning}: {change}; {advice}")]


def watched(kept: Iterable[Sample], vector: Callable[[Sample], Vector | None]) -> list[Period]:
    """The periods of what was kept, in canonical order, with their scores."""
    watch = Watch(vector)
    for sample in kept:
        watch.hear(sample)
    return watch.measured()
