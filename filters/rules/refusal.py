from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import count_words, find_refusal, says_sorry


@component("refusal", source="ours; `sorry_words`: arXiv 2304.12244, section 3.2 (elimination, second rule)")
@dataclass(frozen=True, slots=True)
class Refusal:
    """Drops responses that open by refusing ("I'm sorry, but I can't help with that"). The paper's rule,
    any "sorry" in a short answer, also drops honest letters of apology, so it is off by default."""

    sorry_words: Annotated[int, Meta(ge=0)] = 0
    """also drop "sorry" in answers of fewer words (the paper: 80; 0: off)"""

    def check(self, sample: Sample) -> Verdict:
        response = sample.response or ""
        if passage := find_refusal(response):
            return drop("refusal", "refusal", passage)
        sorry = self.sorry_words and says_sorry(response, self.sorry_words)
        return drop("refusal", "sorry_response", response, count_words(response)) if sorry else KEEP
