"""Commands that show what there is: loops, filters, prompts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from gen import catalog
from gen.commands import render
from gen.errors import PromptError, RecipeError, nearest
from gen.loop import gate_of, parts_of
from gen.prompts import Prompts
from gen.recipe import FILTER_KINDS


def loops(name: Positional[str] = "", json: bool = False) -> int:
    """The loops, or the parameters of one.

    Args:
        name: a loop
        json: print JSON
    """
    return _parts(name.replace("-", "_"), ("loop",), json=json)


def filters(name: Positional[str] = "", json: bool = False) -> int:
    """The filters, or the parameters of one.

    Args:
        name: a filter
        json: print JSON
    """
    return _parts(name, (*FILTER_KINDS, "select"), json=json)


def prompts(
    action: Positional[Literal["list", "show", "copy"]], name: Positional[str] = "", to: str = "my-prompts",
    prompts: str = "", json: bool = False,
) -> int:  # fmt: skip
    """List the prompts, show one as a file, or copy one (or all) to a folder of your own, to be edited and
    used with --prompts DIR. `gen prompts compare A B` tries two wordings of one.

    Args:
        action: list, show or copy
        name: a prompt, such as evolve/deepen; copy without a name copies all
        to: folder to copy to; existing files are left alone
        prompts: folder whose files override the shipped ones
        json: print JSON
    """
    known = Prompts(Path(prompts) if prompts else None)
    if action == "list":
        found = [known.get(n) for n in known.names()]
        rows = [(p.name, p.hash, p.role, p.purpose, p.paper) for p in found]
        _print(("prompt", "hash", "role", "purpose", "paper"), rows, json=json)
    elif action == "show":
        _show(known, name, json=json)
    else:
        _copy(known, name, Path(to))
    return 0


def _parts(name: str, kinds: tuple[str, ...], *, json: bool) -> int:
    if name:
        cls = catalog.load(name, *kinds)
        if not json:
            Console(highlight=False).print(f"{name}: {catalog.about(cls)} ({cls.passport.source})\n", markup=False)
        parameters = [(p.name, _shown(p.default), p.range, p.doc) for p in catalog.parameters(cls)]
        _print(("parameter", "default", "range", "what"), parameters, json=json)
        return 0
    rows, default = [], _default_gates() if "loop" not in kinds else {}
    for kind, known in catalog.names(*kinds):
        cls = catalog.load(known, kind)
        gates = ", ".join(loop for loop, names in default.items() if known in names)
        rows.append((known, *(() if kind == "loop" else (kind, gates)), catalog.about(cls), cls.passport.source))
    _print(("name", *(() if kinds == ("loop",) else ("kind", "default gate of")), "what", "source"), rows, json=json)
    return 0


def _default_gates() -> dict[str, set[str]]:
    """The filters of each loop's default gates."""
    loops = {name: catalog.load(name, "loop")() for _, name in catalog.names("loop")}
    gates = {name: [part.gate or gate_of(loop) for part in parts_of(loop)] for name, loop in loops.items()}
    return {name: {filter for gate in found for filter in gate} for name, found in gates.items()}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]], *, json: bool) -> None:
    if json:
        render.print_json([dict(zip(heads, row, strict=True)) for row in rows])
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(render.plain, row))
    Console(highlight=False).print(table)


def _show(known: Prompts, name: str, *, json: bool) -> None:
    if not name:
        raise PromptError(f"gen prompts show: which one? {nearest('', known.names())}")
    prompt = known.get(name)
    text = known.path(name).read_text(encoding="utf-8")
    if json:
        render.print_json({"prompt": name, "hash": prompt.hash, "text": text})
    else:
        Console(highlight=False, markup=False, soft_wrap=True).out(text, end="")


def _copy(known: Prompts, name: str, to: Path) -> None:
    wanted = dict.fromkeys(f for n in ([name] if name else known.names()) for f in known.closure(n))
    targets = {file: to / f"{file}.jinja" for file in wanted}
    for target in targets.values():
        if target.exists():
            raise RecipeError(f"{target}: exists already and is left alone; give another --to, or delete it")
    for file, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(known.path(file), target)
    Console(highlight=False, markup=False).print(f"{len(wanted)} files copied to {to}; use them with --prompts {to}")
