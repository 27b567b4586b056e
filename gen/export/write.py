"""From a run to files: every kept sample, or every pair, in one form, redacted if asked, split if asked."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from gen.core import Sample
from gen.errors import UserError
from gen.export.columns import apart, parquet
from gen.export.files import atomic, atomic_folder
from gen.export.pairs import pairs
from gen.export.redact import Redaction
from gen.export.rows import Form, Unfit, dataset_row, line, weights
from gen.export.split import Amount, held_out
from gen.export.tables import EXAMPLE, Row, table
from gen.pool import Pool
from gen.text import find_refusal

FOLDER = ("README.md", "data")
"""What a folder that was exported holds."""
SHARD = 200_000_000
"""Characters of JSON, about, that go into one file of a folder."""
EXAMPLES = 3
"""Ids that a warning names."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    form: Form = field(default_factory=Form)
    redact: bool = False
    test: Amount | None = None
    """What is held out; for folders."""


@dataclass(slots=True)
class Tally:
    """What became of it."""

    rows: Counter[str] = field(default_factory=Counter)
    """Split -> rows."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> samples that the form cannot say: `unanswered`, `earlier_turns`."""
    redacted: Counter[str] = field(default_factory=Counter)
    """Kind -> occurrences that were replaced."""
    weights: Counter[str] = field(default_factory=Counter)
    """What wrote the rows, as `rows.weights` says it -> rows."""
    found: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    """`refusal`, or a kind of personal content -> rows that hold it, and the ids of the first of them."""

    def add(self, split: str, sample: Sample) -> None:
        self.rows[split] += 1
        self.weights[weights(sample)] += 1

    def look(self, sample: Sample) -> None:
        """Note what should be known of a row before it is given away."""
        seen = Redaction()
        seen.clean(sample)
        for kind in (*sorted(seen.found), *(["refusal"] if find_refusal(sample.response or "") else [])):
            count, ids = self.found.get(kind, (0, []))
            self.found[kind] = count + 1, [*ids, sample.id][:EXAMPLES]


class Export:
    """The rows of a run in one form. Reads the pool anew each time, and gives the same rows each time."""

    def __init__(self, pool: Pool, order: Order) -> None:
        self._pool, self._order = pool, order
        self._run, self._stage = pool.newest()
        self._example = order.form.row(EXAMPLE, EXAMPLE)

    def to_stream(self, out: TextIO) -> Tally:
        """JSON lines."""
        return self._put(lambda row: _write_line(out, row))

    def to_file(self, path: Path) -> Tally:
        """One file, of the kind that its name says. Raises InputError as `table` does."""
        with table(path, self._example) as write:
            return self._put(write)

    def to_folder(self, path: Path, card: Callable[[Tally], str]) -> Tally:
        """A dataset repository: Parquet in `data`, the card beside it. Also looks for what should not be given away."""
        test = held_out((s for s, _ in self._rows(Tally(), redact=False)), self._order.test) if self._order.test else ()
        names = ("train", "test") if test else ("train",)
        tally = Tally(Counter(dict.fromkeys(names, 0)))
        with atomic_folder(path, FOLDER) as part:
            (part / "data").mkdir()
            with ExitStack() as stack:
                shards = {name: stack.enter_context(Shards(part / "data", name, self._example)) for name in names}
                for sample, row in self._rows(tally, redact=self._order.redact):
                    split = "test" if sample.lineage.root in test else "train"
                    shards[split].write(row)
                    tally.add(split, sample)
                    tally.look(sample)
            self._check(tally)
            if not tally.rows.total():
                raise UserError(f"{path}: no row to export; `gen funnel` tells what became of the candidates")
            with atomic(part / FOLDER[0]) as file:
                file.write(card(tally))
        return tally

    def _put(self, write: Callable[[Row], None]) -> Tally:
        tally = Tally()
        for sample, row in self._rows(tally, redact=self._order.redact):
            write(row)
            tally.add("train", sample)
        self._check(tally)
        return tally

    def _rows(self, tally: Tally, *, redact: bool) -> Iterator[tuple[Sample, Row]]:
        preference = self._order.form.format == "preference"
        found: Iterator[tuple[Sample, Sample | None]]
        kept = self._pool.kept(self._run, self._stage)
        found = pairs(self._pool, self._run, self._stage) if preference else ((s, None) for s in kept)
        redaction = Redaction()
        for sample, worse in found:
            if redact:
                names: dict[str, str] = {}
                sample, worse = redaction.clean(sample, names), worse and redaction.clean(worse, names)
                tally.redacted = redaction.found
            try:
                row = self._order.form.row(sample, worse)
            except Unfit as no:
                tally.skipped[str(no)] += 1
                continue
            yield sample, row

    def _check(self, tally: Tally) -> None:
        if self._order.form.format == "preference" and not tally.rows.total():
            raise UserError(
                "preference: 0 pairs. No kept sample carries a worse answer (its `rejected`), and no dropped answer "
                "shares its task, word for word, with a kept one; seeds with `chosen` and `rejected` columns, or a "
                "loop that asks for several answers, make pairs"
            )


class Shards:
    """The files of one split: `train-00000-of-00002.parquet`."""

    def __init__(self, folder: Path, split: str, example: Row) -> None:
        self._folder, self._split, self._example = folder, split, example
        self._paths: list[Path] = []
        self._size = 0
        self._open = ExitStack()

    def __enter__(self) -> Shards:
        self._next()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)
        for path in self._paths if error[0] is None else ():
            path.rename(path.with_name(f"{path.stem}-of-{len(self._paths):05}.parquet"))

    def write(self, row: Row) -> None:
        if self._size > SHARD:
            self._open.close()
            self._next()
        self._write(row)
        self._size += len(line(row))

    def _next(self) -> None:
        self._paths.append(self._folder / f"{self._split}-{len(self._paths):05}.parquet")
        self._size, self._open = 0, ExitStack()
        self._write = self._open.enter_context(table(self._paths[-1], self._example))


def write_dataset(samples: Iterator[Sample], folder: Path) -> Tally:
    """Writes a run folder's `dataset.jsonl` and `dataset.parquet`, all samples in the order given."""
    tally, example = Tally(), dataset_row(EXAMPLE)
    how = parquet if "pyarrow" in sys.modules else apart
    with table(folder / "dataset.jsonl", example) as lines, table(folder / "dataset.parquet", example, how) as columns:
        for sample in samples:
            row = line(dataset_row(sample))
            lines(row)
            columns(row)
            tally.add("train", sample)
    return tally


def _write_line(out: TextIO, row: Row) -> None:
    out.write(line(row))
