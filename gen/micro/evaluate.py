"""Measures the model on held-out tasks, judged by the world's exact checker:
`python -m gen.micro.evaluate [--model DIR] [--json] [--record]`.

What is written is sampled as the prompts say; answers to plain tasks and judgements are greedy. Where a loop is named,
it is the loop itself that asks."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from gen.micro.bundled import weights
from gen.micro.corpus.evolve import DEPTH
from gen.micro.measure import evolving, judging, making, mending, methods
from gen.micro.measure.model import Model
from gen.micro.measure.rows import Row, share
from gen.prompts import Prompts

PARTS = {"evolving": evolving, "making": making, "judging": judging, "mending": mending, "methods": methods}


def measured(folder: Path, count: int, seed: int, parts: Iterable[str]) -> Iterator[dict[str, list[Row]]]:
    """The tables of each part as soon as they are there."""
    model, prompts = Model(folder), Prompts()
    for part in parts:
        torch.manual_seed(seed)
        yield PARTS[part].tables(model, prompts, random.Random(seed), count)


def evaluate(
    folder: Path, count: int = 50, seed: int = 0, parts: Iterable[str] = tuple(PARTS)
) -> dict[str, list[Row]]:
    """All tables; most rows have about `count` cases, and the same ones for the same seed."""
    return {title: rows for tables in measured(folder, count, seed, parts) for title, rows in tables.items()}


def bar(tables: dict[str, list[Row]]) -> tuple[float, float]:
    """The two figures that the project asks to be above one half: in-depth rewrites, and answers."""
    depth = [r for r in tables["rewrites of seeds"] if f"evolve/{r.name}" in DEPTH]
    return share(depth), share(tables["answers to seeds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=weights(), help="folder of the model (the bundled one)")
    parser.add_argument("--count", type=int, default=50, help="held-out cases per row")
    parser.add_argument("--seed", type=int, default=0, help="draws other cases and samples")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS), help="the parts to measure")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    parser.add_argument("--record", action="store_true", help="write the figures into the model's manifest")
    args = parser.parse_args()
    tables: dict[str, list[Row]] = {}
    for found in measured(args.model, args.count, args.seed, args.only):
        tables |= found
        if not args.json:
            sys.stdout.write("".join(map(table, found, found.values())))
            sys.stdout.flush()
    figures = {title: {r.name: [r.right, r.total] for r in rows} for title, rows in tables.items()}
    if args.record:
        record(args.model / "manifest.json", figures)
    if args.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    elif "evolving" in args.only:
        sys.stdout.write("in-depth rewrites {:.1%}, answers {:.1%}\n".format(*bar(tables)))


def table(title: str, rows: list[Row]) -> str:
    width = max(22, *(len(r.name) for r in rows)) + 2
    lines = [f"  {r.name:{width}}{r.right:4} of {r.total:4}  {share([r]):6.1%}" for r in rows]
    return "\n".join([title, *lines, ""])


def record(path: Path, figures: dict[str, dict[str, list[int]]]) -> None:
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["evaluation"] = {**manifest.get("evaluation", {}), **figures}
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
