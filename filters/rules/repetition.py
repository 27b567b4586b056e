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
    """Drops degenerate texts: the end goes in a loop, or too large a share lies in n-grams said before.
    Tasks may repeat more than answers, as examples of one form do."""

    max_share: Annotated[float, Meta(ge=0, le=1)] = 0.6
    """largest share of the response in repeated n-grams"""
    max_instruction_share: Annotated[float, Meta(ge=0, le=1)] = 0.85
    """the same of instruction and input"""
    ngram: Annotated[int, Meta(ge=2, le=64)] = 8
    """words in an n-gram; CJK texts use twice as many characters"""
    min_words: Annotated[int, Meta(ge=0)] = 50
    """shorter texts are only checked for loops"""

    def check(self, sample: Sample) -> Verdict:
        asked = self._judge(sample.prompt, self.max_instruction_share)
        return asked or self._judge(sample.response or "", self.max_share) or KEEP

    def _judge(self, text: str, most: float) -> Verdict | None:
        share, loop = repetition(text, self.ngram, self.min_words), find_loop(text)
        if loop or share > most:
            return Verdict(False, "repetitive", "repetition", share, note=cut(loop or text[-120:]))
        return None
