"""What a run tells beyond its funnel: how diverse each stage stayed, and what its operations came to."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from gen.adapt import FIRST, End, Tally, domain_of, tallies
from gen.assess import Record
from gen.core import Sample
from gen.gate import Admission, Gate
from gen.plan import Recipe
from gen.pool import Pool, of_stage
from gen.watch import Alarm, Measured, Watch, alarms, watched

LIVE = 20_000
"""Kept samples up to which diversity is measured whenever it is asked for; of more, as a run last noted it."""


class Diversity(NamedTuple):
    stage: int
    seen: list[Measured]
    alarms: list[Alarm]
    kept: int = 0
    """Kept samples by now; where that is more than all that were `seen`, the run noted it earlier."""


class Operations(NamedTuple):
    stage: int
    tallies: list[Tally]


class _Noted(msgspec.Struct):
    """As it is kept with the run: what one application of a gate came to, as far as it had come."""

    gate_run: int
    kept: int
    seen: list[Measured]


def note(pool: Pool, stage: int, watch: Watch) -> None:
    """Keep what the watch of a stage has measured."""
    seen = watch.measured()
    noted = _Noted(pool.newest(stage)[0], sum(m.kept for m in seen), seen)
    pool.set_state(of_stage("diversity", stage), msgspec.to_builtins(noted))


class Noting:
    """Notes what the watch of a stage has measured now and then, as it grows: hears of each kept sample in canonical
    order, where the watch hears of it too, and after it."""

    def __init__(self, pool: Pool, admission: Admission, watch: Watch) -> None:
        self._pool, self._admission, self._watch = pool, admission, watch
        self._kept, self._next = 0, LIVE

    def hear(self, _: Sample) -> None:
        self._kept += 1
        if self._kept >= self._next:
            self._next = self._kept * 9 // 8
            if not self._admission.behind:  # what an earlier process had kept, it noted
                note(self._pool, self._admission.stage, self._watch)


def diversity(pool: Pool, recipe: Recipe) -> list[Diversity]:
    """Of each stage that kept anything, by the newest run of its gate; measured now where it was not before."""
    found = [(number, *_seen(pool, recipe, number)) for number in range(len(recipe.stages))]
    return [Diversity(number, seen, alarms(seen), kept) for number, seen, kept in found if seen]


def noted_alarms(pool: Pool) -> list[str]:
    """What was noted, without measuring anything, for the newest run of each gate."""
    found = []
    for number in range(pool.state("stages", 1)):
        noted = _noted(pool, number)
        found += [a.text for a in alarms(noted.seen)] if noted and noted.gate_run == pool.newest(number)[0] else []
    return found


def _noted(pool: Pool, number: int) -> _Noted | None:
    noted = pool.state(of_stage("diversity", number))
    return msgspec.convert(noted, _Noted) if noted else None


def _seen(pool: Pool, recipe: Recipe, number: int) -> tuple[list[Measured], int]:
    """What was noted or is measured now, and how many are kept."""
    run, stage = pool.newest(number)
    noted, kept = _noted(pool, number), sum(r.count for r in pool.funnel(run, stage) if r.keep)
    same = noted is not None and noted.gate_run == run
    if kept > LIVE or (same and noted and noted.kept == kept):
        return noted.seen if same and noted else [], kept
    record = Record(Gate(recipe.stages[number].recipe.gate), pool, pool.state(of_stage("fingerprints", number), {}))
    return watched(pool.kept(run, stage), record.vector), kept


def operations(pool: Pool, recipe: Recipe) -> list[Operations]:
    """Of each stage whose weights adapt."""
    found = []
    for number, (own, _) in enumerate(recipe.stages):
        if getattr(own.params, "adapt", False):
            ends = map(End._make, pool.ends(pool.newest(number)[0], number, FIRST, (own.rounds + 1, "")))
            found.append(Operations(number, tallies(own.params, _domains(pool, number), ends)))
    return found


def _domains(pool: Pool, stage: int) -> dict[str, str]:
    """What each seed of a stage is about, by its call."""
    found: dict[str, str] = {}
    for row in pool.all_grown(stage):
        if row.round:
            break
        found[row.call] = domain_of(row.seed)
    return found


def as_json(found: list[Any]) -> Any:
    """Named, as every table of `--json` is."""
    return [_named(one) for one in found]


def _named(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _named(one) for name, one in value._asdict().items()}
    if isinstance(value, list):
        return [_named(one) for one in value]
    return value
