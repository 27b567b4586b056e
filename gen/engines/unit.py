"""One server's place: what is started there, found there, waited for, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from gen.engines import keeper, registry, startup
from gen.engines.endpoint import Endpoint
from gen.engines.processes import Process, memory
from gen.engines.registry import Record
from gen.errors import RecipeError

Say = Callable[[str], None]
TICK_S = 0.25
SAY_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is started, the same for every server but for port, devices and environment."""

    key: str
    name: str
    """The model's, as it is served."""
    command: Callable[[int], list[str]]
    """Of a port."""
    environment: Callable[[int, Sequence[str]], dict[str, str]]
    """Of a slot and its devices."""
    api_key: str = ""
    port: int | None = None
    """The first server's; the others follow. None: any free ones."""
    is_kept: bool = False
    """The servers outlive this gen."""
    is_shared: bool = False
    """Other gens may use them."""

    def fits(self, record: Record, slot: int) -> bool:
        """Whether another gen lets us use this server in that place."""
        return record.is_shared and (record.key, record.slot) == (self.key, slot) and record.owner.pid != os.getpid()


@dataclass(eq=False)
class Unit:
    plan: Plan
    slot: int
    devices: tuple[str, ...]
    title: str
    """Which one it is, for people."""
    record: Record | None = None
    process: subprocess.Popen[bytes] | None = None
    """Its keeper; None for a server that another gen has started."""
    said: int = 0
    """Bytes in its log from earlier starts."""
    endpoint: Endpoint | None = None
    trouble: str = ""
    """Why it is to be started anew although it lives."""
    failures: int = 0
    since: float = 0.0
    """When it was ready."""
    busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread that starts or ends it: whoever waits for that thread may be cancelled."""
    most_memory: int = 0
    """Bytes on the host at which it is started anew."""

    @property
    def is_ours(self) -> bool:
        """Nobody else starts it again: it is ours, or was kept by a gen that has ended."""
        return self.process is not None or (self.record is not None and not self.record.owner.is_alive)

    @property
    def is_alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        return self.record is not None and self.record.server.is_alive

    @property
    def memory(self) -> int:
        """Bytes that it has on the host."""
        return memory(self.record.server.pid) if self.record else 0

    async def launch(self, say: Say) -> bool:
        """Whether it was here before, else it is started. Waits for another gen that is starting it again."""
        while True:
            if (found := await asyncio.to_thread(self._find_or_spawn, say)) is not None:
                return found
            await asyncio.sleep(2 * TICK_S)

    def _find_or_spawn(self, say: Say) -> bool | None:
        """True: found, False: started, None: another gen is about to start it."""
        with self.busy, registry.locked():
            for orphan in registry.clear():
                say(f"stopped the server that a killed gen has left behind: {orphan.model} at {orphan.url}")
            for record in registry.records():
                if self.plan.fits(record, self.slot):
                    self.record, self.process, self.said = record, None, 0
                    return True if record.server.is_alive else None
            self._spawn()
            return False

    def _spawn(self) -> None:
        plan, port = self.plan, self._port()
        path = registry.folder() / f"vllm-{plan.key}-{os.getpid()}-{self.slot}.log"
        with path.open("ab") as out:
            self.said = out.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, *plan.command(port)], start_new_session=True, stderr=out,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=plan.environment(self.slot, self.devices),
            )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdout as told:
            line = told.readline()
        if not line.strip():
            self.process.wait()
            raise RecipeError(f"{plan.command(port)[0]}: could not be started ({path.read_text().strip()[-300:]})")
        self.record = Record(
            plan.key, self.slot, f"http://127.0.0.1:{port}", str(path), self.devices, Process.of(int(line)),
            Process.of(os.getpid()), plan.is_kept, plan.is_shared, plan.name,
        )  # fmt: skip
        registry.write(self.record)
        if plan.is_kept:
            self.process.stdin.write(b"k")
            self.process.stdin.flush()

    def _port(self) -> int:
        """The one it had, where it is still free, so that its URL stays; else another."""
        wanted = self.plan.port + self.slot if self.plan.port else None
        had = int(self.record.url.rpartition(":")[2]) if self.record else 0
        for port in (wanted,) if wanted else (had, 0):
            with contextlib.suppress(OSError), socket.socket() as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind(("127.0.0.1", port))
                return int(free.getsockname()[1])
        raise RecipeError(f"--port {wanted}: taken by another program; choose another")

    async def until_ready(self, session: aiohttp.ClientSession, silence: float, say: Say) -> None:
        """Says what it is doing. Raises GenError when it dies, or has not said a word for `silence` seconds."""
        assert self.record is not None
        record, text, phase = self.record, "", "starting Python"
        begun = heard = time.monotonic()
        told, is_ready = begun - SAY_EVERY_S, False
        with Path(record.log).open("rb") as file:
            file.seek(self.said)
            while not is_ready:  # what was logged before it served is said, too, however quick it was
                is_ready = await self._serves(session, record.url)
                is_dead, now = not self.is_alive, time.monotonic()
                if more := file.read().decode(errors="replace"):
                    text, heard = (text + more)[-200_000:], now
                if not is_ready and (is_dead or now - heard > silence):
                    code = (self.process.poll() if self.process else None) or 0
                    raise startup.failure(text, code, self.title, record.log)
                before, phase = phase, startup.phase(more, phase)
                if phase.split(" (")[0] != before.split(" (")[0] or now - told >= SAY_EVERY_S:
                    told = now
                    say(f"{self.title}: {phase}, {now - begun:.0f} s")
                if not is_ready:
                    await asyncio.sleep(TICK_S)

    async def _serves(self, session: aiohttp.ClientSession, url: str) -> bool:
        """Whether our model is served there: another program may have come to have the port."""
        try:
            async with session.get(f"{url}/v1/models") as reply:
                told = await reply.json(content_type=None)
            return any(row["id"] == self.plan.name for row in told["data"])
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, TypeError, KeyError):
            return False

    def end(self) -> None:
        """Stop it, unless it is another gen's; its log stays."""
        with self.busy:
            self._end()

    def _end(self) -> None:
        record, process, self.process = self.record, self.process, None
        if record is None or (process is None and (record.owner.is_alive or not self.trouble)):
            return
        if process is not None:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            if self.plan.is_kept:
                registry.end(record)
            try:
                process.wait(keeper.GRACE_S + 5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        registry.end(record)  # what a killed keeper has left behind, and what another gen has kept
        registry.remove(record)
