"""What `gen funnel` prints below the funnel: how diverse the rounds stayed, what fell, and which operations pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from gen.commands.render import plain
from gen.core import Score
from gen.insight import Diversity, Operations

TITLES = {
    "distinct_1": "distinct-1", "distinct_2": "-2", "distinct_3": "-3", "occupancy": "topics", "distance": "nearest",
    "verb_noun": "verb-noun", "task_words": "words", "answer_words": "answers",
}  # fmt: skip


def show(console: Console, found: Sequence[Diversity], learned: Sequence[Operations]) -> None:
    """Print both, as far as there is something to print."""
    for one in found:
        if len(one.seen) > 1:
            console.print(f"\ndiversity{_stage(one.stage, len(found))}, all rounds at the size of the smallest:")
            console.print(_table(one))
            for line in [*_missing(one), *(alarm.text for alarm in one.alarms)]:
                console.print(line, markup=False, soft_wrap=True)
    for operations in learned:
        console.print(f"\noperations{_stage(operations.stage, len(found))}, share of the draws at first and now:")
        console.print(_operations(operations))


def _stage(number: int, stages: int) -> str:
    return f" of stage {number + 1}" if stages > 1 else ""


def _table(one: Diversity) -> Table:
    """Rounds down, measures across."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for title in ("round", "kept", *TITLES.values()):
        table.add_column(title, justify="right")
    for seen in one.seen:
        table.add_row(seen.rounds, f"{seen.kept:,}", *(_cell(seen.scores[name]) for name in TITLES))
    return table


def _cell(score: Score) -> str:
    if score.value is None:
        return "-"
    return f"{score.value:.0f}" if score.name.endswith("words") else f"{score.value:.2f}"


def _missing(one: Diversity) -> Iterator[str]:
    """What is not there, and why there are dashes: the first reason of each measure, and what shares it."""
    told: dict[str, list[str]] = {}
    for name, title in TITLES.items():
        if note := next((m.scores[name].note for m in one.seen if m.scores[name].value is None), ""):
            told.setdefault(note, []).append(title)
    if one.kept > (seen := sum(m.kept for m in one.seen)):
        yield f"measured when {seen:,} of the {one.kept:,} were kept"
    for note, titles in told.items():
        yield f"- {', '.join(titles)}: {note}"


def _operations(found: Operations) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    domains = {t.domain for t in found.tallies} != {""}
    for title in (*(["domain"] if domains else []), "operation", "tried", "kept", "rate", "share"):
        table.add_column(title, justify="left" if title in ("domain", "operation") else "right")
    for t in found.tallies:
        rate = "-" if t.rate is None else f"{t.rate:.0%}"
        cells = (t.operation, f"{t.tried:,}", f"{t.kept:,}", rate, f"{t.first:.0%} -> {t.now:.0%}")
        table.add_row(*([plain(t.domain or "(none)")] if domains else []), *cells)
    return table
