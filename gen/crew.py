"""All that the stages of a run need, made before the first token: their gates, the engines of their roles, and, once
these are open, the runs that go on from one another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gen.assess import Assessor, Record
from gen.core import Sample, replace
from gen.errors import GenError
from gen.flow import Flow
from gen.gate import NOTHING, Admission, Gate
from gen.material import Material
from gen.plan import Recipe
from gen.pool import Pool, of_stage
from gen.roles import Say, Staff, at_work, hire
from gen.rollout import Talk, together
from gen.rounds import Run
from gen.seeds.supply import Supply


@dataclass(slots=True)
class Crew:
    """The staffs of the stages that have something to do, by number."""

    recipe: Recipe
    staffs: dict[int, Staff] = field(default_factory=dict)

    def dismiss(self, numbers: Iterable[int]) -> None:
        """These stages need nobody."""
        for number in numbers:
            self.staffs.pop(number, None)

    @contextlib.asynccontextmanager
    async def at_work(self, pool: Pool | None, say: Say) -> AsyncIterator[None]:
        """All engines open, each once. With a pool, what its stages were begun without stays left out."""
        ready: set[Any] = set()
        async with contextlib.AsyncExitStack() as opened:
            for number, staff in self.staffs.items():
                left_out = pool.state(of_stage("left_out", number)) if pool else None
                recipe = self.recipe.stages[number].recipe
                await opened.enter_async_context(at_work(staff, recipe, left_out, say, ready))
            yield

    def gate(self, number: int) -> Gate:
        """The gate of a stage, without what nothing can measure for."""
        return Gate(self.recipe.stages[number].recipe.filters(self.staffs[number].left_out))

    def assessor(self, pool: Pool) -> Assessor:
        """Who measures every sample of the last stage, whatever the rules say of it."""
        number = max(self.staffs)
        staff = self.staffs[number]
        talk = Talk(staff.engines, pool, self.recipe.seed, staff.embedder)
        return Assessor(self.gate(number), talk, all_of_them=True)

    def flow(self, pool: Pool, material: Material) -> Flow:
        """The runs of the stages; the seeds of one are the user's, or what another keeps."""
        runs: dict[int, Run] = {}
        stages, reading = self.recipe.stages, list[asyncio.Task[None]]()
        for number, staff in self.staffs.items():
            recipe, of = stages[number]
            recipe = replace(recipe, params=material.loop(recipe.params))
            gate = self.gate(number)
            record = Record(gate, pool, staff.fingerprints)
            admission = Admission(gate, pool.newest(number)[0], recipe.budget, record, number)
            if of < 0:
                seeds = material.supply(recipe.params)
            else:  # what is kept later is added by the flow; of a stage that has ended, all is there, and read below
                seeds = Supply()
            beside = next((run.talk for run in runs.values()), None)
            runs[number] = Run(recipe, seeds, pool, staff.engines, admission, number, staff.embedder, beside)

        async def prepare(run: Run) -> None:
            if (of := stages[run.stage].of) >= 0 and of not in self.staffs:
                reading.append(asyncio.create_task(asyncio.to_thread(_read_seeds, run, of)))
            await _admit_known(run, material.against)

        return Flow(runs, [stage.of for stage in stages], prepare)


def crew_of(recipe: Recipe, material: Material) -> Crew:
    """The engines of all stages, not yet opened. Raises RecipeError where `--against` would be compared with
    nothing."""
    crew, made = Crew(recipe), dict[Any, Any]()
    gates = [Gate(stage.recipe.gate) for stage in recipe.stages]
    if recipe.source.against and not any(gate.indexes for gate in gates):
        gates[-1].refuse_idle("--against")
    for number, (stage, gate) in enumerate(zip(recipe.stages, gates, strict=True)):
        crew.staffs[number] = hire(stage.recipe, gate, made)
    return crew


def _read_seeds(run: Run, of: int) -> None:
    """Supply a run with what a stage that has ended kept, while it goes on already."""
    try:
        for sample in run.pool.kept(*run.pool.newest(of)):
            if run.why:
                return
            run.supply.add(sample)
        run.supply.close()
    except GenError as error:
        run.supply.fail(error)


async def _admit_known(run: Run, against: Iterable[Sample]) -> None:
    """First what must not be repeated, then what an earlier process kept."""
    known = itertools.chain(against, await _all_seeds(run) if run.draws else ())
    while not run.why and (block := list(itertools.islice(known, 512))):
        await together(*map(run.assessor.embed, block))
        run.admission.gate.expect((sample, NOTHING) for sample in block)
        for sample in block:
            run.admission.gate.admit(sample, run.admission.recall.vectors(sample))
    run.admission.restore(run.pool, given=run.draws)


async def _all_seeds(run: Run) -> Sequence[Sample]:
    """The seeds of a loop that draws from all of them."""
    while not (run.why or run.supply.closed):
        await asyncio.sleep(0.05)
    return run.seeds
