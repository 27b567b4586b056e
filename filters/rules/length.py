from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import count_words


@component("length", source="ours")
@dataclass(frozen=True, slots=True)
class Length:
    """Bounds on words; a CJK character is a word. The instruction is counted with its input. The defaults
    keep one-word answers and "Add 2 and 3"; they only drop what no trainer's context holds."""

    min_instruction_words: Annotated[int, Meta(ge=0)] = 2
    """fewest words of instruction and input"""
    max_instruction_words: Annotated[int, Meta(ge=1)] = 8192
    """most words of instruction and input"""
    min_response_words: Annotated[int, Meta(ge=0)] = 1
    """fewest words of the response"""
    max_response_words: Annotated[int, Meta(ge=1)] = 8192
    """most words of the response"""

    def check(self, sample: Sample) -> Verdict:
        asked = count_words(sample.prompt)
        if reason := _outside(asked, self.min_instruction_words, self.max_instruction_words):
            return Verdict(False, f"instruction_{reason}", "length", asked)
        if sample.response is None:
            return KEEP
        said = count_words(sample.response)
        if reason := _outside(said, self.min_response_words, self.max_response_words):
            return Verdict(False, f"response_{reason}", "length", said)
        return KEEP


def _outside(words: int, fewest: int, most: int) -> str:
    return "too_short" if words < fewest else "too_long" if words > most else ""
