"""What a run leaves for its readers: the dataset, its card, and the report of how it ended."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gen import __version__
from gen import recipe as recipes
from gen.card import CardFacts, card
from gen.core import digest
from gen.errors import UserError
from gen.export.files import atomic
from gen.export.write import write_dataset
from gen.insight import noted_alarms, operations
from gen.material import Material
from gen.pool import Pool, of_stage
from gen.recipe import Recipe
from gen.tally import FunnelRow

PUBLISHED = ("dataset.jsonl", "dataset.parquet", "README.md")


@dataclass(frozen=True, slots=True)
class Report:
    """How a job ended, for people and for `--json`."""

    folder: Path
    why: str
    """complete, target, max_tokens, collapse, max_time, interrupted, or `finished` when there was nothing to do."""
    kept: int
    asked: int
    """Questions that were answered now."""
    replayed: int
    """Questions whose answers came from the journal."""
    tokens: int
    """Tokens generated now."""
    measured: int
    """Likelihoods and vectors that were measured now."""
    seconds: float
    funnel: tuple[FunnelRow, ...]
    alarms: tuple[str, ...] = ()
    """What collapses."""


def report_of(pool: Pool, folder: Path, why: str) -> Report:
    """What the pool says of a run, its newest gate counted."""
    funnel, (_, last) = tuple(pool.whole_funnel()), pool.newest()
    kept = sum(row.count for row in funnel if row.keep and row.stage == last)
    return Report(folder, why, kept, 0, 0, 0, 0, 0.0, funnel, tuple(noted_alarms(pool)))


def publish(pool: Pool, folder: Path, recipe: Recipe, material: Material) -> None:
    """Write the dataset, twice, from what the newest gate kept, and the card beside it."""
    stages, (run, last) = [stage.recipe for stage in recipe.stages], pool.newest()
    left_out = pool.state(of_stage("left_out", last)) or {}
    gate = stages[last].filters(left_out)
    seeds, kinds = material.seeds, sorted({k for number in range(len(stages)) for k in _told(pool, "kinds", number)})
    written = write_dataset(pool.kept(run, last), folder)
    licences = seeds.licences if recipe.source.seeds else ("apache-2.0",)
    names = ", ".join(seeds.names) if recipe.source.seeds else "the seeds that ship with gen"
    funnel = Counter[tuple[int, int, str]]()
    for row in pool.whole_funnel():
        funnel[row.stage, row.round, "" if row.keep else row.reason] += row.count
    kept = written.rows.total()
    facts = CardFacts(
        name=folder.resolve().name, rows=kept, licences=licences, weights=written.weights.most_common(),
        seeds=[(names, len(seeds.samples), seeds.digest, ", ".join(filter(None, licences)) or None)],
        models=list(dict.fromkeys(
            (role, name, fp, license or None)
            for number in range(len(stages)) for role, name, fp, license in _told(pool, "models", number)
        )),
        loops=list(dict.fromkeys((s.loop, type(s.params).passport.source) for s in stages)),
        prompts=tuple(dict.fromkeys(p.ref for s in stages for p in s.params.asks())),
        filters=[(f.passport.name, recipes.values(f), f.passport.source) for f in gate],
        funnel=[
            (f"{stage + 1}.{round}" if last else round, reason or "kept", count)
            for (stage, round, reason), count in sorted(funnel.items())
        ],
        versions=_versions(kinds), command=pool.state("command", ""), promise=_promise(kinds),
        closed=[one for number in range(len(stages)) for one in _told(pool, "closed", number)],
        served="server" in kinds, left_out=left_out,
        caveats={f.passport.name: said for f in gate if hasattr(f, "caveat") and (said := f.caveat(kept))},
        operations=[
            (t.domain or "(none)", t.operation, t.tried, t.kept, f"{t.first:.0%}", f"{t.now:.0%}")
            for learned in operations(pool, recipe) for t in learned.tallies
        ],
    )  # fmt: skip
    pool.set_state("card", msgspec.to_builtins(facts))
    with atomic(folder / "README.md") as file:
        file.write(card(facts))
    pool.set_state("published", {name: _look(folder / name) for name in PUBLISHED})


def is_published(pool: Pool, folder: Path) -> bool:
    """Whether what a run leaves is there as it was written: not removed, cut short or older, by a power cut, a copy or
    a hand. Of long files only size and end are looked at."""
    known = pool.state("published") or dict.fromkeys(PUBLISHED)
    found = {name: _look(folder / name) for name in known}
    return None not in found.values() and all(known[name] in (None, found[name]) for name in known)


def _look(path: Path) -> list[Any] | None:
    """Size and a hash of the last MiB; None where there is no file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, (size := path.stat().st_size) - 2**20))
        return [size, digest(file.read().hex())]


def _told(pool: Pool, name: str, stage: int) -> Any:
    """What was noted of a stage's engines."""
    return pool.state(of_stage(name, stage)) or []


def facts_of(pool: Pool, folder: Path) -> CardFacts:
    """What the card of a run says. Raises UserError for a run that has none yet."""
    if (told := pool.state("card")) is None:
        raise UserError(f"{folder}: this run has no card yet; let it come to an end (`gen run {folder}/recipe.toml`)")
    return msgspec.convert(told, CardFacts)


def _versions(kinds: Container[str]) -> dict[str, str]:
    packages = ("torch", "transformers") if "local" in kinds else ()
    installed = {package: importlib.metadata.version(package) for package in packages}
    return {"gen": __version__, "python": platform.python_version(), **installed}


def _promise(kinds: Container[str]) -> str:
    both = "The same journal gives the same bytes at any concurrency, and no recorded reply was asked for twice."
    if "server" in kinds or "vllm" in kinds:
        return f"{both} That another run gives the same replies depends on the server; it was not tested here."
    if "local" in kinds:
        return f"{both} The model ran in this process with seeded sampling: texts repeat as far as its arithmetic does."
    return f"{both} The replies were canned: another run gives the same bytes, killed in between or not."
