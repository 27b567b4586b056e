"""Samples as files that trainers read. Same samples, same bytes: UTF-8, one JSON object a line, no times,
hosts or paths; a file appears whole or not at all.

`messages`: what TRL and most trainers take. `alpaca`: instruction, input, output; it has no place for a
system text, which goes before the instruction with a blank line between, nor for earlier turns: such rows
are left out and counted. Unanswered samples teach nothing and are left out of both forms, and counted."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, get_args

from gen.core import Sample
from gen.errors import InputError, nearest

Format = Literal["messages", "alpaca"]
ESCAPED = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
"""What `str.splitlines` takes for the end of a line although JSON does not, and what UTF-8 cannot hold."""


@dataclass(frozen=True, slots=True)
class Exported:
    rows: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many samples the format cannot say: `unanswered`, `earlier_turns`."""


def dataset_row(sample: Sample) -> dict[str, Any]:
    """A row of the run folder's `dataset.jsonl`; `output` is null where there is no answer."""
    origin = sample.lineage
    # Texts and numbers only. `datasets` settles a column's type on the first 10 MB: a null parent or an empty
    # list in all seeds makes it stop at the first child ("Couldn't cast array of type string to null").
    meta = {"root": origin.root, "parent": origin.parent or "", "round": origin.round, "operation": origin.operation,
            "prompts": " ".join(origin.prompts)}
    messages = [{"role": m.role, "content": m.content} for m in sample.messages]
    return {"id": sample.id, "messages": messages, "instruction": sample.instruction, "input": sample.input,
            "output": sample.response, "meta": meta}


def line(row: Mapping[str, Any]) -> str:
    """The row as one line of JSON, keys in their order: `{"a": "b\\u2028c 中"}` and a line break."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).translate(ESCAPED) + "\n"


def export(samples: Iterable[Sample], format: Format, out: TextIO | Path) -> Exported:
    """Writes the samples in order, to a file in one step or to an open stream; says how many and what was left out.

    Raises InputError for an unknown format, or where the file cannot be made."""
    if format not in get_args(Format):
        raise InputError(f"format {format!r}: {nearest(format, get_args(Format))}")
    if isinstance(out, Path):
        with atomic(out) as stream:
            return export(samples, format, stream)
    rows, skipped = 0, Counter[str]()
    for sample in samples:
        row = dataset_row(sample)
        if sample.response is None or (format == "alpaca" and sample.turns):
            skipped["unanswered" if sample.response is None else "earlier_turns"] += 1
            continue
        if format == "messages":
            row = {"messages": row["messages"], "meta": {"id": sample.id, **row["meta"]}}
        else:
            told = f"{sample.system}\n\n{sample.instruction}" if sample.system else sample.instruction
            row = {"instruction": told, "input": sample.input, "output": sample.response, "id": sample.id}
        out.write(line(row))
        rows += 1
    return Exported(rows, dict(sorted(skipped.items())))


def write_dataset(samples: Iterable[Sample], path: Path) -> int:
    """Writes `dataset.jsonl`, all samples in the order given, in one step; returns how many."""
    rows = 0
    with atomic(path) as stream:
        for rows, sample in enumerate(samples, 1):  # noqa: B007
            stream.write(line(dataset_row(sample)))
    return rows


@contextmanager
def atomic(path: Path) -> Iterator[TextIO]:
    """A stream whose text becomes the file only when the block ends well; until then the old file stands, also
    after an error or a kill. Raises InputError where no file can be made."""
    path = path.resolve()
    # Beside its goal, because a rename is one step only within a file system; with the process id, because two
    # exports to the same name must not write into one another.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not a regular file; name a file to write to")
        stream = part.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name an existing, writable folder") from None
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
