"""Places for requests in flight, as many as there is room for at the moment, given in the order of asking."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable


class Turns:
    """`async with turns:` holds one place. `room` says how many there are now; one at least is always given. Whoever
    makes room calls `wake`."""

    def __init__(self, room: Callable[[], int]) -> None:
        self._room, self.taken, self.asleep = room, 0, 0
        """`asleep`: places that are lent."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def size(self) -> int:
        return max(1, self._room())

    async def __aenter__(self) -> None:
        await self._take(first=False)

    async def __aexit__(self, *_: object) -> None:
        self.taken -= 1
        self.wake()

    def wake(self) -> None:
        """Give what is free to those who wait."""
        while self._waiting and self.taken < self.size:
            place = self._waiting.popleft()
            if not place.done():
                self.taken += 1
                place.set_result(None)

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Within a turn: leave the place to others meanwhile, and be the next to get one afterwards."""
        self.taken, self.asleep, is_back = self.taken - 1, self.asleep + 1, False
        self.wake()
        try:
            yield
            await self._take(first=True)
            is_back = True
        finally:
            self.asleep -= 1
            self.taken += not is_back  # cancelled: the end of the turn gives it back

    async def _take(self, *, first: bool) -> None:
        if self.taken < self.size and (first or not self._waiting):
            self.taken += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was given in the same moment
                self.taken -= 1
                self.wake()
            raise
