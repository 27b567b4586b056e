"""Which conversation is held when. Conversations are *started* in canonical order (round, call), as soon as what they
begin with is there; nothing before the *frontier* is missing, so all before it can be judged."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gen.core import Sample
from gen.seeds.supply import Supply


class Turn(NamedTuple):
    """One conversation to be held; tuples compare in canonical order."""

    round: int
    call: str
    parent: str = ""
    heir: int = 0


def after(turn: Turn, heirs: int) -> list[Turn]:
    """What the heirs of a conversation begin. The first keeps the call of its parent, others sort directly after it."""
    calls = (turn.call if i == 0 else f"{turn.call}.{turn.round:02d}{i:04d}" for i in range(heirs))
    return [Turn(turn.round + 1, call, turn.call, i) for i, call in enumerate(calls)]


def _any(turn: Turn) -> bool:
    return True


class Order:
    """Turns that are ready or under way: round 0 of each seed, then whatever is pushed."""

    def __init__(self, seeds: Sequence[Sample]) -> None:
        self._seeds, self._next = Supply.of(seeds), 0
        self._ready: list[Turn] = []
        self._active: set[Turn] = set()
        self._first: Turn | None = None

    @property
    def active(self) -> int:
        return len(self._active)

    def resume(self, begun: int, turns: Iterable[Turn], under_way: Iterable[Turn] = ()) -> None:
        """Go on where an earlier process was: so many seeds are begun with, these turns are still to be held, and those
        were, but are not done. Where all seeds are known, what grew from others than these is left alone."""
        count = len(self._seeds) if self._seeds.closed else begun
        ours = list(turns) if begun <= count else [turn for turn in turns if self._seed_of(turn) < count]
        self._next, self._ready, self._active = begun, ours, {*under_way}
        heapq.heapify(self._ready)

    def push(self, turn: Turn) -> None:
        """Make ready what follows a turn that is under way: never before the frontier."""
        heapq.heappush(self._ready, turn)

    def pop(self, may: Callable[[Turn], bool] = _any) -> Turn | None:
        """The first ready turn in canonical order, now under way; None where there is none, or it may not begin yet."""
        seed = (Turn(0, f"{self._next:08d}"),) if self._next < len(self._seeds) else ()
        turn: Turn | None = min((*self._ready[:1], *seed), default=None)
        if turn is None or self._seed_of(turn) >= len(self._seeds) or not may(turn):
            return None
        if turn in seed:
            self._next += 1
        else:
            heapq.heappop(self._ready)
        self._active.add(turn)
        return turn

    def _seed_of(self, turn: Turn) -> int:
        """Its number: after an interruption, seeds may come later than what has grown from them."""
        return int(turn.call[:8])

    def end(self, turn: Turn) -> None:
        self._active.discard(turn)

    def frontier(self) -> Turn | None:
        """The first turn that is not done; None when all are."""
        if self._first is None or self._first not in self._active:  # what is under way stays, what may come may not
            self._first = min((*self._active, *self._ready[:1], *self._coming()), default=None)
        return self._first

    def _coming(self) -> Iterator[Turn]:
        """The first turn that may still appear by itself."""
        if self._next < len(self._seeds) or not self._seeds.closed:
            yield Turn(0, f"{self._next:08d}")


class Batches(Order):
    """Turns of a loop that draws from the pool: after the seeds, batch after batch, each of one round."""

    opened = 0
    """Batches that were made ready."""

    def open(self, count: int, judged: tuple[int, str] = (0, "")) -> None:
        """Make the next batch ready, but for what is judged already, up to a place."""
        self.opened += 1
        if self.opened >= judged[0]:
            turns = (Turn(self.opened, f"{i:06d}") for i in range(count))
            for turn in turns if self.opened > judged[0] else (t for t in turns if t.call > judged[1]):
                self.push(turn)

    def _seed_of(self, turn: Turn) -> int:
        return -1 if turn.round else super()._seed_of(turn)

    def _coming(self) -> Iterator[Turn]:
        yield from super()._coming()
        yield Turn(self.opened + 1, "")
