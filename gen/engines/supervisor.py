"""Server processes from their start to their end: found or started, watched, started again, stopped.

A server is started through `keeper`, which ends it when gen ends, however that happens; `registry` lets a later gen
find what was kept on purpose, and clear away what was not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from gen.engines.endpoint import Endpoint
from gen.engines.processes import free_memory
from gen.engines.unit import TICK_S, Plan, Say, Unit
from gen.errors import GenError

STARTS = 3
"""Attempts at a start when another program is quicker to take the port."""
MEMORY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    restarts: int = 5
    """In a row; the count begins anew after `steady` seconds of service."""
    backoff: float = 1.0
    """Seconds before the second attempt; doubles up to a minute."""
    steady: float = 600.0
    silence: float = 900.0
    """Seconds without a word in the log until a start counts as stuck."""
    memory: int | None = None
    """Bytes of host memory at which a server is started anew; None: half of what was free when it was ready, more."""


class Supervisor:
    """`start` brings all servers up, `stop` takes down what is ours. In between, what dies, hangs or grows beyond its
    memory is started anew, at most `limits.restarts` times in a row."""

    def __init__(self, plan: Plan, devices: Sequence[tuple[str, ...]], limits: Limits, say: Say) -> None:
        self._plan, self._limits, self._say = plan, limits, say
        self.units = [Unit(plan, slot, mine, _title(slot, devices)) for slot, mine in enumerate(devices)]
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self._draining = asyncio.Lock()

    async def start(self) -> list[str]:
        """The URLs. Raises what `startup.failure` finds when the first start of a server comes to nothing."""
        headers = {"Authorization": f"Bearer {self._plan.api_key}"} if self._plan.api_key else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10.0))
        # On GPUs the first alone: what is wrong is told once, and the others find the graphs that it has compiled.
        batches = [self.units[:1], self.units[1:]] if self.units[0].devices else [self.units]
        try:
            for batch in batches:
                async with asyncio.TaskGroup() as group:
                    for unit in batch:
                        group.create_task(self._bring_up(unit))
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None
        return self._urls

    def watch(self, endpoints: Sequence[Endpoint] = ()) -> None:
        """From now on: what is wrong with a server is mended, and its endpoint, if it has one, knows it."""
        for unit, endpoint in zip(self.units, endpoints or map(Endpoint, self._urls), strict=True):
            unit.endpoint, endpoint.mend = endpoint, lambda why, unit=unit: setattr(unit, "trouble", why)
        self._tasks = [asyncio.create_task(self._tend(unit)) for unit in self.units]

    async def stop(self) -> None:
        """Stop every server that is ours and not kept. Again: nothing happens."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if not self._plan.is_kept:
            await asyncio.gather(*(asyncio.to_thread(unit.end) for unit in self.units))
        if self._session:
            await self._session.close()

    async def _bring_up(self, unit: Unit) -> None:
        """Find or start it, and wait until it serves."""
        assert self._session is not None
        for attempt in range(STARTS):
            is_found = await unit.launch(self._say)
            try:
                await unit.until_ready(self._session, self._limits.silence, self._say)
                break
            except GenError as error:
                await asyncio.to_thread(unit.end)
                if "ddress already in use" not in str(error) or attempt == STARTS - 1 or self._plan.port:
                    raise
        assert unit.record is not None
        unit.since, unit.trouble = time.monotonic(), ""
        unit.most_memory = self._limits.memory or unit.memory + free_memory() // 2 // len(self.units)
        how = "found running, and used" if is_found else "ready"
        self._say(f"{unit.title}: {how} at {unit.record.url} (log: {unit.record.log})")

    async def _tend(self, unit: Unit) -> None:
        assert unit.endpoint is not None
        try:
            while not unit.endpoint.lost:
                await self._mend(unit, unit.endpoint, await self._trouble(unit, unit.endpoint))
        except Exception as error:  # whatever it is: nobody is to wait for what nobody mends
            unit.endpoint.give_up(f"{unit.title}: {type(error).__name__}: {error}")

    async def _trouble(self, unit: Unit, endpoint: Endpoint) -> str:
        """Waits until something is wrong, and says what."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            if not unit.is_alive:
                return "it died"
            if not unit.is_ours:
                continue
            if unit.trouble:
                return unit.trouble
            if time.monotonic() - looked >= MEMORY_EVERY_S:
                looked, used = time.monotonic(), await asyncio.to_thread(lambda: unit.memory)
                if used > unit.most_memory:
                    async with self._draining:  # one at a time, so that the others serve
                        await endpoint.drain()
                    return f"its memory on the host grew to {used / 2**30:.1f} GiB"

    async def _mend(self, unit: Unit, endpoint: Endpoint, why: str) -> None:
        endpoint.is_mended = True
        if time.monotonic() - unit.since > self._limits.steady:
            unit.failures = 0
        while unit.failures < self._limits.restarts:
            unit.failures, unit.trouble = unit.failures + 1, why
            wait = min(60.0, self._limits.backoff * 2.0 ** (unit.failures - 2)) if unit.failures > 1 else 0.0
            self._say(f"{unit.title}: {why}; starting it again" + (f" in {wait:.0f} s" if wait >= 1 else ""))
            await asyncio.to_thread(unit.end)
            await asyncio.sleep(wait)
            try:
                await self._bring_up(unit)
            except GenError as error:
                why = str(error)
                continue
            assert unit.record is not None
            endpoint.back(unit.record.url)
            return
        unit.trouble = why
        await asyncio.to_thread(unit.end)  # its record, too: nobody is to wait for it any longer
        why = f"{unit.title}: given up after {self._limits.restarts} new starts; {why.removeprefix(unit.title + ': ')}"
        self._say(why)
        endpoint.give_up(why)

    @property
    def _urls(self) -> list[str]:
        return [unit.record.url for unit in self.units if unit.record]


def _title(slot: int, devices: Sequence[tuple[str, ...]]) -> str:
    where = f" (GPU {','.join(devices[slot])})" if devices[slot] else ""
    return f"vLLM{f' server {slot + 1} of {len(devices)}' if len(devices) > 1 else ''}{where}"
