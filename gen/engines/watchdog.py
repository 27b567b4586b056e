"""Looks after one URL while requests wait there: does it live, does it get on, may a rest end?"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from dataclasses import dataclass

import aiohttp

from gen.engines.endpoint import FAILURES_TO_REST, LOG_EVERY, Endpoint

log = logging.getLogger("gen.engines.server")
REST_S, MAX_REST_S, HEALTH_S = 0.5, 15.0, 10.0
MISSES = 3
"""Failed health checks in a row after which the requests in flight are given up."""
TOKENS = re.compile(rb"^\w+:(?:prompt_tokens|generation_tokens|tokens_predicted)_total(?:\{[^\n}]*\})? +(\S+)", re.M)
"""What vLLM, SGLang and llama.cpp count of their work, at /metrics."""
AMOUNT = rb"(?:\{[^\n}]*\})? +(\S+)"
RUNNING = rb"^(?:vllm:num_requests_running|sglang:num_running_reqs|llamacpp:requests_processing)"
WAITING = rb"^(?:vllm:num_requests_waiting|sglang:num_queue_reqs|llamacpp:requests_deferred)"
RUN, WAIT = (re.compile(names + AMOUNT, re.M) for names in (RUNNING, WAITING))
"""What they say of their queue there."""
POLL_S, MAX_POLL_S, UNTOLD_S = 0.5, 4.0, 60.0
"""Seconds between two looks at the queue: while the pace changes, when it does not, where nothing is told."""


@dataclass(eq=False, slots=True)
class Watchdog:
    """A deadline is only a guess, made from max_tokens: where the server tells how many tokens it has read and
    written, a request goes on beyond it as long as that number grows, and is given up when it has not grown for
    `stall` seconds, healthy or not. Where it does not tell, health and deadline decide."""

    endpoint: Endpoint
    session: aiohttp.ClientSession
    pulse: float
    """Seconds between two looks, and after which a request counts as waiting long."""
    stall: float
    misses: int = 0
    tokens: float | None = None
    """Read and written by the server, at the last look."""
    grew: float = 0.0
    """When that number last grew."""

    async def run(self) -> None:
        endpoint, rest, due = self.endpoint, REST_S, 0.0
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(rest if endpoint.is_resting else min(REST_S, self.pulse))
            now = clock()
            if endpoint.is_mended or endpoint.lost:
                self.misses, rest = 0, REST_S
            elif endpoint.is_resting:
                self.misses, rest = 0, min(2 * rest, MAX_REST_S)
                if await self._is_healthy() and endpoint.is_resting:
                    # One more failure is enough to rest again: that it lives does not yet mean that it answers.
                    endpoint.failures = FAILURES_TO_REST - 1
                    endpoint.changed()
            else:
                rest = rest if endpoint.failures else REST_S
                oldest = min((wait.since for wait in endpoint.waiting.values()), default=now)
                if now - oldest < self.pulse:
                    self.misses = 0
                elif now >= due:
                    due = now + self.pulse
                    await self._look(oldest)

    async def keep_pace(self) -> None:
        """Tells the pace what waits at the server, where the server says it; tells the log how the pace has changed."""
        endpoint, pace, rest = self.endpoint, self.endpoint.pace, POLL_S
        clock, logged, due, looked = asyncio.get_running_loop().time, pace.room, 0.0, False
        while True:
            await asyncio.sleep(rest if looked else 0)
            if endpoint.is_up and (pace.in_flight or not looked):
                before, found, looked = pace.room, await self._queue(), True
                if found:
                    pace.queued(clock(), *found)
                    endpoint.changed()
                steady = UNTOLD_S if found is None else min(MAX_POLL_S, 1.25 * rest)
                rest = steady if pace.room == before else POLL_S
            if pace.room != logged and clock() >= due:
                log.info("%s: at most %d requests in flight now, %d before", endpoint.name, pace.room, logged)
                logged, due = pace.room, clock() + LOG_EVERY

    async def _queue(self) -> tuple[int, int] | None:
        """Requests that run and that wait there; None where the server does not tell."""
        status, told = await self._get("/metrics")
        running, waiting = RUN.findall(told), WAIT.findall(told)
        try:
            return (_total(running), _total(waiting)) if status == 200 and running and waiting else None
        except (ValueError, OverflowError):  # no number, or none that ends
            return None

    async def _look(self, oldest: float) -> None:
        self.misses = 0 if await self._is_healthy() else self.misses + 1
        if self.misses >= MISSES:
            self.endpoint.abandon("requests wait and its health check fails")
            return
        count, now = await self._count(), asyncio.get_running_loop().time()
        if count is None:
            return
        if count != self.tokens:
            self.tokens, self.grew = count, now
            for deadline, wait in self.endpoint.waiting.items():
                if not deadline.expired():
                    later = min(wait.latest, now + 4 * self.pulse)
                    deadline.reschedule(max(deadline.when() or later, later))
        elif (still := now - max(self.grew, oldest)) > self.stall:
            self.endpoint.abandon(f"it hangs: requests wait, and no token was read or written for {still:.3g} s")

    async def _is_healthy(self) -> bool:
        """Whether anything sound answers there: also a server that has no /health, but not one that fails."""
        return (await self._get("/health"))[0] < 500

    async def _count(self) -> float | None:
        """Tokens that the server has read and written so far; None where it does not tell."""
        status, told = await self._get("/metrics")
        found = TOKENS.findall(told) if status == 200 else []
        try:
            count = sum(map(float, found))
        except ValueError:
            return None
        return count if found and math.isfinite(count) else None

    async def _get(self, page: str) -> tuple[int, bytes]:
        """Status and body; 599 for no answer."""
        try:
            async with asyncio.timeout(HEALTH_S), self.session.get(f"{self.endpoint.url}{page}") as response:
                return response.status, await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 599, b""


def _total(found: list[bytes]) -> int:
    return int(sum(map(float, found)))
