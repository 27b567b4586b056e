"""What tests of faults share: seeds, a run in this process on a real server, and the program as a user starts it."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serving

from gen import recipe as recipes
from gen.engines.server import Server
from gen.job import execute
from gen.material import read_material

ROOT = Path(__file__).parents[2]
RULES = ("empty", "length", "refusal", "exact", "rouge")
QUICK = {"backoff": 0.02, "max_backoff": 0.1, "patience": 2.0, "retries": 6, "pulse": 0.2, "request_floor_rate": 1e9}


class Faults:
    """How runs are made, killed and looked at."""

    root, rules = ROOT, RULES

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.seeds = folder / "seeds.jsonl"
        rows = [{"instruction": f"Tell the story of harbour {i} in one sentence."} | ({} if i % 2 else {"output": f"It has {i} ships."})
                for i in range(10)]
        self.seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, url, out, *, width=8, rounds=2, **limits):
        """A run in this process; returns its report and the rows of its dataset. Raises what ends it."""
        engine = Server([url], width=width, **QUICK | {"request_floor": 20.0} | limits)
        self._patch.setattr("gen.roles._engine", lambda *_: engine)
        recipe = recipes.build({"rounds": rounds, "source": {"seeds": [str(self.seeds)]}, "gate": {"filters": list(RULES)}})

        async def watch(flow):
            pass

        report = execute(recipe, out, read_material(recipe), command="gen", watch=watch, say=lambda _: None)
        return report, (out / "dataset.jsonl").read_bytes()

    def command(self, url, out, *more):
        """The same as a user starts it."""
        return [sys.executable, "-m", "gen", "evolve", str(self.seeds), "--server", url, "--gate", *RULES, "--rounds", "2",
                "--out", str(out), "--quiet", "--width", "6", *more]  # fmt: skip

    def start(self, url, out, *more, **process):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
        return subprocess.Popen(self.command(url, out, *more), **pipes | process)

    def done(self, url, out, *more, **process):
        """The program run to its end: exit code and what it said."""
        with self.start(url, out, *more, **process) as running:
            told, errors = running.communicate(timeout=120)
        assert "Traceback" not in errors, errors
        return running.returncode, told + errors

    def count(self, out):
        """Committed replies, read from outside while the run goes on."""
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(f"file:{out / 'pool.db'}?mode=ro", uri=True)) as db:
            return db.execute("SELECT count(*) FROM journal").fetchone()[0]
        return 0  # not made yet

    def until(self, process, out, count, sign=signal.SIGKILL):
        """Send the signal once so many replies are committed; False if the run ended before."""
        while process.poll() is None:
            if self.count(out) >= count:
                os.kill(process.pid, sign)
                return True
            time.sleep(0.002)
        return False


@pytest.fixture
def faults(tmp_path, monkeypatch):
    return Faults(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The bytes of the dataset, and how many replies it takes, without any fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, serving.serve() as server:
        report, data = Faults(folder, patch).run(server.url, folder / "run")
    assert data.count(b"\n") > 10
    return data, report.asked
