"""Rows as files: JSONL, a JSON list, both also as .gz, and Parquet. Streamed, never all in memory; same rows, same
bytes. Parquet's types come from a fixed example, never from the first rows."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from gen.core import Lineage, Sample
from gen.errors import InputError
from gen.export.columns import parquet
from gen.export.files import replacing
from gen.export.rows import line

Row = Mapping[str, Any]
Write = Callable[[Row | str], None]
"""Takes a row, or what `rows.line` makes of it."""
KINDS = (".jsonl.gz", ".json.gz", ".jsonl", ".json", ".parquet")
EXAMPLE = Sample("a", "a", Lineage("a"), response="a")
"""Its rows hold a value of each column's type."""


def kind_of(path: Path) -> str:
    """How a file's name says that it is written; empty: not at all."""
    return next((kind for kind in KINDS if path.name.lower().endswith(kind)), "")


@contextmanager
def table(path: Path, example: Row, columns: Any = parquet) -> Iterator[Write]:
    """What writes rows to a file of the kind that its name says; the file is there when the block ends well. `example`
    is a row without nulls and empty lists, `columns` what writes Parquet. Raises InputError for an unknown kind, and
    where no file can be made."""
    if not (kind := kind_of(path)):
        raise InputError(f"{path}: no kind of file that is written; allowed: {', '.join(KINDS)}")
    with replacing(path) as part:
        if kind == ".parquet":
            with columns(part, example) as write:
                yield lambda row: write(_line(row).encode())
            return
        with part.open("wb") as raw:
            # Neither name nor time goes into the gzip header.
            packed = gzip.GzipFile("", "wb", 6, raw, mtime=0) if kind.endswith(".gz") else raw
            with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as stream:
                if ".jsonl" in kind:
                    yield lambda row: _put(stream, _line(row))
                else:
                    yield from _listed(stream)


def _line(row: Row | str) -> str:
    return row if isinstance(row, str) else line(row)


def _put(stream: TextIO, text: str) -> None:
    stream.write(text)


def _listed(stream: TextIO) -> Iterator[Write]:
    """A JSON list with a row on each line."""
    before = "["

    def write(row: Row | str) -> None:
        nonlocal before
        stream.write(f"{before}\n{_line(row)[:-1]}")
        before = ","

    yield write
    stream.write("[]\n" if before == "[" else "\n]\n")
