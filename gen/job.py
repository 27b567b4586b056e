"""A job: a recipe and a folder become a dataset. Everything that can be wrong is checked before the
first token; what was begun goes on; what is finished is left alone."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen import recipe as recipes
from gen.crew import Crew, crew_of
from gen.errors import Interrupted, PoolError, RecipeError, UserError
from gen.export.files import atomic
from gen.flow import FINAL, Flow
from gen.insight import Noting, note
from gen.material import Material, deciding
from gen.pool import Pool, of_stage
from gen.publish import PUBLISHED, Report, is_published, publish, report_of
from gen.recipe import Recipe
from gen.roles import Say
from gen.rollout import together
from gen.talking import logged, same_engines, signals

log = logging.getLogger("gen.job")
Watch = Callable[[Flow], Coroutine[Any, Any, None]]


def execute(
    recipe: Recipe, folder: Path, material: Material, *, command: str, watch: Watch, say: Say = log.warning
) -> Report:
    """Start a run or go on with it; `say` is told what the user should know. Raises UserError where the folder
    holds another run."""
    crew = crew_of(recipe, material)
    _check_folder(folder)
    with Pool.open(folder) as pool, logged(folder, command):
        if pool.lost:
            log.warning(pool.lost)
        _check_same(pool, recipe, material, folder)
        if (finished := pool.state("finished")) and finished == _goal(recipe, str(finished["why"])):
            if not is_published(pool, folder):
                publish(pool, folder, recipe, material)
            return report_of(pool, folder, "finished")
        return asyncio.run(_execute(recipe, folder, material, pool, crew, command, watch, say))


def _check_folder(folder: Path) -> None:
    """Refuse to write over files that no run of ours has made."""
    if (folder / "pool.db").exists():
        return
    if found := [name for name in (*PUBLISHED, "recipe.toml") if (folder / name).exists()]:
        raise UserError(f"{folder}: holds {', '.join(found)} but no run, and would lose them; give another --out")


async def _execute(
    recipe: Recipe, folder: Path, material: Material, pool: Pool, crew: Crew, command: str, watch: Watch, say: Say
) -> Report:
    started = time.monotonic()
    crew.dismiss(finished_stages(pool, recipe))
    async with crew.at_work(pool, say):
        for number, staff in crew.staffs.items():
            same_engines(pool, staff, number)
        _begin(pool, folder, recipe, material, crew)
        flow = crew.flow(pool, material)
        for run in flow.runs.values():
            run.admission.told.append(Noting(pool, run.admission, run.watch).hear)
        ended = pool.state(of_stage("ended", len(recipe.stages) - 1))
        why = await _hold(flow, watch) if flow.runs else str(ended["why"])
    for script, count in sum((run.assessor.uncovered for run in flow.runs.values()), Counter[str]()).items():
        say(f"{count:,} {script} texts were not compared in meaning: the encoder was not made for them (--embedder)")
    _note_ends(pool, recipe, crew, flow, command)
    publish(pool, folder, recipe, material)
    if why not in ("interrupted", "max_time"):  # a clock's end is no end: the same command goes on
        pool.set_state("finished", _goal(recipe, why))  # last: a run without its dataset is not finished
    return _counted(report_of(pool, folder, why), flow, time.monotonic() - started)


def _note_ends(pool: Pool, recipe: Recipe, crew: Crew, flow: Flow, command: str) -> None:
    """Who was at work, for the card, and which stages have nothing more to do."""
    pool.set_state("command", command)
    for number, staff in crew.staffs.items():
        for name, value in {"models": staff.models, "kinds": staff.kinds, "closed": staff.closed}.items():
            pool.set_state(of_stage(name, number), value)
    for number, run in flow.runs.items():
        if run.why != "interrupted" and not run.admission.behind:
            note(pool, number, run.watch)
        if run.why in FINAL:
            pool.set_state(of_stage("ended", number), _end_of(recipe, number, run.why))


def finished_stages(pool: Pool, recipe: Recipe) -> set[int]:
    """Stages that have come to an end which is still the one that is asked for, with all that they begin with, or at
    a budget; and those of which nobody needs more."""
    stages, done = recipe.stages, {-1}
    for number, stage in enumerate(stages):
        ended = pool.state(of_stage("ended", number)) or {}
        same = ended and ended == _end_of(recipe, number, str(ended["why"]))
        if same and (stage.of in done or ended["why"] in ("target", "max_tokens")):
            done.add(number)
    for number in reversed(range(len(stages))):
        if (after := [n for n, stage in enumerate(stages) if stage.of == number]) and done.issuperset(after):
            done.add(number)
    return done - {-1}


def _end_of(recipe: Recipe, number: int, why: str) -> dict[str, Any]:
    return _goal(recipe.stages[number].recipe, why)


async def _hold(flow: Flow, watch: Watch) -> str:
    """The run from its first conversation to its last, watched; returns why it ended."""
    with signals(lambda: bool(flow.why), lambda: flow.stop("interrupted")):
        watcher = asyncio.create_task(watch(flow))
        try:
            return await flow.execute()
        except Interrupted:
            return flow.why
        finally:
            watcher.cancel()
            [fault] = await asyncio.gather(watcher, return_exceptions=True)
            if isinstance(fault, Exception):
                log.warning("progress: %s", fault)


def _counted(report: Report, flow: Flow, seconds: float) -> Report:
    replies = sum((run.talk.replies for run in flow.runs.values()), Counter[str]())
    tokens = sum(run.talk.tokens for run in flow.runs.values())
    log.info("ended: %s, %d kept, replies %s", report.why, report.kept, dict(replies))
    measured, replayed = replies["scored"] + replies["embedded"], replies["replayed"]
    asked = sum(replies.values()) - measured - replayed
    return replace(report, asked=asked, replayed=replayed, measured=measured, tokens=tokens, seconds=seconds)


def measure_all(recipe: Recipe, pool: Pool, material: Material, say: Say) -> None:
    """Ask for what the last gate must know of every candidate of its stage and of `--against`, where it was not asked
    yet."""
    asyncio.run(_measure_all(recipe, pool, material, say))


async def _measure_all(recipe: Recipe, pool: Pool, material: Material, say: Say) -> None:
    crew = crew_of(recipe, material)
    crew.dismiss(range(last := len(recipe.stages) - 1))
    async with crew.at_work(None, say):
        same_engines(pool, crew.staffs[last], last)
        assessor = crew.assessor(pool)
        stored = (c.sample for row in pool.all_grown(last) for c in row.candidates if c.failure is None)
        for samples, ask in ((iter(material.against), assessor.embed), (stored, assessor.ask_one)):
            while block := list(itertools.islice(samples, 512)):
                await together(*map(ask, block))


def _check_same(pool: Pool, recipe: Recipe, material: Material, folder: Path) -> None:
    """Refuse a folder that holds another run, with the difference."""
    old, new = pool.state("deciding"), deciding(recipe, material)
    if old is None:
        return
    if lines := recipes.difference(old, new):
        shown = "\n  ".join(lines)
        raise RecipeError(
            f"{folder}: holds a run whose deciding keys differ:\n  {shown}\nGive another --out (or none), or the same "
            f"keys: `gen run {folder}/recipe.toml`; other filters alone: `gen regate {folder} --recipe NEW.toml`"
        )
    for number, stage in enumerate(recipe.stages):
        if (done := pool.state(of_stage("rounds", number), 0)) > (rounds := stage.recipe.rounds):
            raise RecipeError(f"{folder}: --rounds {rounds}, but this run has {done} already; rounds can only grow")


def _begin(pool: Pool, folder: Path, recipe: Recipe, material: Material, crew: Crew) -> None:
    for number, staff in crew.staffs.items():
        pool.set_state(of_stage("left_out", number), staff.left_out)
        pool.set_state(of_stage("rounds", number), recipe.stages[number].recipe.rounds)
    pool.set_state("deciding", deciding(recipe, material))
    pool.set_state("stages", len(recipe.stages))
    pool.set_state("finished", None)
    with atomic(folder / "recipe.toml") as file:
        file.write(recipes.to_toml(recipe, folder))


def _goal(recipe: Recipe, why: str) -> dict[str, Any]:
    """What a finished run, or stage, was asked for; asked for the same again, there is nothing to do."""
    budget, stages = recipe.budget, [stage.recipe for stage in recipe.stages]
    bounds: dict[str, Any] = {} if why == "complete" else {"target": budget.target, "max_tokens": budget.max_tokens}
    bounds |= {"min_diversity": budget.min_diversity} if why == "collapse" else {}
    more = {"stages": [(s.rounds, s.budget.target) for s in stages]} if len(stages) > 1 else {}
    return json.loads(json.dumps({"why": why, "rounds": recipe.rounds, **bounds, **more}))  # type: ignore[no-any-return]


def open_run(folder: Path) -> Pool:
    """The pool of a finished or running run, for reading. Raises UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a run folder, such as those in runs/")
    try:
        return Pool.open(folder, readonly=True)
    except PoolError as error:
        raise UserError(f"{folder}: {error}") from error
