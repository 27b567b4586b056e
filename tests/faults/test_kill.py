"""kill -9 at many random journal counts, against a real HTTP server in another process: the dataset is byte for
byte that of an undisturbed run, and no committed reply is asked for twice."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serving

ROOT = Path(__file__).parents[2]
SEEDS, ROUNDS, KILLS = 12, 3, 12
pytestmark = pytest.mark.process


@pytest.fixture
def seeds(tmp_path):
    rows = [
        {"instruction": f"Tell the story of harbour {i} in one sentence.", "output": "" if i % 2 else f"It has {i} ships."}
        for i in range(SEEDS)
    ]
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def command(seeds, url, out, *more):
    return [sys.executable, "-m", "gen", "evolve", str(seeds), "--server", url, "--without", "semantic", "--rounds", str(ROUNDS),
            "--out", str(out), "--quiet", "--width", "6", *more]  # fmt: skip


def journal_count(out):
    """Committed rows, read from outside while the run goes on."""
    if not (out / "pool.db").exists():
        return 0
    try:
        with sqlite3.connect(f"file:{out / 'pool.db'}?mode=ro", uri=True) as db:
            count = db.execute("SELECT count(*) FROM journal").fetchone()[0]
        db.close()
        return count
    except sqlite3.OperationalError:  # not made yet
        return 0


def run_until(count, process, out):
    """SIGKILL the run once `count` replies are committed; False if it ended before."""
    while process.poll() is None:
        if journal_count(out) >= count:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


CHAIN = """
[source]
seeds = ["{seeds}"]
[model]
server = ["{url}"]
width = 6
[[stages]]
loop = "evolve"
rounds = 1
[stages.gate]
filters = ["length", "exact"]
[[stages]]
loop = "evolve"
rounds = 1
[stages.gate]
filters = ["length", "exact", "rouge"]
"""


def chain(seeds, url, out):
    """Two stages in one run, as a recipe; the server's address is another each time."""
    path = out.with_suffix(".toml")
    path.write_text(CHAIN.format(seeds=seeds, url=url))
    return [sys.executable, "-m", "gen", "run", str(path), "--out", str(out), "--quiet"]


@pytest.mark.slow
@pytest.mark.parametrize("command", [command, chain])
def test_a_killed_run_equals_an_undisturbed_one_and_pays_for_nothing_twice(seeds, tmp_path, command):
    rng = random.Random(5)
    with serving.serve(delay=10, slots=6) as server:
        straight = subprocess.run(command(seeds, server.url, tmp_path / "straight"), cwd=ROOT, capture_output=True, text=True)
        assert straight.returncode == 0, straight.stderr
        needed = journal_count(tmp_path / "straight")
    with serving.serve(delay=10, slots=6) as server:
        out, kills = tmp_path / "killed", 0
        marks = sorted(rng.sample(range(1, needed - 6), KILLS))
        for mark in marks:
            before = journal_count(out)
            process = subprocess.Popen(command(seeds, server.url, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            kills += run_until(max(mark, before + 1), process, out)
            assert journal_count(out) < needed, "something was pending"
        last = subprocess.run(command(seeds, server.url, out), cwd=ROOT, capture_output=True, text=True)
        assert last.returncode == 0, last.stderr
        asked, repeats = server.requests(), server.repeats()
    assert kills >= KILLS - 2
    assert (out / "dataset.jsonl").read_bytes() == (tmp_path / "straight" / "dataset.jsonl").read_bytes()
    assert (tmp_path / "straight" / "dataset.jsonl").read_text().count("\n") > SEEDS
    # a repeat is a request that was in flight, so not committed, when the run was killed
    assert repeats <= kills * 6
    assert len(set(asked)) >= needed


@pytest.mark.slow
def test_a_killed_run_whose_weights_adapt_equals_an_undisturbed_one(seeds, tmp_path):
    rng, adapt = random.Random(6), ("--adapt", "--adapt-block", "3", "--rounds", "5")
    with serving.serve(delay=10, slots=6) as server:
        straight = subprocess.run(command(seeds, server.url, tmp_path / "straight", *adapt), cwd=ROOT, capture_output=True, text=True)
        assert straight.returncode == 0, straight.stderr
        needed, out, kills = journal_count(tmp_path / "straight"), tmp_path / "killed", 0
        for mark in sorted(rng.sample(range(10, needed - 10), 5)):
            width = str(rng.choice([1, 3, 16]))
            process = subprocess.Popen(command(seeds, server.url, out, *adapt, "--width", width), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            kills += run_until(max(mark, journal_count(out) + 1), process, out)
        last = subprocess.run(command(seeds, server.url, out, *adapt), cwd=ROOT, capture_output=True, text=True)
        assert last.returncode == 0, last.stderr
        plain = subprocess.run(command(seeds, server.url, tmp_path / "plain", "--rounds", "5"), cwd=ROOT, capture_output=True, text=True)
        assert plain.returncode == 0, plain.stderr
    assert kills >= 3
    whole = (tmp_path / "straight" / "dataset.jsonl").read_bytes()
    assert (out / "dataset.jsonl").read_bytes() == whole
    assert (tmp_path / "plain" / "dataset.jsonl").read_bytes() != whole
    assert "followed what passed the gate" in (out / "README.md").read_text()


def test_a_committed_reply_is_never_asked_for_again(seeds, tmp_path):
    """One in flight: whatever the server has seen twice was not committed before the kill."""
    with serving.serve(delay=5, slots=1) as server:
        out, settled = tmp_path / "run", set()
        for mark in (1, 4, 9):
            begun = len(server.requests())
            process = subprocess.Popen(command(seeds, server.url, out, "--width", "1"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert run_until(mark, process, out)
            asked = server.requests()
            assert not settled & set(asked[begun:]), "what was committed is asked for again"
            settled |= set(asked[:-2])  # one in flight, and one answered but perhaps not yet committed
            assert len(settled) <= journal_count(out)


def test_a_second_process_on_the_same_folder_is_refused(seeds, tmp_path):
    with serving.serve(delay=200, slots=1) as server:
        out = tmp_path / "run"
        first = subprocess.Popen(command(seeds, server.url, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while journal_count(out) < 1:
                time.sleep(0.01)
            second = subprocess.run(command(seeds, server.url, out), cwd=ROOT, capture_output=True, text=True)
        finally:
            first.kill()
            first.wait()
    assert second.returncode == 2
    assert str(first.pid) in second.stderr
    assert "Traceback" not in second.stderr
