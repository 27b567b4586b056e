"""`gen auto-evol`: improve an evolving method on a few seeds, for `gen evolve` to use."""

from __future__ import annotations

import dataclasses
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tyro
from rich.console import Console
from rich.table import Table

from gen import auto_evol as improving
from gen import catalog
from gen import recipe as recipes
from gen.commands import render
from gen.commands.run import NOTES, Switch, _note, _say_rows
from gen.errors import Interrupted, RecipeError
from gen.flags import command_class, tables
from gen.loops._auto_evol import AutoEvol
from gen.loops._failures import EXTENDED, PUBLISHED, FailureRule
from gen.loops._trials import Step
from gen.material import read_material
from gen.micro import bundled
from gen.prompts import Prompts
from gen.recipe import Recipe
from gen.sections import Model, Roles, Source
from gen.text import dominant_script

NO_FLAGS = {"source": ("against", "demos"), "roles": ("scorer", "embedder")}
"""Parameters of sections that say nothing here."""
WHY = {
    "steps": "all steps done; more --steps go on",
    "patience": "the failure rate falls no more; more --method-patience goes on",
    "no_failures": "the analyses find no failure any more",
    "no_rate": "nothing of the dev set fails any more, so no method could be better; more --dev tells more",
}


def _arg(metavar: str | None) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Output:
    out: Annotated[str, _arg("DIR")] = ""
    """Folder; empty: runs/auto_evol-HASH, the same for the same flags and seeds."""
    seed: int = 0
    """Seed of everything random."""
    prompts: Annotated[str, _arg("DIR")] = ""
    """Folder whose files override the shipped prompts; auto_evol/initial is the first method."""
    failures: Annotated[str, _arg("published|extended|FILE")] = "published"
    """Rules on answers that say that an evolution failed, in English: the paper's, with the openings of its table, or a
    TOML file of [[failure]] tables (name, starts_with, ends_with, contains)."""
    quiet: Switch = False
    """No progress."""
    json: Switch = False
    """Print method.json, with its history."""


def auto_evol(rest: Sequence[str]) -> int:
    """`gen auto-evol [SEEDS...] ...`"""
    parts: dict[str, tuple[Any, Sequence[str]]] = {
        "auto_evol": (AutoEvol(), ()), "source": (Source(), NO_FLAGS["source"]), "model": (Model(), ()),
        "roles": (Roles(), NO_FLAGS["roles"]),
    }  # fmt: skip
    extra = ("output", Annotated[Output, tyro.conf.OmitArgPrefixes], Output())
    about = (
        "arXiv 2406.00770 (Auto Evol-Instruct). Writes DIR/prompts/evolve/auto.jinja, an operation of `gen evolve`. "
        "The judge analyses and improves, the evolver evolves, the answerer answers."
    )
    cls = command_class("auto_evol", parts, [extra])
    flags: Any = tyro.cli(cls, args=rest, prog="gen auto-evol", description=about)
    table, output = tables([*parts], flags), flags.output
    own = {"seed": output.seed, "prompts": output.prompts, "gate": {"filters": []}}
    recipe = recipes.build({**own, **{s: table[s] for s in ("source", "model", "roles")}}, where="flags")
    plan = _plan(table["auto_evol"], output)
    return _carry_out(plan, recipe, output, shlex.join(["gen", "auto-evol", *rest]))


def _plan(table: Mapping[str, Any], output: Output) -> AutoEvol:
    """The checked parameters. Raises RecipeError as for a recipe."""
    for p in catalog.parameters(AutoEvol):
        if p.name in table:
            try:
                msgspec.convert(table[p.name], p.type, strict=True)
            except msgspec.ValidationError as error:
                raise RecipeError(f"flags: {p.name} = {table[p.name]!r}: {error}; allowed: {p.range}") from error
    prompts = Prompts(Path(output.prompts) if output.prompts else None)
    plan = AutoEvol(**table, failing=_rules(output.failures), prompts=prompts)
    plan.asks()
    return plan


def _rules(named: str) -> tuple[FailureRule, ...]:
    if named in ("published", "extended"):
        return PUBLISHED if named == "published" else EXTENDED
    try:
        found = tomllib.loads(Path(named).read_text(encoding="utf-8"))
        return tuple(FailureRule(**msgspec.structs.asdict(r)) for r in msgspec.convert(found, _Rules).failure)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise RecipeError(f"--failures {named}: {error}; expected published, extended, or a TOML file of [[failure]] "
                          "tables with name, starts_with, ends_with, contains") from error  # fmt: skip


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()


class _Rules(msgspec.Struct, forbid_unknown_fields=True):
    failure: tuple[_Rule, ...]


def _carry_out(plan: AutoEvol, recipe: Recipe, output: Output, command: str) -> int:
    found = read_material(recipe)
    _say_rows(found)
    first, each = plan.calls()
    folder = Path(output.out) if output.out else improving.folder_of(plan, recipe, found)
    _announce(plan, recipe, found.seeds.samples, first, each)
    shown = _Shown(quiet=output.quiet, most=first + plan.steps * each)
    try:
        record = improving.improve(plan, recipe, folder, found, command=command, say=_note, look=shown)
    except Interrupted:
        NOTES.print(f"stopped; the same command goes on in {folder}", markup=False, soft_wrap=True)
        return 75
    if output.json:
        render.print_json(record | {"folder": str(folder)})
    else:
        _say(record, folder, plan, recipe)
    return 0


def _announce(plan: AutoEvol, recipe: Recipe, seeds: Sequence[Any], first: int, each: int) -> None:
    if shown := bundled.named(recipe.model.name, recipe.model.server):
        NOTES.print(render.demonstration(shown), markup=False, soft_wrap=True)
        asked = [p for p in plan.asks() if p.name != "auto_evol/initial"]
        if strange := [p.name for p in asked if p.ref not in bundled.trained_prompts(shown)]:
            NOTES.print(f"It was not trained on these prompts: {', '.join(strange)}", markup=False, soft_wrap=True)
    NOTES.print(
        f"At most {first + plan.steps * each:,} questions: {first:,} for the first method, and {each:,} for each of "
        f"{plan.steps} steps.", markup=False, soft_wrap=True,
    )  # fmt: skip
    some = [seed.instruction for seed in seeds[:50]]
    if sum(dominant_script(text) not in ("latin", None) for text in some) * 2 > len(some):
        NOTES.print(
            "The failure rules are English: in answers in another language they find little. Give rules of your own: "
            "--failures FILE", markup=False, soft_wrap=True,
        )  # fmt: skip


@dataclasses.dataclass
class _Shown:
    """Says of each step that it ended, and between them how far the questions are."""

    quiet: bool
    most: int
    steps: int = 0
    heard: int = 0

    def __call__(self, done: list[Step], heard: int) -> None:
        if self.quiet:
            return
        for step in done[self.steps :]:
            rates = " ".join("-" if t.rate is None else f"{t.rate:.2f}" for t in step.trials)
            NOTES.print(f"step {step.number}: {rates}; best {step.best.id} {step.best.rate:.2f}", markup=False)
        self.steps = len(done)
        if heard >= self.heard + 500:
            self.heard = heard
            NOTES.print(f"{heard:,} of at most {self.most:,} replies", markup=False)


def _say(record: Mapping[str, Any], folder: Path, plan: AutoEvol, recipe: Recipe) -> None:
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for title in ("step", "tried", "invalid", "lambda of each", "best", "lambda", "by F", "calls", "tokens"):
        wide = title in ("lambda of each", "invalid")
        left = wide or title == "best"
        table.add_column(title, justify="left" if left else "right", overflow="fold", no_wrap=not wide)
    history = record["history"]
    methods = {t["id"]: t for t in history if t["valid"]}
    for step in record["steps"]:
        trials = [t for t in history if t["step"] == step["step"]]
        rates = " ".join("-" if t["lambda"] is None else f"{t['lambda']:.2f}" for t in trials)
        faults = ", ".join(dict.fromkeys(t["fault"] for t in trials if t["fault"]))
        table.add_row(
            str(step["step"]), str(sum(t["valid"] for t in trials)), render.plain(faults), rates, step["best"],
            f"{step['lambda']:.2f}", f"{methods[step['best']]['published']:.2f}", f"{step['calls']:,}",
            f"{step['tokens']:,}",
        )  # fmt: skip
    console.print(table)
    best = methods[record["id"]]
    reasons = ", ".join(f"{name} {count}" for name, count in best["counts"].items())
    first = f"the first one on {record['first_lambda']:.0%}" if best["step"] else "it is the first one, none is better"
    console.print(
        f"\n{WHY[record['why']]}.\nMethod {record['id']} fails on {record['lambda']:.0%} of {record['dev']} tasks"
        f"{f' ({reasons})' if reasons else ''}; {first}.",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    console.print(
        f"{record['asked']:,} questions answered, {record['replayed']:,} taken from the journal; every method and what "
        f"became of it: {folder / improving.METHOD}", markup=False, soft_wrap=True,
    )  # fmt: skip
    console.print(f"Use it: {_next(folder, plan, recipe)}", markup=False, soft_wrap=True)


def _next(folder: Path, plan: AutoEvol, recipe: Recipe) -> str:
    """The command that evolves all seeds by the method, with the same model and material."""
    own = [f"--{name} {shlex.quote(value)}" for name in ("domain", "language") if (value := getattr(plan, name))]
    model = [f"--model {shlex.quote(recipe.model.name)}"] if recipe.model.name else []
    model += [f"--server {url}" for url in recipe.model.server]
    seeds = shlex.join(recipe.source.seeds) or "SEEDS"
    shown = " ".join(["gen evolve", seeds, f"--prompts {folder / 'prompts'}", "--operations auto=1", *model, *own])
    return shown
