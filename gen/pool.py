"""The durable store of a run: journal, conversations, samples, verdicts, scores and run state in one
`pool.db`. Every read is canonical, (stage, round, call, index), whatever order things arrived in.

Values go in and come out as `gen.core` has them, but for lone surrogates, which become U+FFFD (`texts.clean`;
pass a completion through it before using it, so that a resumed run sees the same text).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from gen import disk
from gen.core import Candidate, Completion, Request, Sample, Score, Verdict
from gen.disk import Locked as Locked
from gen.disk import Unfit as Unfit
from gen.disk import connect, explain
from gen.errors import PoolError, UserError
from gen.store import Store, Write, Writer
from gen.texts import clean, encode, of_completion, of_request, of_sample, unsqueeze

Row: TypeAlias = tuple[Any, ...]
PAGE = 256
"""Rows that a stream reads at a time: a cursor left open would keep the write-ahead log from being reset."""
BACKLOG = 2_000
VERSION = 1
SCHEMA = """
CREATE TABLE text (hash BLOB PRIMARY KEY, body NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE journal (
  key TEXT PRIMARY KEY, kind TEXT NOT NULL DEFAULT 'completion', engine TEXT NOT NULL,
  request BLOB, schema TEXT, payload BLOB NOT NULL);
CREATE TABLE grown (
  n INTEGER PRIMARY KEY, stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL,
  seed_id TEXT NOT NULL, tokens INTEGER NOT NULL, error TEXT NOT NULL,
  seed BLOB NOT NULL, heirs BLOB NOT NULL, asked BLOB NOT NULL);
CREATE UNIQUE INDEX grown_place ON grown (stage, round, call);
CREATE INDEX grown_seed ON grown (seed_id, stage, round);
CREATE INDEX grown_tokens ON grown (tokens);
CREATE TABLE sample (
  n INTEGER PRIMARY KEY, stage INTEGER NOT NULL, round INTEGER NOT NULL, call TEXT NOT NULL, place INTEGER NOT NULL,
  id TEXT NOT NULL, root TEXT NOT NULL, operation TEXT NOT NULL, failed_by TEXT, failed_for TEXT,
  body BLOB NOT NULL, failure BLOB);
CREATE UNIQUE INDEX sample_place ON sample (stage, round, call, place);
CREATE UNIQUE INDEX sample_id ON sample (id);
CREATE INDEX sample_family ON sample (root, stage, round, call, place);
CREATE TABLE verdict (
  n INTEGER PRIMARY KEY, gate_run INTEGER NOT NULL, sample INTEGER NOT NULL, keep INTEGER NOT NULL,
  "by" TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX verdict_sample ON verdict (sample, gate_run, keep);
CREATE TABLE score (
  n INTEGER PRIMARY KEY, gate_run INTEGER NOT NULL, sample INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX score_sample ON score (sample, gate_run);
"""
# The verdict that counts: the first one to drop the sample, else the first that keeps it.
KEPT = """SELECT s.stage, s.round, s.call, s.place, s.body FROM sample s INDEXED BY sample_place
WHERE (s.stage, s.round, s.call, s.place) > (?, ?, ?, ?) AND s.failure IS NULL AND 1 =
  (SELECT v.keep FROM verdict v WHERE v.sample = s.n AND v.gate_run = ? ORDER BY v.keep, v.n LIMIT 1)
ORDER BY s.stage, s.round, s.call, s.place LIMIT ?"""
GROWN_AFTER = """SELECT * FROM grown INDEXED BY grown_place
WHERE stage = ? AND (round, call) > (?, ?) ORDER BY round, call LIMIT ?"""
FUNNEL = """SELECT s.round, s.operation, coalesce(s.failed_by, v."by", ''),
  coalesce(s.failed_for, v.reason, 'pending') AS reason, count(*),
  CASE WHEN s.failure IS NULL THEN coalesce(v.keep, 0) ELSE 0 END AS keep
FROM sample s LEFT JOIN verdict v ON s.failure IS NULL AND v.n =
  (SELECT w.n FROM verdict w WHERE w.sample = s.n AND w.gate_run = ? ORDER BY w.keep, w.n LIMIT 1)
WHERE ? IS NULL OR s.stage = ? GROUP BY 1, 2, 3, 4, 6 ORDER BY 1, 2, 6 DESC, 3, 4"""

_completion = msgspec.json.Decoder(Completion).decode
_request = msgspec.json.Decoder(Request).decode
_sample = msgspec.json.Decoder(Sample).decode
_samples = msgspec.json.Decoder(list[Sample]).decode
_verdict = msgspec.json.Decoder(Verdict).decode
_score = msgspec.json.Decoder(Score).decode
_keys = msgspec.json.Decoder(tuple[str, ...]).decode


@dataclass(frozen=True, slots=True)
class GrownRow:
    """A conversation that came to its end. Candidates have their ids (`core.place`)."""

    stage: int
    round: int
    call: str
    seed: Sample
    """What it grew from."""
    candidates: tuple[Candidate, ...]
    heirs: tuple[Sample, ...]
    tokens: int
    """Generated tokens."""
    asked: tuple[str, ...]
    """Journal keys, in the order asked."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class FunnelRow:
    round: int
    operation: str
    by: str
    reason: str
    count: int
    keep: bool


class Pool:
    """Open with `Pool.open`. Methods may be called from any thread; `async` ones from any event loop."""

    def __init__(self, path: Path, store: Store | None, lock: int | None) -> None:
        self.path = path
        self._store = store
        self._lock = lock
        self._db = connect(path, readonly=True)
        self._ask = self._db.execute

    @classmethod
    def open(cls, folder: Path, *, readonly: bool = False) -> Pool:
        """The pool in `folder`, made if there is none. Readonly takes no lock and makes nothing.

        Raises Locked if another process writes to it, Unfit if folder, disk or file cannot be a pool of
        this version, PoolError if the file is damaged."""
        path = folder / disk.DATABASE
        if readonly:
            disk.check(path, VERSION)
            return cls(path, None, None)
        lock = disk.prepare(folder, SCHEMA, VERSION)
        return cls(path, Store(path), lock)

    def close(self) -> None:
        """Commit what is queued, fold the log into the file, release the lock. Raises PoolError if a write
        failed and no call has said so yet. A second call does nothing."""
        store, self._store = self._store, None
        lock, self._lock = self._lock, None
        self._db.close()
        try:
            if store is not None:
                store.close()
        finally:
            if lock is not None:
                os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.close()
        except PoolError:
            if error is None:  # never hide the error that is already on its way
                raise

    @property
    def commits(self) -> int:
        """Transactions so far, by this opening."""
        return self._writing.commits

    @property
    def _writing(self) -> Store:
        if self._store is None:
            raise PoolError(f"{self.path}: the pool is closed, or was opened for reading only")
        return self._store

    def _rows(self, sql: str, *values: Any) -> list[Row]:
        try:
            return self._ask(sql, values).fetchall()
        except sqlite3.Error as error:
            raise PoolError(explain(self.path, error)) from error

    def _settled(self, sql: str, *values: Any) -> list[Row]:
        """Rows that include every write made before this call."""
        if self._store is not None:
            self._store.settle()
        return self._rows(sql, *values)

    def _text(self, mark: str) -> str:
        if mark[:1] != "#":
            return mark[1:]
        rows = self._rows("SELECT body FROM text WHERE hash = ?", bytes.fromhex(mark[1:]))
        if not rows:
            raise PoolError(f"{self.path}: text {mark} is missing: the file is damaged; restore a copy")
        return unsqueeze(rows[0][0])

    # --- run state

    def state(self, name: str, default: Any = None) -> Any:
        rows = self._settled("SELECT value FROM state WHERE name = ?", name)
        return msgspec.json.decode(rows[0][0]) if rows else default

    def set_state(self, name: str, value: Any) -> None:
        """Durable when it returns. `value` is small and JSON."""
        data = encode(clean(value))
        self._writing.wait(lambda to: _put_state(to, name, data))

    # --- journal

    def lookup(self, key: str) -> Completion | None:
        """The completion recorded under this key, if its row is committed."""
        rows = self._rows("SELECT payload FROM journal WHERE key = ?", key)
        return of_completion(_completion(rows[0][0]), self._text) if rows else None

    async def record(self, key: str, engine: str, request: Request, completion: Completion) -> None:
        """Journal a completion; returns once it is committed. The first one under a key stays."""

        def write(to: Writer) -> None:
            asked, got = clean(request), clean(completion)
            schema = None if asked.schema is None else to.put(encode(asked.schema).decode())
            to.run(
                "INSERT OR IGNORE INTO journal (key, engine, request, schema, payload) VALUES (?, ?, ?, ?, ?)",
                (key, to.put(engine), encode(of_request(asked, to.put)), schema, encode(of_completion(got, to.put))),
            )

        await self._writing.committed(write)

    def asked(self, keys: Sequence[str]) -> list[tuple[Request, Completion]]:
        """Questions and replies under these keys, in their order; keys without a row are left out."""
        found = []
        for key in keys:
            for asked, schema, got in self._rows("SELECT request, schema, payload FROM journal WHERE key = ?", key):
                request = of_request(_request(asked), self._text)
                if schema is not None:
                    request = replace(request, schema=msgspec.json.decode(self._text(schema)))
                found.append((request, of_completion(_completion(got), self._text)))
        return found

    def journal_count(self) -> int:
        return int(self._settled("SELECT count(*) FROM journal")[0][0])

    # --- conversations

    async def commit_grown(self, grown: GrownRow) -> None:
        """Store a conversation and its candidates in one transaction; returns once committed. One that is
        there already stays as it is. Raises PoolError when a candidate's id is another conversation's."""

        def write(to: Writer) -> None:
            g = clean(grown)
            seed, heirs = of_sample(g.seed, to.put), [of_sample(h, to.put) for h in g.heirs]
            new = to.run(
                "INSERT INTO grown VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (g.stage, g.round, g.call, g.seed.id, g.tokens, g.error, encode(seed), encode(heirs), encode(g.asked)),
            )
            if new.rowcount:
                for place, candidate in enumerate(g.candidates):
                    _put_candidate(to, (g.stage, g.round, g.call, place), candidate)

        await self._writing.committed(write)

    def grown_calls(self, stage: int, round: int) -> Iterator[str]:
        """Calls that are done, in the order of their text."""
        sql, last = "SELECT call FROM grown WHERE stage = ? AND round = ? AND call > ? ORDER BY call LIMIT ?", ""
        # No call is the empty text: `rounds` names every conversation.
        while rows := self._settled(sql, stage, round, last, PAGE):
            yield from (call for (call,) in rows)
            last = rows[-1][0]

    def heirs(self, stage: int, round: int, call: str) -> list[Sample]:
        rows = self._settled("SELECT heirs FROM grown WHERE stage = ? AND round = ? AND call = ?", stage, round, call)
        return [of_sample(heir, self._text) for heir in _samples(rows[0][0])] if rows else []

    def grown(self, stage: int, round: int, call: str) -> GrownRow | None:
        rows = self._settled("SELECT * FROM grown WHERE stage = ? AND round = ? AND call = ?", stage, round, call)
        return self._grown(rows[0]) if rows else None

    def grown_after(self, stage: int, after: tuple[int, str] | None, limit: int) -> list[GrownRow]:
        """At most `limit` conversations of a stage in order of (round, call), strictly after `after`."""
        return [self._grown(row) for row in self._settled(GROWN_AFTER, stage, *(after or (-1, "")), limit)]

    def grown_of(self, sample_id: str) -> GrownRow | None:
        """The conversation that proposed this sample (a unique prefix of its id will do)."""
        rows = self._settled("SELECT stage, round, call FROM sample WHERE id = ?", self.resolve(sample_id))
        return self.grown(*rows[0]) if rows else None

    def _grown(self, row: Row) -> GrownRow:
        _, stage, round, call, _, tokens, error, seed, heirs, asked = row
        rows = self._rows(
            "SELECT body, failure FROM sample WHERE stage = ? AND round = ? AND call = ? ORDER BY place",
            stage, round, call,
        )
        return GrownRow(
            stage, round, call, self._sample(seed),
            tuple(Candidate(self._sample(body), None if why is None else _verdict(why)) for body, why in rows),
            tuple(of_sample(heir, self._text) for heir in _samples(heirs)), tokens, _keys(asked), error,
        )

    def _sample(self, body: bytes) -> Sample:
        return of_sample(_sample(body), self._text)

    # --- verdicts and scores

    def add_verdicts(
        self, gate_run: int, verdicts: Sequence[tuple[str, Verdict]], state: Mapping[str, Any] | None = None
    ) -> None:
        """Queue verdicts of committed samples, in one transaction with the run state that goes with them.
        Later writes come after them, later reads see them; a failure surfaces at the next call."""
        rows = [(id, clean(verdict)) for id, verdict in verdicts]
        states = {name: encode(clean(value)) for name, value in (state or {}).items()}

        def write(to: Writer) -> None:
            for id, v in rows:
                sql = "INSERT INTO verdict SELECT NULL, ?, n, ?, ?, ?, ? FROM sample WHERE id = ?"
                _must_know(id, to.run(sql, (gate_run, v.keep, v.by, v.reason, encode(v), id)))
            for name, value in states.items():
                _put_state(to, name, value)

        self._post(write)

    def add_scores(self, gate_run: int, scores: Sequence[tuple[str, Score]]) -> None:
        """Queue scores of committed samples; order and failures as for verdicts."""
        rows = [(id, encode(clean(score))) for id, score in scores]

        def write(to: Writer) -> None:
            for id, body in rows:
                sql = "INSERT INTO score SELECT NULL, ?, n, ? FROM sample WHERE id = ?"
                _must_know(id, to.run(sql, (gate_run, body, id)))

        self._post(write)

    def _post(self, write: Write) -> None:
        store = self._writing
        store.post(write)
        if store.backlog > BACKLOG:  # a gate that outruns the disk must not fill the memory
            store.settle()

    def verdicts(self, sample_id: str) -> list[tuple[int, Verdict]]:
        """(gate run, verdict) of every filter that spoke, in the order of both."""
        return [(run, _verdict(body)) for run, body in self._notes("verdict", sample_id)]

    def scores(self, sample_id: str) -> list[tuple[int, Score]]:
        return [(run, _score(body)) for run, body in self._notes("score", sample_id)]

    def _notes(self, table: str, sample_id: str) -> list[Row]:
        sql = f"SELECT gate_run, body FROM {table} WHERE sample = (SELECT n FROM sample WHERE id = ?)"  # noqa: S608
        return self._settled(f"{sql} ORDER BY gate_run, n", self.resolve(sample_id))

    def kept(self, gate_run: int, after: str | None = None) -> Iterator[Sample]:
        """Samples that this gate run keeps, in canonical order, strictly after the sample `after`."""
        at = (-1, -1, "", -1)
        if after is not None:
            rows = self._settled("SELECT stage, round, call, place FROM sample WHERE id = ?", after)
            if not rows:
                raise PoolError(f"{self.path}: kept(after={after!r}): there is no such sample")
            at = rows[0]
        while page := self._settled(KEPT, *at, gate_run, PAGE):
            yield from (self._sample(row[4]) for row in page)
            at = page[-1][:4]

    def funnel(self, gate_run: int, stage: int | None = None) -> list[FunnelRow]:
        """How many candidates went where, by round and operation. Failures of the loop itself count in every
        gate run; candidates without a verdict are `pending`. With `stage`, that stage's alone."""
        return [FunnelRow(*row[:5], keep=bool(row[5])) for row in self._settled(FUNNEL, gate_run, stage, stage)]

    # --- samples

    def resolve(self, prefix: str) -> str | None:
        """The id that begins so, of a candidate or of a seed; None if there is none.

        Raises UserError that lists them when several do."""
        found: list[str] = []
        for column, table in (("id", "sample"), ("seed_id", "grown")):
            sql = f"SELECT DISTINCT {column} FROM {table} WHERE {column} >= ? AND {column} < ? ORDER BY 1 LIMIT 9"  # noqa: S608
            found += [id for (id,) in self._settled(sql, prefix, prefix + "\U0010ffff")]
        ids = sorted(set(found))
        if prefix in ids:
            return prefix
        if len(ids) > 1:
            more = ", ..." if len(ids) > 8 else ""
            raise UserError(f"sample {prefix!r}: several ids begin so: {', '.join(ids[:8])}{more}; give more of the id")
        return ids[0] if ids else None

    def sample(self, id_or_prefix: str) -> Sample | None:
        """The candidate or seed with this id, or the only one whose id begins so."""
        id = self.resolve(id_or_prefix)
        rows = self._rows("SELECT body FROM sample WHERE id = ?", id)
        rows = rows or self._rows("SELECT seed FROM grown WHERE seed_id = ? ORDER BY stage, round LIMIT 1", id)
        return self._sample(rows[0][0]) if rows else None

    def failure(self, sample_id: str) -> Verdict | None:
        """Why the loop itself gave this sample up, if it did."""
        rows = self._settled("SELECT failure FROM sample WHERE id = ?", self.resolve(sample_id))
        return _verdict(rows[0][0]) if rows and rows[0][0] is not None else None

    def family(self, root: str) -> list[Sample]:
        """Every candidate of a root in canonical order, failures included; first the seed itself, where it
        is not a candidate."""
        sql = "SELECT id, body FROM sample WHERE root = ? ORDER BY stage, round, call, place"
        rows = self._settled(sql, root)
        seed = () if any(id == root for id, _ in rows) else self._rows(
            "SELECT seed_id, seed FROM grown WHERE seed_id = ? ORDER BY stage, round LIMIT 1", root)
        return [self._sample(body) for _, body in (*seed, *rows)]

    def counts(self) -> Mapping[str, int]:
        """Conversations, samples, failed, kept (by the newest gate run), journal rows, generated tokens.
        Reads whole indices: about 0.1 s a million rows."""
        kept = """SELECT count(*) FROM (SELECT 1 FROM verdict INDEXED BY verdict_sample
          WHERE gate_run = (SELECT max(gate_run) FROM verdict) GROUP BY sample HAVING min(keep) = 1)"""
        asked = {
            "conversations": "SELECT count(*) FROM grown", "samples": "SELECT count(*) FROM sample",
            "failed": "SELECT count(failed_for) FROM sample", "kept": kept,
            "journal": "SELECT count(*) FROM journal", "tokens": "SELECT coalesce(sum(tokens), 0) FROM grown",
        }
        return {name: int(self._settled(sql)[0][0]) for name, sql in asked.items()}


def _put_state(to: Writer, name: str, value: bytes) -> None:
    to.run("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))


def _put_candidate(to: Writer, at: tuple[int, int, str, int], candidate: Candidate) -> None:
    sample, why = candidate.sample, candidate.failure
    body = encode(of_sample(sample, to.put))
    end = (None, None, body, None) if why is None else (why.by, why.reason, body, encode(why))
    values = (*at, sample.id, sample.lineage.root, sample.lineage.operation, *end)
    try:
        to.run("INSERT INTO sample VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    except sqlite3.IntegrityError as error:
        raise PoolError(f"call {at[2]!r}: the id {sample.id} of its candidate {at[3]} is taken already") from error


def _must_know(id: str, inserted: sqlite3.Cursor) -> None:
    if not inserted.rowcount:
        raise PoolError(f"sample {id!r} is not in the pool: commit its conversation before judging it")
