"""Whether Python passes its tests, found out by running it in `filters.jail`, or not at all.

What is guaranteed (Linux 5.14 or newer, x86_64 or aarch64; elsewhere nothing is run): no network; no file of the
outside but /usr and Python's own folder, to read; no variable and no process of the outside to be seen; limits on CPU
and wall time, memory of each process, processes, files and disk; and that nothing is left. What is not: that an answer
which means to pass cannot, since it runs beside its tests. And a hole in the kernel is a hole in this."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

STARTING = 30.0
"""Seconds that all around the program may take."""
MIB = 1 << 20
PROBE = """
import ctypes, os, resource, socket
def refused(what, *args):
    try:
        what(*args)
    except OSError:
        return True
libc = ctypes.CDLL(None, use_errno=True)
"""
CHECKS = """
assert os.getpid() < 9 and not os.path.exists("/proc/1"), "processes of the outside can be seen"
assert set(os.listdir("/")) <= SHOWN, "files of the outside can be seen"
assert refused(open, "/usr/x", "w") and refused(open, "/x", "w"), "not only /box can be written"
assert refused(socket.socket) and refused(socket.socket, 40), "sockets can be made"
assert libc.unshare(0x10000000) == -1 and libc.memfd_create(b"x", 0) == -1, "denied system calls can be made"
assert os.getuid() and refused(os.setuid, 0), "it is root"
assert len(os.environ) < 7 and os.environ["HOME"] == "/box", "it has variables of the outside"
assert resource.getrlimit(resource.RLIMIT_NPROC)[1] < 99, "it has no limits"
"""


@dataclass(frozen=True, slots=True)
class Limits:
    seconds: int = 5
    """Of CPU, of each process."""
    wall: float = 20.0
    """Seconds by the clock, all together."""
    memory: int = 256
    """MiB of addresses, of each process."""
    processes: int = 8
    """Processes and threads at once."""
    disk: int = 16
    """MiB of files."""


class Outcome(NamedTuple):
    passed: bool
    reason: str = ""
    """`tests_failed` or `tests_timeout`."""
    note: str = ""


class CannotIsolate(Exception):
    """Nothing was run; the text says why."""


def run(code: str, tests: str, limits: Limits = Limits()) -> Outcome:
    """Whether `tests` (statements, run after `code` in its module) come to their end. The first error ends them.
    Raises CannotIsolate."""
    if sys.platform != "linux":
        raise CannotIsolate(f"programs can be isolated on Linux alone; this is {sys.platform}")
    job = {"code": code, "tests": tests, "python": _python(), "show": _shown(), "seconds": limits.seconds,
           "wall": limits.wall, "memory": limits.memory * MIB, "processes": limits.processes,
           "disk": limits.disk * MIB}  # fmt: skip
    command = [_python(), "-I", "-S", "-B", str(Path(__file__).with_name("jail.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env={},
        start_new_session=True,
    ) as jail:  # fmt: skip
        try:
            out, err = jail.communicate(json.dumps(job).encode(), limits.wall + STARTING)
        except subprocess.TimeoutExpired:
            return Outcome(False, "tests_timeout", f"{limits.wall:g} s")
        finally:
            jail.kill()
    try:
        return _read(json.loads(out), tests)
    except ValueError:
        raise CannotIsolate(f"the sandbox ended without a word: {err.decode(errors='replace')[-500:]}") from None


def _read(told: dict[str, Any], tests: str) -> Outcome:
    """The outcome, of which `report` alone was written where the program can write as well."""
    if why := told.get("refused"):
        raise CannotIsolate(why)
    if "timeout" in told:
        return Outcome(False, "tests_timeout", told["timeout"])
    if not told["report"]:
        status = told["status"]
        how = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"with status {status >> 8}"
        return Outcome(False, "tests_failed", f"the program ended {how} before its tests did")
    try:
        match json.loads(told["report"]):
            case {"passed": True}:
                return Outcome(True)
            case {"where": "tests", "line": int(line), "error": str(error)} if 0 < line <= len(tests.splitlines()):
                note = f"{tests.splitlines()[line - 1].strip()}: {error}"
            case {"line": int(line), "error": str(error)}:
                note = f"line {line} of the answer: {error}"
            case _:
                raise ValueError
    except (ValueError, RecursionError):
        return Outcome(False, "tests_failed", "the program wrote over its report")
    return Outcome(False, "tests_failed", note.rstrip(": "))


@functools.cache
def lacking() -> str:
    """Why programs cannot be isolated here, by trying out, in there, what must not be possible; empty where all is
    well."""
    shown = {"usr", "bin", "lib", "lib64", "etc", "dev", "box", "tmp", *(path.split("/")[1] for path in _shown())}
    try:
        outcome = run(f"{PROBE}\nSHOWN = {shown!r}", CHECKS)
    except CannotIsolate as error:
        return str(error)
    return "" if outcome.passed else outcome.note


def _python() -> str:
    """The interpreter below any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def _shown() -> list[str]:
    """Folders that Python itself needs, besides the system's."""
    found = {os.path.realpath(p) for p in (sys.base_prefix, sys.base_exec_prefix)}
    return sorted(p for p in found if p != "/usr" and not p.startswith("/usr/"))
