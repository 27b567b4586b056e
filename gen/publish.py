"""What a run leaves for its readers: the dataset, its card, and the report of how it ended."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gen import __version__
from gen import recipe as recipes
from gen.card import CardFacts, card
from gen.errors import UserError
from gen.export.files import atomic
from gen.export.write import write_dataset
from gen.material import Material
from gen.pool import FunnelRow, Pool
from gen.recipe import Recipe

PUBLISHED = ("dataset.jsonl", "dataset.parquet", "README.md")


@dataclass(frozen=True, slots=True)
class Report:
    """How a job ended, for people and for `--json`."""

    folder: Path
    why: str
    """complete, target, max_tokens, max_time, interrupted, or `finished` when there was nothing to do."""
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


def report_of(pool: Pool, folder: Path, why: str) -> Report:
    """What the pool says of a run, its newest gate counted."""
    funnel = tuple(pool.funnel(pool.state("gate_run", 1)))
    kept = sum(row.count for row in funnel if row.keep)
    return Report(folder, why, kept, 0, 0, 0, 0, 0.0, funnel)


def publish(pool: Pool, folder: Path, recipe: Recipe, material: Material) -> None:
    """Write the dataset, twice, from what the newest gate kept, and the card beside it."""
    left_out = pool.state("left_out") or {}
    gate = [f for f in recipe.gate if f.passport.name not in left_out]
    run, seeds, kinds = pool.state("gate_run", 1), material.seeds, pool.state("kinds", [])
    written = write_dataset(pool.kept(run), folder)
    licences = seeds.licences if recipe.source.seeds else ("apache-2.0",)
    names = ", ".join(seeds.names) if recipe.source.seeds else "the seeds that ship with gen"
    funnel = Counter[tuple[int, str]]()
    for row in pool.funnel(run):
        funnel[row.round, "" if row.keep else row.reason] += row.count
    facts = CardFacts(
        name=folder.resolve().name, rows=written.rows.total(), licences=licences, weights=written.weights.most_common(),
        seeds=[(names, len(seeds.samples), seeds.digest, ", ".join(filter(None, licences)) or None)],
        models=[(role, name, fp, license or None) for role, name, fp, license in pool.state("models", [])],
        loops=[(recipe.loop, type(recipe.params).passport.source)],
        prompts=tuple(p.ref for p in recipe.params.asks()),
        filters=[(f.passport.name, recipes.values(f), f.passport.source) for f in gate],
        funnel=[(round, reason or "kept", count) for (round, reason), count in sorted(funnel.items())],
        versions=_versions(kinds), command=pool.state("command", ""), promise=_promise(kinds),
        closed=pool.state("closed", []), served="server" in kinds, left_out=left_out,
    )  # fmt: skip
    pool.set_state("card", msgspec.to_builtins(facts))
    with atomic(folder / "README.md") as file:
        file.write(card(facts))


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
