"""`gen estimate`: what a run will cost, before it is begun."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from gen import catalog
from gen import estimate as trial
from gen import recipe as recipes
from gen.commands import render
from gen.commands.run import NOTES, Switch, parse
from gen.estimate import Estimate, Range
from gen.material import read_material


@dataclasses.dataclass(frozen=True)
class Output:
    seconds: Annotated[float, tyro.conf.arg(metavar="NUMBER")] = 15.0
    """How long the trial may take, about; a slow engine gets more."""
    recipe: Annotated[str, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = ""
    """Take the defaults of all flags from a recipe; `gen estimate FILE.toml` says the same."""
    json: Switch = False
    """Print JSON."""


def estimate(rest: Sequence[str]) -> int:
    """`gen estimate [LOOP | RECIPE.toml] ...`: the flags of the loop, and the trial's own."""
    loops, first = [name for _, name in catalog.names("loop")], rest[0] if rest else ""
    loop = "evolve"
    if first.replace("-", "_") in loops:
        loop, rest = first.replace("-", "_"), rest[1:]
    elif first.endswith(".toml"):
        loop, rest = str(recipes.load(Path(first)).get("loop", loop)), ["--recipe", first, *rest[1:]]
    extra = ("output", Annotated[Output, tyro.conf.OmitArgPrefixes], Output())
    logging.getLogger("gen").addHandler(logging.NullHandler())  # there is no run.log; what matters is said
    recipe, flags = parse(loop, rest, "gen estimate", [extra])
    found = trial.estimate(recipe, read_material(recipe), _note, seconds=flags.output.seconds)
    if flags.output.json:
        render.print_json(found)
    else:
        _print(found)
    return 0


def _note(text: str) -> None:
    NOTES.print(render.plain(text), soft_wrap=True)


def _print(e: Estimate) -> None:
    console = Console(highlight=False)
    rounds = f"{e.rounds} round{'s' * (e.rounds != 1)}"
    console.print(f"{e.seeds:,} seeds, {rounds}: about {e.conversations:,.0f} conversations\n")
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for title in ("role", "calls", "prompt tokens", "generated tokens"):
        table.add_column(title, justify="left" if title == "role" else "right")
    for a in e.asked:
        table.add_row(a.role, f"{a.calls:,.0f}", f"{a.prompt_tokens:,.0f}", f"{a.generated_tokens:,.0f}")
    calls = sum(a.calls for a in e.asked)
    table.add_section()
    table.add_row("all", f"{calls:,.0f}", f"{e.prompt_tokens:,.0f}", f"{e.generated_tokens.likely:,.0f}")
    console.print(table)
    if e.measured:
        console.print(f"and {e.measured:,.0f} measurements for the gate (log-probabilities, embeddings)")
    console.print()
    for what, values, form in (
        ("tokens", e.generated_tokens, "{:,.0f}".format), ("time", e.seconds, _time), ("disk", e.bytes, _bytes),
    ):  # fmt: skip
        console.print(f"{what:<7} {_range(values, form)}")
    console.print(f"{'kept':<7} about {e.kept:,.0f} samples\n")
    p = e.probe
    console.print(
        f"By a trial of {p['conversations']:.0f} conversations from {p['seeds']:.0f} seeds in {p['seconds']:.0f} s, "
        f"{p['tokens_per_second']:,.0f} tokens/s; nothing of it is left. Assumed:", soft_wrap=True,
    )  # fmt: skip
    for line in e.assumed:
        console.print(f"- {line}", markup=False, soft_wrap=True)


def _range(r: Range, form: Callable[[float], str]) -> str:
    return f"about {form(r.likely)} ({form(r.low)} to {form(r.high)})"


def _time(seconds: float) -> str:
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.{0 if unit == 's' else 1}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def _bytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
