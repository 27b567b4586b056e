"""A writing process is killed with SIGKILL at any moment: what it was told is committed, is there."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gen.disk import Locked
from gen.pool import Pool

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
KILLS = 16
CHILD = """
import asyncio, sys
from pathlib import Path
from gen.core import *
from gen.pool import GrownRow, Pool

async def worker(pool, start, n):
    for i in range(n, 10**9, 8):
        key = f"{start}-{i}"
        asked = Request("judge", (Message("user", key),), Sampling(), "ask")
        await pool.record(key, "engine", asked, Completion(key * 50))
        print("j", key, flush=True)
        seed = Sample(start, "seed", Lineage(start))
        two = tuple(Candidate(Sample(f"{key}.{j}", key * 50, Lineage(start))) for j in range(2))
        await pool.commit_grown(GrownRow(0, 1, key, seed, two, (seed,), 1, (key,)))
        print("g", key, flush=True)
        pool.add_verdicts(1, [(c.sample.id, KEEP) for c in two], {f"at {key}": key})

async def main(pool):
    await asyncio.gather(*(worker(pool, sys.argv[2], n) for n in range(8)))

with Pool.open(Path(sys.argv[1])) as pool:
    print("open", flush=True)
    asyncio.run(main(pool))
"""


def start(folder, name):
    child = subprocess.Popen([sys.executable, "-c", CHILD, folder, name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "open\n"
    return child


def kill(child, after=0):
    """The whole lines that it had printed: so many at least."""
    first = [child.stdout.readline() for _ in range(after)]
    child.send_signal(signal.SIGKILL)
    out, _ = child.communicate()
    out = "".join(first) + out
    return out.rpartition("\n")[0].splitlines()


def test_every_acknowledged_row_outlives_sigkill(tmp_path):
    rng = random.Random(7)
    told = []
    for n in range(KILLS):
        child = start(tmp_path, f"run{n}")
        told += kill(child, rng.randrange(40))
        check(tmp_path, told)
    assert len(told) > 5 * KILLS


def check(folder, told):
    with Pool.open(folder) as pool:
        for line in told:
            what, key = line.split()
            if what == "j":
                assert pool.lookup(key).text == key * 50
        for row in told_rows(pool):
            # Nothing is half written: a conversation has both candidates, and verdicts come with their state.
            assert len(row.candidates) == 2, row.call
            assert pool.lookup(row.call) is not None
            judged = [pool.verdicts(c.sample.id) for c in row.candidates]
            assert [len(v) for v in judged] == [int(pool.state(f"at {row.call}") is not None)] * 2
        calls = {call for (call,) in pool._rows("SELECT call FROM grown")}
        assert {line[2:] for line in told if line[0] == "g"} <= calls
        assert pool._rows("PRAGMA integrity_check") == [("ok",)]


def told_rows(pool):
    """The newest conversations: a few of each run are enough."""
    for (call,) in pool._rows("SELECT call FROM grown ORDER BY call DESC LIMIT 40"):
        yield pool.grown(0, 1, call)


def test_another_process_is_refused_until_the_first_one_dies(tmp_path):
    child = start(tmp_path, "first")
    try:
        with pytest.raises(Locked, match=f"process {child.pid} is writing to this pool"):
            Pool.open(tmp_path)
        with Pool.open(tmp_path, readonly=True) as pool:
            first, deadline = pool.journal_count(), time.monotonic() + 20
            while pool.journal_count() == first and time.monotonic() < deadline:
                time.sleep(0.01)
            assert pool.journal_count() > first  # a reader sees what the writer adds
    finally:
        kill(child)
    Pool.open(tmp_path).close()
