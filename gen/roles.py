"""Who is asked in each role: from the recipe to engines, opened and checked for what the gate needs of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from gen.core import Embedder, Engine
from gen.engines import open_engine
from gen.errors import EngineError, RecipeError, Unavailable, UserError
from gen.gate import Gate
from gen.micro import bundled
from gen.recipe import Recipe
from gen.sections import Model, split_engine

ASKED: tuple[str, ...] = ("evolver", "answerer", "judge")
"""Roles of conversations; the others measure, and are opened only where the gate needs them."""
Say = Callable[[str], None]


@dataclass(slots=True)
class Staff:
    """The engines of a run by role. `left_out` are filters of the default gate that nothing here can measure for."""

    engines: dict[str, Engine]
    embedder: Embedder | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprints(self) -> dict[str, str]:
        found = {role: engine.fingerprint for role, engine in self.engines.items()}
        return found | ({"embedder": self.embedder.fingerprint} if self.embedder else {})

    @property
    def kinds(self) -> list[str]:
        """Where the weights ran, each place once."""
        return sorted({engine.kind for engine in self.engines.values()})

    @property
    def closed(self) -> list[tuple[str, str, str]]:
        """(role, model, whose it is) of the engines whose weights are closed."""
        everyone: dict[str, Any] = {**self.engines, **({"embedder": self.embedder} if self.embedder else {})}
        return [(role, e.model, whose) for role, e in everyone.items() if (whose := getattr(e, "closed", ""))]

    @property
    def models(self) -> list[tuple[str, str, str, str]]:
        """(role, model, fingerprint, licence)."""
        found = [(role, e.model, e.fingerprint, e.license) for role, e in self.engines.items()]
        own = self.embedder
        return [*found, *([("embedder", own.model, own.fingerprint, getattr(own, "license", ""))] if own else [])]


def hire(recipe: Recipe, gate: Gate, made: dict[Any, Any] | None = None) -> Staff:
    """The engines that a recipe of one stage and its gate need, not yet opened; one for all roles of the same model.
    `made` holds those of other stages by what they are called."""
    wanted = [*ASKED, *(["scorer"] if gate.scorers else [])]
    made = {} if made is None else made
    staff, own = Staff({}), (recipe.model.name, tuple(recipe.model.server))
    for role in wanted:
        named = getattr(recipe.roles, role)
        which = split_engine(named) if named else own
        if which not in made:
            made[which] = _engine(recipe.model, *which)
        staff.engines[role] = made[which]
    if gate.encoded:
        from gen.engines.embedder import open_embedder

        m, encoder = recipe.model, ("embedder", recipe.roles.embedder)
        if encoder not in made:
            made[encoder] = open_embedder(
                recipe.roles.embedder, device=m.device, patience=m.patience, allow_closed=m.allow_closed
            )
        staff.embedder = made[encoder]
    if any(getattr(f, "reuse", False) for f in gate.scorers.values()):
        engine: Any = staff.engines["answerer"]
        engine.tells_likelihood = engine is staff.engines["scorer"]
    return staff


def _engine(m: Model, name: str, servers: tuple[str, ...]) -> Engine:
    """The engine of a model, or of what a role names instead; how it runs is [model]'s either way."""
    if shown := bundled.named(name, servers):
        name = str(bundled.folder(shown))
    engine = open_engine(
        name, servers, thinking=m.thinking, thinking_budget=m.thought, width=m.width, batch_size=m.batch_size,
        device=m.device, patience=m.patience, trust_remote_code=m.trust_remote_code, shown=shown or None,
        allow_closed=m.allow_closed, engine=m.engine, tensor_parallel=m.tensor_parallel, count=m.servers,
        vllm_args=m.vllm_args, vllm_python=m.vllm_python, keep_server=m.keep_server, max_host_memory=m.max_host_memory,
    )  # fmt: skip
    engine.license = "apache-2.0" if shown else engine.license
    return engine


@contextlib.asynccontextmanager
async def at_work(
    staff: Staff, recipe: Recipe, left_out: dict[str, str] | None, say: Say, ready: set[Any] | None = None
) -> AsyncIterator[Staff]:
    """The staff opened, and closed at the end, but for those that are `ready`, as another stage has opened them.
    `left_out` is what the run was begun without, None for a new run. Raises RecipeError where a filter that was named
    needs what no engine here can do."""
    ready = set() if ready is None else ready
    async with contextlib.AsyncExitStack() as opened:
        fresh = staff.embedder if staff.embedder not in ready else None
        if fresh:
            opened.push_async_callback(fresh.close)
        may_load = asyncio.Event()
        if "local" not in staff.kinds:  # two threads cannot import transformers at once
            may_load.set()
        loading = asyncio.create_task(_load(fresh, may_load))  # while servers start
        opened.push_async_callback(_ended, loading)
        for engine in [e for e in dict.fromkeys(staff.engines.values()) if e not in ready]:
            opened.push_async_callback(engine.close)
            if hasattr(engine, "say"):
                engine.say = say
            await engine.open()
            if remark := getattr(engine, "remark", ""):
                say(remark)
        if reason := await _lacks_scoring(staff):
            _leave_out(staff, recipe, "score", reason, left_out)
        may_load.set()
        try:
            await loading
        except Unavailable:
            raise
        except (EngineError, UserError) as error:
            _leave_out(staff, recipe, "text", str(error), left_out)
            staff.embedder = None
        for name, reason in (left_out or {}).items():  # once begun without, always without
            if name not in staff.left_out:
                staff.left_out[name] = reason
        for name, reason in staff.left_out.items():
            say(f"Without {name!r} in the gate: {reason}")
        ready.update(filter(None, (*staff.engines.values(), staff.embedder)))
        yield staff


async def _load(embedder: Embedder | None, may_load: asyncio.Event) -> None:
    await may_load.wait()
    if embedder:
        await embedder.open()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _lacks_scoring(staff: Staff) -> str:
    engine: Any = staff.engines.get("scorer")
    if engine is None:
        return ""
    return str(await engine.lacks_scoring()) if hasattr(engine, "lacks_scoring") else "the engine cannot score"


def _leave_out(staff: Staff, recipe: Recipe, shape: str, reason: str, before: dict[str, str] | None) -> None:
    """Filters of one shape cannot be had: those of the default gate go, unless who measures was named; any other
    stops the run."""
    role = "embedder" if shape == "text" else "scorer"
    if named := getattr(recipe.roles, role):
        raise RecipeError(f"--{role} {named}: {reason}; name another, or none")
    for filter in recipe.gate:
        name = filter.passport.name
        if not hasattr(filter, shape):
            continue
        if name not in recipe.optional:
            raise RecipeError(f"--gate {name}: {reason}; serve a model that can, or leave it out: --without {name}")
        if before is not None and name not in before:
            raise EngineError(f"this run was begun with {name!r} in its gate, but now {reason}; mend it and go on")
        staff.left_out[name] = reason

