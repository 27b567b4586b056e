"""A job: a recipe and a folder become a dataset. Everything that can be wrong is checked before the
first token; what was begun goes on; what is finished is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import logging.handlers
import os
import signal
import sys
import time
from collections.abc import Callable, Container, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gen import __version__
from gen import recipe as recipes
from gen.assess import Assessor, Record
from gen.card import clean
from gen.errors import Interrupted, PoolError, RecipeError, UserError
from gen.export.files import atomic
from gen.gate import Admission, Gate
from gen.material import Material, deciding
from gen.pool import Pool
from gen.publish import PUBLISHED, Report, publish, report_of
from gen.recipe import Recipe
from gen.roles import Say, Staff, at_work, hire
from gen.rollout import Talk, together
from gen.rounds import Run

log = logging.getLogger("gen.job")
Watch = Callable[[Run], Coroutine[Any, Any, None]]


def execute(
    recipe: Recipe, folder: Path, material: Material, *, command: str, watch: Watch, say: Say = log.warning
) -> Report:
    """Start a run or go on with it; `say` is told what the user should know. Raises UserError where the folder
    holds another run."""
    staff = hire(recipe, _gate(recipe, material))
    _check_folder(folder)
    with Pool.open(folder) as pool, _logged(folder, clean(command)):
        _check_same(pool, recipe, material, folder)
        if (finished := pool.state("finished")) and finished == _goal(recipe, str(finished["why"])):
            if not all((folder / name).exists() for name in PUBLISHED):
                publish(pool, folder, recipe, material)
            return report_of(pool, folder, "finished")
        return asyncio.run(_execute(recipe, folder, material, pool, staff, command, watch, say))


def _gate(recipe: Recipe, material: Material, left_out: Container[str] = ()) -> Gate:
    gate = Gate([f for f in recipe.gate if f.passport.name not in left_out])
    if recipe.source.against:
        gate.refuse_idle("--against")
    return gate


def _check_folder(folder: Path) -> None:
    """Refuse to write over files that no run of ours has made."""
    if (folder / "pool.db").exists():
        return
    if found := [name for name in (*PUBLISHED, "recipe.toml") if (folder / name).exists()]:
        raise UserError(f"{folder}: holds {', '.join(found)} but no run, and would lose them; give another --out")


@contextlib.contextmanager
def _logged(folder: Path, command: str) -> Iterator[None]:
    """`run.log` of the folder, rotating: what happened when, for whoever has to find out."""
    handler = logging.handlers.RotatingFileHandler(folder / "run.log", maxBytes=1_000_000, backupCount=3)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("gen")
    root.setLevel(logging.INFO)
    root.propagate = False
    root.addHandler(handler)
    log.info("started: %s (gen %s)", command, __version__)
    try:
        yield
    except BaseException as error:
        log.error("ended by %s: %s", type(error).__name__, error)
        raise
    finally:
        root.removeHandler(handler)
        handler.close()


async def _execute(
    recipe: Recipe, folder: Path, material: Material, pool: Pool, staff: Staff, command: str, watch: Watch, say: Say
) -> Report:
    started = time.monotonic()
    async with at_work(staff, recipe, pool.state("left_out"), say):
        _check_engines(pool, staff)
        _begin(pool, folder, recipe, material, staff)
        gate = _gate(recipe, material, staff.left_out)
        recall = Record(gate, pool, staff.fingerprints)
        admission = Admission(gate, pool.state("gate_run", 1), recipe.budget, recall)
        seeds = material.seeds.samples
        run = Run(recipe, seeds, pool, staff.engines, admission, embedder=staff.embedder)
        why = await _hold(run, material, recall, watch)
    for script, count in run.assessor.uncovered.items():
        say(f"{count:,} {script} texts were not compared in meaning: the encoder was not made for them (--embedder)")
    told = {"models": staff.models, "kinds": staff.kinds, "closed": staff.closed, "command": command}
    for name, value in told.items():
        pool.set_state(name, value)
    publish(pool, folder, recipe, material)
    if why not in ("interrupted", "max_time"):  # a clock's end is no end: the same command goes on
        pool.set_state("finished", _goal(recipe, why))  # last: a run without its dataset is not finished
    return _counted(report_of(pool, folder, why), run.talk, time.monotonic() - started)


async def _hold(run: Run, material: Material, recall: Record, watch: Watch) -> str:
    """The run from its first conversation to its last, watched; returns why it ended."""
    with _signals(run):
        watcher = asyncio.create_task(watch(run))
        try:
            await _admit_known(run, material, recall)
            return await run.execute()
        except Interrupted:
            return run.why
        finally:
            watcher.cancel()
            [fault] = await asyncio.gather(watcher, return_exceptions=True)
            if isinstance(fault, Exception):
                log.warning("progress: %s", fault)


def _counted(report: Report, talk: Talk, seconds: float) -> Report:
    replies = talk.replies
    log.info("ended: %s, %d kept, replies %s", report.why, report.kept, dict(replies))
    measured, replayed = replies["scored"] + replies["embedded"], replies["replayed"]
    asked = sum(replies.values()) - measured - replayed
    return replace(report, asked=asked, replayed=replayed, measured=measured, tokens=talk.tokens, seconds=seconds)


def measure_all(recipe: Recipe, pool: Pool, material: Material, say: Say) -> None:
    """Ask for what a gate must know of every stored candidate and of `--against`, where it was not asked yet."""
    asyncio.run(_measure_all(recipe, pool, material, say))


async def _measure_all(recipe: Recipe, pool: Pool, material: Material, say: Say) -> None:
    gate = _gate(recipe, material)
    async with at_work(hire(recipe, gate), recipe, None, say) as staff:
        _check_engines(pool, staff)
        talk = Talk(staff.engines, pool, recipe.seed, staff.embedder)
        assessor = Assessor(_gate(recipe, material, staff.left_out), talk, all_of_them=True)
        stored = (c.sample for row in pool.all_grown() for c in row.candidates if c.failure is None)
        for samples, ask in ((iter(material.against), assessor.embed), (stored, assessor.ask_one)):
            while block := list(itertools.islice(samples, 512)):
                await together(*map(ask, block))


async def _admit_known(run: Run, material: Material, recall: Record) -> None:
    """First what must not be repeated, then what an earlier process kept."""
    known = iter(material.against)
    while block := list(itertools.islice(known, 512)):
        await together(*map(run.assessor.embed, block))
        for sample in block:
            run.admission.gate.admit(sample, recall.vectors(sample))
    run.admission.restore(run.pool)


@contextlib.contextmanager
def _signals(run: Run) -> Iterator[None]:
    """Ctrl-C ends the run cleanly; a second one ends the process at once (the journal does not mind)."""
    loop, names = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    unable = contextlib.suppress(NotImplementedError, RuntimeError, ValueError)  # no main thread, no signals

    def interrupt() -> None:
        if run.why:
            shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the live panel hides the cursor
            with contextlib.suppress(OSError):  # the terminal may be gone
                sys.stderr.write(f"{shown}gen: stopped at once; the same command goes on\n")
                sys.stderr.flush()
            os._exit(75)
        run.stop("interrupted")

    for name in names:
        with unable:
            loop.add_signal_handler(name, interrupt)
    try:
        yield
    finally:
        for name in names:
            with unable:
                loop.remove_signal_handler(name)


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
    if (done := pool.state("rounds", 0)) > recipe.rounds:
        raise RecipeError(f"{folder}: --rounds {recipe.rounds}, but this run has {done} already; rounds can only grow")


def _check_engines(pool: Pool, staff: Staff) -> None:
    """Refuse to mix the replies of two models in one run."""
    now, before = staff.fingerprints, pool.state("fingerprints")
    if changed := ", ".join(sorted(role for role in now if before and before.get(role, now[role]) != now[role])):
        raise UserError(
            f"the model behind {changed} is not the one this run began with (its fingerprint changed: other weights, "
            f"version, context length or precision); serve the same one again, or give another --out"
        )
    pool.set_state("fingerprints", {**(before or {}), **now})


def _begin(pool: Pool, folder: Path, recipe: Recipe, material: Material, staff: Staff) -> None:
    pool.set_state("left_out", staff.left_out)
    pool.set_state("deciding", deciding(recipe, material))
    pool.set_state("rounds", recipe.rounds)
    pool.set_state("finished", None)
    with atomic(folder / "recipe.toml") as file:
        file.write(recipes.to_toml(recipe, folder))


def _goal(recipe: Recipe, why: str) -> dict[str, Any]:
    """What a finished run was asked for; asked for the same again, there is nothing to do."""
    budget = recipe.budget
    bounds = {} if why == "complete" else {"target": budget.target, "max_tokens": budget.max_tokens}
    return {"why": why, "rounds": recipe.rounds, **bounds}


def open_run(folder: Path) -> Pool:
    """The pool of a finished or running run, for reading. Raises UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a run folder, such as those in runs/")
    try:
        return Pool.open(folder, readonly=True)
    except PoolError as error:
        raise UserError(f"{folder}: {error}") from error
