"""Parquet from rows of JSON. Also a program, `python columns.py FILE`: it reads a row that tells the types, then the
rows themselves, from its input, with pyarrow alone. So a run need not load pyarrow, which takes 90 MB and a fifth of a
second, in the process that holds all else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

GROUP = 1000
"""Rows of a row group: what is held in memory. Small groups let the hub's viewer show a page without reading all."""
Write = Callable[[bytes], object]
"""Takes a row as a line of JSON."""


@contextmanager
def parquet(path: Path, example: Mapping[str, Any]) -> Iterator[Write]:
    """Writes rows to a file in this process. The types are those of `example`, never of the first rows."""
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

        def write(row: bytes) -> None:
            rows.append(row)
            if len(rows) == GROUP:
                flush()

        yield write
        if rows:
            flush()


@contextmanager
def apart(path: Path, example: Mapping[str, Any]) -> Iterator[Write]:
    """The same bytes, by a process of its own. Raises OSError as writing the file does."""
    command = [sys.executable, "-P", __file__, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:  # Ctrl-C is ours
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it has ended, and says why
                process.stdin.write(json.dumps(example).encode() + b"\n")
                yield process.stdin.write
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
        said = process.stdout.read()
    if process.returncode:
        told = json.loads(said) if said else {"errno": None, "said": f"ended with {process.returncode}"}
        raise OSError(told["errno"], told["said"], str(path))


def _type(value: Any) -> Any:
    """The type of a column that holds such values."""
    import pyarrow as pa

    if isinstance(value, Mapping):
        return pa.struct([(name, _type(inner)) for name, inner in value.items()])
    if isinstance(value, list):
        return pa.list_(_type(value[0]))
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[type(value)]


def main(path: Path, source: IO[bytes]) -> int:
    """Ends with 1, and says why as JSON, where the file cannot be written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.modules["numpy"] = None  # type: ignore[assignment]  # pyarrow needs none, and would load it
    try:
        with parquet(path, json.loads(source.readline())) as write:
            for row in source:
                write(row)
    except OSError as error:
        sys.stdout.write(json.dumps({"errno": error.errno, "said": os.strerror(error.errno or 0)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.stdin.buffer))
