"""From the user's data to seed samples: files (JSONL, JSON, CSV, Parquet, Arrow), folders of them, and datasets of the
hub; a row at a time, never all in memory.

Shapes read without a mapping: Self-Instruct tasks (the first instance; the others stay in `meta`), Alpaca rows,
conversations (see `gen.seeds.chat`), prompt/completion, question/answer, a lone instruction, prompt or text, and a JSON
string. Whatever else a row carries goes to `Sample.meta`. Bad rows are data (`BadRow`); data that cannot be read at
all is an InputError."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gen.core import Lineage, Sample, replace
from gen.errors import InputError
from gen.seeds.chat import Turn
from gen.seeds.files import KINDS
from gen.seeds.found import SeedFile
from gen.seeds.kept import read_once
from gen.seeds.origin import find
from gen.seeds.place import BadRow, Noted, Origin
from gen.seeds.samples import COLUMNS, Shape
from gen.seeds.spool import Rolling, Seen, Spool

__all__ = ["BadRow", "Noted", "SeedFile", "Turn", "hold_against", "read_against", "read_rows", "read_seeds"]
MAX_LINE = 10_000_000


def read_seeds(
    named: Sequence[str | Path], *, mapping: Mapping[str, str] | None = None, limit: int | None = None,
    strict: bool = False, turn: Turn = "last", max_line: int = MAX_LINE,
) -> SeedFile:
    """The seeds of all that is named (see `gen.seeds.origin`) in order, at most `limit` of them, without exact
    duplicates.

    With a `mapping` (field -> column) only the mapped columns are read; the rest is `meta`. A seed's id is the
    hash of its content. Raises InputError when something cannot be read or has no good row, for a mapping that fits
    no row, and, if `strict`, at the first bad row."""
    origins, shape = _origins(named), Shape(mapping, turn)
    params = ["seeds", sorted((mapping or {}).items()), turn, limit, strict, max_line]
    return read_once(origins, params, lambda: _seeds(origins, shape, limit, strict, max_line))


def _seeds(origins: Sequence[Origin], shape: Shape, limit: int | None, strict: bool, max_line: int) -> SeedFile:
    spool, seen, content, licences = Spool(), Seen(), Rolling("seeds"), set[str]()
    found = SeedFile(spool)
    for origin, row, sample in _read(origins, shape, max_line):
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
    return _differ(_origins(named, every=True), Shape(mapping, "all"), bad)


def _differ(origins: Sequence[Origin], shape: Shape, bad: Noted | None) -> Iterator[Sample]:
    for _, row, sample in _read(origins, shape, MAX_LINE):
        if sample is not None:
            name = f"against:{Path(row.file).name}:{row.line}"
            yield replace(sample, id=name, lineage=Lineage(name))
        elif bad is not None:
            bad.note(row)


def hold_against(named: Sequence[str | Path]) -> SeedFile:
    """What `read_against` streams, put aside; `digest` is a hash of what is said in it, empty where nothing is."""
    if not named:
        return SeedFile()
    origins = _origins(named, every=True)
    return read_once(origins, ["against"], lambda: _against(origins))


def _against(origins: Sequence[Origin]) -> SeedFile:
    spool, content = Spool(), Rolling()
    found = SeedFile(spool)
    for sample in _differ(origins, Shape(None, "all"), found.bad):
        spool.add(sample)
        content.add([(m.role, m.content) for m in replace(sample, response=None).messages])
    found.digest = str(content) if spool else ""
    return found


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
    if not sample.meta:
        return set()
    found = sample.meta.get("license") or sample.meta.get("licence")
    return {name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str) and name.strip()}
