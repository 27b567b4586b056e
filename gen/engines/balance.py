"""Which of several servers is asked next: the one with the fewest requests in flight, never one at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

FAILURES_TO_REST = 3
REST_S, MAX_REST_S = 0.5, 15.0


@dataclass(eq=False, slots=True)
class Endpoint:
    """One server, and how it has been doing. Times are those of the event loop."""

    url: str
    outstanding: int = 0
    failures: int = 0
    """In a row."""
    trouble: str = ""
    """The last failure, in words."""
    rests: int = 0
    """In a row, without an answer between."""
    is_resting: bool = False
    misses: int = 0
    """Health checks in a row that failed while requests were waiting."""
    waiting: dict[asyncio.Timeout, float] = field(default_factory=dict)
    """The deadline of each request in flight, and since when it has been waiting."""

    @property
    def name(self) -> str:
        """host:port, the most of a URL that is ever shown."""
        return urlsplit(self.url).netloc


class AllDown(Exception):
    """Every server has been at rest for longer than the caller's patience."""


class Balance:
    """Hands out endpoints. A breaker: after three failures in a row an endpoint rests, for 0.5 s and then twice
    as long each time up to 15 s, until `is_alive` says that it may be asked again."""

    def __init__(
        self, endpoints: Sequence[Endpoint], is_alive: Callable[[Endpoint], Awaitable[bool]], patience: float
    ) -> None:
        self.endpoints = tuple(endpoints)
        self._is_alive, self._patience, self._turn = is_alive, patience, 0
        self._down_since = 0.0
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._nurses: set[asyncio.Task[None]] = set()

    async def acquire(self, avoid: Endpoint | None = None) -> Endpoint:
        """The least loaded endpoint that is up, `avoid` only if it is the only one. Raises AllDown."""
        while (endpoint := self._least_loaded(avoid)) is None:
            left = self._down_since + self._patience - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._is_up.wait(), max(0.0, left))
            except TimeoutError:
                raise AllDown from None
        endpoint.outstanding += 1
        return endpoint

    def release(self, endpoint: Endpoint) -> None:
        endpoint.outstanding -= 1

    def succeeded(self, endpoint: Endpoint) -> None:
        endpoint.failures = endpoint.rests = 0

    def failed(self, endpoint: Endpoint) -> bool:
        """Counts a failure; True if it is the one that puts the endpoint to rest."""
        endpoint.failures += 1
        if endpoint.failures < FAILURES_TO_REST or endpoint.is_resting:
            return False
        self.rest(endpoint)
        return True

    def rest(self, endpoint: Endpoint) -> None:
        """Keeps requests away from the endpoint until it is alive again."""
        endpoint.is_resting = True
        if all(e.is_resting for e in self.endpoints):
            self._down_since = asyncio.get_running_loop().time()
            self._is_up.clear()
        nurse = asyncio.get_running_loop().create_task(self._nurse(endpoint))
        self._nurses.add(nurse)
        nurse.add_done_callback(self._nurses.discard)

    async def close(self) -> None:
        for nurse in tuple(self._nurses):
            nurse.cancel()
        await asyncio.gather(*self._nurses, return_exceptions=True)

    def _least_loaded(self, avoid: Endpoint | None) -> Endpoint | None:
        count = len(self.endpoints)
        self._turn = (self._turn + 1) % count
        best, least = None, (True, 0)
        for offset in range(count):
            endpoint = self.endpoints[(self._turn + offset) % count]
            load = (endpoint is avoid, endpoint.outstanding)
            if not endpoint.is_resting and (best is None or load < least):
                best, least = endpoint, load
        return best

    async def _nurse(self, endpoint: Endpoint) -> None:
        while True:
            await asyncio.sleep(min(MAX_REST_S, REST_S * 2 ** min(endpoint.rests, 8)))
            endpoint.rests += 1
            if await self._is_alive(endpoint):
                break
        # One more failure is enough to rest again: that it lives does not yet mean that it answers.
        endpoint.failures, endpoint.is_resting, endpoint.misses = FAILURES_TO_REST - 1, False, 0
        self._is_up.set()
