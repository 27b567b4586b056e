"""The durable store of a run: journal, conversations, samples, verdicts, scores and run state in one
`pool.db`. Every read is canonical, (stage, round, call, index), whatever order things arrived in.

Values go in and come out as `gen.core` has them, but for lone surrogates, which become U+FFFD (`texts.clean`;
pass a completion through it before using it, so that a resumed run sees the same text).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gen.core import Candidate, Sample, Score, Verdict
from gen.disk import Locked as Locked
from gen.disk import Unfit as Unfit
from gen.errors import PoolError, UserError
from gen.journal import Journal, Row, put_state
from gen.store import Write, Writer
from gen.tables import FUNNEL, GROWN_AFTER, KEPT
from gen.texts import clean, decoder, encode, of_sample

PAGE = 256
"""Rows that a stream reads at a time: a cursor left open would keep the write-ahead log from being reset."""
BACKLOG = 2_000
_sample = decoder(Sample)
_samples = decoder(list[Sample])
_verdict = decoder(Verdict)
_score = decoder(Score)
_keys = decoder(tuple[str, ...])


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


class Pool(Journal):
    """Open with `Pool.open`, as a context manager or with `close`. Methods may be called from any thread,
    `async` ones from any event loop."""

    # --- conversations

    async def commit_grown(self, grown: GrownRow) -> None:
        """Store a conversation and its candidates in one transaction; returns once committed. One that is
        there already stays as it is. Raises PoolError when a candidate's id is another conversation's."""
        if not grown.call:
            raise PoolError("commit_grown: a conversation without a call's name cannot be put in order")

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
                put_state(to, name, value)

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
        return [
            FunnelRow(round, operation, by, reason, count, bool(keep))
            for round, operation, by, reason, count, keep in self._settled(FUNNEL, gate_run, stage, stage)
        ]

    # --- samples

    def resolve(self, prefix: str) -> str | None:
        """The id that begins so, of a candidate or of a seed; None if there is none.

        Raises UserError that lists them when several do."""
        prefix, found = clean(prefix), list[str]()
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
