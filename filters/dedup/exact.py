from __future__ import annotations

from dataclasses import dataclass, field

from gen.catalog import component
from gen.core import KEEP, Sample, Verdict, digest, replace
from gen.text import normalise


@component("exact", source="ours")
@dataclass(frozen=True, slots=True)
class Exact:
    """Drops what was asked before, up to case, width, white space and outer punctuation; within a family
    too. Earlier turns and the system prompt are part of what is asked."""

    def open(self) -> ExactIndex:
        return ExactIndex()


@dataclass(slots=True)
class ExactIndex:
    first: dict[str, str] = field(default_factory=dict)
    """Hash of a normalised text -> id of the sample admitted first."""
    last: tuple[Sample, str] | None = None
    """The sample hashed last: what is judged is often admitted next."""

    def judge(self, sample: Sample) -> Verdict:
        nearest = self.first.get(self._key(sample))
        return KEEP if nearest is None else Verdict(False, "duplicate", "exact", 1.0, nearest)

    def admit(self, sample: Sample) -> None:
        self.first.setdefault(self._key(sample), sample.id)

    def _key(self, sample: Sample) -> str:
        if self.last and self.last[0] is sample:
            return self.last[1]
        asked = replace(sample, response=None).messages
        key = digest([(message.role, normalise(message.content)) for message in asked], size=32)
        self.last = sample, key
        return key
