"""The shapes of judgement, by how much each must see. A filter is one file and one frozen dataclass
whose fields are its parameters; it satisfies one of these protocols and inherits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gen.core import Rollout, Sample, Score, Verdict


class Rule(Protocol):
    """Sees one sample and nothing else."""

    def check(self, sample: Sample) -> Verdict: ...


class Scorer(Protocol):
    """Asks a model about one sample; a threshold turns its score into a verdict."""

    def score(self, sample: Sample) -> Rollout[Score]: ...

    def judge(self, score: Score) -> Verdict: ...


class Index(Protocol):
    """Everything admitted so far: kept samples and those of `--against`. `judge` changes no later verdict,
    and names the nearest neighbour."""

    def judge(self, sample: Sample) -> Verdict: ...

    def admit(self, sample: Sample) -> None: ...


class Dedup(Protocol):
    """Compares with everything kept so far, in canonical order."""

    def open(self) -> Index: ...


class Selector(Protocol):
    """Sees the whole pool under a budget: the positions of the best k."""

    def pick(self, samples: Sequence[Sample], scores: Mapping[str, Sequence[float | None]], k: int) -> list[int]: ...


def drop(by: str, reason: str, passage: str = "", value: float | None = None) -> Verdict:
    """A verdict that drops, with the passage that decided as one line of at most 120 characters."""
    line = " ".join(passage.split())
    return Verdict(False, reason, by, value, note=line if len(line) <= 120 else f"{line[:119]}…")
