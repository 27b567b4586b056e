"""Scores a dataset row by row, beside any run: streamed, resumable, in the order of the data.

Rows are scored concurrently and end in any order, so each is appended to FILE.part as it is done; when all are, FILE
appears whole and in order. A killed process loses what was in flight and no more."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

from filters.scores.ifd import Difficulty, Ifd
from gen.core import Sample, digest
from gen.errors import InputError, RecipeError
from gen.export.files import atomic
from gen.seeds import BadRow

Place = tuple[int, BadRow]
"""Number of a row, from 1, and where it stands."""
EVERY = 10.0
"""Seconds between two lines of progress."""
SHOWN = 5
ROWS = Iterator[tuple[BadRow, Sample | None]]


class Ledger:
    """FILE.part: what is scored, in the order in which it was done. Open it with `with`; it stays until `finish`."""

    def __init__(self, path: Path, scorer: str) -> None:
        self.path, self.part, self._scorer = path, path.with_name(f"{path.name}.part"), scorer
        self.ids: dict[int, str] = {}
        """The content's id of each row that is done, by number."""
        self._at: dict[str, int] = {}
        self._places: dict[int, int] = {}

    def __enter__(self) -> Self:
        self._file = self.part.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise InputError(f"{self.part}: another process writes it now; wait for it, or give another --to") from None
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):  # the last one, cut by a kill
                break
            row = json.loads(line)
            check_scorer(row, self._scorer, self.part)
            self._note(row, end)
            end += len(line)
        self._file.truncate(end)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, place: Place, id: str, found: dict[str, Any]) -> None:
        number, row = place
        whole = {"row": number, "line": row.line, "id": id, **found, "scorer": self._scorer}
        end = self._file.seek(0, 2)
        self._file.write(json.dumps(whole, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._note(whole, end)

    def known(self, id: str) -> dict[str, Any] | None:
        """What was found of the same content before: duplicates have identical scores."""
        if id not in self._at:
            return None
        found = self._read(self._at[id])
        return {name: value for name, value in found.items() if name not in ("row", "line", "id", "scorer")}

    def finish(self) -> None:
        """Write FILE, in the order of the data, and take FILE.part away."""
        with atomic(self.path) as out:
            for number in sorted(self._places):
                row = self._read(self._places[number])
                del row["row"]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.close()
        self.part.unlink()

    def _note(self, row: dict[str, Any], at: int) -> None:
        self.ids[row["row"]], self._places[row["row"]] = row["id"], at
        self._at.setdefault(row["id"], at)

    def _read(self, at: int) -> dict[str, Any]:
        self._file.seek(at)
        return dict(json.loads(self._file.readline()))


def check_scorer(row: dict[str, Any], scorer: str, path: Path) -> None:
    if row.get("scorer") != scorer:
        raise InputError(
            f"{path}: holds scores by {row.get('scorer')!r}, and these would be by {scorer!r}: another model, --form, "
            "--direct or --max-length; give another --to, or delete the file"
        )


def _changed(path: Path, number: int) -> InputError:
    return InputError(
        f"{path}: its row {number:,} is not row {number:,} of the data: the data has changed since; give another --to, "
        "or delete the file"
    )


def is_finished(path: Path, scorer: str, rows: ROWS) -> bool:
    """Whether FILE is there already. Raises InputError where it holds the scores of other data or by other means."""
    if not path.exists():
        return False
    with path.open(encoding="utf-8") as lines:
        for number, (line, row) in enumerate(zip_longest(lines, rows), 1):
            if line is None or row is None:
                raise _changed(path, number)
            held = _parsed(line, path, number)
            check_scorer(held, scorer, path)
            if held["id"] != _id(row[1]):
                raise _changed(path, number)
    return True


def read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield _parsed(line, path, number)


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        if isinstance(row := json.loads(line), dict) and {"id", "scorer", "status"} <= row.keys():
            return row
    raise InputError(f"{path}, line {number}: no row of scores; it is some other file: give another --to")


def _id(sample: Sample | None) -> str:
    return sample.id if sample else ""


@dataclass(slots=True)
class Work:
    """One pass over the data: scores what the ledger lacks, as many rows at a time as the engine can use."""

    engine: Any
    metric: Ifd
    ledger: Ledger
    rows: int = 0
    """Scored now, without what was known."""
    tokens: int = 0
    """Of their answers, in both halves."""
    seen: int = 0
    bad: list[BadRow] = field(default_factory=list)
    """The first rows that are no samples."""
    _flying: dict[str, list[Place]] = field(default_factory=dict)

    async def run(self, rows: ROWS) -> None:
        """Raises InputError where the data is not the data that was scored before, EngineError as the engine does."""
        todo = self._todo(rows)
        workers = (self._work(todo) for _ in range(self.engine.scoring_width))
        for fault in await asyncio.gather(*workers, return_exceptions=True):
            if isinstance(fault, BaseException):
                raise fault
        if len(self.ledger.ids) > self.seen:
            raise _changed(self.ledger.part, self.seen + 1)

    async def _work(self, todo: Iterator[tuple[Place, Sample]]) -> None:
        try:
            for place, sample in todo:
                found = asdict(await self._measure(sample))
                for twin in (place, *self._flying.pop(sample.id)):
                    self.ledger.add(twin, sample.id, found)
        except BaseException:
            todo.close()  # type: ignore[attr-defined]  # a generator: the other workers end with what they have
            raise

    async def _measure(self, sample: Sample) -> Difficulty:
        measurement = self.metric.measure(sample)
        answers: Any = None
        while True:
            try:
                asked = measurement.send(answers)
            except StopIteration as stop:
                found: Difficulty = stop.value
                break
            answers = await asyncio.gather(*map(self.engine.score, asked))
        self.rows += 1
        self.tokens += found.n_tokens_cond + found.n_tokens_direct
        return found

    def _todo(self, rows: ROWS) -> Iterator[tuple[Place, Sample]]:
        """The rows that have to be scored. All others are written, or wait for their like, on the way."""
        for number, (row, sample) in enumerate(rows, 1):
            self.seen, id = number, _id(sample)
            if sample is None and len(self.bad) < SHOWN:
                self.bad.append(row)
            if (before := self.ledger.ids.get(number)) is not None:
                if before != id:
                    raise _changed(self.ledger.part, number)
            elif sample is None:
                self.ledger.add((number, row), "", asdict(Difficulty("bad_row")))
            elif (known := self.ledger.known(id)) is not None:
                self.ledger.add((number, row), id, known)
            elif id in self._flying:
                self._flying[id].append((number, row))
            else:
                self._flying[id] = []
                yield (number, row), sample


@dataclass(frozen=True, slots=True)
class Done:
    """What was done now; what was found is in the file."""

    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    bad: tuple[BadRow, ...] = ()


def score(
    engine: Any, metric: Ifd, rows: Callable[[], ROWS], path: Path, *, settings: Any, tell: Callable[[str], None]
) -> Done:
    """Score what `rows` reads (again, each time it is called) into `path`; nothing, where that is done. `settings` is
    all besides the model that decides values. Raises InputError where `path` holds something else, RecipeError where
    the engine cannot score."""
    next(rows(), None)  # what cannot be read at all is told before a model is loaded
    return asyncio.run(_score(engine, metric, rows, path, settings, tell))


async def _score(
    engine: Any, metric: Ifd, rows: Callable[[], ROWS], path: Path, settings: Any, tell: Callable[[str], None]
) -> Done:
    try:
        await engine.open()
        if reason := await engine.lacks_scoring():
            raise RecipeError(f"{engine.model}: {reason}; name a model (--model) or a vLLM server (--server)")
        scorer = f"{engine.model}@{digest(engine.fingerprint, settings, size=8)}"
        if is_finished(path, scorer, rows()):
            return Done()
        with Ledger(path, scorer) as ledger:
            work, started = Work(engine, metric, ledger), time.monotonic()
            watcher = asyncio.create_task(_watch(work, tell))
            try:
                await work.run(rows())
            finally:
                watcher.cancel()
            seconds = time.monotonic() - started
            ledger.finish()
        return Done(work.rows, work.tokens, seconds, tuple(work.bad))
    finally:
        await engine.close()


async def _watch(work: Work, tell: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(EVERY)
        tell(f"{len(work.ledger.ids):,} rows done, {work.rows / (time.monotonic() - began):,.0f} rows/s")
