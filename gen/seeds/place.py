"""Where rows come from, where each stands, and what is said of those that are no seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gen.core import Value

SHOWN = 1000


class BadRow(Value, frozen=True):
    """A row that is no seed, and why. `line` counts from 1: lines of JSONL and CSV, elements of a JSON list, rows of
    a binary table."""

    file: str
    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}: {self.reason}"


class Noted(list[BadRow]):
    """The first thousand rows of which something is said; `total` counts them all."""

    total = 0

    def note(self, row: BadRow) -> None:
        self.total += 1
        if self.total <= SHOWN:
            self.append(row)


Rows: TypeAlias = Iterator[tuple[BadRow, Any]]
"""Each row's place and its JSON value, or the ValueError that says why it has none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One thing that was named: its rows, what a dataset card may call it, and the licences that its own card says."""

    name: str
    shown: str
    rows: Callable[[int], Rows]
    """Called with the most bytes of a line."""
    licences: frozenset[str] = frozenset()
    note: str = ""
    files: Sequence[Path] | None = None
    """All that is read; None where that is not files of this machine."""


def licences(card: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name in listed(card.get("license")) if isinstance(name, str))


def listed(value: Any) -> Sequence[Any]:
    """A list as it is, nothing as none, all else as a list of one."""
    return value if isinstance(value, list) else [] if value in (None, "") else [value]
