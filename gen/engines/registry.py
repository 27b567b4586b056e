"""Which server processes of this user are alive on this machine, whose they are, and which have lost their owner.

One JSON file a server, in a folder of this user that lives as long as the machine (`/tmp/gen-UID/...`, or
GEN_RUNTIME_DIR): a run folder would not do, since a server may serve several runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gen.core import digest
from gen.engines import keeper
from gen.engines.processes import Process, members, started
from gen.errors import UserError

LOG_DAYS = 7


@dataclass(frozen=True, slots=True)
class Record:
    """One server. Its process leads a process group of its own."""

    key: str
    """Hash of what is served and how: whoever asks for the same may use the same server."""
    slot: int
    """Which of several equal servers."""
    url: str
    log: str
    devices: tuple[str, ...]
    server: Process
    owner: Process
    """The gen that started it and starts it again."""
    is_kept: bool = False
    """It outlives its owner on purpose."""
    is_shared: bool = False
    """Other runs may use it."""
    model: str = ""

    @property
    def is_orphan(self) -> bool:
        return not self.is_kept and not self.owner.is_alive

    @property
    def name(self) -> str:
        return f"{self.key}-{self.slot}" + ("" if self.is_shared else f"-{self.owner.pid}")


def folder() -> Path:
    """Of this user, this machine, this boot, this container. Raises UserError for one that is not ours alone."""
    top = Path(os.environ.get("GEN_RUNTIME_DIR") or Path(tempfile.gettempdir()) / f"gen-{os.getuid()}")
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = top.lstat()
    if top.is_symlink() or told.st_uid != os.getuid() or told.st_mode & 0o022:
        raise UserError(f"{top}: belongs to somebody else or may be written by others; set GEN_RUNTIME_DIR to your own")
    found = top / _machine()
    found.mkdir(exist_ok=True)
    return found


@functools.cache
def _machine() -> str:
    facts = [platform.node()]
    with contextlib.suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    return digest(*facts, size=8)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Held by one gen at a time, shortly: to look who is there and to start a server."""
    with (folder() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def records() -> list[Record]:
    found = []
    for path in sorted(folder().glob("*.json")):
        try:
            told = json.loads(path.read_text())
            told |= {role: Process(**told[role]) for role in ("server", "owner")}
            found.append(Record(**told | {"devices": tuple(told["devices"])}))
        except (OSError, ValueError, TypeError, KeyError):  # of another version of gen, or cut off
            continue
    return found


def write(record: Record) -> None:
    path = folder() / f"{record.name}.json"
    path.with_suffix(".new").write_text(json.dumps(asdict(record)))
    path.with_suffix(".new").replace(path)


def remove(record: Record) -> None:
    (folder() / f"{record.name}.json").unlink(missing_ok=True)


def clear() -> list[Record]:
    """Stop every server whose gen is gone, forget every one that is gone itself; returns the stopped ones."""
    orphans = []
    for record in records():
        if record.is_orphan:
            if end(record):
                orphans.append(record)
            remove(record)
        elif not record.server.is_alive and not record.owner.is_alive:
            end(record)
            remove(record)
    for log in folder().glob("*.log"):
        with contextlib.suppress(OSError):
            if time.time() - log.stat().st_mtime > LOG_DAYS * 86400:
                log.unlink()
    return orphans


def end(record: Record) -> bool:
    """Stop a server's process group, also what is left of it when its leader has died. Whether anybody was there."""
    if not record.server.is_alive:
        if started(record.server.pid):  # the id is another process's now: the group is gone
            return False
        if not any("vllm" in command.lower() for _, _, command in members(record.server.pid)):
            return False
    keeper.stop(record.server.pid)
    return True
