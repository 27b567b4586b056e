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
from gen.export.files import replacing
from gen.export.rows import line

Row = Mapping[str, Any]
Write = Callable[[Row | str], None]
"""Takes a row, or what `rows.line` makes of it."""
KINDS = (".jsonl.gz", ".json.gz", ".jsonl", ".json", ".parquet")
EXAMPLE = Sample("a", "a", Lineage("a"), response="a")
"""Its rows hold a value of each column's type."""
GROUP = 1000
"""Rows of a row group: what is held in memory. Small groups let the hub's viewer show a page without reading all."""


def load_writers() -> None:
    """What Parquet needs, imported now and not at the first row."""
    from pyarrow import json, parquet  # noqa: F401


def kind_of(path: Path) -> str:
    """How a file's name says that it is written; empty: not at all."""
    return next((kind for kind in KINDS if path.name.lower().endswith(kind)), "")


@contextmanager
def table(path: Path, example: Row) -> Iterator[Write]:
    """What writes rows to a file of the kind that its name says; the file is there when the block ends well. `example`
    is a row without nulls and empty lists. Raises InputError for an unknown kind, and where no file can be made."""
    if not (kind := kind_of(path)):
        raise InputError(f"{path}: no kind of file that is written; allowed: {', '.join(KINDS)}")
    with replacing(path) as part:
        if kind == ".parquet":
            with _parquet(part, example) as write:
                yield write
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


@contextmanager
def _parquet(path: Path, example: Row) -> Iterator[Write]:
    import pyarrow as pa
    from pyarrow import json
    from pyarrow.parquet import ParquetWriter

    rows: list[bytes] = []
    schema = pa.schema([(name, _type(value)) for name, value in example.items()])
    with ParquetWriter(path, schema, compression="zstd", write_page_index=True) as writer:

        def flush() -> None:
            # By way of JSON: from Python's own values pyarrow loads all of pandas, which costs more than the rest.
            data = b"".join(rows)
            parsing = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
            reading = json.ReadOptions(use_threads=False, block_size=len(data) + 1)
            writer.write_table(json.read_json(pa.BufferReader(data), reading, parsing))
            rows.clear()

        def write(row: Row | str) -> None:
            rows.append(_line(row).encode())
            if len(rows) == GROUP:
                flush()

        yield write
        if rows:
            flush()


def _type(value: Any) -> Any:
    """The type of a column that holds such values."""
    import pyarrow as pa

    if isinstance(value, Mapping):
        return pa.struct([(name, _type(inner)) for name, inner in value.items()])
    if isinstance(value, list):
        return pa.list_(_type(value[0]))
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[type(value)]
