"""What orchestration costs beside the waiting: `python benchmarks/overhead.py [LARGEST]`.

A server in another process (`delayed.py`) answers as vLLM after 0 or 200 ms; 256 requests are in flight. `gen` is the
user's command, `gen evolve --rounds 0` (it answers the seeds), with the journal, the pool and the rules of the gate on,
from the start of Python to the end of the export; with three turns it is `--rounds 1` on answered seeds (rewrite,
compare, answer). Beside it: aiohttp alone, the openai client, distilabel and Bespoke Curator, on the same instructions
of Alpaca. CPU is that of the process and its children; the first question is timed by the server, from the start of
the program; peak memory is that of the largest process. Lines with a count below the others' are slow peers that got
fewer questions. Raw aiohttp and `gen` take turns, three times at the first size: medians.

Checked besides: nobody was asked twice, every answer is the server's own, and the dataset has every row that the gate
kept."""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import ROOT, data, peer_python, spent
from delayed import PROSE, Delayed, delayed

WIDTH, SMALL, LARGEST, FEW = 256, 2_000, 20_000, 1_000
RULES = ("empty", "length", "refusal", "leakage", "repetition", "truncation", "script", "exact")
PEERS = {"openai client": ("openai_client.py", SMALL), "Curator": ("curator_run.py", FEW),
         "distilabel": ("distilabel_run.py", FEW)}  # fmt: skip


class Cost(NamedTuple):
    questions: int
    cpu: float
    """Seconds for 1,000 questions."""
    rate: float
    """Questions a second, from start to end."""
    first: float
    peak_mb: float


def seeds(path: Path, count: int, *, answered: bool = False) -> Path:
    """Different instructions of Alpaca; beyond the file its rows again, numbered."""
    with gzip.open(data("alpaca/alpaca_data.json.gz")) as file:
        rows = [*{(r["instruction"], r["input"]): r for r in json.load(file) if r["output"]}.values()]
    with path.open("w", encoding="utf-8") as out:
        for i in range(count):
            row = dict(rows[i % len(rows)])
            again = i // len(rows)
            row["instruction"] += f" ({again + 1})" if again else ""
            if not answered:
                del row["output"]
            out.write(json.dumps(row) + "\n")
    return path


def measured(server: Delayed, command: Sequence[str], delay: float) -> Cost:
    server.reset(delay)
    began = time.monotonic()
    took, seen = spent(command), server.stats()
    cpu, rate = took.cpu / seen.questions * 1000, seen.questions / took.wall
    return Cost(seen.questions, cpu, rate, seen.first - began, took.peak_mb)


def ours(server: Delayed, rows: Path, delay: float, turns: int = 1) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        how = ["--rounds", str(int(turns > 1)), "--server", server.url, "--width", str(WIDTH), "--gate", *RULES]
        command = [sys.executable, "-m", "gen", "evolve", str(rows), *how, "--out", f"{folder}/run", "--quiet"]
        cost = measured(server, command, delay)
        count = sum(1 for _ in rows.open())
        with open(f"{folder}/run/dataset.jsonl", encoding="utf-8") as lines:
            told = [json.loads(line) for line in lines]
        made = [row for row in told if row["meta"]["models"]]
        assert all(row["output"][:-1].encode() in PROSE for row in made), "an answer that the server never gave"
        assert cost.questions == count * turns, f"{cost.questions} questions instead of {count * turns}"
        assert len(made) > 0.99 * count, f"{len(made)} rows of {count}"
        return cost


def raw(server: Delayed, rows: Path, delay: float, turns: int = 1) -> Cost:
    return peer(sys.executable, "raw_aiohttp.py", server, rows, delay, str(turns))


def peer(python: str, script: str, server: Delayed, rows: Path, delay: float, *more: str) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        script, out = str(ROOT / "benchmarks" / "peers" / script), Path(folder, "out.jsonl")
        cost = measured(server, [python, script, server.url, str(rows), str(out), str(WIDTH), *more], delay)
        told = [json.loads(line)["output"] for line in out.open(encoding="utf-8")]
        assert all(text[:-1].encode() in PROSE for text in told), "an answer that the server never gave"
        return cost


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(costs[0].questions, *(statistics.median(column) for column in [*zip(*costs, strict=True)][1:]))


def show(name: str, cost: Cost, floor: Cost) -> None:
    sys.stdout.write(
        f"{name:<16}{cost.questions:>9,}{cost.cpu:>12.2f}{cost.cpu / floor.cpu:>9.1f}x{cost.rate:>11,.0f}"
        f"{cost.rate / floor.rate:>9.2f}x{cost.first:>10.2f} s{cost.peak_mb:>9.0f} MB\n"
    )
    sys.stdout.flush()


def section(title: str) -> None:
    named = (("", -16), ("requests", 9), ("CPU s/1,000", 12), ("of raw", 10), ("requests/s", 11), ("of raw", 10))
    head = "".join(f"{name:{'<' if n < 0 else '>'}{abs(n)}}" for name, n in (*named, ("first", 12), ("peak", 12)))
    sys.stdout.write(f"\n{title}\n{head}\n")


def main(largest: int) -> None:
    python = peer_python()
    with tempfile.TemporaryDirectory() as name, delayed() as server:
        folder = Path(name)
        for delay in (200, 0):
            rows = seeds(folder / "small.jsonl", SMALL)
            sides = [(raw(server, rows, delay), ours(server, rows, delay)) for _ in range(3)]
            floor, own = (median(side) for side in zip(*sides, strict=True))
            section(f"{SMALL:,} questions, {delay} ms")
            show("raw aiohttp", floor, floor)
            show("gen", own, floor)
            for peers, (script, count) in PEERS.items() if python and delay else ():
                show(peers, peer(python, script, server, seeds(folder / "few.jsonl", count), delay), floor)
        for count in [n for n in (LARGEST, 60_000) if n <= largest]:
            rows = seeds(folder / "large.jsonl", count)
            for delay in (200, 0):
                section(f"{count:,} questions, {delay} ms")
                floor = raw(server, rows, delay)
                show("raw aiohttp", floor, floor)
                show("gen", ours(server, rows, delay), floor)
        rows = seeds(folder / "answered.jsonl", SMALL, answered=True)
        section(f"{SMALL:,} conversations of three turns, 200 ms")
        floor = raw(server, rows, 200, 3)
        show("raw aiohttp", floor, floor)
        show("gen", ours(server, rows, 200, 3), floor)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else LARGEST)
