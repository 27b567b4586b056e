"""What a `kill -9` costs: `python benchmarks/kills.py [KILLS]`.

`gen evolve` (three rounds over 60 seeds, 16 requests in flight, on a deterministic server in another process) is killed
at so many (100) random counts of recorded replies, each time with something recorded and something pending, and started
again by the same command. After each kill the recorded questions are read from the pool: none may ever reach the server
again. What was in flight may. In the end the dataset has to be the bytes of a run that nobody disturbed. A start is a
fork of this process, which has imported gen: a kill needs no warm-up of Python.

Then one kill at half of 1,200 answers, 64 in flight, for `gen` as its user starts it and for the peers, killed with all
their processes and started again with their cache: what they ask twice, and whether they come back within a minute."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ROOT, peer_python
from overhead import seeds

from gen.engines import wire
from gen.pool import Pool

WIDTH, SEEDS, KILLS = 16, 60, 100
MANY, PEER_WIDTH = 1_200, 64
RULES = ("empty", "length", "refusal", "exact")
PEERS = {"Curator": "curator_run.py", "distilabel": "distilabel_run.py"}


def serving() -> Any:
    """The server of the tests: its answers are a function of the question, and it notes the hash of each."""
    spec = importlib.util.spec_from_file_location("serving", ROOT / "tests" / "serving.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def words(url: str, rows: Path, out: Path, *more: str) -> list[str]:
    how = ("--server", url, "--gate", *RULES, "--out", str(out), "--quiet", *more)
    return ["evolve", str(rows), *how]


def start(arguments: Sequence[str]) -> int:
    """The program in a child of its own; returns its process id."""
    if pid := os.fork():
        return pid
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    code = 1
    try:
        from gen.cli import main

        code = main(arguments)
    finally:
        os._exit(code)


def ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] != 0


def recorded(out: Path) -> int:
    with contextlib.suppress(sqlite3.Error), contextlib.ExitStack() as opened:
        db = opened.enter_context(contextlib.closing(sqlite3.connect(f"file:{out}/pool.db?mode=ro", uri=True)))
        return int(db.execute("SELECT count(*) FROM journal").fetchone()[0])
    return 0


def questions(out: Path, module: Any) -> set[str]:
    """The recorded questions of a pool, as the server knows them."""
    with Pool.open(out, readonly=True) as pool:
        keys = [key for (key,) in pool._rows("SELECT key FROM journal WHERE kind = 'completion'")]
        asked = [request for request, _ in pool.asked(keys)]
    return {module.named(wire.body("test-model", r, r.sampling.max_tokens, "off")) for r in asked}


def main(kills: int) -> None:

    for part in ("gen.commands.run", "gen.engines.server", "gen.engines.scoring", "aiohttp", "jinja2.sandbox"):
        importlib.import_module(part)  # a child has it from its beginning
    module, rng = serving(), random.Random(7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = seeds(folder / "seeds.jsonl", SEEDS)
        how = ("--rounds", "3", "--width", str(WIDTH))
        with module.serve(delay=20, lifetime=900) as server:
            os.waitpid(start(words(server.url, rows, folder / "straight", *how)), 0)
            needed, known = recorded(folder / "straight"), questions(folder / "straight", module)
            assert known == set(server.requests()), "the journal's questions are those that the server saw"
        out, wasted, settled, begun, before = folder / "killed", list[int](), set[str](), 0, 0
        with module.serve(delay=20, lifetime=900) as server:
            for mark in sorted(rng.sample(range(1, needed - 2 * WIDTH), kills)):
                pid = start(words(server.url, rows, out, *how))
                while (count := recorded(out)) < max(mark, before + 1):
                    assert not ended(pid), "the run ended before it could be killed"
                    time.sleep(0.004)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                assert count < needed, "something was pending"
                time.sleep(0.1)  # what was sent before the kill arrives, and counts for this one
                asked = server.requests()
                assert not settled & set(asked[begun:]), "recorded, and asked for again"
                settled, now = questions(out, module), recorded(out)
                wasted.append(len(asked) - begun - (now - before))
                begun, before = len(asked), now
            os.waitpid(start(words(server.url, rows, out, *how)), 0)
            total = len(server.requests())
        same = (out / "dataset.jsonl").read_bytes() == (folder / "straight/dataset.jsonl").read_bytes()
        print(f"gen: {kills} kills in a run of {needed:,} questions, {WIDTH} in flight")
        print(f"  asked again for each kill: median {statistics.median(wasted):g}, most {max(wasted)}")
        print(f"  recorded and asked again: 0; asked in all: {total:,}; the same bytes: {'yes' if same else 'NO'}")
        sys.stdout.flush()
        assert same
        assert max(wasted) <= WIDTH + WIDTH // 4 + 1, "more than the conversations that are held at once"
        assert total == needed + sum(wasted)
        once(module, folder)


def once(module: Any, folder: Path) -> None:
    """One kill at half of many questions, for everybody."""
    print(f"\n{'killed at half, 64 in flight':<32}{'needed':>8}{'asked':>8}{'repeated':>10}   then")
    rows = seeds(folder / "many.jsonl", MANY)
    gen = [sys.executable, "-m", "gen"]
    width = str(PEER_WIDTH)
    sides = {"gen": lambda url: [*gen, *words(url, rows, folder / "gen", "--rounds", "0", "--width", width)]}
    if python := peer_python():
        for peer, script in PEERS.items():
            path, to = str(ROOT / "benchmarks" / "peers" / script), str(folder / f"{peer}.jsonl")
            sides[peer] = lambda url, path=path, to=to: [python, path, url, str(rows), to, width, "cache"]
    for side, command in sides.items():
        with module.serve(delay=100, cut=0, lifetime=280) as server:  # Curator asks what was cut ten times more
            first = begin(command(server.url))
            while len(server.requests("done")) < MANY // 2:
                assert first.poll() is None, f"{side} ended before it could be killed"
                time.sleep(0.01)
            end(first)
            second = begin(command(server.url))
            try:
                then = "done" if second.wait(60) == 0 else f"fails ({second.returncode})"
            except subprocess.TimeoutExpired:
                then = "not back after 60 s"
            end(second)
            counts = Counter(server.requests())
        print(f"{side:<32}{MANY:>8,}{counts.total():>8,}{counts.total() - len(counts):>10,}   {then}", flush=True)


def begin(command: Sequence[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=ROOT, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else KILLS)
