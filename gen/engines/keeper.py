"""Keeps one server process: started as a program, with the standard library alone, by `gen.engines.supervisor`.

Whatever becomes of gen (an error, Ctrl-C twice, `kill -9`), its end of our standard input is closed by the kernel:
then the server's whole process group is stopped, so that no GPU memory stays taken. One byte on standard input, `k`,
says that the server is to outlive gen. When the server itself dies, what it leaves behind (its engine and workers)
is killed, and we end with its exit code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

GRACE_S = 15.0
"""From SIGTERM to SIGKILL."""
TICK_S = 0.2


def kill(group: int, sign: int) -> bool:
    """Whether anybody was there."""
    try:
        os.killpg(group, sign)
    except (ProcessLookupError, PermissionError):  # macOS: not permitted where only zombies are left
        return False
    return True


def stop(group: int, grace: float = GRACE_S, *, wait: bool = False) -> None:
    """End a process group: asked first, then killed. `wait`: its members are our children, so take their leave."""
    end = time.monotonic() + grace
    is_there = kill(group, signal.SIGTERM)
    while is_there and time.monotonic() < end:
        time.sleep(TICK_S / 4)
        with contextlib.suppress(ChildProcessError):
            while wait and os.waitpid(-1, os.WNOHANG)[0]:
                pass
        is_there = kill(group, 0)
    kill(group, signal.SIGKILL)


def adopt_orphans() -> None:
    """On Linux the server's children become ours when it dies, so that they can be waited for."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def main(command: list[str]) -> int:
    adopt_orphans()
    # vLLM leaves the sockets of its parts where they were.
    with tempfile.TemporaryDirectory(prefix="gen-vllm-", ignore_cleanup_errors=True) as sockets:
        return keep(command, {"VLLM_RPC_BASE_PATH": sockets, **os.environ})


def keep(command: list[str], env: dict[str, str]) -> int:
    """Run a server until it ends, or is to end; returns its exit code."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True, env=env)
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)  # the lifeline alone decides, also when a terminal or a session ends
    print(server.pid, flush=True)  # noqa: T201
    os.close(1)
    lifeline = [0]
    while (code := server.poll()) is None:
        ready, _, _ = select.select(lifeline, [], [], TICK_S)
        if ready and os.read(0, 1) == b"k":
            lifeline = []
        elif ready:
            stop(server.pid, wait=True)
            return server.wait()
    stop(server.pid, 2.0, wait=True)
    return code


if __name__ == "__main__":
    # A shell's way to tell that a signal ended the server.
    sys.exit(code if (code := main(sys.argv[1:])) >= 0 else 128 - code)
