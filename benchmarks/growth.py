"""How a pool grows: `python benchmarks/growth.py [CANDIDATES] [--gate FILTER ...] [--keep FOLDER] [--marks N]
[--rounds N]`.

Evol-Instruct by canned replies (two questions a candidate; with `--rounds 0` one, the answer of a seed; answers of
5,000 characters of Alpaca's own text), with the real journal, pool and gate (rules, exact, ROUGE-L, semantic on unit
vectors that are made of a text's hash).
Printed at every tenth (or Nth) of the way, and with --keep written to marks.jsonl there at once: candidates judged a
second of CPU time since the line before, milliseconds of CPU a candidate and of these in the indexes' own search (which
alone may grow with the pool), resident memory and disk, whole and a candidate (the last line of each part also has what
ends a run: the dataset written twice, diversity measured; disk falls there, as SQLite's log is folded in). Then what
the pool's size must not slow down: `gen funnel`, `gen show`, the same command on the run when it was interrupted in its
middle (seconds to its first question) and on the finished one. The default fits five minutes; 1000000 is the goal of
the project, for the night. The curves are drawn below the table, and, with --keep, as growth.svg there."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import ROOT, data

ANSWER = 5_000
"""Characters."""
WIDTH = 64
RULES = ("empty", "length", "refusal", "leakage", "repetition", "truncation", "script")
GATE = (*RULES, "exact", "rouge", "semantic")
CENTRES, DIMENSIONS = 4096, 384
MARKS = 10


class Replies:
    """A model that never thinks: tasks are Alpaca's with half of their words drawn anew, answers pieces of its own."""

    def __init__(self) -> None:
        with gzip.open(data("alpaca/alpaca_data.json.gz")) as file:
            rows = json.load(file)
        self.tasks = [row["instruction"] for row in rows]
        self.words = [word for task in self.tasks for word in task.split()]
        self.text = " ".join(row["output"] for row in rows if row["output"].isascii())

    def task(self, seed: int) -> str:
        rng = random.Random(seed)
        old = rng.choice(self.tasks).split()
        return " ".join(rng.choice(self.words) if rng.random() < 0.5 else word for word in old)

    def reply(self, request: Any) -> Any:
        from gen.core import Completion

        if request.step == "answer":
            at = random.Random(request.seed).randrange(len(self.text) - ANSWER)
            text = self.text[at : at + ANSWER - 1].strip() + "."
        else:
            data = f"\n<input>\n{self.task(request.seed + 1)}\n</input>" if request.step == "complicate" else ""
            text = f"<instruction>\n{self.task(request.seed)}\n</instruction>{data}"
        return Completion(text, prompt_tokens=100, completion_tokens=len(text) // 4)


class Encoder:
    """A vector of a text's hash: one of 4096 centres and more or less of one of 4096 noises."""

    fingerprint, model, license, width, scripts = "made-up", "made-up", "", 256, None

    def __init__(self) -> None:
        import numpy as np

        self.centres_CD = np.random.default_rng(0).standard_normal((CENTRES, DIMENSIONS), dtype="f4")
        self.noise_CD = np.random.default_rng(1).standard_normal((CENTRES, DIMENSIONS), dtype="f4")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def embed(self, text: str) -> bytes:
        import numpy as np

        n = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        row_D = self.centres_CD[n % CENTRES] + (0.35 + (n >> 12) % 97 / 97) * self.noise_CD[(n >> 20) % CENTRES]
        return (row_D / np.linalg.norm(row_D)).astype("<f2").tobytes()  # type: ignore[no-any-return]


class Clock:
    """CPU seconds of the thread inside of some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*given: Any) -> Any:
            begun = time.thread_time()
            try:
                return call(*given)
            finally:
                self.seconds += time.thread_time() - begun

        return inner


def hold(folder: Path, args: argparse.Namespace, stop_at: int) -> dict[str, Any]:
    """One run of the program (a process of its own), watched; `stop_at` candidates it is interrupted."""
    began = time.perf_counter()
    import gen.gate
    import gen.roles
    from gen import recipe as recipes
    from gen.engines.scripted import Scripted
    from gen.job import execute
    from gen.material import read_material

    clock, replies, marks, first = Clock(), Replies(), list[dict[str, float]](), list[float]()
    own = time.perf_counter() - began  # the benchmark's, not the program's

    class Timed(gen.gate.Gate):
        def __init__(self, filters: Any) -> None:
            class Index:
                def __init__(self, index: Any) -> None:
                    for name in ("judge", "admit", "expect"):
                        if hasattr(index, name):
                            setattr(self, name, clock.timed(getattr(index, name)))

            super().__init__([_opened(f, Index) for f in filters])

    def answer(request: Any) -> Any:
        if not first:
            first.append(time.perf_counter() - began - own)
        return replies.reply(request)

    engine = Scripted(answer, width=WIDTH)
    engine.fingerprint = "canned"
    encoder = Encoder()
    gen.roles._engine = lambda *_: engine
    import gen.engines.embedder

    gen.engines.embedder.open_embedder = lambda *_, **__: encoder
    import gen.crew

    gen.crew.Gate = Timed

    async def watch(flow: Any) -> None:
        every, due = max(1, args.candidates // args.marks), 0
        while True:
            await asyncio.sleep(0.05)
            at = [*flow.runs.values()][-1].admission.position
            judged = at.kept + sum(dict(at.dropped).values())
            if due and judged >= due:
                marks.append(_mark(folder, judged, clock.seconds))
            due = every * (judged // every + 1)
            if stop_at and judged >= stop_at:
                flow.stop("interrupted")

    recipe = recipes.build({
        "loop": "evolve", "rounds": args.rounds, "gate": {"filters": args.gate}, "evolve": {"rules": []},
        "source": {"seeds": [str(folder / "seeds.jsonl")]},
    })  # fmt: skip
    material = read_material(recipe)
    report = execute(recipe, folder / "run", material, command="gen", watch=watch, say=lambda _: None)
    return {"why": report.why, "kept": report.kept, "asked": report.asked, "replayed": report.replayed, "marks": marks,
            "last": _mark(folder, sum(r.count for r in report.funnel), clock.seconds), "first": first[:1],
            "seconds": time.perf_counter() - began - own}  # fmt: skip


def _opened(filter: Any, wrap: Callable[[Any], Any]) -> Any:
    """The filter, whose index is timed."""
    if not hasattr(filter, "open"):
        return filter

    class Same:
        passport = filter.passport

        def open(self) -> Any:
            return wrap(filter.open())

    same = Same()
    if hasattr(filter, "text"):
        same.text = filter.text  # type: ignore[attr-defined]
    return same


def _mark(folder: Path, judged: int, search: float) -> dict[str, float]:
    status = Path("/proc/self/status").read_text()
    resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
    disk = sum(path.stat().st_size for path in (folder / "run").glob("pool.db*")) / 2**20
    found = {"judged": judged, "cpu": time.process_time(), "search": search, "resident": resident, "disk": disk}
    with (folder / "marks.jsonl").open("a") as file:  # a long run can be looked at while it goes on
        file.write(json.dumps(found | {"at": time.time()}) + "\n")
    return found


def child(folder: Path, args: argparse.Namespace, stop_at: int = 0) -> dict[str, Any]:
    wanted = [str(args.candidates), "--marks", str(args.marks), "--rounds", str(args.rounds), "--gate", *args.gate]
    command = [sys.executable, __file__, *wanted, "--child", str(folder), str(stop_at)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def seconds(*words: str) -> float:
    """Of a command of the program."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gen", *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def table(marks: list[dict[str, float]]) -> list[dict[str, float]]:
    """The marks with what lies between them, printed."""
    sys.stdout.write(f"{'candidates':>12}{'/CPU s':>9}{'ms each':>9}{'search':>9}{'rest':>8}{'RSS MB':>9}{'disk MB':>9}"
                     f"{'disk B each':>13}\n")  # fmt: skip
    before, found = {"judged": 0.0, "cpu": 0.0, "search": 0.0}, []
    for at in marks:
        count = at["judged"] - before["judged"]
        if count < 1:
            continue
        each, search = ((at[name] - before[name]) / count * 1e3 for name in ("cpu", "search"))
        disk = at["disk"] * 2**20 / at["judged"]
        sys.stdout.write(f"{at['judged']:12,.0f}{1e3 / each:9,.0f}{each:9.2f}{search:9.2f}{each - search:8.2f}"
                         f"{at['resident']:9,.0f}{at['disk']:9,.0f}{disk:13,.0f}\n")  # fmt: skip
        found.append(at | {"rest ms a candidate": each - search, "search ms a candidate": search})
        before = at
    return found


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Each curve as a line of bars, and all as an SVG."""
    names = ("rest ms a candidate", "search ms a candidate", "resident", "disk")
    lines = []
    for number, name in enumerate(names):
        values = [row[name] for row in rows]
        most = max([*values, 1e-9])
        bars = "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * v / most))] for v in values)
        sys.stdout.write(f"{name:>24} {bars} up to {most:,.2f}\n")
        points = " ".join(f"{40 + 500 * row['judged'] / rows[-1]['judged']:.0f},{120 - 100 * v / most:.0f}"
                          for row, v in zip(rows, values, strict=True))  # fmt: skip
        lines.append(f'<g transform="translate(0,{130 * number})"><text x="40" y="14" font-size="12">{name}: up to '
                     f'{most:,.2f}</text><polyline points="{points}" fill="none" stroke="black"/></g>')  # fmt: skip
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="560" height="{130 * len(names)}">{"".join(lines)}'
                    "</svg>\n")  # fmt: skip


def report(folder: Path, args: argparse.Namespace) -> None:
    from bench import alternated

    replies = Replies()
    tasks = [replies.task(-1 - n) for n in range(max(20, args.candidates // (args.rounds + 1)))]
    rows = ({"instruction": f"{task} ({n})"} for n, task in enumerate(tasks))
    (folder / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    half = child(folder, args, args.candidates // 2)
    rest = child(folder, args)
    again = child(folder, args)
    if rest["why"] != "complete" or again["why"] != "finished" or rest["kept"] != again["kept"]:
        sys.exit(f"the run did not end well: {half['why']}, {rest['why']}, {again['why']}")
    rows_ = table([*half["marks"], half["last"]])
    sys.stdout.write("after the interruption:\n")
    table([*rest["marks"], rest["last"]])
    draw(rows_, folder / "growth.svg")
    run = str(folder / "run")
    found = alternated({"funnel": lambda: seconds("funnel", run), "show": lambda: seconds("show", run)}, 3)
    asked = half["asked"] + rest["asked"]
    sys.stdout.write(f"{rest['kept']:,} kept; {asked:,} questions, {rest['replayed']:,} taken from the journal\n"
                     f"seconds: gen funnel {found['funnel']:.2f}, gen show {found['show']:.2f}, "
                     f"interrupted run: first question after {rest['first'][0]:.2f}, finished run again "
                     f"{again['seconds']:.2f}\n")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", nargs="?", type=int, default=30_000)
    parser.add_argument("--gate", nargs="+", default=list(GATE))
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--marks", type=int, default=MARKS)
    parser.add_argument("--rounds", type=int, default=49)
    parser.add_argument("--child", nargs=2)
    args = parser.parse_args()
    if args.child:
        sys.stdout.write(json.dumps(hold(Path(args.child[0]), args, int(args.child[1]))) + "\n")
    elif args.keep:
        args.keep.mkdir(parents=True)
        report(args.keep, args)
        sys.stdout.write(f"kept: {args.keep}\n")
    else:
        with tempfile.TemporaryDirectory(prefix="growth-") as name:
            report(Path(name), args)


if __name__ == "__main__":
    main()
