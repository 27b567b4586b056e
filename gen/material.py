"""What a recipe's paths hold, read once: seeds, and data that must not be repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gen.core import Sample, digest
from gen.recipe import Recipe
from gen.seeds import BadRow, SeedFile, read_against, read_seeds

SHIPPED = Path(__file__).parent / "recipes" / "seeds.jsonl"


@dataclass(frozen=True, slots=True)
class Material:
    """What a recipe's paths hold, read once."""

    seeds: SeedFile
    against: tuple[Sample, ...]
    against_bad: tuple[BadRow, ...] = ()

    @property
    def content(self) -> dict[str, str]:
        asked = [[(m.role, m.content) for m in replace(s, response=None).messages] for s in self.against]
        return {"seeds": self.seeds.digest, "against": digest(asked) if asked else ""}

    def folder(self, recipe: Recipe) -> Path:
        """Where this recipe's run lives when no `--out` is given: the same recipe, the same folder."""
        return Path("runs") / recipe.run_name(digest(self.content))


def read_material(recipe: Recipe) -> Material:
    """The seeds and `--against` data of a recipe. Raises InputError as `gen.seeds` says."""
    source = recipe.source
    paths = [Path(s) for s in source.seeds] or [SHIPPED]
    seeds = read_seeds(paths, mapping=dict(source.map) or None, limit=source.limit, strict=source.strict)
    bad: list[BadRow] = []
    against = tuple(read_against([Path(p) for p in source.against], bad=bad)) if source.against else ()
    return Material(seeds, against, tuple(bad))


def deciding(recipe: Recipe, material: Material) -> Any:
    """All that makes this run another run, as plain JSON values that can be stored and compared."""
    return msgspec.json.decode(msgspec.json.encode({**recipe.deciding(), "content": material.content}))
