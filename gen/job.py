"""A job: a recipe and a folder become a dataset. Everything that can be wrong is checked before the
first token; what was begun goes on; what is finished is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from gen import __version__
from gen import recipe as recipes
from gen.card import clean
from gen.core import Engine, Role
from gen.engines import open_engine
from gen.errors import PoolError, RecipeError, UserError
from gen.export import atomic
from gen.gate import Admission, Gate
from gen.material import Material, deciding
from gen.pool import Pool
from gen.publish import Report, publish, report_of
from gen.recipe import Recipe
from gen.rounds import Run

log = logging.getLogger("gen.job")
ROLES = tuple(role for role in get_args(Role) if role != "embedder")
Watch = Callable[[Run], Coroutine[Any, Any, None]]


def execute(recipe: Recipe, folder: Path, material: Material, *, command: str, watch: Watch) -> Report:
    """Start a run or go on with it. Raises UserError where the folder holds another run."""
    gate, engines = Gate(recipe.gate, material.against), open_engines(recipe)
    _check_folder(folder)
    with Pool.open(folder) as pool, _logged(folder, clean(command)):
        _check_same(pool, recipe, material, folder)
        if (finished := pool.state("finished")) and finished == _goal(recipe, str(finished["why"])):
            if not all((folder / name).exists() for name in ("dataset.jsonl", "README.md")):
                publish(pool, folder, recipe, material)
            return report_of(pool, folder, "finished")
        return asyncio.run(_execute(recipe, folder, material, pool, engines, gate, command, watch))


def _check_folder(folder: Path) -> None:
    """Refuse to write over files that no run of ours has made."""
    if (folder / "pool.db").exists():
        return
    if found := [name for name in ("dataset.jsonl", "README.md", "recipe.toml") if (folder / name).exists()]:
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


def open_engines(recipe: Recipe) -> dict[str, Engine]:
    """Every role's engine. One engine serves all roles."""
    m = recipe.model
    name, shown = m.name, None
    if not name and not m.server:
        from gen.micro.bundled import weights

        name, shown = str(weights()), "micro"
    engine = open_engine(
        name, m.server, thinking=m.thinking, width=m.width, batch_size=m.batch_size, device=m.device,
        patience=m.patience, trust_remote_code=m.trust_remote_code, shown=shown, allow_closed=m.allow_closed,
    )  # fmt: skip
    return dict.fromkeys(ROLES, engine)


async def _execute(
    recipe: Recipe, folder: Path, material: Material, pool: Pool, engines: Mapping[str, Engine], gate: Gate,
    command: str, watch: Watch,
) -> Report:  # fmt: skip
    started, opened = time.monotonic(), set(engines.values())
    try:
        for engine in opened:
            await engine.open()
        _check_engines(pool, engines)
        _begin(pool, folder, recipe, material)
        admission = Admission(gate, pool.state("gate_run", 1), recipe.budget)
        admission.restore(pool)
        run = Run(recipe, material.seeds.samples, pool, engines, admission)
        with _signals(run):
            watcher = asyncio.create_task(watch(run))
            try:
                why = await run.execute()
            finally:
                watcher.cancel()
                [fault] = await asyncio.gather(watcher, return_exceptions=True)
                if isinstance(fault, Exception):
                    log.warning("progress: %s", fault)
    finally:
        for engine in opened:
            await engine.close()
    whose = [(role, e.model, getattr(e, "closed", "")) for role, e in engines.items()]
    pool.set_state("closed", [row for row in whose if row[2]])
    pool.set_state("models", [[role, e.model, e.fingerprint] for role, e in engines.items()])
    pool.set_state("command", command)
    publish(pool, folder, recipe, material)
    if why not in ("interrupted", "max_time"):  # a clock's end is no end: the same command goes on
        pool.set_state("finished", _goal(recipe, why))  # last: a run without its dataset is not finished
    report = report_of(pool, folder, why)
    replies = run.talk.replies
    log.info("ended: %s, %d kept, replies %s", why, report.kept, dict(replies))
    asked = sum(replies.values()) - replies["replayed"]
    return replace(
        report, asked=asked, replayed=replies["replayed"], tokens=run.talk.tokens, seconds=time.monotonic() - started
    )


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


def _check_engines(pool: Pool, engines: Mapping[str, Engine]) -> None:
    """Refuse to mix the replies of two models in one run."""
    now = {role: engine.fingerprint for role, engine in engines.items()}
    before = pool.state("fingerprints")
    if changed := ", ".join(sorted(role for role in now if before and before.get(role) != now[role])):
        raise UserError(
            f"the model behind {changed} is not the one this run began with (its fingerprint changed: other weights, "
            f"version, context length or precision); serve the same one again, or give another --out"
        )
    pool.set_state("fingerprints", now)


def _begin(pool: Pool, folder: Path, recipe: Recipe, material: Material) -> None:
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
