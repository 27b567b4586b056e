"""`gen prompts compare A B`: two wordings of one prompt on the same seeds, side by side."""

from __future__ import annotations

import dataclasses
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro
from msgspec import to_builtins
from rich.console import Console
from rich.table import Table

from gen import compare as comparing
from gen import recipe as recipes
from gen.commands import render
from gen.commands.run import NOTES, Switch, _note, _say_rows
from gen.compare import Comparison
from gen.errors import Interrupted, RecipeError
from gen.flags import command_class, tables
from gen.material import read_material
from gen.micro import bundled
from gen.paired import Difference
from gen.recipe import Recipe
from gen.sections import Model, Roles, Source
from gen.tries import Side, Try
from gen.wordings import STYLES, Wording, pair_of

LONGEST = 600
"""Characters of an example that are shown."""


def _arg(metavar: str | None) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Flags:
    a: Annotated[tyro.conf.Positional[str], _arg("A")]
    """A wording: a prompt file, a folder of prompts, or the name of a shipped prompt, such as evolve/deepen."""
    b: Annotated[tyro.conf.Positional[str], _arg("B")]
    """Another one of the same prompt; or another operation of the same loop."""
    seeds: Annotated[tuple[str, ...], _arg("[FILE ...]")] = ()
    """What both are tried on, as `gen evolve` reads its seeds; none: the shipped ones."""
    of: Annotated[str, _arg("NAME")] = ""
    """The prompt that a file is a wording of, where its folder does not say."""
    times: int = 3
    """How often each seed is asked, by either wording."""
    show: int = 3
    """Seeds of which examples are shown."""
    domain: Annotated[str, _arg("TEXT")] = ""
    """Keep every rewrite inside this domain."""
    language: Annotated[str, _arg("TEXT")] = ""
    """Language of rewrites and answers."""
    set: Annotated[tuple[str, ...], _arg("[INPUT=TEXT ...]")] = ()
    """Inputs of a prompt that is no operation of a loop; columns of the seeds fill those of the same name."""
    out: Annotated[str, _arg("DIR")] = ""
    """Folder of the journal; empty: runs/compare-HASH, the same for the same prompt, seeds and model."""
    prompts: Annotated[str, _arg("DIR")] = ""
    """Folder whose files override the shipped prompts, on both sides."""
    seed: int = 0
    """Seed of everything random."""
    quiet: Switch = False
    """No progress."""
    json: Switch = False
    """Print all of it as JSON."""


def compare(rest: Sequence[str]) -> int:
    """`gen prompts compare A B ...`"""
    parts: dict[str, tuple[Any, Sequence[str]]] = {
        "source": (Source(limit=50), ("seeds", "against", "demos")), "model": (Model(), ()), "roles": (Roles(), ()),
    }  # fmt: skip
    cls = command_class("compare", parts, [("own", Annotated[Flags, tyro.conf.OmitArgPrefixes], dataclasses.MISSING)])
    about = (
        "Asks both wordings the same, and shows how many replies can be read and are kept, how long they are and what "
        "they cost. An operation of `evolve` goes through its loop and the default gate, any other prompt by itself."
    )
    flags: Any = tyro.cli(cls, args=rest, prog="gen prompts compare", description=about)
    own: Flags = flags.own
    if own.times < 1 or own.show < 0:
        raise RecipeError("gen prompts compare: expected --times of 1 or more, --show of 0 or more")
    with tempfile.TemporaryDirectory(prefix="gen-compare-") as scratch:
        pair = pair_of(own.a, own.b, own.of, Path(own.prompts) if own.prompts else None, Path(scratch))
        recipe = _recipe(pair[0], own, tables([*parts], flags))
        return _carry_out(pair, recipe, own, shlex.join(["gen", "prompts", "compare", *rest]))


def _recipe(wording: Wording, own: Flags, table: dict[str, Any]) -> Recipe:
    table["source"]["seeds"] = list(own.seeds)
    style = wording.style or next(iter(STYLES.values()))
    evolve = {"style": style, "domain": own.domain, "language": own.language}
    return recipes.build({"seed": own.seed, "evolve": evolve, **table}, where="flags")


def _carry_out(pair: tuple[Wording, Wording], recipe: Recipe, own: Flags, command: str) -> int:
    found = read_material(recipe)
    _say_rows(found)
    seeds = list(found.seeds.samples)
    if shown := bundled.named(recipe.model.name, recipe.model.server):
        NOTES.print(render.demonstration(shown), markup=False, soft_wrap=True)
        if strange := [w.label for w in pair if w.prompt.ref not in bundled.trained_prompts(shown)]:
            NOTES.print(f"It was not trained on {' and '.join(strange)}.", markup=False, soft_wrap=True)
    folder = Path(own.out) if own.out else comparing.folder_of(pair[0], recipe, found.seeds.digest)
    values = {"domain": own.domain, "language": own.language, **_pairs(own.set)}
    try:
        result = comparing.compare(
            pair, recipe, seeds, folder, times=own.times, values=values, command=command, say=_note,
            look=_counter(quiet=own.quiet),
        )  # fmt: skip
    except Interrupted:
        NOTES.print(f"stopped; the same command goes on in {folder}", markup=False, soft_wrap=True)
        return 75
    if own.json:
        render.print_json(to_builtins(result))
    else:
        _print(result, [s.instruction for s in seeds], own.show)
    return 0


def _pairs(given: Sequence[str]) -> dict[str, str]:
    for one in given:
        if "=" not in one:
            raise RecipeError(f"--set {one!r}: expected INPUT=TEXT, such as second='Sort it.'")
    return dict(one.split("=", 1) for one in given)


def _counter(*, quiet: bool) -> Callable[[int], None]:
    told = 0

    def look(heard: int) -> None:
        nonlocal told
        if not quiet and heard >= told + 200:
            told = heard
            NOTES.print(f"{heard:,} replies", markup=False)

    return look


def _print(c: Comparison, tasks: Sequence[str], show: int) -> None:
    console = Console(highlight=False)
    for s in (c.a, c.b):
        console.print(render.plain(f"{s.label}: {s.shown} ({s.ref})"), soft_wrap=True)
    judged = f"; gate: {', '.join(c.gate)}" if c.gate else ""
    console.print(f"{c.seeds:,} seeds, each {c.times} times by either{judged}\n", markup=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column("")
    for title in ("A", "B", "B - A", "95 %"):
        table.add_column(title, justify="right")
    table.add_row("replies that can be read", *_rates(c, "read"), *_change(c.read))
    if c.kept:
        table.add_row("kept by loop and gate", *_rates(c, "kept"), *_change(c.kept))
    for title, name, form in ROWS:
        a, b = getattr(c.a, name), getattr(c.b, name)
        if a is not None or b is not None:
            change = f"{b - a:+{form}}" if a is not None and b is not None else ""
            table.add_row(title, *("-" if v is None else f"{v:{form}}" for v in (a, b)), change, "")
    table.add_row("seconds (questions)", *(f"{s.seconds:.1f} ({s.questions:,})" for s in (c.a, c.b)), "", "")
    console.print(table)
    for s in (c.a, c.b):
        if s.reasons:
            why = ", ".join(f"{reason} {count:,}" for reason, count in s.reasons.items())
            console.print(f"{s.label}, not read or not kept: {why}", markup=False, soft_wrap=True)
    console.print(f"\n{_verdict(c)}", markup=False, soft_wrap=True)
    _examples(console, c, tasks, show)
    console.print(
        f"{c.asked:,} questions answered, {c.replayed:,} taken from the journal in {c.folder}", markup=False,
        soft_wrap=True,
    )  # fmt: skip


ROWS = (
    ("words of the task", "instruction_words", ".1f"), ("words of the answer", "response_words", ".1f"),
    ("tokens of the reply", "reply_tokens", ".1f"), ("tokens asked, all questions", "prompt_tokens", ".0f"),
    ("tokens generated, all questions", "generated_tokens", ".0f"),
)  # fmt: skip


def _rates(c: Comparison, what: str) -> list[str]:
    shares = [(getattr(s, what), len(s.tries)) for s in (c.a, c.b)]
    return [f"{share:.0%} ({round(share * count)} of {count})" for share, count in shares]


def _change(d: Difference) -> tuple[str, str]:
    return f"{d.mean:+.0%}", f"{d.low:+.0%} to {d.high:+.0%}"


def _verdict(c: Comparison) -> str:
    """What may be said, by the figure that counts most."""
    d, what = (c.kept, "keeps more") if c.kept else (c.read, "is read more often")
    counts = f"B is ahead on {d.b_better} of {c.seeds} seeds, A on {d.a_better}, {d.equal} are even"
    if d.shown:
        return f"{'B' if d.mean > 0 else 'A'} {what}: {counts} (sign test, p = {d.p:.3f})."
    return f"No difference is shown: {counts} (sign test, p = {d.p:.2f}); more seeds could show a smaller one."


def _examples(console: Console, c: Comparison, tasks: Sequence[str], show: int) -> None:
    some = sorted({round(i * (c.seeds - 1) / max(1, show - 1)) for i in range(min(show, c.seeds))}) if show else []
    for number in some:
        console.print(f"\nseed {number + 1}: ", end="", style="bold")
        console.print(render.plain(_short(tasks[number])), soft_wrap=True)
        for side in (c.a, c.b):
            for t in (t for t in side.tries if t.seed == number):
                console.print(f"  {side.label} {_end(t, side)}", markup=False, style="bold")
                for words in filter(None, (t.instruction, t.response)):
                    console.print(render.plain(f"    {_short(words)}"), soft_wrap=True)
    if some:
        console.print()


def _end(t: Try, side: Side) -> str:
    return t.reason or ("kept" if side.kept is not None else "read")


def _short(words: str) -> str:
    one = " ".join(words.split())
    return one if len(one) <= LONGEST else f"{one[:LONGEST]} [...]"
