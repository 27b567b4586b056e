"""What a run leaves for its readers: the dataset, its card, and the report of how it ended."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gen import __version__
from gen import recipe as recipes
from gen.card import CardFacts, FilterFacts, FunnelFacts, LoopFacts, ModelFacts, SeedFacts, card
from gen.export import atomic, write_dataset
from gen.material import Material
from gen.pool import FunnelRow, Pool
from gen.recipe import Recipe


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


def report_of(pool: Pool, folder: Path, why: str) -> Report:
    """What the pool says of a run, its newest gate counted."""
    funnel = tuple(pool.funnel(pool.state("gate_run", 1)))
    kept = sum(row.count for row in funnel if row.keep)
    return Report(folder, why, kept, sum(row.count for row in funnel), 0, 0, 0, 0.0, funnel)


def publish(pool: Pool, folder: Path, recipe: Recipe, material: Material) -> None:
    """Write `dataset.jsonl` from what the newest gate kept, and the card beside it."""
    rows = write_dataset(pool.kept(pool.state("gate_run", 1)), folder / "dataset.jsonl")
    with atomic(folder / "README.md") as file:
        file.write(card(_facts(pool, folder, recipe, material, rows)))


def _facts(pool: Pool, folder: Path, recipe: Recipe, material: Material, rows: int) -> CardFacts:
    own = "apache-2.0" if not recipe.model.name and not recipe.model.server else None
    models = tuple(ModelFacts(role, model, mark, own) for role, model, mark in pool.state("models", []))
    names = [Path(s).name for s in recipe.source.seeds] or ["the seeds that ship with gen"]
    licences = {str(s.meta.get("license") or s.meta.get("licence") or "") for s in material.seeds.samples}
    known = licences.pop() if len(licences) == 1 else ""
    licence = known or ("apache-2.0" if not recipe.source.seeds else None)
    funnel: Counter[tuple[int, str]] = Counter()
    for row in pool.funnel(pool.state("gate_run", 1)):
        funnel[row.round, "" if row.keep else row.reason] += row.count
    return CardFacts(
        name=folder.resolve().name, rows=rows,
        seeds=(SeedFacts(", ".join(names), len(material.seeds.samples), material.seeds.digest, licence),),
        models=models, loops=(LoopFacts(recipe.loop, type(recipe.params).passport.source),),
        prompts=tuple(p.ref for p in recipe.params.asks()),
        filters=tuple(FilterFacts(f.passport.name, recipes.values(f), f.passport.source) for f in recipe.gate),
        funnel=tuple(FunnelFacts(0, r, reason, n) for (r, reason), n in sorted(funnel.items())),
        versions=_versions(recipe), command=pool.state("command", ""), promise=_promise(recipe),
    )  # fmt: skip


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


