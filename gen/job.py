"""A job: a recipe and a folder become a dataset. Everything that can be wrong is checked before the
first token; what was begun goes on; what is finished is left alone."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import logging.handlers
import os
import platform
import signal
import time
import tomllib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gen import __version__
from gen import recipe as recipes
from gen.card import CardFacts, FilterFacts, FunnelFacts, LoopFacts, ModelFacts, SeedFacts, card
from gen.core import Engine, Role, Sample, digest
from gen.engines import open_engine
from gen.errors import PoolError, RecipeError, UserError
from gen.export import atomic, write_dataset
from gen.gate import Admission, Gate
from gen.pool import FunnelRow, Pool
from gen.recipe import Recipe
from gen.rounds import Run
from gen.seeds import BadRow, SeedFile, read_against, read_seeds

log = logging.getLogger("gen.job")
ROLES: tuple[Role, ...] = ("evolver", "answerer", "judge", "scorer")
SHIPPED = Path(__file__).parent / "recipes" / "seeds.jsonl"
Watch = Callable[[Run], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Material:
    """What a recipe's paths hold, read once."""

    seeds: SeedFile
    against: tuple[Sample, ...]
    against_bad: tuple[BadRow, ...] = ()

    @property
    def content(self) -> dict[str, str]:
        texts = [s.prompt for s in self.against]
        return {"seeds": self.seeds.digest, "against": digest(texts) if texts else ""}


@dataclass(frozen=True, slots=True)
class Report:
    """How a job ended, for people and for `--json`."""

    folder: Path
    why: str
    """complete, target, max_tokens, max_time, interrupted, or `finished` when there was nothing to do."""
    kept: int
    candidates: int
    asked: int
    """Questions that were answered now."""
    replayed: int
    """Questions whose answers came from the journal."""
    tokens: int
    """Tokens generated now."""
    seconds: float
    funnel: tuple[FunnelRow, ...]


def read_material(recipe: Recipe) -> Material:
    """The seeds and `--against` data of a recipe. Raises InputError as `gen.seeds` says."""
    source = recipe.source
    paths = [Path(s) for s in source.seeds] or [SHIPPED]
    seeds = read_seeds(paths, mapping=dict(source.map) or None, limit=source.limit, strict=source.strict)
    bad: list[BadRow] = []
    against = tuple(read_against([Path(p) for p in source.against], bad=bad)) if source.against else ()
    return Material(seeds, against, tuple(bad))


def folder_of(recipe: Recipe, material: Material) -> Path:
    """Where this recipe's run lives when no `--out` is given: the same recipe, the same folder."""
    return Path("runs") / recipe.run_name(digest(material.content))


def execute(recipe: Recipe, folder: Path, material: Material, *, command: str, watch: Watch) -> Report:
    """Start a run or go on with it. Raises UserError where the folder holds another run."""
    gate = _open_gate(recipe, material)
    with Pool.open(folder) as pool, _logged(folder, command):
        _check_same(pool, recipe, material, folder)
        if (finished := pool.state("finished")) and finished == _goal(recipe, str(finished["why"])):
            return _report(pool, folder, "finished")
        engines = open_engines(recipe)
        return asyncio.run(_execute(recipe, folder, material, pool, engines, gate, command, watch))


@contextlib.contextmanager
def _logged(folder: Path, command: str) -> Iterator[None]:
    """`run.log` of the folder, rotating: what happened when, for whoever has to find out."""
    handler = logging.handlers.RotatingFileHandler(folder / "run.log", maxBytes=1_000_000, backupCount=3)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("gen")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    root.propagate = False
    log.info("started: %s (gen %s)", command, __version__)
    try:
        yield
    except BaseException as error:
        log.error("ended by %s: %s", type(error).__name__, error)
        raise
    finally:
        root.removeHandler(handler)
        handler.close()


def open_engines(recipe: Recipe) -> dict[Role, Engine]:
    """Every role's engine. One engine serves all roles."""
    m = recipe.model
    name = m.name
    if not name and not m.server:
        from gen.micro.bundled import weights

        name = str(weights())
    engine = open_engine(
        name, m.server, thinking=m.thinking, width=m.width, batch_size=m.batch_size, device=m.device,
        patience=m.patience, trust_remote_code=m.trust_remote_code,
    )  # fmt: skip
    return dict.fromkeys(ROLES, engine)


async def _execute(
    recipe: Recipe, folder: Path, material: Material, pool: Pool, engines: Mapping[Role, Engine], gate: Gate,
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
        run = Run(recipe, material.seeds.samples, pool, dict(engines), admission)
        with _signals(run):
            watcher = asyncio.create_task(watch(run))
            try:
                why = await run.execute()
            finally:
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
    finally:
        for engine in opened:
            await engine.close()
    if why not in ("interrupted", "max_time"):  # a clock's end is no end: the same command goes on
        pool.set_state("finished", _goal(recipe, why))
    _publish(pool, folder, recipe, material, engines, command)
    report = _report(pool, folder, why)
    replies = run.talk.replies
    log.info("ended: %s, %d kept of %d, replies %s", why, report.kept, report.candidates, dict(replies))
    asked = sum(replies.values()) - replies["replayed"]
    return replace(
        report, asked=asked, replayed=replies["replayed"], tokens=run.talk.tokens, seconds=time.monotonic() - started
    )


@contextlib.contextmanager
def _signals(run: Run) -> Iterator[None]:
    """Ctrl-C ends the run cleanly; a second one ends the process at once (the journal does not mind)."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        if run.why:
            os._exit(75)
        run.stop("interrupted")

    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # no main thread, no signals
            loop.add_signal_handler(name, interrupt)
    try:
        yield
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(name)


def _open_gate(recipe: Recipe, material: Material) -> Gate:
    gate = Gate(recipe.gate)
    if recipe.source.against:
        gate.preload(material.against)
    return gate


def _check_same(pool: Pool, recipe: Recipe, material: Material, folder: Path) -> None:
    """Refuse a folder that holds another run, with the difference."""
    old, new = pool.state("deciding"), {**recipe.deciding(), "content": material.content}
    if old is None:
        return
    if lines := recipes.difference(old, _plain(new)):
        shown = "\n  ".join(lines)
        raise RecipeError(
            f"{folder}: holds a run whose deciding keys differ:\n  {shown}\nGive another --out (or none), or the same "
            f"keys: `gen run {folder}/recipe.toml`; other filters alone: `gen regate {folder} --recipe NEW.toml`"
        )
    if (done := pool.state("rounds", 0)) > recipe.rounds:
        raise RecipeError(f"{folder}: --rounds {recipe.rounds}, but this run has {done} already; rounds can only grow")


def _check_engines(pool: Pool, engines: Mapping[Role, Engine]) -> None:
    """Refuse to mix the replies of two models in one run."""
    now = {role: engine.fingerprint for role, engine in engines.items()}
    before = pool.state("fingerprints")
    if before is not None and before != now:
        changed = ", ".join(sorted(role for role in now if before.get(role) != now[role]))
        raise UserError(
            f"the model behind {changed} is not the one this run began with (its fingerprint changed: other weights, "
            f"version, context length or precision); serve the same one again, or give another --out"
        )
    pool.set_state("fingerprints", now)


def _begin(pool: Pool, folder: Path, recipe: Recipe, material: Material) -> None:
    pool.set_state("deciding", _plain({**recipe.deciding(), "content": material.content}))
    pool.set_state("rounds", recipe.rounds)
    pool.set_state("finished", None)
    with atomic(folder / "recipe.toml") as file:
        file.write(recipes.to_toml(recipe))


def _goal(recipe: Recipe, why: str) -> dict[str, Any]:
    """What a finished run was asked for; asked for the same again, there is nothing to do."""
    budget = recipe.budget
    bounds = {} if why == "complete" else {"target": budget.target, "max_tokens": budget.max_tokens}
    return {"why": why, "rounds": recipe.rounds, **bounds}


def _publish(
    pool: Pool, folder: Path, recipe: Recipe, material: Material, engines: Mapping[Role, Engine], command: str
) -> None:
    gate_run = pool.state("gate_run", 1)
    rows = write_dataset(pool.kept(gate_run), folder / "dataset.jsonl")
    models = tuple(ModelFacts(role, e.model, e.fingerprint) for role, e in engines.items())
    pool.set_state("models", [[m.role, m.model, m.fingerprint] for m in models])
    pool.set_state("command", command)
    write_card(pool, folder, recipe, material, rows)


def write_card(pool: Pool, folder: Path, recipe: Recipe, material: Material, rows: int) -> None:
    """The run folder's README.md, from what the pool remembers of the run."""
    models = tuple(ModelFacts(*m) for m in pool.state("models", []))
    names = [Path(s).name for s in recipe.source.seeds] or ["the seeds that ship with gen"]
    licences = {str(s.meta.get("license") or s.meta.get("licence") or "") for s in material.seeds.samples}
    known = licences.pop() if len(licences) == 1 else ""
    licence = known or ("apache-2.0" if not recipe.source.seeds else None)
    funnel = {}
    for row in pool.funnel(pool.state("gate_run", 1)):
        place = (row.round, "" if row.keep else row.reason)
        funnel[place] = funnel.get(place, 0) + row.count
    facts = CardFacts(
        name=folder.resolve().name, rows=rows,
        seeds=(SeedFacts(", ".join(names), len(material.seeds.samples), material.seeds.digest, licence),),
        models=models, loops=(LoopFacts(recipe.loop, type(recipe.params).passport.source),),
        prompts=tuple(p.ref for p in recipe.params.asks()),
        filters=tuple(FilterFacts(f.passport.name, recipes.values(f), f.passport.source) for f in recipe.gate),
        funnel=tuple(FunnelFacts(0, r, reason, n) for (r, reason), n in sorted(funnel.items())),
        versions=_versions(recipe), command=pool.state("command", ""), promise=_promise(recipe),
    )  # fmt: skip
    with atomic(folder / "README.md") as file:
        file.write(card(facts))


def _versions(recipe: Recipe) -> dict[str, str]:
    packages = () if recipe.model.server or recipe.model.name.startswith("script:") else ("torch", "transformers")
    installed = {package: importlib.metadata.version(package) for package in packages}
    return {"gen": __version__, "python": platform.python_version(), **installed}


def _promise(recipe: Recipe) -> str:
    both = "The same journal gives the same bytes at any concurrency, and no recorded reply was asked for twice."
    if recipe.model.server:
        return f"{both} That another run gives the same replies depends on the server; it was not tested here."
    if recipe.model.name.startswith("script:"):
        return f"{both} The replies were canned: another run gives the same bytes, killed in between or not."
    return f"{both} The model ran in this process with seeded sampling: texts repeat as far as its arithmetic does."


def _report(pool: Pool, folder: Path, why: str) -> Report:
    funnel = tuple(pool.funnel(pool.state("gate_run", 1)))
    kept = sum(row.count for row in funnel if row.keep)
    return Report(folder, why, kept, sum(row.count for row in funnel), 0, 0, 0, 0.0, funnel)


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that it can be compared with what was stored."""
    return msgspec.json.decode(msgspec.json.encode(value))


def regate(folder: Path, new: Path) -> tuple[Report, Report]:
    """Judge all stored candidates by another gate, asking no model anything; returns before and after.

    `new` is a recipe, or only its `[gate]`; every other deciding key must be that of the run."""
    run_recipe = folder / "recipe.toml"
    if not run_recipe.is_file():
        raise UserError(f"{folder}: no run is here (no recipe.toml); expected a folder that `gen` made")
    base, change = recipes.read(run_recipe), tomllib.loads(_read(new))
    merged = recipes.build({**recipes.table_of(base), **change}, where=str(new))
    material = read_material(merged)
    with Pool.open(folder) as pool:
        _check_only_gate(pool.state("deciding", {}), _plain({**merged.deciding(), "content": material.content}), new)
        before = _report(pool, folder, "before")
        number = pool.state("gate_runs", 1) + 1
        admission = Admission(_open_gate(merged, material), number, merged.budget)
        while rows := admission.pending(pool, 0, None):
            admission.commit(pool, admission.decide(rows))
        pool.set_state("gate_runs", number)
        pool.set_state("gate_run", number)
        pool.set_state("deciding", _plain({**merged.deciding(), "content": material.content}))
        with atomic(run_recipe) as file:
            file.write(recipes.to_toml(merged))
        rows_out = write_dataset(pool.kept(number), folder / "dataset.jsonl")
        write_card(pool, folder, merged, material, rows_out)
        return before, _report(pool, folder, "regated")


def _check_only_gate(old: Mapping[str, Any], new: Mapping[str, Any], where: Path) -> None:
    lines = [x for x in recipes.difference(old, new) if not x.startswith(("gate", "content.against"))]
    if lines:
        shown = "\n  ".join(lines)
        raise RecipeError(f"{where}: regate changes [gate] and nothing else; these differ too:\n  {shown}")


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); expected a TOML file with [gate]") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    return text


def open_run(folder: Path) -> Pool:
    """The pool of a finished or running run, for reading. Raises UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a run folder, such as those in runs/")
    try:
        return Pool.open(folder, readonly=True)
    except PoolError as error:
        raise UserError(f"{folder}: {error}") from error
