"""The shapes of judgement, by how much each must see. A filter is one file and one frozen dataclass
whose fields are its parameters; it satisfies one of these protocols and inherits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gen.core import Measurement, Sample, Score, Vector, Verdict


class Rule(Protocol):
    """Sees one sample and nothing else. One that takes long, as a program that is run does, has `slow = True` and is
    never called where requests are waiting; one that needs something of the machine has `require`, which raises
    RecipeError before the run."""

    def check(self, sample: Sample) -> Verdict: ...


class Scorer(Protocol):
    """Measures one sample with a model; a threshold turns its score into a verdict. A score without a value says
    in its note why, as a key for verdicts (`too_long`, `empty_answer`)."""

    def score(self, sample: Sample) -> Measurement[Score]: ...

    def judge(self, score: Score) -> Verdict: ...


class Index(Protocol):
    """Everything admitted so far: kept samples and those of `--against`. `judge` changes no later verdict,
    and names the nearest neighbour."""

    def judge(self, sample: Sample) -> Verdict: ...

    def admit(self, sample: Sample) -> None: ...


class Dedup(Protocol):
    """Compares with everything kept so far, in canonical order."""

    def open(self) -> Index: ...


class VectorIndex(Protocol):
    """As `Index`, over vectors. `expect` announces what will be judged next, so that it can be compared in one go;
    it changes no verdict."""

    def judge(self, sample: Sample, vector: Vector) -> Verdict: ...

    def admit(self, sample: Sample, vector: Vector) -> None: ...

    def expect(self, coming: Sequence[tuple[Sample, Vector]]) -> None: ...


class VectorDedup(Protocol):
    """Compares vectors with those of everything kept so far, in canonical order."""

    def text(self, sample: Sample) -> str:
        """What is embedded of a sample."""
        ...

    def open(self) -> VectorIndex: ...


class Selector(Protocol):
    """Sees the whole pool under a budget: the positions of the best k."""

    def pick(self, samples: Sequence[Sample], scores: Mapping[str, Sequence[float | None]], k: int) -> list[int]: ...


def drop(by: str, reason: str, passage: str = "", value: float | None = None) -> Verdict:
    """A verdict that drops, with the passage that decided as one line of at most 120 characters."""
    line = " ".join(passage.split())
    return Verdict(False, reason, by, value, note=line if len(line) <= 120 else f"{line[:119]}…")
