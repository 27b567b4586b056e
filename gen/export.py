"""Samples as files that trainers read. Same samples, same bytes: UTF-8, one JSON object a line, no times,
hosts or paths; a file appears whole or not at all.

`messages`: what TRL and most trainers take. `alpaca`: instruction, input, output; it has no place for a
system text, which goes before the instruction with a blank line between, nor for earlier turns: such rows
are left out and counted. Unanswered samples teach nothing and are left out of both forms, and counted."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from gen.core import Sample
from gen.errors import InputError, nearest

Format = Literal["messages", "alpaca"]
BREAKS = re.compile("[\x85\u2028\u2029]")
"""What `str.splitlines` takes for the end of a line although JSON does not."""


@dataclass(frozen=True, slots=True)
class Exported:
    rows: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many samples the format cannot say: `unanswered`, `earlier_turns`."""


def messages_row(sample: Sample) -> dict[str, Any]:
    """The conversation, and its lineage as `meta`."""
    return {"messages": _messages(sample), "meta": {"id": sample.id, **_lineage(sample)}}


def alpaca_row(sample: Sample) -> dict[str, Any]:
    """Instruction (after the system text, if there is one), input, output and id. Earlier turns are not in it."""
    told = f"{sample.system}\n\n{sample.instruction}" if sample.system else sample.instruction
    return {"instruction": told, "input": sample.input, "output": sample.response or "", "id": sample.id}


def dataset_row(sample: Sample) -> dict[str, Any]:
    """A row of the run folder's `dataset.jsonl`; `output` is null where there is no answer."""
    return {
        "id": sample.id, "messages": _messages(sample), "instruction": sample.instruction, "input": sample.input,
        "output": sample.response, "meta": _lineage(sample),
    }


def line(row: Mapping[str, Any]) -> str:
    """The row as one line of JSON, keys in their order. Unicode line breaks are escaped, and half surrogates,
    which UTF-8 cannot hold, become U+FFFD.

    >>> line({"output": "a\\u2028b 中"})
    '{"output": "a\\\\u2028b 中"}\\n'
    """
    text = re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(row, ensure_ascii=False, allow_nan=False))
    return BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def export(samples: Iterable[Sample], format: Format, out: TextIO | Path) -> Exported:
    """Writes the samples in order, to a file in one step or to an open stream; says how many and what was left out.

    Raises InputError for an unknown format, or where the file cannot be made."""
    if format not in ("messages", "alpaca"):
        raise InputError(f"format {format!r}: {nearest(format, ('messages', 'alpaca'))}")
    if isinstance(out, Path):
        with atomic(out) as stream:
            return export(samples, format, stream)
    rows, skipped = 0, Counter[str]()
    for sample in samples:
        if reason := _unsaid(sample, format):
            skipped[reason] += 1
            continue
        out.write(line(messages_row(sample) if format == "messages" else alpaca_row(sample)))
        rows += 1
    return Exported(rows, dict(sorted(skipped.items())))


def write_dataset(samples: Iterable[Sample], path: Path) -> int:
    """Writes `dataset.jsonl`, all samples in the order given, in one step; returns how many."""
    rows = 0
    with atomic(path) as stream:
        for sample in samples:
            stream.write(line(dataset_row(sample)))
            rows += 1
    return rows


@contextmanager
def atomic(path: Path) -> Iterator[TextIO]:
    """A stream whose text becomes the file only when the block ends well; until then, and after an error or a
    kill, the old file stands. Raises InputError where no file can be made."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file; name a file to write to")
    # Beside its goal, because a rename is one step only within a file system; with the process id, because two
    # exports to the same name must not write into one another.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
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
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # The new name lives in the folder: without this a power cut may bring back the old file.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unsaid(sample: Sample, format: Format) -> str:
    if sample.response is None:
        return "unanswered"
    return "earlier_turns" if format == "alpaca" and sample.turns else ""


def _messages(sample: Sample) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in sample.messages]


def _lineage(sample: Sample) -> dict[str, Any]:
    # Texts and numbers only. `datasets` settles a column's type on the first 10 MB: a null parent or an empty
    # list in all seeds makes it stop at the first child ("Couldn't cast array of type string to null").
    origin = sample.lineage
    return {
        "root": origin.root, "parent": origin.parent or "", "round": origin.round, "operation": origin.operation,
        "prompts": " ".join(origin.prompts),
    }
