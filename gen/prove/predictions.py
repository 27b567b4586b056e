"""What was expected before it was measured, and whether it came true: `predictions.toml`, read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Bound:
    """What the mean difference of one figure of an effect may be."""

    effect: str
    figure: str
    least: float = float("-inf")
    most: float = float("inf")

    def holds(self, value: float) -> bool:
        return self.least <= value <= self.most


@dataclass(frozen=True, slots=True)
class Prediction:
    name: str
    by: str
    """`issue`, `ours`, or `later`: written down when the first tables had been seen, before these figures were."""
    claim: str
    on: tuple[str, ...]
    """The checkpoints on which all bounds must hold."""
    bounds: tuple[Bound, ...]
    paper: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a prediction. `true` is None where a figure that decides was not measured."""

    prediction: Prediction
    found: tuple[tuple[str, Bound, float | None], ...]
    """(checkpoint, bound, mean difference)."""

    @property
    def true(self) -> bool | None:
        held = [None if value is None else bound.holds(value) for _, bound, value in self.found]
        return False if False in held else None if None in held else True


def load() -> list[Prediction]:
    text = (resources.files("gen.prove") / "predictions.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["prediction"], list[Prediction])


def outcomes(effects: Mapping[str, Any], predictions: Sequence[Prediction] | None = None) -> list[Outcome]:
    """Each prediction beside what was found; `effects` as in results.json: effect, checkpoint, figure, group of
    families, (mean, low, high)."""

    def mean(bound: Bound, checkpoint: str) -> float | None:
        found = effects.get(bound.effect, {}).get(checkpoint, {}).get(bound.figure, {}).get("all")
        return None if found is None else float(found[0])

    return [
        Outcome(p, tuple((c, b, mean(b, c)) for b in p.bounds for c in p.on))
        for p in (load() if predictions is None else predictions)
    ]
