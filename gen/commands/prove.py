"""`gen prove`: whether loops and gates make better data, in the micro-world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from rich.console import Console
from rich.table import Table

from gen.commands import render
from gen.commands.run import NOTES
from gen.errors import RecipeError
from gen.progress import Progress
from gen.prove import page, proof
from gen.prove.predictions import outcomes


def _arg(metavar: str | None = None) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, _arg()]


@dataclass(frozen=True)
class Prove:
    out: Annotated[str, _arg("DIR")] = "prove"
    """Folder of runs, students and results.json; the same command goes on in it."""
    checkpoints: Annotated[tuple[str, ...], _arg("[NAME ...]")] = ("strong", "weak")
    """Models that ask and answer: strong, weak (earlier in its training), or folders."""
    only: tuple[proof.Group, ...] = proof.ONLY
    """Groups of configurations, and whether students are taught."""
    loops: tuple[proof.Loop, ...] = proof.LOOPS
    """Runs of the group `loops`."""
    seeds: int = 8
    """Students of each configuration, and sets of what chance chooses."""
    k: int = 100
    """Samples that a student sees."""
    seed_tasks: int = 320
    """Held-out tasks that loops begin with: half of families looked at in tuning, half of others."""
    test_tasks: int = 300
    """Held-out tasks that students answer."""
    quick: Switch = False
    """Two minutes: the strong checkpoint, few tasks, no loop but evolve, two students each."""
    page: Annotated[str, _arg("FILE")] = ""
    """Write the page of predictions and outcomes there."""
    quiet: Switch = False
    """No progress, no tables: the end alone."""


QUICK: Mapping[str, Any] = {"checkpoints": ("strong",), "only": ("rounds", "gates", "selection", "students"),
                            "seeds": 2, "k": 24, "seed_tasks": 52, "test_tasks": 52}  # fmt: skip


def prove(flags: Annotated[Prove, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="prove")]) -> int:
    """Measure loops and gates in the micro-world. Killed, the same command goes on."""
    flags = replace(flags, **QUICK) if flags.quick else flags
    for name in ("seeds", "k", "seed_tasks", "test_tasks"):
        if getattr(flags, name) < 2:
            raise RecipeError(f"gen prove: --{name.replace('_', '-')} {getattr(flags, name)}; expected 2 or more")
    plan = proof.Plan(flags.k, flags.seeds, flags.seed_tasks, flags.test_tasks, _ordered(flags.only, proof.ONLY),
                      _ordered(flags.loops, proof.LOOPS))  # fmt: skip
    out, console = Path(flags.out), Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=WIDTH)
    results: dict[str, Any] = {}
    tell = _hush if flags.quiet else _note
    ears = proof.Ears(lambda: Progress(NOTES, quiet=flags.quiet), _note, tell)
    for checkpoint in flags.checkpoints:
        found = proof.trial(checkpoint, plan, out, ears)
        for title, rows in proof.steps(found):
            if not flags.quiet:
                _show(console, title, rows)
        results = proof.store(found, plan, out)
    _conclude(console, results)
    if flags.page:
        Path(flags.page).write_text(page.page(results), encoding="utf-8")
    console.print(f"{out / 'results.json'}{f', {flags.page}' if flags.page else ''}", markup=False, soft_wrap=True)
    return 0


WIDTH = 200
"""Columns of a table where there is no terminal."""
T = TypeVar("T")


def _ordered(given: Sequence[T], known: Sequence[T]) -> tuple[T, ...]:
    return tuple(name for name in known if name in given)


def _note(text: str) -> None:
    NOTES.print(render.plain(text), soft_wrap=True)


def _hush(text: str) -> None: ...


def _show(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One table; columns that no row has a figure for are left out, and gates that keep everything said in a line."""
    console.print(f"\nmicro-world: {title}", style="bold", markup=False)
    shown, idle = page.telling(rows)
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for name in (names := page.columns(shown)):
        table.add_column(page.HEADS.get(name, name), justify="left" if name == "name" else "right", no_wrap=True)
    for row in shown:
        table.add_row(*(page.shown(name, row.get(name)) for name in names))
    console.print(table)
    if idle:
        console.print(f"dropped nothing: {', '.join(idle)}", markup=False, soft_wrap=True)


def _conclude(console: Console, results: Mapping[str, Any]) -> None:
    """What may be claimed, what lost, and which predictions failed."""
    effects = results["effects"]
    claims = [f"{name}: {figure} {page.interval(figure, found['strong'][figure]['all'])}"
              for name, found in effects.items() for figure in found["claimed"]]  # fmt: skip
    both = {"strong", "weak"} <= {*results["checkpoints"]}
    console.print("\nmicro-world: claimed" + ("" if both else " (nothing: that takes both checkpoints)"), style="bold")
    lost = page.losers(effects)
    found = outcomes(effects)
    failed = [o.prediction.claim for o in found if o.true is False]
    true = sum(o.true is True for o in found)
    for line in claims:
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print("losers: " + ("; ".join(lost) or "none among the claimed"), markup=False, soft_wrap=True)
    rest = len(found) - true - len(failed)
    console.print(f"predictions: {true} came true, {len(failed)} failed, {rest} not decided", markup=False)
    for line in failed:
        console.print(f"  failed: {line}", markup=False, soft_wrap=True)
