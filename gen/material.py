"""What a recipe's paths hold, read once: seeds, and data that must not be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gen.core import Sample, digest, replace
from gen.errors import RecipeError
from gen.recipe import Recipe
from gen.seeds import Noted, SeedFile, hold_against, read_seeds
from gen.seeds.supply import Supply

SHIPPED = Path(__file__).parent / "recipes" / "seeds.jsonl"
SHIPPED_CORPUS = SHIPPED.with_name("documents.md")


@dataclass(frozen=True, slots=True)
class Material:
    """What a recipe's paths hold, read once."""

    seeds: SeedFile
    against: Sequence[Sample]
    """What must not be repeated; read from disk as often as it is gone through."""
    against_digest: str
    against_bad: Noted
    demos: SeedFile | None = None

    @property
    def content(self) -> dict[str, str]:
        demos = {"demos": self.demos.digest} if self.demos else {}
        return {"seeds": self.seeds.digest, "against": self.against_digest, **demos}

    def loop(self, params: Any) -> Any:
        """A loop with the demonstrations that it shows."""
        return replace(params, demos=self.demos.samples) if self.demos and hasattr(params, "demos") else params

    def supply(self, params: Any) -> Supply:
        """The seeds of a run's first loop; of one that keeps its demonstrations, too, these come first."""
        seeds = Supply.of(self.seeds.samples)
        if self.demos and getattr(params, "demos_too", False):
            seeds.lead(self.demos.samples)
        return seeds

    def folder(self, recipe: Recipe) -> Path:
        """Where this recipe's run lives when no `--out` is given: the same recipe, the same folder."""
        return Path("runs") / recipe.run_name(digest(self.content))


def read_material(recipe: Recipe) -> Material:
    """The seeds and `--against` data of a recipe. Raises InputError as `gen.seeds` says."""
    source, first = recipe.source, recipe.stages[0].recipe
    if source.demos and not hasattr(first.params, "demos"):
        raise RecipeError(f"--demos: {first.loop} shows no demonstrations; leave them out")
    mapping = dict(source.map) or None
    if hasattr(first.params, "split"):
        from gen.seeds.corpus import read_corpus

        seeds = read_corpus(
            source.seeds or [str(SHIPPED_CORPUS)], first.params.split, mapping=mapping, limit=source.limit,
            strict=source.strict,
        )  # fmt: skip
    else:
        seeds = read_seeds(
            source.seeds or [SHIPPED], mapping=mapping, limit=source.limit, strict=source.strict, turn=source.turn,
        )  # fmt: skip
    demos = read_seeds(source.demos) if source.demos else None
    against = hold_against(source.against)
    return Material(seeds, against.samples, against.digest, against.bad, demos)


def deciding(recipe: Recipe, material: Material) -> Any:
    """All that makes this run another run, as plain JSON values that can be stored and compared."""
    return msgspec.json.decode(msgspec.json.encode({**recipe.deciding(), "content": material.content}))
