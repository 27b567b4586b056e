"""`gen evol-stop`: which round of a finished run to train on, by a score of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from gen import evol_stop as stopping
from gen.commands import render
from gen.errors import UserError
from gen.evol_stop import Merge, Stop
from gen.job import open_run

OUT, NOTES = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)


def evol_stop(
    folder: Positional[Path], command: Annotated[str, arg(metavar="'PROGRAM ...'", help_behavior_hint="")] = "",
    to: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = "", patience: int = 1, json: bool = False,
) -> int:  # fmt: skip
    """Choose how many rounds to train on: all rounds so far are merged with the seeds, round by round.

    Args:
        folder: the run folder
        command: trains on the file that it is given and prints a score as its last line, the larger the better; rounds
            are scored until one falls below the best. The file's path comes where it says {}, else at its end. Empty:
            3 rounds, as the paper found
        to: write the chosen merge to a file (.jsonl, .json, .parquet; .gz)
        patience: stop after so many scores in a row below the best
        json: print JSON
    """
    if patience < 1:
        raise UserError(f"--patience {patience}: expected 1 or more")
    open_run(folder).close()
    found = stopping.evol_stop(folder, command, patience, _tell)
    rows = stopping.write_merge(folder, found.chosen, Path(to)) if to else 0
    if json:
        render.print_json(found)
        return 0
    OUT.print(_table(found))
    why = "the best of those scored" if command else f"nothing was measured (--command): {stopping.ROUNDS} by default"
    OUT.print(f"\nround {found.chosen}: {why}" + ("; later ones were not scored" if found.fell else ""), soft_wrap=True)
    if to:
        OUT.print(f"{rows:,} rows in {to}", soft_wrap=True)
    return 0


def _tell(merge: Merge) -> None:
    how = "scored before" if merge.known else "scored"
    NOTES.print(f"round {merge.round}: {merge.rows:,} rows, {how}: {merge.score:g}", soft_wrap=True)


def _table(found: Stop) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for title in ("rounds", "rows", "score", ""):
        table.add_column(title, justify="right")
    for merge in found.merges:
        score = "" if merge.score is None else f"{merge.score:g}"
        table.add_row(f"1 to {merge.round}", f"{merge.rows:,}", score, "<-" if merge.round == found.chosen else "")
    return table
