"""vLLM started, watched and stopped by gen: one server for each visible GPU or tensor-parallel group (on a machine
without GPU: the CPU build), and a client of them all."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gen.core import digest
from gen.engines import launch, registry
from gen.engines.licence import license_of
from gen.engines.server import Server, log
from gen.engines.supervisor import Limits, Supervisor
from gen.engines.transport import api_key
from gen.engines.unit import Plan
from gen.errors import EngineError, RecipeError

WIDTH_GPU, WIDTH_CPU = 256, 64
"""Requests in flight for each server: what vLLM takes into one batch on a GPU by default."""
ROOM = ("--gpu-memory-utilization", "--kv-cache-memory-bytes")
"""Who says how much of a GPU is taken may put several servers on one."""


class Vllm(Server):
    """Engine and Scorer as `Server` is. `open` starts the servers, or finds them where an earlier gen has kept the same
    ones running, `close` stops what it started. Whoever `say` is set to is told what the start is doing, and what is
    mended later."""

    kind: str = "vllm"

    def __init__(
        self, model: str, *, name: str | None = None, tensor_parallel: int = 1, count: int | None = None,
        vllm_args: str = "", vllm_python: str = "", keep_server: bool = False, is_shared: bool = False,
        port: int | None = None, max_host_memory: float | None = None, device: str = "auto", width: int | None = None,
        trust_remote_code: bool = False, **client: Any,
    ) -> None:  # fmt: skip
        if model.startswith(("/", ".", "~")):
            model = str(Path(model).expanduser())
            if not Path(model).is_dir():
                raise RecipeError(f"--model {model}: no such folder; expected one with a model, or a name of the hub")
        super().__init__(("http://127.0.0.1",), launch.served_name(model, name), width=width or WIDTH_CPU, **client)
        self._source, self._wanted_width = model, width
        self.say: Callable[[str], None] | None = None
        self._tensor_parallel, self._count, self._args = tensor_parallel, count, vllm_args
        self._python, self._port, self._device, self._trust = vllm_python, port, device, trust_remote_code
        self._kept, self._shared = keep_server, keep_server or is_shared
        self._memory = None if max_host_memory is None else int(max_host_memory * 2**30)
        self.urls: tuple[str, ...] = ()
        self._supervisor: Supervisor | None = None

    def __repr__(self) -> str:
        return f"Vllm({self.model!r}, {', '.join(self.urls) or 'not started'})"

    async def open(self) -> None:
        """Start what is not there yet, and wait until it serves. Raises RecipeError for what the user can mend,
        EngineError for what cannot be started here, both with the cause out of the server's log."""
        if Path(self._source).is_dir():
            self.license = license_of(Path(self._source))
        self._supervisor = Supervisor(*self._plan(), Limits(memory=self._memory), self.tell)
        try:
            self.urls = tuple(await self._supervisor.start())
            self._urls = self.urls
            await super().open()
        except BaseException:
            await self.close()
            raise
        assert self._transport is not None
        self._supervisor.watch(self._transport.endpoints)

    async def close(self) -> None:
        await super().close()
        if self._supervisor:
            supervisor, self._supervisor = self._supervisor, None
            await supervisor.stop()
            if self._kept and self.urls:
                self.tell(f"left running: {', '.join(self.urls)}; `gen serve --stop` ends what was left running")

    @property
    def lost(self) -> str:
        """Why no server is left; empty while there is one."""
        endpoints = self._transport.endpoints if self._transport else []
        return endpoints[0].lost if endpoints and all(endpoint.lost for endpoint in endpoints) else ""

    def tell(self, text: str) -> None:
        """To the log and to whoever listens."""
        log.info(text)
        if self.say:
            self.say(text)

    def _plan(self) -> tuple[Plan, list[tuple[str, ...]]]:
        """What is started, and the devices of each server."""
        installed = launch.needed(self._python)
        if warning := installed.check():
            self.tell(warning)
        more, gpus = launch.given(self._args, installed), self._gpus(installed)
        key = digest(
            installed.python, installed.version, self._source, launch.content(self._source), self._served, more, gpus,
            self._tensor_parallel, self._trust,
        )  # fmt: skip
        free = gpus if any(word.startswith(ROOM) for word in more) else _free(gpus, key)
        if gpus:
            devices = launch.groups(free, self._tensor_parallel, self._count)
        else:
            devices = [()] * (self._count or 1)
        count = len(devices)
        self.width = self._wanted_width or (WIDTH_GPU if gpus else WIDTH_CPU) * count
        self.start = WIDTH_GPU if gpus else WIDTH_CPU
        self.scoring_width = getattr(self, "scoring_width", 1) * count
        secret = api_key()

        def command(port: int) -> list[str]:
            return launch.command(
                installed, self._source, self._served, port, tensor_parallel=self._tensor_parallel,
                trust_remote_code=self._trust, more=more,
            )  # fmt: skip

        def environment(slot: int, devices: Sequence[str]) -> dict[str, str]:
            return launch.environment(installed, self._source, devices, slot, count, secret)

        where = "the CPU" if not gpus else f"GPU {', '.join('+'.join(group) for group in devices)}"
        self.tell(f"vLLM {installed.version}, {count} server{'s' * (count > 1)} of {self._served} on {where}")
        return Plan(key, self._served, command, environment, secret, self._port, self._kept, self._shared), devices

    def _gpus(self, installed: launch.Installed) -> tuple[str, ...]:
        if installed.is_cpu or self._device == "cpu":
            if not installed.is_cpu:
                raise RecipeError(f"--device cpu: vLLM {installed.version} ({installed.python}) is no CPU build")
            return ()
        if gpus := launch.visible_gpus():
            return gpus
        raise RecipeError(
            f"--engine vllm: no GPU is visible, and vLLM {installed.version} ({installed.python}) is no CPU build; "
            "look at nvidia-smi and CUDA_VISIBLE_DEVICES, use --engine local, or see docs/vllm-on-cpu.md"
        )


def _free(gpus: Sequence[str], key: str) -> tuple[str, ...]:
    """The GPUs on which no other server of this user's gens is. Raises RecipeError where there is none."""
    taken = {
        device: record for record in registry.records() for device in record.devices
        if record.server.is_alive and not record.is_orphan and not (record.is_shared and record.key == key)
    }  # fmt: skip
    if gpus and not (free := tuple(gpu for gpu in gpus if gpu not in taken)):
        users = ", ".join(sorted({f"{r.model} at {r.url} (process {r.owner.pid})" for r in taken.values()}))
        raise RecipeError(
            f"all visible GPUs are taken by servers of gen: {users}; wait for them, stop them (those left running: "
            "`gen serve --stop`), or share a GPU by --vllm-args '--gpu-memory-utilization 0.4'"
        )
    return free if gpus else ()


async def stay(engine: Vllm) -> None:
    """Open the engine and keep its servers running until a signal comes. Raises EngineError when none is left."""
    ended = asyncio.Event()
    await engine.open()
    try:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(name, ended.set)
        engine.tell(f"serving; use it by: gen evolve {' '.join(f'--server {url}' for url in engine.urls)}")
        engine.tell("Ctrl-C stops it")
        while not (ended.is_set() or engine.lost):
            await asyncio.sleep(0.2)
        if engine.lost:
            raise EngineError(engine.lost)
    finally:
        await engine.close()


def stop_kept() -> list[registry.Record]:
    """Stop the servers that runs have left running; returns them."""
    with registry.locked():
        registry.clear()
        kept = [record for record in registry.records() if record.is_kept and not record.owner.is_alive]
        for record in kept:
            registry.end(record)
            registry.remove(record)
    return kept
