from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from filters.base import cut
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import find_loop, repetition


@component("repetition", source="arXiv 2112.11446, appendix A1.1 (repetition removal), with one n; the loop is ours")
@dataclass(frozen=True, slots=True)
class Repetition:
    """Drops degenerate texts: too large a share lies in n-grams said before, or the end goes in a loop."""

    max_share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """largest share of a text in repeated n-grams"""
    ngram: Annotated[int, Meta(ge=2, le=64)] = 8
    """words in an n-gram; CJK texts use twice as many characters"""
    min_words: Annotated[int, Meta(ge=0)] = 24
    """shorter texts are not measured"""

    def check(self, sample: Sample) -> Verdict:
        return self._judge(sample.instruction) or self._judge(sample.response or "") or KEEP

    def _judge(self, text: str) -> Verdict | None:
        share = repetition(text, self.ngram, self.min_words)
        loop = find_loop(text)
        if loop or share > self.max_share:
            return Verdict(False, "repetitive", "repetition", share, note=cut(loop or text[-120:]))
        return None
