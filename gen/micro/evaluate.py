"""Measures the model on held-out tasks, judged by the world's exact checker:
`python -m gen.micro.evaluate [--model DIR] [--json] [--record]`.

What is written is sampled as the prompts say; answers to plain tasks and judgements are greedy. Where a loop is named,
it is the loop itself that asks."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

import torch

from gen.micro.bundled import weights
from gen.micro.corpus.evolve import DEPTH
from gen.micro.measure import evolving, judging, making, mending, methods
from gen.micro.measure.model import Model
from gen.micro.measure.rows import Row, share
from gen.prompts import Prompts

PARTS = {"evolving": evolving, "making": making, "judging": judging, "mending": mending, "methods": methods}


def evaluate(
    folder: Path, count: int = 50, seed: int = 0, parts: tuple[str, ...] = tuple(PARTS)
) -> dict[str, list[Row]]:
    """All tables; most rows have about `count` cases, and the same ones for the same seed."""
    model, prompts, found = Model(folder), Prompts(), dict[str, list[Row]]()
    for part in parts:
        torch.manual_seed(seed)
        found |= PARTS[part].tables(model, prompts, random.Random(seed), count)
    return found


def bar(tables: dict[str, list[Row]]) -> tuple[float, float]:
    """The two figures that the project asks to be above one half: in-depth rewrites, and answers."""
    depth = [r for r in tables["rewrites of seeds"] if f"evolve/{r.name}" in DEPTH]
    return share(depth), share(tables["answers to seeds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=weights(), help="folder of the model (the bundled one)")
    parser.add_argument("--count", type=int, default=50, help="held-out cases per row")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS), help="the parts to measure")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    parser.add_argument("--record", action="store_true", help="write the figures into the model's manifest")
    args = parser.parse_args()
    tables = evaluate(args.model, args.count, parts=tuple(args.only))
    figures = {title: {r.name: [r.right, r.total] for r in rows} for title, rows in tables.items()}
    if args.record:
        path = args.model / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kept = {**manifest.get("evaluation", {}), **figures}
        path.write_text(json.dumps({**manifest, "evaluation": kept}, indent=1) + "\n", encoding="utf-8")
    if args.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    for title, rows in tables.items():
        width = max(22, *(len(r.name) for r in rows)) + 2
        lines = [f"  {r.name:{width}}{r.right:4} of {r.total:4}  {share([r]):6.1%}" for r in rows]
        sys.stdout.write("\n".join([title, *lines]) + "\n")
    if "evolving" in args.only:
        sys.stdout.write("in-depth rewrites {:.1%}, answers {:.1%}\n".format(*bar(tables)))


if __name__ == "__main__":
    main()
