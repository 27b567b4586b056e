"""From a corpus to seeds: documents in, pieces out, while the run is going on.

Files of text, Markdown, HTML and PDF, files of rows that have a text, folders of any of these, datasets of the hub. A
thread reads a document at a time and fills a `Supply`, whose first pieces are there at once, however large the corpus
is. What a document is cut into is the loop's business (`split`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gen.errors import InputError
from gen.seeds import MAX_LINE, SeedFile, folder
from gen.seeds.documents import ALL, DOCUMENTS, document_rows
from gen.seeds.files import check_readable, endings, kind
from gen.seeds.identity import identity
from gen.seeds.origin import file_rows, find
from gen.seeds.place import BadRow, Origin, Rows, licences
from gen.seeds.reading import Reading, Source, Split, begin
from gen.seeds.supply import Supply

ENDINGS = endings(ALL)
FIRST_S = 0.5
"""Seconds for which the first piece is waited for, so that what is wrong is told before a run begins."""


def read_corpus(
    named: Sequence[str | Path], split: Split, *, mapping: Mapping[str, str] | None = None, limit: int | None = None,
    strict: bool = False,
) -> SeedFile:
    """The pieces of all documents of what is named, in order, at most `limit` of them, without exact duplicates.
    `samples` is a Supply that goes on growing; `bad` and `repeats` grow with it, `notes` and `licences` are whole when
    it is closed. `digest` is the identity of the corpus (`gen.seeds.identity`).

    Raises InputError for what cannot be read at all. What shows later (no document, no piece of any, with `strict`
    the first bad row) is the error of the supply."""
    if not named:
        raise InputError(f"no corpus was named; give a file ({', '.join(ALL)}), a folder or a dataset of the hub")
    if unknown := {*(mapping or {})} - {"response"}:
        raise InputError(f"--map {unknown.pop()}=...: a corpus has texts alone; say --map response=COLUMN")
    column = (mapping or {}).get("response", "")
    sources = [_source_of(str(name)) for name in named]
    origins = [source.origin for source in sources]
    notes = tuple(origin.note for origin in origins if origin.note)
    found = SeedFile(supply := Supply(), names=tuple(origin.shown for origin in origins), notes=notes)
    moved = threading.Event()
    supply.watch(moved.set)
    go_on = begin(Reading(sources, split, column, limit, strict, found.bad, found.repeats), found)
    paths = (path for source in sources for path in source.files())
    try:
        found.digest = identity(paths, [source.origin.shown for source in sources if source.remote], column, limit)
    finally:
        go_on.set()
    moved.wait(FIRST_S)
    if isinstance(supply.error, InputError):
        raise supply.error
    return found


def _source_of(named: str) -> Source:
    try:
        return _source(named)
    except OSError as error:
        raise InputError(f"{named[:200]}: cannot be read ({error.strerror}); check its name and permissions") from None


def _source(named: str) -> Source:
    """What is meant. Raises InputError where nothing is, or where it cannot be opened."""
    if not named:
        raise InputError("a name is empty; name a file, a folder (. is this one) or a dataset of the hub")
    path, wanted = folder.local(named) or (Path(named), "")
    if path.is_dir():
        card = folder.card(path)
        if not wanted and not card.get("configs"):
            return _folder(path, licences(card))
        chosen, _ = folder.files(path, card, wanted, False)
        return Source(find(named), lambda: map(str, chosen), path)
    if path.exists() or kind(path) in ALL:
        check_readable(path, ALL)
        origin = Origin(str(path), path.name, lambda _: _rows(str(path)), licences(folder.card(path.parent)))
        return Source(origin, lambda: iter([str(path)]))
    return Source(find(named), lambda: iter(()))


def _folder(path: Path, licences: frozenset[str]) -> Source:
    left = set[str]()

    def files() -> Iterator[str]:
        return folder.walk(path, ENDINGS, left)

    if next(files(), None) is None:
        raise InputError(f"{path}: no file below this folder is read; allowed: {', '.join(ALL)}")
    rows = (row for file in files() for row in _rows(file))
    return Source(Origin(str(path), path.resolve().name, lambda _: rows, licences), files, path, left)


def _rows(path: str) -> Rows:
    """The rows of a file of any kind; where it cannot be read (on), a last bad row that says why."""
    file, last = Path(path), 0
    if kind(file) in DOCUMENTS:
        yield from document_rows(file)
        return
    try:
        for row, value in file_rows(file, MAX_LINE):
            last = row.line
            yield row, value
    except InputError as error:
        yield BadRow(path, last + 1, ""), ValueError(str(error).removeprefix(f"{path}: "))
