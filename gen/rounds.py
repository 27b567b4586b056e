"""One stage of a run: draw, grow, judge, admit, commit.

Conversations run concurrently and are *started* in canonical order (`gen.order`); a lineage goes on as
soon as its own round is done, never waiting for others or for the gate. The gate *judges* in canonical
order, round by round, reading finished conversations from the pool's file; it alone waits for a straggler. So the
pool depends on the journal alone, budgets are exact, and a run that is killed goes on where it was."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gen.adapt import Steady, steering
from gen.assess import Assessor
from gen.core import Embedder, Engine, Grown, Lineage, Rollout, Sample, derive_seed
from gen.errors import Interrupted
from gen.gate import Admission
from gen.grown import failed, row_of
from gen.order import Batches, Order, Turn, after
from gen.plan import Recipe
from gen.pool import GrownRow, Pool
from gen.resume import standing
from gen.rollout import STOPS, Talk, Told, abreast, ended, together
from gen.seeds.spool import Spool
from gen.seeds.supply import Beginning, Supply
from gen.watch import Watch

GRACE = 30.0
"""Seconds that requests in flight are given when time is up, and the gate of a stopped run for what has landed."""
AHEAD = 50_000
"""Conversations that may wait for the gate: beyond, asking waits for it, as each takes a kilobyte of memory."""
NOBODY = Sample("", "", Lineage(""))
"""What a conversation grew from that draws from the whole pool."""


@dataclass(slots=True)
class Run:
    """One stage of a run over its seeds. Whoever watches reads `order`, `talk`, `admission`, `done`."""

    recipe: Recipe
    """Of this stage alone."""
    seeds: Sequence[Sample]
    pool: Pool
    engines: Mapping[str, Engine]
    admission: Admission
    stage: int = 0
    embedder: Embedder | None = None
    beside: Talk | None = None
    """Of another stage, whose requests in flight count for this one, too."""
    enough: Callable[[], bool] = bool  # which says no
    """Whether no new conversation is needed for now, since a later stage has plenty to do."""
    supply: Supply = field(init=False)
    """The seeds, of which more may come while it runs."""
    talk: Talk = field(init=False)
    heard: list[Callable[[], None]] = field(default_factory=list)
    """Who is told whenever the gate has judged."""
    assessor: Assessor = field(init=False)
    order: Order = field(init=False)
    made: Spool = field(default_factory=Spool)
    """The kept samples of a loop that draws, without the seeds, in canonical order."""
    done: int = 0
    judged: int = 0
    """Conversations done, and those of them that the gate has seen."""
    round: int = -1  # the last one that the gate has judged wholly
    failures: int = 0
    why: str = ""
    """Why the stage ended: complete, exhausted, collapse, target, max_tokens, max_time, interrupted or enough."""
    watch: Watch = field(init=False)
    steer: Steady = field(init=False)
    _made: Counter[int] = field(default_factory=Counter)  # samples that were kept, by round
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _measuring: set[asyncio.Task[None]] = field(default_factory=set)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _held: deque[Turn] = field(default_factory=deque)  # by an earlier process, and still to be measured
    _awaited: tuple[int, str] | None = None  # the straggler up to which all is judged
    _error: BaseException | None = None
    _is_judging: bool = False
    _is_placed: bool = False  # whether it is known where to go on

    def __post_init__(self) -> None:
        own = Talk(self.engines, self.pool, self.recipe.seed, self.embedder)
        self.talk = self.beside.beside(self.engines, self.embedder) if self.beside else own
        self.assessor = Assessor(self.admission.gate, self.talk, all_of_them=self.recipe.score_all)
        self.seeds = self.supply = Supply.of(self.seeds)
        self.order = Batches(self.seeds) if self.draws else Order(self.seeds)
        if self.draws:
            self.admission.told.append(self.keep)
        self.watch = Watch(self.admission.recall.vector, self.recipe.budget.min_diversity)
        self.admission.told.append(self.watch.hear)
        self.steer = steering(self.recipe.params, self.seeds, self.pool, self.admission.run, self.stage)

    @property
    def draws(self) -> bool:
        """Whether its conversations draw from the pool, batch by batch (`gen.loop.Drawing`)."""
        return hasattr(self.recipe.params, "draw")

    def keep(self, sample: Sample) -> None:
        """Told of each kept sample in canonical order: what later batches draw from."""
        self._made[sample.lineage.round] += 1
        if sample.lineage.round:
            self.made.add(sample)

    async def execute(self) -> str:
        """Run to the end, a budget or `stop`; returns why it ended. Errors that end a run are raised
        after everything in flight is put away."""
        clock = asyncio.get_running_loop()
        timer = clock.call_later(limit * 60, self.stop, "max_time") if (limit := self.recipe.budget.max_time) else None
        self.supply.watch(lambda: clock.call_soon_threadsafe(self.nudge))
        recalling = asyncio.create_task(asyncio.to_thread(self.admission.remember, self.pool))
        try:
            await self._resume(recalling)
            await self._judge_all(recalling)
        except BaseException:
            self.stop("failed")
            raise
        finally:
            if timer:
                timer.cancel()
            await self._put_away()
        await recalling
        left = self.why not in ("exhausted", "collapse", "enough") and not self.admission.behind
        until = clock.time() + GRACE
        while left and clock.time() < until and await self._judge_some():
            pass  # what landed meanwhile belongs to the dataset of a stopped run
        if self._error is not None:
            raise self._error
        return self.why

    def stop(self, why: str) -> None:
        """End cleanly: no new question; what is in flight is still recorded."""
        if not self.why:
            self.why, self.talk.stopping, self.admission.hurry = why, True, True
            self._moved.set()

    async def _resume(self, recalling: asyncio.Task[None]) -> None:
        """Begin, or go on where an earlier process was; what the gate kept before is needed here only to draw from."""
        if self.draws:
            await recalling
        at, shape = self.admission.position, {"draws": self.draws, "measures": self.assessor.has_work}
        found = standing(self.pool, self.stage, at, self.recipe.rounds, **shape)
        self.order.resume(found.begun, found.turns, found.held)
        self._held.extend(found.held)
        self._is_placed = True
        self.done, self.judged, self.round = found.done, found.judged, max(-1, at.round - 1)
        if self.round >= 0:
            self._round_done()
        self._launch()

    def nudge(self) -> None:
        """Look again: there are more seeds, or more is needed."""
        self._launch()
        self._moved.set()

    def _launch(self) -> None:
        # Where measuring is slower than asking, asking waits: what waits to be measured is held in memory.
        most = abreast(self.engines.values()) if self._is_placed else 0
        while not self.why and len(self._tasks) < most and len(self._measuring) < 4 * most:
            # with nothing under way, and nothing to judge, it is the next one that the gate waits for
            ahead = self.done - self.judged >= AHEAD and (self._is_judging or self.order.active)
            if ahead or self.enough() or (turn := self.order.pop(self.steer.may)) is None:
                break
            self._start(self._turn(turn), self._tasks)
        while not self.why and self._held and len(self._measuring) < most:
            self._start(self._again(self._held.popleft()), self._measuring)

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
        # of other loops none is begun that is stored: see `gen.resume`
        row = self.pool.grown(self.stage, turn.round, turn.call) if self.draws else None
        if row is None:
            row = await self._grow(turn)
            due = [] if self.draws else after(turn, len(row.heirs))
            await self.pool.commit_grown(row, due)
            for one in due if turn.round < self.recipe.rounds else ():
                self.order.push(one)
        self.done += 1
        if self.assessor.has_work and not self.admission.is_past(turn.round, turn.call):
            self._start(self._measure(turn, row), self._measuring)
        else:
            self.order.end(turn)

    async def _again(self, turn: Turn) -> None:
        """One that an earlier process held, but whose candidates the gate has not judged."""
        if row := self.pool.grown(self.stage, turn.round, turn.call):
            self.done += 1
            await self._measure(turn, row)

    async def _measure(self, turn: Turn, row: GrownRow) -> None:
        sound = [c for c in row.candidates if c.failure is None]
        await self.assessor.ask(c.sample for c in sound if not c.given)
        await together(*(self.assessor.embed(c.sample) for c in sound if c.given))
        self.order.end(turn)

    async def _grow(self, turn: Turn) -> GrownRow:
        seed, conversation, path = self._conversation(turn)
        told: Told[Grown] = await self.talk.hold(conversation, path)
        self.failures += told.result is None
        grown = told.result or failed(self.recipe.loop, seed, told.error, self.failures, self.done)
        return row_of(self.stage, turn, seed, told, grown, [self.engines[r] for r in told.roles], self.recipe.params)

    def _conversation(self, turn: Turn) -> tuple[Sample, Rollout[Grown], tuple[object, ...]]:
        """What it grows from, the conversation, and the path that decides its seeds."""
        loop = self.recipe.params
        if turn.round == 0:
            seed = self.seeds[int(turn.call)]
            return seed, loop.answer(seed), (self.stage, turn.round, seed.id)
        if self.draws:
            path = (self.stage, turn.round, turn.call)
            rng = random.Random(derive_seed(self.recipe.seed, *path, "rng"))
            return NOBODY, loop.draw(self.seeds, Beginning(self.made, self._made_until(turn.round - 2)), rng), path
        seed = self.pool.heirs(self.stage, turn.round - 1, turn.parent)[turn.heir]
        rng = random.Random(derive_seed(self.recipe.seed, self.stage, turn.round, seed.id, "rng"))
        return seed, self.steer.loop_for(turn, loop).grow(seed, rng), (self.stage, turn.round, seed.id)

    def _made_until(self, round: int) -> int:
        """Samples that were made and kept up to a round that is wholly judged."""
        return sum(self._made[r] for r in range(1, round + 1))

    async def _judge_all(self, recalling: asyncio.Task[None]) -> None:
        await recalling
        while True:
            self._moved.clear()
            self._is_judging = True
            while not self.why and await self._judge_some():
                pass
            self._is_judging = False
            self._launch()
            if not self.why and (spent := self.admission.spent()):
                self.stop(spent)
            elif self.supply.error:
                raise self.supply.error
            elif self.order.frontier() is None:
                self.stop("complete")
            if self.why:
                return
            await self._moved.wait()

    async def _judge_some(self) -> bool:
        """Judge the next finished conversations of a round in canonical order; False when there is none."""
        # what an earlier command held of later rounds has gaps that are none of this one's
        last = self.round + 2 if self.draws else min(self.round + 2, self.recipe.rounds + 1)
        front, border = self.order.frontier(), (last, "")
        before = min((front.round, front.call), border) if front else border
        if before == self._awaited:
            return False
        if rows := self.admission.pending(self.pool, before):
            await asyncio.to_thread(self.admission.judge, self.pool, rows)
            self.judged += len(rows)
            for tell in (*self.heard, self._launch):
                tell()
            return True
        if not self.admission.spent():
            self.steer.judged_to = before
            self._launch()
        if self.admission.spent() or before < border or (front is None and self.round >= self.recipe.rounds):
            self._awaited = before
            return False
        self.round += 1
        more = self.draws or self.round < self.recipe.rounds
        if more and await asyncio.to_thread(self.watch.stops, self.round):
            self.stop("collapse")
        self._round_done()
        return True

    def _round_done(self) -> None:
        """The gate has judged all of a round: a batch may be drawn from the pool as it is now."""
        if not isinstance(self.order, Batches) or self.why:
            return
        dry = int(getattr(self.recipe.params, "dry_batches", 10))
        if self.round >= dry and not any(self._made[self.round - i] for i in range(dry)):
            self.stop("exhausted")
            return
        while self.order.opened <= self.round + 1:
            made = self._made_until(self.order.opened - 1)
            size, at = max(1, self.recipe.params.batch(len(self.seeds), made)), self.admission.position
            self.order.open(size, (at.round, at.call))
        self._launch()

    async def _put_away(self) -> None:
        """Requests in flight are recorded when that is quick, aborted when a budget ended the run."""
        grace = {"interrupted": GRACE if self._error else None, "max_time": GRACE}.get(self.why, 0.0)
        await ended(lambda: self._tasks | self._measuring, grace)
