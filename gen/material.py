"""What a recipe's paths hold, read once: seeds, and data that must not be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from gen.core import Sample, digest
from gen.recipe import Recipe
from gen.seeds import Noted, Rolling, SeedFile, Spool, read_against, read_seeds

SHIPPED = Path(__file__).parent / "recipes" / "seeds.jsonl"


@dataclass(frozen=True, slots=True)
class Material:
    """What a recipe's paths hold, read once."""

    seeds: SeedFile
    against: Sequence[Sample]
    """What must not be repeated; read from disk as often as it is gone through."""
    against_digest: str
    against_bad: Noted

    @property
    def content(self) -> dict[str, str]:
        return {"seeds": self.seeds.digest, "against": self.against_digest}

    def folder(self, recipe: Recipe) -> Path:
        """Where this recipe's run lives when no `--out` is given: the same recipe, the same folder."""
        return Path("runs") / recipe.run_name(digest(self.content))


def read_material(recipe: Recipe) -> Material:
    """The seeds and `--against` data of a recipe. Raises InputError as `gen.seeds` says."""
    source = recipe.source
    seeds = read_seeds(
        source.seeds or [SHIPPED], mapping=dict(source.map) or None, limit=source.limit, strict=source.strict,
        turn=source.turn,
    )  # fmt: skip
    against, content, bad = Spool(), Rolling(), Noted()
    for sample in read_against(source.against, bad=bad) if source.against else ():
        against.add(sample)
        content.add([(m.role, m.content) for m in replace(sample, response=None).messages])
    return Material(seeds, against, str(content) if against else "", bad)


def deciding(recipe: Recipe, material: Material) -> Any:
    """All that makes this run another run, as plain JSON values that can be stored and compared."""
    return msgspec.json.decode(msgspec.json.encode({**recipe.deciding(), "content": material.content}))
