"""What a real vLLM server (CPU build, the bundled model `micro`) generates in a second for gen, divided by what it
generates for a bare client that replays the very same requests, with the same seeds, as many in flight:

    GEN_VLLM_PYTHON=.vllm/bin/python python benchmarks/vllm_rate.py [--seeds 500] [--width 64]

The server has the first core, the client the second; prefix caching is off, or whoever comes second would find the
prompts of the first. gen evolves tasks of the micro-world for three rounds, once with rules alone, once with the whole
default gate (meaning: MiniLM on gen's own core; IFD: by the same server, whose reading of texts costs it time); the
bare client reads the requests of the first run back from its pool and sends them in the order in which they were
answered. Seconds run from the first request at work to the last, by the server's own gauges, looked at every quarter
of a second; tokens by its counter."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import cpu, spent
from slots import ROOT, load

LIGHT = ["--without", "semantic", "ifd"]
EVERY = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--width", type=int, default=64, help="requests in flight")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    vllm = load("vllm_serving")
    if vllm.python() is None:
        raise SystemExit(f"vllm_rate: {vllm.MISSING}")
    cores = sorted(os.sched_getaffinity(0))
    server, client = cores[0], cores[-1]
    if server == client:
        sys.stdout.write("(one core alone: server and client share it)\n")
    with tempfile.TemporaryDirectory() as folder, started(vllm, Path(folder), server) as url:
        os.sched_setaffinity(0, {client})
        compare(Path(folder), url, args)


@contextlib.contextmanager
def started(vllm: Any, folder: Path, core: int) -> Iterator[str]:
    """The server on one core."""
    own = os.sched_getaffinity(0)
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = str(core)
    os.sched_setaffinity(0, {core})
    try:
        with vllm.serve(folder, "--no-enable-prefix-caching") as served:
            os.sched_setaffinity(0, own)
            yield served.url
    finally:
        os.sched_setaffinity(0, own)


def compare(folder: Path, url: str, args: argparse.Namespace) -> None:
    seeds = write_seeds(folder, args.seeds)

    own: dict[str, float] = {}

    def gen(name: str, *more: str) -> tuple[float, float, float]:
        command = [sys.executable, "-m", "gen", "evolve", str(seeds), "--rounds", str(args.rounds), "--server", url,
                   "--width", str(args.width), "--out", str(folder / name), "--quiet", *more]  # fmt: skip
        return measured(url, lambda: own.update({name: spent(command, {"PYTHONPATH": str(ROOT)}, 560).cpu}))

    titles = ("requests", "tokens", "seconds", "tokens/s", "of bare", "running", "CPU s")
    say(f"{'client':24}" + "".join(f"{title:>10}" for title in titles))
    light = gen("light", *LIGHT)
    bodies = replayed(folder / "light")
    bare = measured(url, lambda: own.update(bare=cpu(lambda: asyncio.run(stream(url, bodies, args.width)))))
    whole = gen("whole")
    for key, name, (tokens, seconds, running) in (
        ("bare", "bare aiohttp", bare), ("light", "gen, rules only", light), ("whole", "gen, whole gate", whole),
    ):  # fmt: skip
        rate = tokens / seconds
        share = rate / (bare[0] / bare[1])
        say(f"{name:24}{len(bodies):>10,}{tokens:>10,.0f}{seconds:>10.1f}{rate:>10,.0f}{share:>10.1%}{running:>10.1f}{own[key]:>10.1f}")
    if abs(light[0] - bare[0]) > 0.01 * bare[0]:
        raise SystemExit("the replay is not of the same tokens: the server's answers have changed")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_seeds(folder: Path, count: int) -> Path:
    """Tasks of the micro-world with their right answers, so that round 0 asks nothing."""
    from gen.world import task

    rng, path = random.Random(7), folder / "seeds.jsonl"
    tasks = {t.instruction + t.input: t for t in (task.draw(rng) for _ in range(20 * count))}
    rows = [{"instruction": t.instruction, "input": t.input, "output": task.solve(t)} for t in tasks.values()][:count]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def replayed(folder: Path) -> list[dict[str, Any]]:
    """The bodies of a run's requests, in the order in which their answers were recorded."""
    from gen.engines import wire
    from gen.pool import Pool

    with Pool.open(folder, readonly=True) as pool:
        keys = [key for (key,) in pool._rows("SELECT key FROM journal WHERE kind = 'completion' ORDER BY rowid")]
        asked = pool.asked(keys)
    if any("max_tokens" in done.note for _, done in asked):
        raise SystemExit("some requests were clamped to the context and cannot be replayed as they are")
    return [wire.body("micro", request, request.sampling.max_tokens, "off") for request, _ in asked]


def gauge(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as page:
        text = page.read().decode()
    return sum(map(float, re.findall(rf"^vllm:{name}\{{.*\}} (\S+)$", text, re.M)))


def measured(url: str, work: Any) -> tuple[float, float, float]:
    """Tokens that the server generated for it, seconds from the first request at work to the last, and how many were
    at work meanwhile, in the mean."""
    ended, seen, running = threading.Event(), list[float](), list[float]()

    def watch() -> None:
        while not ended.wait(EVERY):
            running.append(gauge(url, "num_requests_running"))
            if running[-1]:
                seen.append(time.monotonic())

    watcher, before = threading.Thread(target=watch, daemon=True), gauge(url, "generation_tokens_total")
    watcher.start()
    work()
    ended.set()
    watcher.join()
    tokens = gauge(url, "generation_tokens_total") - before
    return tokens, seen[-1] - seen[0] + EVERY, sum(running) / len(seen)


async def stream(url: str, bodies: Sequence[Any], width: int) -> None:
    """The same requests, as fast as they are answered."""
    import aiohttp

    gate = asyncio.Semaphore(width)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: Any) -> None:
            async with gate, session.post(f"{url}/v1/chat/completions", json=body) as response:
                response.raise_for_status()
                await response.read()

        await asyncio.gather(*map(ask, bodies))


if __name__ == "__main__":
    main()
