"""How busy a server is kept that has 32 slots, a queue, and answer times that depend on the question (log-normal, sigma
0.6): `python benchmarks/saturation.py [--median S] [--evolve-median S] [--rows N] [--only chain,evolve] [--tells]`.

Measured is the mean share of busy slots while there were lineages enough to fill them all: from the first question's
arrival until fewer lineages than slots had a question left (every unfinished lineage has one that is ready, or under
way). Beside it a bare client of aiohttp that streams the very same requests, 64 in flight, from first to last.

chain: ROWS seeds, each rewritten and then answered, two questions of which the second needs the first.
evolve: ROWS seeds x 3 rounds with the whole default gate: rules, exact, meaning (MiniLM, real, in this process) and
IFD (the server's log-probabilities, which stand in for a model's: they come at once and take no slot). The lag of
gen's event loop is measured beside: how late a timer of 10 ms fires.

The issue's own median is 4 s (--median 4 --evolve-median 4 takes ten minutes); shorter answers weigh the client's
own work more, so they are the harder test. Where distilabel is installed its pipeline of two tasks runs the chain."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import data, peer_python
from slots import slots

SLOTS, SIGMA = 32, 0.6
MARK = re.compile(r"case (\d{4})\b")
CHAIN = ["--rounds", "1", "--rules", "refusal", "--without", "semantic", "ifd"]
"""No judge between rewrite and answer, and nothing that measures."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--median", type=float, default=1.5, help="seconds of an answer in the chain")
    parser.add_argument("--evolve-median", type=float, default=0.7, help="seconds of an answer in evolve")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--only", default="chain,evolve")
    parser.add_argument("--tells", action="store_true", help="the server has /metrics, as vLLM has")
    parser.add_argument("--slots", type=int, default=SLOTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = write_seeds(Path(folder), args.rows)
        say(f"{'subject':34}{'requests':>10}{'busy':>9}{'of bare':>9}{'seconds':>9}  note")
        if "chain" in args.only:
            table(Path(folder), seeds, args, "chain", args.median)
        if "evolve" in args.only:
            table(Path(folder), seeds, args, "evolve", args.evolve_median)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_seeds(folder: Path, rows: int) -> Path:
    """Alpaca's own instructions, each with a mark by which every question of its lineage is known."""
    with gzip.open(data("alpaca/alpaca_data.json.gz"), "rt") as file:
        alpaca = [row for row in json.load(file) if row["output"] and not row["input"]][:rows]
    path = folder / "seeds.jsonl"
    marked = [row | {"instruction": f"{row['instruction']} (case {i:04d})"} for i, row in enumerate(alpaca)]
    path.write_text("".join(json.dumps(row) + "\n" for row in marked))
    return path


def table(folder: Path, seeds: Path, args: argparse.Namespace, what: str, median: float) -> None:
    server = {"slots": args.slots, "median": median, "sigma": SIGMA, "tells": args.tells}
    with slots(**server) as url:
        lag = ours(folder / what, seeds, url, what)
        rows = log(url)
        got = busy(rows, args.slots)
        bodies = [row["body"] for row in rows]
        asyncio.run(stream(url, bodies[:600]))  # the longer the better for it: its ends weigh less
        bare = busy(log(url), args.slots, lineages=False)
        line(f"{what}: gen", len(rows), got, bare, lag)
        line(f"{what}: bare aiohttp", min(600, len(bodies)), bare, bare, "")
        if what == "chain" and (python := peer_python()):
            command = [python, str(Path(__file__).parent / "peers" / "chain.py"), url, str(seeds)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            if done.returncode:
                raise SystemExit(f"distilabel: {done.stderr[-2000:]}")
            else:
                rows = log(url)
                line("chain: distilabel", len(rows), busy(rows, args.slots), bare, "two TextGeneration, its defaults")


def line(name: str, requests: int, got: tuple[float, float], bare: tuple[float, float], note: str) -> None:
    say(f"{name:34}{requests:>10,}{got[0]:>9.1%}{got[0] / bare[0]:>9.1%}{got[1]:>9.1f}  {note}")


def log(url: str) -> list[Row]:
    with urllib.request.urlopen(f"{url}/log", timeout=60) as page:
        rows: list[Row] = json.load(page)
    return rows


def busy(rows: Sequence[Row], count: int, *, lineages: bool = True) -> tuple[float, float]:
    """The mean share of busy slots while there is enough to do, and the seconds that this lasted."""
    ends: dict[str, float] = {}
    for number, row in enumerate(rows):
        found = MARK.findall(row["body"]["messages"][-1]["content"])
        name = found[-1] if lineages and found else str(-number - 1)
        ends[name] = max(ends.get(name, 0.0), row["ended"])
    begin = min(row["came"] for row in rows)
    end = sorted(ends.values())[-count]  # fewer lineages than slots go on beyond
    spent = sum(max(0.0, min(row["ended"], end) - max(row["began"], begin)) for row in rows)
    return spent / (end - begin) / count, end - begin


def ours(folder: Path, seeds: Path, url: str, what: str) -> str:
    """Runs gen in a process of its own; the lag of its event loop."""
    command = [
        sys.executable, __file__.replace("saturation", "lagging"), "evolve", str(seeds), "--server", url, "--out",
        str(folder), "--quiet", *(CHAIN if what == "chain" else ["--rounds", "3"]),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    if done.returncode:
        raise SystemExit(done.stderr)
    return next((row for row in done.stderr.splitlines() if row.startswith("lag")), "")


async def stream(url: str, bodies: Sequence[Any]) -> None:
    """The yardstick: nothing but the same requests, as fast as they are answered."""
    import aiohttp

    gate = asyncio.Semaphore(2 * SLOTS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: Any) -> None:
            async with gate, session.post(f"{url}/v1/chat/completions", json=body) as response:
                await response.read()

        await asyncio.gather(*map(ask, bodies))


if __name__ == "__main__":
    main()
