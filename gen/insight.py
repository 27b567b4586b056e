"""What a run tells beyond its funnel: how diverse each stage stayed, and what its operations came to."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from gen.adapt import FIRST, End, Tally, domain_of, tallies
from gen.assess import Record
from gen.gate import Gate
from gen.plan import Recipe
from gen.pool import Pool, of_stage
from gen.watch import Alarm, Measured, Watch, alarms, watched


class Diversity(NamedTuple):
    stage: int
    seen: list[Measured]
    alarms: list[Alarm]


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


def diversity(pool: Pool, recipe: Recipe) -> list[Diversity]:
    """Of each stage that kept anything, by the newest run of its gate; measured now where it was not before."""
    found = [(number, _seen(pool, recipe, number)) for number in range(len(recipe.stages))]
    return [Diversity(number, seen, alarms(seen)) for number, seen in found if seen]


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


def _seen(pool: Pool, recipe: Recipe, number: int) -> list[Measured]:
    run, stage = pool.newest(number)
    noted = _noted(pool, number)
    if noted and noted.gate_run == run and noted.kept == sum(r.count for r in pool.funnel(run, stage) if r.keep):
        return noted.seen
    record = Record(Gate(recipe.stages[number].recipe.gate), pool, pool.state(of_stage("fingerprints", number), {}))
    return watched(pool.kept(run, stage), record.vector)


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
