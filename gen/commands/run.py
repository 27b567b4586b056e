"""Commands that make data: one per loop, `gen run` for a recipe file, `gen regate` for another gate."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from gen import catalog, job, material
from gen import recipe as recipes
from gen.commands import render
from gen.errors import RecipeError
from gen.flags import flag_class, mentioned, to_recipe
from gen.micro import bundled
from gen.progress import Progress, when_slow
from gen.publish import Report
from gen.recipe import Recipe
from gen.regate import regate as judge_again

NOTES = Console(stderr=True, highlight=False)
ENDS = {
    "complete": "complete", "finished": "already finished: nothing to do (more --rounds or a larger budget goes on)",
    "target": "target met", "collapse": "stopped: diversity fell below --min-diversity",
    "exhausted": "nothing new came any more (more varied seeds help, or more --temperature)",
    "max_tokens": "token budget met", "max_time": "time is up; the same command goes on",
    "interrupted": "stopped; the same command goes on", "regated": "judged again",
}  # fmt: skip


Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class Output:
    out: Annotated[str, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = ""
    """Run folder; empty: runs/LOOP-HASH, the same for the same recipe and seeds."""
    recipe: Annotated[str, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = ""
    """Take the defaults of all flags from a recipe."""
    print_recipe: Switch = False
    """Print the recipe that the flags amount to, and stop."""
    quiet: Switch = False
    """No progress."""
    json: Switch = False
    """Print the report as JSON."""


OUTPUT = ("output", Annotated[Output, tyro.conf.OmitArgPrefixes], Output())


def loop(name: str, rest: Sequence[str]) -> int:
    """`gen LOOP [SEEDS...] ...`"""
    title = name.replace("_", "-")
    recipe, flags = parse(name, rest, f"gen {title}", [OUTPUT])
    if flags.output.print_recipe:
        Console(highlight=False, markup=False).out(recipes.to_toml(recipe), end="")
        return 0
    o = flags.output
    return make(recipe, o.out, command=shlex.join(["gen", title, *rest]), quiet=o.quiet, json=o.json)


def parse(name: str, rest: Sequence[str], prog: str, extra: Sequence[tuple[str, Any, Any]]) -> tuple[Recipe, Any]:
    """The recipe that the flags of a loop amount to, and all flags, with the groups of `extra` before them."""
    every = not {"-h", "--help"} & set(rest)  # the flags of each filter are left out of the short help
    rest = ["--help" if a == "--help-all" else a for a in rest]
    rest, weights = _weights(name, rest)
    base = _base(name, rest, {**_style(name, rest), **weights})
    with contextlib.suppress(SystemExit):  # a parser of a few flags is made in no time; the whole one tells of mistakes
        if every and "--help" not in rest:
            few = flag_class(name, base, extra, every_filter=True, only=mentioned(rest))
            silent = (tyro.conf.HelptextFromCommentsOff,)
            flags = tyro.cli(few, args=rest, prog=prog, config=silent, console_outputs=False)
            return to_recipe(base, flags), flags
    cls = flag_class(name, base, extra, every_filter=every)
    about = f"{type(base.params).passport.source}. `--help-all` adds the flags of every filter."
    flags = tyro.cli(cls, args=rest, prog=prog, description=about)
    return to_recipe(base, flags), flags


def _style(loop: str, args: Sequence[str]) -> dict[str, str]:
    """`--style` decides the defaults of other flags, so it is read before them."""
    given = _value(args, "--style")
    known = {p.name for p in catalog.parameters(catalog.load(loop, "loop"))}
    return {"style": given} if given and "style" in known else {}


def _weights(loop: str, args: Sequence[str]) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The arguments without `--operations NAME=WEIGHT ...`, and what it says: a whole table, as a recipe has it, where
    `--operations.NAME WEIGHT` changes one weight of the table that there is."""
    open_ones = {f"--{p.name}": p.name for p in catalog.parameters(catalog.load(loop, "loop")) if _is_table(p)}
    rest, found, at = list[str](), dict[str, dict[str, float]](), ""
    for word in args:
        name, _, number = word.partition("=")
        if word in open_ones:
            at = open_ones[word]
            found[at] = {}
        elif at and name.isidentifier() and number.replace(".", "", 1).isdecimal():
            found[at][name] = float(number)
        else:
            at = ""
            rest.append(word)
    if empty := next((name for name, table in found.items() if not table), ""):
        raise RecipeError(f"--{empty}: expected NAME=WEIGHT, such as constrain=1")
    return rest, found


def _is_table(p: catalog.Parameter) -> bool:
    return isinstance(p.default, Mapping) and bool(p.default)


def _base(loop: str, args: Sequence[str], weights: Mapping[str, Any]) -> Recipe:
    """The recipe that gives the flags their defaults: `--recipe FILE`, else the shipped defaults. `--prompts` and whole
    tables are read here too: an operation may be a file of that folder."""
    prompts = _value(args, "--prompts")
    own = {"prompts": prompts} if prompts else {}
    if not (file := _value(args, "--recipe")):
        return recipes.build({"loop": loop, **own, loop: weights}, where="flags")
    table = recipes.load(Path(file))
    table |= {loop: {**table.get(loop, {}), **weights}} if weights else {}
    base = recipes.build({**table, **own}, where=file)
    if base.loop != loop:
        raise RecipeError(f"{file}: its loop is {base.loop!r}, the command is {loop!r}; use `gen run {file}`")
    return base


def _value(args: Sequence[str], flag: str) -> str:
    """What a flag is given, before all flags are known."""
    inline = [a.partition("=")[2] for a in args if a.startswith(f"{flag}=")]
    return [*inline, *(b for a, b in itertools.pairwise(args) if a == flag), ""][0]


def run(recipe: tyro.conf.Positional[Path], out: str = "", quiet: bool = False, json: bool = False) -> int:
    """Run a recipe file, or go on with it.

    Args:
        recipe: the TOML file; `gen LOOP --print-recipe` prints one
        out: run folder; empty: that of a recipe in a run folder, else runs/LOOP-HASH
        quiet: no progress
        json: print the report as JSON
    """
    command = shlex.join(["gen", "run", str(recipe), *(["--out", out] if out else [])])
    out = out or (str(recipe.parent) if (recipe.parent / "pool.db").exists() else "")
    return make(recipes.read(recipe), out, command=command, quiet=quiet, json=json)


def make(recipe: Recipe, out: str, *, command: str, quiet: bool, json: bool) -> int:
    """Carry out a recipe and say what came of it."""
    slow = when_slow(NOTES, "Reading seeds and other data: a million rows take about a minute, the first time.")
    with contextlib.nullcontext() if quiet else slow:
        found = material.read_material(recipe)
    if ended := getattr(found.seeds.samples, "closed", True):
        _say_rows(found)
    if shown := bundled.named(recipe.model.name, recipe.model.server):
        _say_bundled(recipe, shown)
    folder = Path(out) if out else found.folder(recipe)
    if (folder / "pool.db").exists():
        NOTES.print(f"{folder} holds a run already; what is done is not done again.", markup=False, soft_wrap=True)
    progress = Progress(NOTES, quiet=quiet)
    report = job.execute(recipe, folder, found, command=command, watch=progress, say=_note)
    if not ended:  # a corpus, read while the run went on
        _say_rows(found)
    _say(report, json=json)
    return 75 if report.why == "interrupted" else 0


def _note(text: str) -> None:
    NOTES.print(render.plain(text), soft_wrap=True)


def _say_bundled(recipe: Recipe, shown: str) -> None:
    NOTES.print(render.demonstration(shown), markup=False, soft_wrap=True)
    asked = {p.name: p.ref for stage in recipe.stages for p in stage.recipe.params.asks()}
    if strange := [name for name, ref in asked.items() if ref not in bundled.trained_prompts(shown)]:
        NOTES.print(f"It was not trained on these prompts: {', '.join(strange)}", markup=False, soft_wrap=True)


def _say_rows(found: material.Material) -> None:
    for note in found.seeds.notes:
        NOTES.print(render.plain(note), soft_wrap=True)
    for kind, rows in (("skipped", found.seeds.bad), ("duplicate", found.seeds.repeats)):
        for row in rows[:5]:
            NOTES.print(render.plain(f"{kind}: {row}"), soft_wrap=True)
        if rows.total > 5:
            NOTES.print(f"{kind}: {rows.total - 5:,} more rows", markup=False)
    if found.against_bad:
        NOTES.print(f"--against: {found.against_bad.total:,} rows cannot be read, such as", markup=False)
        NOTES.print(render.plain(str(found.against_bad[0])), soft_wrap=True)


def _say(report: Report, *, json: bool) -> None:
    if json:
        render.print_json(report)
        return
    console = Console(highlight=False)
    console.print(render.funnel_table(report.funnel))
    dataset = report.folder / "dataset.jsonl"
    console.print(f"\n{ENDS[report.why]}: {report.kept:,} samples kept in {dataset}", markup=False, soft_wrap=True)
    if report.asked or report.replayed:
        console.print(
            f"{report.asked:,} questions answered, {report.replayed:,} taken from the journal, "
            f"{report.measured:,} measurements, {report.tokens:,} tokens generated in {report.seconds:.0f} s",
            markup=False, soft_wrap=True,
        )  # fmt: skip  # fmt: skip
    for line in (*render.advice(report.funnel), *report.alarms):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"Look closer: gen funnel {report.folder}; gen show {report.folder} ID", markup=False, soft_wrap=True)


def regate(
    folder: tyro.conf.Positional[Path], recipe: Path, score_all: bool = False, json: bool = False
) -> int:
    """Judge all stored candidates by another gate; without --score-all no model is asked anything.

    Args:
        folder: the run folder
        recipe: a recipe, or a file with its [gate] alone
        score_all: first measure what was never measured, because a cheaper filter had dropped it
        json: print the report as JSON
    """
    before, after = judge_again(folder, recipe, score_all=score_all, say=_note)
    if not json:
        Console(highlight=False).print(f"before: {before.kept:,} kept; now: {after.kept:,}\n", markup=False)
    _say(after, json=json)
    return 0

