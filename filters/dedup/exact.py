from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gen.catalog import component
from gen.core import KEEP, Sample, Verdict, digest
from gen.text import normalise


@component("exact", source="ours")
@dataclass(frozen=True, slots=True)
class Exact:
    """Drops what was asked before, up to case, width, white space and outer punctuation; within a family
    too. Earlier turns and the system prompt are part of what is asked."""

    column: Literal["prompt", "instruction"] = "prompt"
    """what is compared: all that is asked, or the instruction alone"""

    def open(self) -> ExactIndex:
        return ExactIndex(self)


@dataclass(frozen=True, slots=True)
class ExactIndex:
    params: Exact
    first: dict[str, str] = field(default_factory=dict)
    """Hash of a normalised text -> id of the sample admitted first."""

    def judge(self, sample: Sample) -> Verdict:
        nearest = self.first.get(self._key(sample))
        return KEEP if nearest is None else Verdict(False, "duplicate", "exact", 1.0, nearest)

    def admit(self, sample: Sample) -> None:
        self.first.setdefault(self._key(sample), sample.id)

    def _key(self, sample: Sample) -> str:
        if self.params.column == "instruction":
            return digest(normalise(sample.instruction), size=32)
        before = [(turn.role, normalise(turn.content)) for turn in sample.turns]
        return digest(normalise(sample.prompt), normalise(sample.system), before, size=32)
