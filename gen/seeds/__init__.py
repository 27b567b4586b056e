"""From the user's data to seed samples: files (JSONL, JSON, CSV, Parquet, Arrow), folders of them, and datasets of the
hub; a row at a time, never all in memory.

Shapes read without a mapping: Self-Instruct tasks (the first instance; the others stay in `meta`), Alpaca rows,
conversations (see `gen.seeds.chat`), prompt/completion, question/answer, a lone instruction, prompt or text, and a JSON
string. Whatever else a row carries goes to `Sample.meta`. Bad rows are data (`BadRow`); data that cannot be read at
all is an InputError."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gen.core import Lineage, Sample, replace
from gen.errors import InputError
from gen.seeds.chat import Turn
from gen.seeds.files import KINDS
from gen.seeds.origin import find
from gen.seeds.place import BadRow, Noted, Origin
from gen.seeds.samples import COLUMNS, Shape
from gen.seeds.spool import Rolling, Seen, Spool

__all__ = ["BadRow", "Noted", "Rolling", "SeedFile", "Spool", "Turn", "read_against", "read_rows", "read_seeds"]
MAX_LINE = 10_000_000


@dataclass(slots=True, weakref_slot=True)
class SeedFile:
    """What was read of all that was named."""

    samples: Sequence[Sample] = field(default_factory=Spool)
    digest: str = ""
    """Hash of the accepted seeds' content in order, `meta` included; never of names or paths."""
    bad: Noted = field(default_factory=Noted)
    repeats: Noted = field(default_factory=Noted)
    """Exact duplicates that were left out; the reason names the row that each one repeats."""
    names: tuple[str, ...] = ()
    """What was read, as a card may name it: file names, folders, `ORG/NAME@REVISION`."""
    notes: tuple[str, ...] = ()
    """What the reader should know, such as files of a folder that were left out."""
    licences: tuple[str, ...] = ()
    """Licences that the seeds' rows name (`license` or `licence`), or else the card beside the data, sorted; an empty
    one where some seed has none."""


def read_seeds(
    named: Sequence[str | Path], *, mapping: Mapping[str, str] | None = None, limit: int | None = None,
    strict: bool = False, turn: Turn = "last", max_line: int = MAX_LINE,
) -> SeedFile:
    """The seeds of all that is named (see `gen.seeds.origin`) in order, at most `limit` of them, without exact
    duplicates.

    With a `mapping` (field -> column) only the mapped columns are read; the rest is `meta`. A seed's id is the
    hash of its content. Raises InputError when something cannot be read or has no good row, for a mapping that fits
    no row, and, if `strict`, at the first bad row."""
    origins = _origins(named)
    spool, seen, content, licences = Spool(), Seen(), Rolling("seeds"), set[str]()
    found = SeedFile(spool, names=tuple(o.shown for o in origins), notes=tuple(o.note for o in origins if o.note))
    for origin, row, sample in _read(origins, Shape(mapping, turn), max_line):
        if sample is None:
            if strict:
                raise InputError(f"{row}; mend the row, or read without strict to skip it")
            found.bad.note(row)
        elif first := seen.first(sample.id, row):
            found.repeats.note(replace(row, reason=f"the same as {first.file}, {first.unit} {first.line}"))
        else:
            spool.add(sample)
            root = sample.lineage.root
            content.add([sample.id, sample.meta, *([root] if root != sample.id else [])])
            licences |= _licences(sample) or origin.licences or {""}
            if len(spool) == limit:
                break
    found.digest, found.licences = str(content), tuple(sorted(licences))
    return found


def read_rows(
    named: Sequence[str | Path], *, mapping: Mapping[str, str] | None = None, turn: Turn = "last"
) -> Iterator[tuple[BadRow, Sample | None]]:
    """Streams every row in order, duplicates included: its place with its sample, whose id is the hash of its content,
    or with the reason why it has none."""
    return ((row, sample) for _, row, sample in _read(_origins(named), Shape(mapping, turn), MAX_LINE))


def read_against(
    named: Sequence[str | Path], *, mapping: Mapping[str, str] | None = None, bad: Noted | None = None
) -> Iterator[Sample]:
    """Streams the rows that new samples must differ from: every split where none is named, each user turn of a
    conversation, duplicates included. Id and root of each are `against:<file name>:<line>`; `bad` collects the rows
    that cannot be read."""
    for _, row, sample in _read(_origins(named, every=True), Shape(mapping, "all"), MAX_LINE):
        if sample is not None:
            name = f"against:{Path(row.file).name}:{row.line}"
            yield replace(sample, id=name, lineage=Lineage(name))
        elif bad is not None:
            bad.note(row)


def _origins(named: Sequence[str | Path], *, every: bool = False) -> list[Origin]:
    if not named:
        raise InputError(f"no seeds were named; give at least one file ({', '.join(KINDS)}) or folder")
    return [find(str(name), every) for name in named]  # a missing second file is told before the first is read


def _read(origins: Sequence[Origin], shape: Shape, max_line: int) -> Iterator[tuple[Origin, BadRow, Sample | None]]:
    """Each row's place with its samples, or with the reason why it has none."""
    for origin in origins:
        rows = origin.rows(max_line)
        if shape.mapping is not None:
            head = list(itertools.islice(rows, 20))
            rows = itertools.chain(head, rows)
            shape.check(origin.name, {c for _, value in head if isinstance(value, dict) for c in value})
        good, why = False, ""
        for row, value in rows:
            try:
                samples = [*shape.seeds(value)]
            except (ValueError, RecursionError) as error:
                why = why or f"{row.unit} {row.line}: {error}"
                yield origin, replace(row, reason=str(error)), None
                continue
            good = True
            for sample in samples:
                yield origin, row, sample
        if not good:
            raise InputError(f"{origin.name}: no row is a seed ({why or 'it has no rows at all'}); see `--map "
                             f"field=column`, fields {', '.join(COLUMNS)}")


def _licences(sample: Sample) -> set[str]:
    found = sample.meta.get("license") or sample.meta.get("licence")
    return {name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str) and name.strip()}
