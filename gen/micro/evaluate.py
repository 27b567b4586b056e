"""Measures the bundled model on held-out tasks, judged by the world's exact checker, and says which targets it meets:
`python -m gen.micro.evaluate [--model strong weak DIR] [--json] [--record]`. Without --model both shipped checkpoints.

What is written is sampled as the prompts say; answers to plain tasks and judgements are greedy. Where a loop is named,
it is the loop itself that asks."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch

from gen.errors import InputError, UserError
from gen.micro.bundled import CHECKPOINTS, FOLDERS, shipped, weights
from gen.micro.corpus.evolve import DEPTH
from gen.micro.measure import evolving, judging, levels, likelihood, making, mending, methods
from gen.micro.measure.model import Model
from gen.micro.measure.rows import Row, share
from gen.micro.measure.targets import TARGETS, Figures, reached
from gen.prompts import Prompts

PARTS = {"levels": levels, "evolving": evolving, "judging": judging, "likelihood": likelihood, "making": making,
         "mending": mending, "methods": methods}


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


def figures_of(tables: Mapping[str, list[Row]]) -> dict[str, dict[str, list[float]]]:
    """The tables as the manifest keeps them."""
    return {title: {r.name: [r.right, r.total] for r in rows} for title, rows in tables.items()}


def bar(tables: dict[str, list[Row]]) -> tuple[float, float]:
    """The two figures that the project asks to be above one half: in-depth rewrites, and answers."""
    depth = [r for r in tables["rewrites of seeds"] if f"evolve/{r.name}" in DEPTH]
    return share(depth), share(tables["answers to seeds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=shipped(), metavar="strong|weak|DIR",
                        help="checkpoints (all that ship)")  # fmt: skip
    parser.add_argument("--count", type=int, default=50, help="held-out cases per row")
    parser.add_argument("--seed", type=int, default=0, help="draws other cases and samples")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=tuple(PARTS), help="the parts to measure")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--record", action="store_true", help="write the figures into the manifests")
    args = parser.parse_args()
    try:
        folders = {name: folder_of(name) for name in args.model}
    except UserError as error:
        parser.error(str(error))
    found: dict[str, dict[str, dict[str, list[float]]]] = {name: {} for name in folders}
    for name, folder in folders.items():
        if not args.json:
            sys.stdout.write(f"checkpoint: {name}\n\n")
        for tables in measured(folder, args.count, args.seed, args.only):
            found[name] |= figures_of(tables)
            if not args.json:
                sys.stdout.write("".join(map(table, tables, tables.values())))
                sys.stdout.flush()
        if args.record:
            record(folder / "manifest.json", found[name])
    if args.json:
        told = {name: {"figures": figures, "targets": reached(figures)} for name, figures in found.items()}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        sys.stdout.write(summary(found))


def folder_of(name: str) -> Path:
    """The folder of a checkpoint that ships, or of any other. Raises InputError where it has no model."""
    folder = next((weights(c) for c in CHECKPOINTS if c == name), Path(name))
    if not (folder / "config.json").is_file():
        raise InputError(f"--model {name}: expected {', '.join(FOLDERS)} or a folder with a config.json")
    return folder


def table(title: str, rows: list[Row]) -> str:
    width = max(22, *(len(r.name) for r in rows)) + 2
    lines = [f"  {r.name:{width}}{r.right:7g} of {r.total:6}  {share([r]):6.1%}" for r in rows]
    return "\n".join([title, *lines, ""])


def summary(found: Mapping[str, Figures]) -> str:
    """What each checkpoint reaches of the targets that were measured."""
    told = {name: reached(figures) for name, figures in found.items()}
    lines = [f"{'targets (of the strong checkpoint)':45}{'wanted':15}" + "".join(f"{Path(n).name:>16}" for n in told)]
    for target in TARGETS:
        cells = [f"{row['figure']:.1%} {'met' if row['met'] else 'missed':>6}" if row else "" for row in
                 (found.get(target.name) for found in told.values())]  # fmt: skip
        if any(cells):
            lines.append(f"  {target.name:43}{target.wanted:15}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n" + "\n".join(lines) + "\n"


def record(path: Path, figures: Figures) -> None:
    """Figures go beside those of parts that were not measured now; targets are those of all."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["evaluation"] = {**manifest.get("evaluation", {}), **figures}
    manifest["targets"] = reached(manifest["evaluation"])
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
