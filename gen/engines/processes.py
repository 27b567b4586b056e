"""Processes of this machine: which live, which belong together, what memory they have."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """Known by its id and the moment of its start: an id that was given to another process since is not this one."""

    pid: int
    started: str
    """The moment of its start as the system tells it; empty: not known."""

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, started(pid))

    @property
    def is_alive(self) -> bool:
        return bool(self.started) and started(self.pid) == self.started


def started(pid: int) -> str:
    """Empty where there is no such process, or only its remains (a zombie)."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]  # clock ticks since boot
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return ""
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, since = shown.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else since.strip()


def members(group: int) -> list[tuple[int, int, str]]:
    """(id, bytes of host memory of its own, command) of each process of a group."""
    if not Path("/proc/self/stat").exists():
        tell = ["ps", "-Ao", "pgid=,pid=,rss=,args="]
        told = subprocess.run(tell, capture_output=True, text=True, check=False).stdout
        rows = [line.split(None, 3) for line in told.splitlines()]
        return [(int(pid), int(kib) * 1024, args) for pgid, pid, kib, args in rows if int(pgid) == group]
    found = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError, IndexError, ValueError):
            if path.name.isdigit() and os.getpgid(int(path.name)) == group:
                resident, shared = map(int, (path / "statm").read_text().split()[1:3])
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(path.name), (resident - shared) * os.sysconf("SC_PAGE_SIZE"), command))
    return found


def memory(group: int) -> int:
    """Bytes on the host that a process group has for itself; what is mapped from files does not count."""
    return sum(used for _, used, _ in members(group))


def free_memory() -> int:
    """Bytes that this machine, or this container, still has."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, IndexError, ValueError):
        free = int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) * 1024
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        here = Path("/sys/fs/cgroup")
        free = min(free, int((here / "memory.max").read_text()) - int((here / "memory.current").read_text()))
    return max(0, free)
