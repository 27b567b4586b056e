"""Rounds: draw, grow, judge, admit, commit.

Conversations run concurrently and are *started* in canonical order (round, call); a lineage goes on as
soon as its own round is done, never waiting for others or for the gate. The gate *judges* in canonical
order, reading finished conversations from the pool's file; it alone waits for a straggler. So the pool
depends on the journal alone, budgets are exact, and a run that is killed goes on where it was."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gen.assess import Assessor
from gen.core import Candidate, Embedder, Engine, Grown, Sample, Verdict, child, derive_seed, place
from gen.errors import GenError, Interrupted
from gen.gate import Admission
from gen.loop import Loop
from gen.pool import GrownRow, Pool
from gen.recipe import Recipe
from gen.rollout import STOPS, Talk, Told

GRACE = 30.0
"""Seconds that requests in flight are given when time is up."""


class Turn(NamedTuple):
    """One conversation to be held; tuples compare in canonical order."""

    round: int
    call: str
    parent: str = ""
    heir: int = 0


class Order:
    """Turns that are ready or under way. Nothing before `frontier` is missing."""

    def __init__(self, seeds: int) -> None:
        self._seeds, self._next = seeds, 0
        self._ready: list[Turn] = []
        self._active: set[Turn] = set()
        self._first: Turn | None = None

    @property
    def active(self) -> int:
        return len(self._active)

    def push(self, turn: Turn) -> None:
        """Make ready what follows a turn that is under way: never before the frontier."""
        heapq.heappush(self._ready, turn)

    def pop(self) -> Turn | None:
        """The first ready turn in canonical order, now under way."""
        if self._next < self._seeds:
            turn, self._next = Turn(0, f"{self._next:08d}"), self._next + 1
        elif self._ready:
            turn = heapq.heappop(self._ready)
        else:
            return None
        self._active.add(turn)
        return turn

    def end(self, turn: Turn) -> None:
        self._active.discard(turn)
        if turn == self._first:
            self._first = None

    def frontier(self) -> Turn | None:
        """The first turn that is not done; None when all are."""
        if self._first is None:
            fresh = [Turn(0, f"{self._next:08d}")] if self._next < self._seeds else []
            self._first = min((*self._active, *self._ready[:1], *fresh), default=None)
        return self._first


@dataclass(slots=True)
class Run:
    """One stage of a run over its seeds. Whoever watches reads `order`, `talk`, `admission`, `done`."""

    recipe: Recipe
    seeds: Sequence[Sample]
    pool: Pool
    engines: Mapping[str, Engine]
    admission: Admission
    stage: int = 0
    embedder: Embedder | None = None
    talk: Talk = field(init=False)
    assessor: Assessor = field(init=False)
    order: Order = field(init=False)
    done: int = 0
    judged: int = 0
    """Conversations done, and those of them that the gate has seen."""
    failures: int = 0
    why: str = ""
    """Why the run ended: complete, target, max_tokens, max_time, interrupted; empty while it runs."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _measuring: set[asyncio.Task[None]] = field(default_factory=set)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _awaited: Turn | None = None
    """The straggler up to which all is judged."""
    _error: BaseException | None = None
    _most: int = 0
    """Conversations under way at once."""

    def __post_init__(self) -> None:
        self.talk = Talk(self.engines, self.pool, self.recipe.seed, self.embedder)
        self.assessor = Assessor(self.admission.gate, self.talk, all_of_them=self.recipe.score_all)
        self.order = Order(len(self.seeds))
        # a quarter more conversations than requests: some are between two questions, in the journal
        self._most = (width := sum(e.width for e in set(self.engines.values()))) + width // 4 + 1

    async def execute(self) -> str:
        """Run to the end, a budget or `stop`; returns why it ended. Errors that end a run are raised
        after everything in flight is put away."""
        clock = asyncio.get_running_loop()
        limit = self.recipe.budget.max_time
        timer = clock.call_later(limit * 60, self.stop, "max_time") if limit else None
        try:
            self._launch()
            await self._judge_all()
        except BaseException:
            self.stop("failed")
            raise
        finally:
            if timer:
                timer.cancel()
            await self._put_away()
        while await self._judge_some():  # what landed meanwhile belongs to the dataset of a stopped run
            pass
        if self._error is not None:
            raise self._error
        return self.why

    def stop(self, why: str) -> None:
        """End cleanly: no new question; what is in flight is still recorded."""
        if not self.why:
            self.why = why
            self.talk.stopping = True
            self._moved.set()

    def _launch(self) -> None:
        # Where measuring is slower than asking, asking waits: what waits to be measured is held in memory.
        while not self.why and len(self._tasks) < self._most and len(self._measuring) < 4 * self._most:
            if (turn := self.order.pop()) is None:
                return
            self._start(self._turn(turn), self._tasks)

    def _start(self, work: Coroutine[Any, Any, None], group: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        group.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._measuring.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if not isinstance(error, Interrupted):
                self._error = self._error or error
            self.stop("interrupted" if isinstance(error, STOPS) else "failed")
        self._moved.set()
        self._launch()

    async def _turn(self, turn: Turn) -> None:
        row = self.pool.grown(self.stage, turn.round, turn.call)
        if row is None:
            row = await self._grow(turn)
            await self.pool.commit_grown(row)
        if turn.round < self.recipe.rounds:
            for i in range(len(row.heirs)):
                # the first heir keeps the call of its parent, others sort directly after it
                call = turn.call if i == 0 else f"{turn.call}.{turn.round:02d}{i:04d}"
                self.order.push(Turn(turn.round + 1, call, turn.call, i))
        self.done += 1
        if self.assessor.has_work and not self.admission.is_past(turn.round, turn.call):
            self._start(self._measure(turn, row), self._measuring)
        else:
            self.order.end(turn)

    async def _measure(self, turn: Turn, row: GrownRow) -> None:
        """The lineage has gone on already: only the gate waits for this."""
        await self.assessor.ask(c.sample for c in row.candidates if c.failure is None)
        self.order.end(turn)

    async def _grow(self, turn: Turn) -> GrownRow:
        loop: Loop = self.recipe.params
        if turn.round == 0:
            seed = self.seeds[int(turn.call)]
            conversation = loop.answer(seed)
        else:
            seed = self.pool.heirs(self.stage, turn.round - 1, turn.parent)[turn.heir]
            rng = random.Random(derive_seed(self.recipe.seed, self.stage, turn.round, seed.id, "rng"))
            conversation = loop.grow(seed, rng)
        told: Told[Grown] = await self.talk.hold(conversation, (self.stage, turn.round, seed.id))
        grown = told.result or self._failed(seed, told.error)
        made = [self._signed(c.sample, told.roles) for c in grown.candidates]
        placed = [place(sample, self.stage, turn.round, i) for i, sample in enumerate(made)]
        candidates = tuple(Candidate(s, c.failure) for s, c in zip(placed, grown.candidates, strict=True))
        new = {id(c.sample): s for c, s in zip(grown.candidates, placed, strict=True)}
        heirs = {heir.id: heir for heir in (new.get(id(h), h) for h in grown.heirs)}
        at = (self.stage, turn.round, turn.call)
        return GrownRow(*at, seed, candidates, tuple(heirs.values()), told.tokens, told.asked, told.error)

    def _signed(self, sample: Sample, roles: Sequence[str]) -> Sample:
        """With the weights that helped to make it, as far as this conversation asked any."""
        engines = {f"{e.model}@{e.fingerprint[:8]}": e.license for e in (self.engines[role] for role in roles)}
        models = tuple(f"{name} ({license})" if license else name for name, license in engines.items())
        return replace(sample, lineage=replace(sample.lineage, models=models)) if models else sample

    def _failed(self, seed: Sample, error: str) -> Grown:
        """A conversation whose own code failed: one dropped candidate; too many of them end the run."""
        self.failures += 1
        if self.failures >= 10 and self.failures * 2 > self.done:
            raise GenError(
                f"loop {self.recipe.loop!r}: {self.failures} conversations failed in its own code, the last with "
                f"{error}; expected none; report it, or mend the loop, then run the same command again"
            )
        verdict = Verdict(False, "loop_failed", self.recipe.loop, note=error)
        return Grown((Candidate(child(seed, "failed", ""), verdict),), (seed,))

    async def _judge_all(self) -> None:
        while True:
            self._moved.clear()
            while await self._judge_some():
                pass
            if spent := self.admission.spent():
                self.stop(spent)
            elif self.order.frontier() is None:
                self.stop("complete")
            if self.why:
                return
            await self._moved.wait()

    async def _judge_some(self) -> bool:
        """Judge the next finished conversations in canonical order; False when there is none."""
        before = self.order.frontier()
        if before and before == self._awaited:
            return False
        rows = self.admission.pending(self.pool, self.stage, (before.round, before.call) if before else None)
        if rows:
            await asyncio.to_thread(self.admission.judge, self.pool, rows)
            self.judged += len(rows)
        else:
            self._awaited = before
        return bool(rows)

    async def _put_away(self) -> None:
        """Requests in flight are recorded when that is quick, aborted when a budget ended the run."""
        if not (tasks := self._tasks | self._measuring):
            return
        if self.why in ("interrupted", "max_time"):
            grace = None if self.why == "interrupted" and self._error is None else GRACE
            await asyncio.wait(tasks, timeout=grace)
        tasks |= self._tasks | self._measuring  # a conversation that ended meanwhile is measured
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
