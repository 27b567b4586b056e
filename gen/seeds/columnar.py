"""The rows of Parquet and Arrow files, and of whatever else comes as Arrow batches: the same JSON values as in JSONL.

What JSON does not know: dates and times are ISO texts, decimals, UUIDs and durations texts, NaN is null (pandas writes
missing numbers so), bytes are the text that they encode, or else a remark on how many there are."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gen.errors import InputError
from gen.seeds.files import check_readable
from gen.seeds.place import BadRow, Rows

BATCH = 128


def binary_rows(path: Path) -> Rows:
    """The rows of a Parquet or Arrow file (a stream, as `datasets` saves it, or a file)."""
    check_readable(path)
    with _sound(path), path.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        yield from batch_rows(str(path), _parquet(file) if head[:4] == b"PAR1" else _arrow(file, head == b"ARROW1"))


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # what damaged bytes come to: Arrow's own errors, and those of memory and text
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        raise InputError(f"{path}: damaged, or nothing that pyarrow can read ({_line(error)}); write it again, or make "
                         "it JSONL") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _parquet(file: Any) -> Iterator[Any]:
    import pyarrow.parquet

    # A row group may hold all rows of the file: its columns are read a piece at a time.
    table = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 18)
    yield from table.iter_batches(BATCH, use_threads=False)


def _arrow(file: Any, seekable: bool) -> Iterator[Any]:
    import pyarrow.ipc

    if seekable:
        reader = pyarrow.ipc.open_file(file)
        batches: Iterable[Any] = map(reader.get_batch, range(reader.num_record_batches))
    else:
        batches = pyarrow.ipc.open_stream(file)
    for batch in batches:
        _check(batch)
        yield batch


def _check(batch: Any) -> None:
    """Raises ArrowInvalid where what is stored points outside itself: it would be read from memory that is not ours.
    A text that is no UTF-8 is another matter, and costs one row."""
    import pyarrow

    for column in batch.columns:
        try:
            column.validate(full=True)
        except pyarrow.ArrowInvalid as error:
            plain = pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)
            if not plain or "UTF8" not in str(error):
                raise


def batch_rows(name: str, batches: Iterable[Any]) -> Rows:
    """The rows of Arrow batches or tables, numbered through."""
    number = 0
    for batch in batches:
        if batch.num_rows > 8 * batch.nbytes:  # of columns without data there can be billions in a few bytes
            raise InputError(f"{name}: {batch.num_rows:,} rows are said to be in {batch.nbytes} bytes: damaged, or "
                             "without any data; write it again, or make it JSONL")
        simple = all(map(_is_simple, batch.schema.types))
        for start in range(0, batch.num_rows, BATCH):
            for value in _values(batch.slice(start, BATCH)):
                number += 1
                usual = simple or isinstance(value, ValueError)
                yield BadRow(name, number, "", "row"), value if usual else _json(value)


def _values(batch: Any) -> list[Any]:
    """The rows as Python values; where one cannot be had, it is a ValueError, and the others still are."""
    try:
        return list(batch.to_pylist())
    except Exception as error:  # whatever a type makes of what it cannot hold
        if batch.num_rows == 1:
            return [ValueError(f"{_line(error)}; leave the column out, or write it as text")]
        return [value for row in range(batch.num_rows) for value in _values(batch.slice(row, 1))]


def _is_simple(type: Any) -> bool:
    """Whether Python values of an Arrow type are JSON values as they are."""
    from pyarrow import types

    if types.is_struct(type):
        return all(_is_simple(type.field(i).type) for i in range(type.num_fields))
    if types.is_list(type) or types.is_large_list(type):
        return _is_simple(type.value_type)
    return any(test(type) for test in (types.is_string, types.is_large_string, types.is_integer, types.is_boolean,
                                       types.is_null))


def _json(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return None if math.isnan(value) else value
        case dict():
            return {str(key): _json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_json(inner) for inner in value]
        case datetime.date() | datetime.time():
            return value.isoformat()
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return f"<{len(value):,} bytes>"
    return str(value)
