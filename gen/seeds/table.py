"""The rows of CSV and TSV: the first row names the columns, every cell is a text."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from gen.errors import InputError
from gen.seeds.files import check_text, kind, opened
from gen.seeds.place import BadRow, Rows


def table_rows(path: Path, max_line: int) -> Rows:
    """The rows of a CSV file, told by the line where they begin; the delimiter is the one of `, ; tab |` that parts
    the first row most, in a .tsv first of all the tab. A row that is no row of the table is a ValueError."""
    csv.field_size_limit(max(csv.field_size_limit(), max_line))
    with opened(path) as stream:
        delimiter = _delimiter(path, stream)
    with opened(path) as stream:
        check_text(path, stream)
        lines = _Lines(stream, max_line)
        cells = csv.reader(lines, delimiter=delimiter, strict=True)
        names = _names(path, next(_parsed(cells, lines), (0, []))[1])
        for number, row in _parsed(cells, lines):
            yield BadRow(str(path), number, ""), _row(names, row, number, lines.number)


def _row(names: list[str], row: Any, begin: int, end: int) -> Any:
    if isinstance(row, Exception):
        until = f"; what it opens goes on to line {end}" if end > begin else ""
        return ValueError(f"no row of the table ({row}{until}); a text with a delimiter, a quote or a line break needs "
                          'quotes around it, and "" for each quote in it')
    if len(row) != len(names):
        return ValueError(f"{len(row)} cells, but {len(names)} columns; a text with a delimiter in it needs quotes")
    return dict(zip(names, row, strict=True))


def _parsed(cells: Iterator[list[str]], lines: _Lines) -> Iterator[tuple[int, Any]]:
    """The line where each row begins, with its cells or the reason why it has none; blank lines are no rows."""
    while True:
        begin = lines.number + 1
        try:
            row: Any = next(cells)
        except StopIteration:
            return
        except (csv.Error, ValueError) as error:
            row = error
        if row:
            yield begin, row


def _names(path: Path, row: Any) -> list[str]:
    """The columns' names; one without gets `column N`."""
    if isinstance(row, Exception):
        raise InputError(f"{path}, line 1: {row}; the first row must name the columns")
    if not row:
        raise InputError(f"{path}: empty; at least one seed is needed")
    names = [name.strip() or f"column {number}" for number, name in enumerate(row, 1)]
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise InputError(f"{path}, line 1: two columns are called {twice!r}; rename one of them")
    return names


def _delimiter(path: Path, stream: BufferedReader) -> str:
    check_text(path, stream)
    head = stream.read(1 << 16).decode("utf-8", "replace")
    found = {}
    for delimiter in ",;\t|":
        rows = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        found[delimiter] = max((len(row) for row in itertools.islice(rows, 1)), default=0)
    if kind(path) == ".tsv" and found["\t"] > 1:
        return "\t"
    return max(found, key=lambda delimiter: found[delimiter])  # the first of equals


class _Lines:
    """The lines of a text, counted; one above `most` characters is a ValueError, and not held."""

    def __init__(self, stream: BufferedReader, most: int) -> None:
        self._text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
        self._most, self.number = most, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = rest = self._text.readline(self._most + 1)
        if not line:
            raise StopIteration
        self.number += 1
        while rest and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(1 << 20)
        if len(line.rstrip("\r\n")) > self._most:
            raise ValueError(f"more than {self._most:,} characters in one line")
        return line
