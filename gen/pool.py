"""The durable store of a run: journal, conversations, samples, verdicts, scores and run state in one
`pool.db`. Every read is canonical, (stage, round, call, index), whatever order things arrived in.

Values come out as they went in, but for lone surrogates, which become U+FFFD (`codec.clean`; pass a completion
through it before using it, so that a resumed run sees the same text)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Self, TypeVar

from gen import tally
from gen.codec import clean, decode, encode, packer, unpack_all
from gen.core import Candidate, Sample, Score, Value, Verdict, replace
from gen.errors import PoolError, UserError
from gen.journal import Journal
from gen.schema import AWAITED, ENDS, GAPS, GROWN_AFTER, IDS, KEPT, MIGRATIONS, REPORTED, SAMPLE, SCHEMA, VERSION, Due
from gen.store import Store
from gen.tally import FAILED, SOUND, TALLY, FunnelRow, Key

T = TypeVar("T")
PAGE = 64
"""Rows that a stream reads at a time: a cursor left open would keep the write-ahead log from being reset."""
RECENT = 1024
"""Conversations that were stored last and stay in memory: the gate and the heirs ask for nearly all of them at once."""


class GrownRow(Value, frozen=True):
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


def of_stage(name: str, stage: int) -> str:
    """The name of a run state that each stage has of its own."""
    return f"{name}@{stage}" if stage else name


class Pool(Journal):
    """Open with `Pool.open`, as a context manager or with `close`. Methods may be called from any thread, `async`
    ones from any event loop; every write is durable when its method returns. An id names a sample within a stage;
    where it is asked for alone, the newest stage that has it answers."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.close, self.lost = store.close, store.lost
        self._recent: dict[tuple[int, int, str], GrownRow] = {}

    @classmethod
    def open(cls, folder: Path, *, readonly: bool = False) -> Self:
        """The pool in `folder`, made if there is none; readonly, beside any writer. Raises as `Store` does."""
        return cls(Store(folder, SCHEMA, VERSION, MIGRATIONS, readonly=readonly, counted=REPORTED))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- run state

    def state(self, name: str, default: Any = None) -> Any:
        rows = self._rows("SELECT value FROM state WHERE name = ?", name)
        return decode(rows[0][0]) if rows else default

    def set_state(self, name: str, value: Any) -> None:
        """`value` is small and JSON."""
        self._store.write(lambda db: _put_state(db, name, value))

    # --- conversations

    async def commit_grown(self, grown: GrownRow, due: Sequence[Due] = ()) -> None:
        """Store a conversation, its candidates, and which conversations its heirs will begin, in one transaction. One
        that is there already stays as it is. Raises PoolError when a candidate's id is taken in its stage."""
        if not grown.call:
            raise PoolError("commit_grown: a conversation without a call's name cannot be put in order")
        stored: list[GrownRow] = []

        def write(db: Connection) -> None:
            pack, g = packer(db), clean(grown)
            at = (g.stage, g.round, g.call)
            row = (*at, g.seed.id, pack(replace(g, candidates=())))
            if not db.execute("INSERT INTO grown VALUES (NULL, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount:
                return
            counts: Counter[Key] = Counter()
            for place, c in enumerate(g.candidates):
                lineage, end = c.sample.lineage, (c.failure.by, c.failure.reason) if c.failure else (None, None)
                values = (*at, place, c.sample.id, lineage.root, lineage.operation, *end, pack(c))
                sql = "INSERT INTO sample VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
                if not db.execute(sql, values).rowcount:
                    raise PoolError(f"call {g.call!r}: the id {c.sample.id} of its candidate {place} is taken already")
                ending = (FAILED, *end) if c.failure else (SOUND, "", "")
                counts[g.stage, 0, g.round, lineage.operation, *ending] += 1
            tally.add(db, counts)
            db.execute("DELETE FROM due WHERE (stage, round, call) = (?, ?, ?)", at)
            db.executemany("INSERT OR IGNORE INTO due VALUES (?, ?, ?, ?, ?)", [(g.stage, *one) for one in due])
            stored.append(g)

        await self._store.written(write)
        self._recent |= {(g.stage, g.round, g.call): g for g in stored}
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def due(self, stage: int, rounds: int) -> list[Due]:
        """The conversations of a stage that heirs wait to begin, up to a round, in canonical order."""
        return self._rows(AWAITED, stage, rounds)

    def begun(self, stage: int, after: str | None) -> tuple[int, list[range]]:
        """The seeds that were begun with: one more than the last one's number, and the numbers after a call that are
        missing before it (`after` None: none is)."""
        [(last,)] = self._rows("SELECT max(call) FROM grown WHERE stage = ? AND round = 0", stage)
        gaps = [] if after is None else self._rows(GAPS, at := after or "-0000001", stage, at)
        return (0 if last is None else int(last) + 1), [range(int(a) + 1, int(b)) for a, b in gaps]

    def held(self, stage: int, after: tuple[int, str] | None = None) -> int:
        """How many conversations of a stage are stored, in all or after a place."""
        sql = "SELECT count(*) FROM grown WHERE stage = ? AND (round, call) > (?, ?)"
        return int(self._rows(sql, stage, *(after or (-1, "")))[0][0])

    def calls_after(self, stage: int, after: tuple[int, str]) -> list[tuple[int, str]]:
        """(round, call) of the stored conversations of a stage, strictly after a place."""
        sql = "SELECT round, call FROM grown WHERE stage = ? AND (round, call) > (?, ?) ORDER BY round, call"
        return self._rows(sql, stage, *after)

    def grown(self, stage: int, round: int, call: str) -> GrownRow | None:
        return next(iter(self._grown("WHERE (stage, round, call) = (?, ?, ?)", stage, round, call)), None)

    def heirs(self, stage: int, round: int, call: str) -> list[Sample]:
        if known := self._recent.get((stage, round, call)):
            return list(known.heirs)
        rows = self._rows("SELECT body FROM grown WHERE (stage, round, call) = (?, ?, ?)", stage, round, call)
        return list(self._load(GrownRow, rows[0][0]).heirs) if rows else []

    def grown_after(self, stage: int, after: tuple[int, str] | None, limit: int) -> list[GrownRow]:
        """At most `limit` conversations of a stage in order of (round, call), strictly after `after`."""
        at = (stage, *(after or (-1, "")), limit)
        places = self._rows(f"SELECT stage, round, call FROM grown {GROWN_AFTER}", *at) if self._recent else []  # noqa: S608
        known = [row for stage, round, call in places if (row := self._recent.get((stage, round, call)))]
        return known if self._recent and len(known) == len(places) else self._grown(GROWN_AFTER, *at)

    def all_grown(self, only: int | None = None) -> Iterator[GrownRow]:
        """Every conversation, or those of one stage, in canonical order."""
        for (stage,) in self._rows("SELECT DISTINCT stage FROM grown ORDER BY stage") if only is None else [(only,)]:
            at: tuple[int, str] | None = None
            while page := self.grown_after(stage, at, PAGE):
                yield from page
                at = (page[-1].round, page[-1].call)

    def grown_of(self, sample_id: str) -> GrownRow | None:
        """The conversation that proposed this sample."""
        place = "SELECT stage, round, call FROM sample WHERE id = ? ORDER BY stage DESC LIMIT 1"
        return next(iter(self._grown(f"WHERE (stage, round, call) = ({place})", sample_id)), None)

    def _grown(self, which: str, *values: Any) -> list[GrownRow]:
        bodies = [body for (body,) in self._rows(f"SELECT body FROM grown {which}", *values)]  # noqa: S608
        found = []
        for row in unpack_all(GrownRow, bodies, self._rows):
            where = "WHERE (stage, round, call) = (?, ?, ?) ORDER BY place"
            found.append(replace(row, candidates=tuple(self._candidates(where, row.stage, row.round, row.call))))
        return found

    def _candidates(self, which: str, *values: Any) -> list[Candidate]:
        rows = self._rows(f"SELECT body FROM sample {which}", *values)  # noqa: S608
        return unpack_all(Candidate, [body for (body,) in rows], self._rows)

    # --- verdicts and scores

    def add_verdicts(
        self, gate_run: int, verdicts: Sequence[tuple[str, Verdict]], state: Mapping[str, Any] | None = None, *,
        scores: Sequence[tuple[str, Score]] = (), stage: int | None = None,
    ) -> None:  # fmt: skip
        """Store what a gate says of committed samples, in one transaction with the run state that goes with it.
        Without `stage`, of the newest that has a sample. Raises PoolError for a sample that is not there."""

        def found(db: Connection, id: str) -> tuple[int, tuple[int, int, int, str], bool]:
            """Its number, where its verdict counts, and whether it does."""
            for n, of, round, operation, sound in db.execute(SAMPLE, (id, stage)):
                return n, (of, gate_run, round, operation), sound
            raise PoolError(f"sample {id!r} is not in the pool: commit its conversation before judging it")

        def write(db: Connection) -> None:
            pack, counts = packer(db), Counter[Key]()
            for id, v in ((id, clean(verdict)) for id, verdict in verdicts):
                n, at, sound = found(db, id)
                if sound:
                    counts.update(tally.judged(db, n, at, v.keep, v.by, v.reason))
                row = (gate_run, n, v.keep, v.by, v.reason, pack(v))
                db.execute("INSERT INTO verdict VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)
            tally.add(db, counts)
            for id, score in scores:
                db.execute("INSERT INTO score VALUES (NULL, ?, ?, ?)", (gate_run, found(db, id)[0], pack(clean(score))))
            for name, value in (state or {}).items():
                _put_state(db, name, value)

        self._store.write(write)

    def verdicts(self, sample_id: str, stage: int | None = None) -> list[tuple[int, Verdict]]:
        """(gate run, verdict) of every filter that spoke, in the order of both; without `stage`, of the newest."""
        return self._notes("verdict", Verdict, sample_id, stage)

    def scores(self, sample_id: str) -> list[tuple[int, Score]]:
        return self._notes("score", Score, sample_id)

    def _notes(self, table: str, kind: type[T], sample_id: str, stage: int | None = None) -> list[tuple[int, T]]:
        sql = f"""SELECT gate_run, body FROM {table} WHERE sample =
          (SELECT n FROM sample WHERE id = ? AND stage = coalesce(?, stage) ORDER BY stage DESC LIMIT 1)
          ORDER BY gate_run, n"""  # noqa: S608
        return [(run, self._load(kind, body)) for run, body in self._rows(sql, sample_id, stage)]

    def newest(self, stage: int | None = None) -> tuple[int, int]:
        """The newest gate run of a stage, and the stage; without one, of the last: what the dataset is made of."""
        last = int(self.state("stages", 1)) - 1 if stage is None else stage
        return int(self.state(of_stage("gate_run", last), 1)), last

    def kept(self, gate_run: int, stage: int = 0) -> Iterator[Sample]:
        """Samples of a stage that this run of its gate keeps, in canonical order."""
        at: tuple[Any, ...] = (-1, "", -1)
        while page := self._rows(KEPT, stage, *at, gate_run, PAGE):
            yield from (found.sample for found in unpack_all(Candidate, [row[3] for row in page], self._rows))
            at = page[-1][:3]

    def funnel(self, gate_run: int, stage: int = 0) -> list[FunnelRow]:
        """How many candidates of a stage went where, by round and operation. Failures of the loop itself count in
        every gate run; candidates without a verdict are `pending`."""
        return tally.funnel(stage, self._rows(TALLY, stage, 0), self._rows(TALLY, stage, gate_run))

    def deepest(self, gate_run: int, stage: int = 0) -> Sample | None:
        """The first kept sample of the last round that has any."""
        rounds = [row.round for row in self.funnel(gate_run, stage) if row.keep]
        rows = self._rows(KEPT, stage, max(rounds), "", -1, gate_run, 1) if rounds else []
        return self._load(Candidate, rows[0][3]).sample if rows else None

    def whole_funnel(self) -> list[FunnelRow]:
        """The funnel of every stage, each by its newest gate run."""
        return [row for stage in range(self.state("stages", 1)) for row in self.funnel(*self.newest(stage))]

    def ends(self, run: int, stage: int, after: tuple[int, str], before: tuple[int, str]) -> list[tuple[Any, ...]]:
        """Round, call, operation, whether kept (0 or 1): of candidates from `after` on and before `before`."""
        return self._rows(ENDS, run, stage, *after, *before)

    # --- samples

    def sample(self, id_or_prefix: str) -> Sample | None:
        """The candidate or seed with this id, or the only one whose id begins so. Raises UserError that lists
        them when several do."""
        prefix = clean(id_or_prefix)
        ids = [id for (id,) in self._rows(IDS, *(prefix, prefix + "\U0010ffff") * 2)]
        if len(ids) > 1 and prefix not in ids:
            more = ", ..." if len(ids) > 8 else ""
            raise UserError(f"sample {prefix!r}: several ids begin so: {', '.join(ids[:8])}{more}; give more of the id")
        if not ids:
            return None
        found = self._candidate(ids[0])  # a whole id comes before the longer ones
        return found.sample if found else self._seed(ids[0])

    def failure(self, sample_id: str, stage: int | None = None) -> Verdict | None:
        """Why the loop itself gave this sample up, if it did; without `stage`, that of the newest that has it."""
        found = self._candidate(sample_id, stage)
        return found.failure if found else None

    def family(self, root: str) -> list[Sample]:
        """Every candidate of a root in canonical order, failures included; first the seed itself, where it
        is not a candidate."""
        rows = self._candidates("WHERE root = ? ORDER BY stage, round, call, place", root)
        found = [candidate.sample for candidate in rows]
        seed = None if any(s.id == root for s in found) else self._seed(root)
        return [seed, *found] if seed else found

    def _candidate(self, id: str, stage: int | None = None) -> Candidate | None:
        which = "WHERE id = ? AND stage = coalesce(?, stage) ORDER BY stage DESC LIMIT 1"
        return next(iter(self._candidates(which, id, stage)), None)

    def _seed(self, id: str) -> Sample | None:
        rows = self._rows("SELECT body FROM grown WHERE seed_id = ? ORDER BY stage, round LIMIT 1", id)
        return self._load(GrownRow, rows[0][0]).seed if rows else None


def _put_state(db: Connection, name: str, value: Any) -> None:
    db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, encode(clean(value))))
