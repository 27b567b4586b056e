"""Where a stage goes on that an earlier process began: what is still to be held, told by the pool without holding
anything again, so that a run of a million conversations asks its next question as soon as one of ten does."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import NamedTuple

from gen.gate import Position
from gen.order import Turn
from gen.pool import Pool


class Standing(NamedTuple):
    begun: int
    """Seeds that were begun with, gaps among them included."""
    turns: list[Turn]
    """To be held; of a loop that draws also those that are stored, to be measured and judged."""
    held: list[Turn]
    """Stored, to be measured and judged: what is to be held need not wait for them."""
    done: int
    """Conversations that are stored, without those of `turns`."""
    judged: int


def standing(pool: Pool, stage: int, at: Position, rounds: int, *, draws: bool, measures: bool) -> Standing:
    """Of a stage whose gate is `at` a position. Later batches of a loop that draws are not among the turns: they are
    opened anew."""
    place = (at.round, at.call)
    held: list[Turn] = []
    begun, missing = pool.begun(stage, None if at.round > 0 else at.call)
    turns = [Turn(0, f"{number:08d}") for gap in missing for number in gap]
    stored, unjudged = pool.held(stage), pool.held(stage, place)
    with _many():
        if draws:
            turns += [Turn(*one) for one in pool.calls_after(stage, place) if one[0] == 0]
        else:
            turns += map(Turn._make, pool.due(stage, rounds))
            held += [Turn(*one) for one in (pool.calls_after(stage, place) if measures else ())]
    again = unjudged if draws or measures else 0
    return Standing(begun, turns, held, stored - again, stored - unjudged)


@contextlib.contextmanager
def _many() -> Iterator[None]:
    """No garbage is looked for meanwhile: a million new objects, none of which is any, would take twice as long."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
