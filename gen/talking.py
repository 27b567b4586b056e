"""What whoever talks to models and keeps a journal needs, a run of a loop or another command: a log, an end that Ctrl-C
can bring about, and, for other commands, a folder and engines that are the ones it began with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gen import __version__
from gen import recipe as recipes
from gen.card import clean
from gen.errors import RecipeError, UserError
from gen.pool import Pool, of_stage
from gen.recipe import Recipe
from gen.roles import Say, Staff, at_work
from gen.rollout import Talk

T = TypeVar("T")
log = logging.getLogger("gen.talking")


@contextlib.contextmanager
def opened(folder: Path, deciding: Any, command: str) -> Iterator[Pool]:
    """The pool of a folder, which is new or holds the same work, and its run.log. Raises RecipeError for other work."""
    with Pool.open(folder) as pool, logged(folder, command):
        before = pool.state("deciding")
        if before is not None and (lines := recipes.difference(before, deciding)):
            shown = "\n  ".join(lines)
            raise RecipeError(f"{folder}: holds other work, which differs in\n  {shown}\nGive another --out, or none")
        pool.set_state("deciding", deciding)
        yield pool


@contextlib.contextmanager
def logged(folder: Path, command: str) -> Iterator[None]:
    """`run.log` of the folder, rotating: what happened when, for whoever has to find out."""
    handler = logging.handlers.RotatingFileHandler(folder / "run.log", maxBytes=1_000_000, backupCount=3)
    handler.handleError = _pass_over  # type: ignore[method-assign]
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("gen")
    root.setLevel(logging.INFO)
    root.propagate = False
    root.addHandler(handler)
    log.info("started: %s (gen %s)", clean(command), __version__)
    try:
        yield
    except BaseException as error:
        log.error("ended by %s: %s", type(error).__name__, error)
        raise
    finally:
        root.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


def _pass_over(record: logging.LogRecord) -> None:
    """A line that cannot be logged, on a full disk for instance: whoever writes data says so."""


def same_engines(pool: Pool, staff: Staff, stage: int = 0) -> None:
    """Refuse to mix the replies of two models in one stage of a run. Raises UserError."""
    now, name = staff.fingerprints, of_stage("fingerprints", stage)
    before = pool.state(name) or {}
    if changed := ", ".join(sorted(role for role in now if before.get(role, now[role]) != now[role])):
        raise UserError(
            f"the model behind {changed} is not the one this run began with (its fingerprint changed: other weights, "
            f"version, context length or precision); serve the same one again, or give another --out"
        )
    pool.set_state(name, {**before, **now})


@contextlib.asynccontextmanager
async def talking(staff: Staff, recipe: Recipe, pool: Pool, say: Say) -> AsyncIterator[Talk]:
    """The staff at work, able to answer. Raises UserError where it is not the one that the folder began with, and
    Interrupted, out of a conversation, after Ctrl-C."""
    async with at_work(staff, recipe, pool.state("left_out"), say):
        same_engines(pool, staff)
        pool.set_state("left_out", staff.left_out)
        talk = Talk(staff.engines, pool, recipe.seed, staff.embedder)
        with signals(lambda: talk.stopping, lambda: setattr(talk, "stopping", True)):
            yield talk


@contextlib.contextmanager
def signals(stopping: Callable[[], bool], stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C ends the work cleanly; a second one ends the process at once (the journal does not mind). What the process
    was started to ignore, as `nohup` does, stays ignored."""
    loop, known = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: found for name in known if (found := signal.getsignal(name)) is not signal.SIG_IGN}
    unable = contextlib.suppress(NotImplementedError, RuntimeError, ValueError)  # no main thread, no signals

    def interrupt() -> None:
        if stopping():
            shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # the live panel hides the cursor
            with contextlib.suppress(OSError):  # the terminal may be gone
                sys.stderr.write(f"{shown}gen: stopped at once; the same command goes on\n")
                sys.stderr.flush()
            os._exit(75)
        stop()

    for name in before:
        with unable:
            loop.add_signal_handler(name, interrupt)
    try:
        yield
    finally:
        for name, found in before.items():
            with unable:
                loop.remove_signal_handler(name)
                signal.signal(name, found)


async def watched(work: Awaitable[T], look: Callable[[], None], every: float = 0.25) -> T:
    """The result of the work, looked at now and then."""

    async def watch() -> None:
        while True:
            look()
            await asyncio.sleep(every)

    watcher = asyncio.create_task(watch())
    try:
        return await work
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        look()
