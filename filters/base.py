"""The four shapes of judgement, by how much each must see. A filter is one file and one frozen
dataclass whose fields are its parameters; it satisfies one of these protocols and inherits nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from gen.core import Rollout, Sample, Score, Verdict


class Rule(Protocol):
    """Sees one sample and nothing else."""

    def check(self, sample: Sample) -> Verdict: ...


class Scorer(Protocol):
    """Asks a model about one sample; a threshold turns its score into a verdict."""

    def score(self, sample: Sample) -> Rollout[Score]: ...

    def judge(self, score: Score) -> Verdict: ...


class Index(Protocol):
    """Everything admitted so far, searchable. `judge` never changes it."""

    def judge(self, sample: Sample) -> Verdict:
        """Is it new against all that was admitted? The verdict names the nearest neighbour."""
        ...

    def admit(self, sample: Sample) -> None:
        """Remember a kept sample (or one of `--against`)."""
        ...


class Dedup(Protocol):
    """Compares with everything kept so far, in canonical order."""

    def open(self) -> Index: ...


class Selector(Protocol):
    """Sees the whole pool under a budget: the positions of the best k."""

    def pick(self, samples: Sequence[Sample], scores: Mapping[str, Sequence[float | None]], k: int) -> list[int]: ...


def cut(text: str, limit: int = 120) -> str:
    """A passage for a verdict's note: one line, shortened in the middle of nowhere but marked so."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def first_drop(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The first verdict that drops, or None when all keep."""
    return next((v for v in verdicts if not v.keep), None)


Parameters = Mapping[str, Any]
