"""What every benchmark needs: the data in `../shared/data`, the peers' own environment, CPU time and memory of a
program, both sides of a comparison in turns. `python benchmarks/bench.py` (or `make bench`) runs all of them, each in
under five minutes on two cores; each is also run alone by its name."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PEERS = ROOT / ".peers" / "bin" / "python"
SUBJECTS: Sequence[Sequence[str]] = (
    ("overhead.py",), ("saturation.py",), ("rouge.py",), ("near.py",), ("cosine.py",), ("semantic.py",),
    ("encoder.py",), ("ifd.py",), ("growth.py",), ("self_instruct.py",), ("inputs.py",), ("corpus.py",),
    ("main_job.py",), ("vllm_rate.py",), ("kills.py",),
)  # fmt: skip
"""Scripts with their arguments, in the order in which `make bench` runs them."""


class Spent(NamedTuple):
    """What a program took."""

    cpu: float
    """Seconds of all its threads and of the children that it waited for."""
    wall: float
    peak_mb: float
    """Of its largest process."""
    said: str


def data(name: str) -> Path:
    """A file of `../shared/data`. Skips the benchmark where it is absent."""
    path = DATA / name
    if not path.exists():
        skip(f"{name} is needed in a folder shared/data beside the repository, where it is not")
    return path


def skip(why: str) -> NoReturn:
    """End this benchmark with a line, and without failure: the others run."""
    sys.stdout.write(f"skipped: {why}\n")
    sys.exit(0)


def peer_python() -> str:
    """The Python of the peers' environment (`make .peers/bench`); empty, with a line, where it is absent."""
    found = os.environ.get("GEN_PEERS_PYTHON") or (str(PEERS) if PEERS.exists() else "")
    if not found:
        sys.stdout.write("(the peers are not installed, so ours stands alone: make .peers/bench)\n")
    return found


def spent(command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 280.0) -> Spent:
    """Run a program to its end, with its modules compiled, as what is installed has them. Raises RuntimeError with what
    it said when it fails."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**given, **(env or {})})
        deadline, peak = began + timeout, 0.0
        while True:
            peak = max(peak, _peak_mb(process.pid))
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() > deadline:
                process.kill()
            time.sleep(0.01)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))[:300]}: ended with {process.returncode}\n{said[-2000:]}")
    return Spent(used.ru_utime + used.ru_stime, wall, peak or used.ru_maxrss / 1024, said)


def _peak_mb(pid: int) -> float:
    """The most that a process or one of its children has held so far; 0 where it has ended, or where there is no
    /proc. (What `wait` tells of a process counts what its parent held when it began, too.)"""
    try:
        status, children = Path(f"/proc/{pid}/status").read_text(), Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return 0.0
    own = [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max([*own, *(_peak_mb(int(child)) for child in children.split())], default=0.0)


def alternated(sides: Mapping[str, Callable[[], float]], times: int) -> dict[str, float]:
    """The median of each side, the sides taking turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(times):
        for name, measure in sides.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def taken(
    ways: Mapping[str, Callable[[], Any]], times: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, Any]]:
    """What each way took each time, the ways taking turns, as seconds and CPU seconds; and what it gave at last."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    gave = {}
    for _ in range(times):
        for name, way in ways.items():
            began, burnt = time.perf_counter(), time.process_time()
            gave[name] = way()
            took[name].append((time.perf_counter() - began, time.process_time() - burnt))
    return took, gave


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process in a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> int:
    failed = 0
    for script, *rest in SUBJECTS:
        sys.stdout.write(f"\n=== {script} {' '.join(rest)}\n")
        sys.stdout.flush()
        began = time.perf_counter()
        failed += subprocess.call([sys.executable, str(ROOT / "benchmarks" / script), *rest], cwd=ROOT) != 0
        sys.stdout.write(f"=== {script}: {time.perf_counter() - began:.0f} s\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
