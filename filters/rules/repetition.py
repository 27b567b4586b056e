from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.repeats import find_loop, repetition
from gen.text import rouge_tokens


@component("repetition", source="arXiv 2112.11446, appendix A1.1 (repetition removal), with one n; the loop is ours")
@dataclass(frozen=True, slots=True)
class Repetition:
    """Drops degenerate texts: the end goes in a loop, or too large a share lies in 8-grams said before (CJK:
    16 characters). Tasks may repeat more than answers, as examples of one form do. Texts of fewer than 50
    words are only checked for loops."""

    max_share: Annotated[float, Meta(ge=0, le=1)] = 0.6
    """largest share of the response in repeated n-grams"""
    max_instruction_share: Annotated[float, Meta(ge=0, le=1)] = 0.85
    """the same of instruction and input"""

    def check(self, sample: Sample) -> Verdict:
        for text, most in ((sample.prompt, self.max_instruction_share), (sample.response or "", self.max_share)):
            tokens = rouge_tokens(text)
            share, loop = repetition(text, tokens), find_loop(text, tokens)
            if loop or share > most:
                return drop("repetition", "repetitive", loop or text[-120:], share)
        return KEEP
