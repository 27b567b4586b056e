"""`gen doctor`: what is here, what is missing, what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from gen import doctor as look
from gen.commands import render
from gen.doctor import Finding
from gen.engines.survey import survey

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("problem", "bold red")}
Url = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="URL", help_behavior_hint="")]


def doctor(server: Url = (), model: str = "", out: str = "runs", json: bool = False) -> int:
    """What is installed, which GPUs, models and servers are here, and what is missing.

    Asks only this machine and the servers that are named. Ends with 1 where something would keep gen from running.

    Args:
        server: URL of an OpenAI-compatible server; repeat for several; none: the usual ports of this machine
        model: its name, where a server has several
        out: folder where runs shall live
        json: print JSON
    """
    logging.getLogger("gen").addHandler(logging.NullHandler())  # what a probe complains of is in its finding
    findings = [
        *look.installed(), look.vllm(), *look.gpus(), *look.machine(), *look.models(Path.cwd()),
        *look.servers(survey(server, model)), *look.run_folder(Path(out)), *look.environment(),
    ]  # fmt: skip
    if json:
        render.print_json(findings)
    else:
        _print(findings)
    return int(any(finding.status == "problem" for finding in findings))


def _print(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name in ("group", "what", "status", "found"):
        table.add_column(name, overflow="fold", no_wrap=name in ("group", "status"))
    last = ""
    for f in findings:
        text, style = MARKS[f.status]
        told = f.found + (f"\n-> {f.advice}" if f.advice else "")
        group, last = f.group if f.group != last else "", f.group
        table.add_row(group, render.plain(f.what), render.plain(text, style), render.plain(told))
    console.print(table)
    problems, notes = (sum(f.status == s for f in findings) for s in ("problem", "note"))
    console.print(f"\n{problems or 'no'} problem{'s' * (problems != 1)}, {notes} notes", markup=False)
