"""The thread that reads a corpus: documents become pieces, pieces fill the supply of a run that has begun already."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gen.core import Sample, digest, replace
from gen.errors import InputError
from gen.loop import Document
from gen.seeds import MAX_LINE, SeedFile
from gen.seeds.place import BadRow, Noted, Origin, listed
from gen.seeds.samples import UNSTORABLE
from gen.seeds.spool import Seen
from gen.seeds.supply import Supply

COLUMNS = ("text", "content", "body", "document", "markdown")
"""Where the text of a row is looked for when no mapping says so; the first column that a row has wins."""
NAMES = ("url", "id")
"""Columns that say which document it is."""
FIRST = 16
"""Pieces and documents that are read while the corpus's identity is still being found out."""
AHEAD = 5000
"""Pieces from which on reading leaves half of the time to the run, which shares its interpreter."""
Split = Callable[[Document, Counter[str]], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that was named."""

    origin: Origin
    files: Callable[[], Iterator[str]]
    """Its files in order; none of a dataset of the hub."""
    root: Path | None = None
    """What names of documents are told from: a folder; none: the name of the file itself."""
    left: Set[str] = frozenset()
    """Files of other splits that were left out."""

    @property
    def remote(self) -> bool:
        return next(self.files(), None) is None


@dataclass(slots=True)
class Reading:
    """What is read, and what was found so far."""

    sources: Sequence[Source]
    split: Split
    column: str
    limit: int | None
    strict: bool
    bad: Noted
    repeats: Noted
    documents: int = 0
    pieces: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    licences: set[str] = field(default_factory=set)
    seen: Seen = field(default_factory=Seen)

    def samples(self) -> Iterator[Sample | None]:
        """The pieces that are new, and None after each document. Raises InputError where there is none at all, or, if
        strict, at the first bad row."""
        for source in self.sources:
            for row, value in source.origin.rows(MAX_LINE):
                try:
                    document, licence = self._document(row, value, source.root), _licences(value)
                except ValueError as error:
                    self._refuse(replace(row, reason=str(error)))
                    continue
                self.documents += 1
                for sample in self.split(document, self.dropped):
                    if self._is_new(sample, row, source.origin.name):
                        self.licences |= licence or source.origin.licences or {""}
                        yield replace(sample, meta={**sample.meta, "license": sorted(licence)}) if licence else sample
                        if self.pieces == self.limit:
                            return
                yield None
        if not self.pieces:
            raise InputError(self._nothing())

    def _document(self, row: BadRow, value: Any, root: Path | None) -> Document:
        """The document of a row. Raises ValueError that says why it is none."""
        text, title, named = self._text(value), "", ""
        place = str(Path(row.file).relative_to(root)) if root else Path(row.file).name
        if isinstance(value, Mapping):
            title = value["title"].strip() if isinstance(value.get("title"), str) else ""
            named = next((value[c] for c in NAMES if isinstance(value.get(c), str) and value[c].strip()), "")
        if row.unit != "part" or row.line > 1:
            place += f", {row.unit} {row.line}"
        place = f"{named} ({place})" if named else place
        if UNSTORABLE.search(text + title + place):
            raise ValueError("a NUL character, a byte that is not UTF-8 or half of a surrogate pair")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return Document(digest("document", text), text, place, title)

    def _text(self, value: Any) -> str:
        if isinstance(value, ValueError):
            raise value
        text: Any = value
        if isinstance(value, Mapping):
            column = self.column or next((c for c in COLUMNS if c in value), "")
            if column not in value:
                raise ValueError(f"no column {column or ', '.join(COLUMNS)}; columns found: "
                                 f"{', '.join(map(str, value))[:200] or 'none'}; see --map response=COLUMN")
            text = value[column]
        if not isinstance(text, str):
            raise ValueError(f"the text is {text!r:.60}; see --map response=COLUMN")
        if not text.strip():
            raise ValueError("empty; a text is needed")
        return text

    def _refuse(self, row: BadRow) -> None:
        if self.strict:
            raise InputError(f"{row}; mend it, or read without strict to skip it")
        self.bad.note(row)

    def _is_new(self, sample: Sample, row: BadRow, name: str) -> bool:
        place = BadRow(name, self.documents, "", "document")  # a number: half a million paths would fill the memory
        if first := self.seen.first(sample.id, place):
            self.repeats.note(replace(row, reason=f"a piece is the same as one of {first.file}, document {first.line}"))
            return False
        self.pieces += 1
        return True

    def _nothing(self) -> str:
        names = ", ".join(source.origin.name for source in self.sources)
        if not self.documents:
            return f"{names}: no document in it ({self.bad[0] if self.bad else 'it has no rows at all'})"
        return f"{names}: {self.told()}; a piece needs other bounds, or other documents"

    def notes(self) -> Iterator[str]:
        """What the reader should know in the end."""
        yield self.told()
        for source in self.sources:
            if source.left:
                yield (f"{source.origin.name}: of files named by split only train is read, not such as "
                       f"{min(source.left)}; another one: {source.origin.name}#SPLIT")

    def told(self) -> str:
        """What was read, in a line."""
        out = ", ".join(f"{reason} {count:,}" for reason, count in self.dropped.most_common())
        return f"{self.documents:,} documents read, {self.pieces:,} pieces" + (f"; left out: {out}" if out else "")


def _licences(value: Any) -> set[str]:
    row = value if isinstance(value, Mapping) else {}
    return {name for name in listed(row.get("license") or row.get("licence")) if isinstance(name, str) and name.strip()}


def begin(reading: Reading, found: SeedFile) -> threading.Event:
    """Read in a thread of its own into the supply of `found`; it ends when nobody holds that any more. After the first
    FIRST pieces or documents it waits for the event that is returned."""
    assert isinstance(found.samples, Supply)
    go_on = threading.Event()
    held = weakref.ref(found.samples), weakref.ref(found)
    thread = threading.Thread(target=_read, args=(reading, go_on, *held), name="corpus", daemon=True)
    _ended_at_exit(thread)
    thread.start()
    return go_on


_halt = threading.Event()


def _ended_at_exit(thread: threading.Thread) -> None:
    """A thread inside a library of C would bring down a process that ends."""

    def end() -> None:
        _halt.set()
        thread.join(timeout=5)

    atexit.register(end)


def _read(
    reading: Reading, go_on: threading.Event, supply: weakref.ref[Supply], found: weakref.ref[SeedFile]
) -> None:
    fault: BaseException | None = None
    began = time.monotonic()
    try:
        for sample in reading.samples():
            if not _put(sample, supply):
                return
            if reading.pieces + reading.documents > FIRST:
                go_on.wait()
            if sample is None:
                if reading.pieces > AHEAD:
                    time.sleep(min(time.monotonic() - began, 0.1))
                began = time.monotonic()
    except BaseException as error:  # told where the samples are used
        fault = error
    if (told := found()) is not None:
        told.licences, told.notes = tuple(sorted(reading.licences)), (*told.notes, *reading.notes())
    if (to := supply()) is not None:  # one that is empty is false
        to.fail(fault) if fault else to.close()


def _put(sample: Sample | None, supply: weakref.ref[Supply]) -> bool:
    """Whether anybody still wants samples; no reference outlives this."""
    to = supply()
    if to is None or _halt.is_set():
        return False
    if sample is not None:
        to.add(sample)
    return True
