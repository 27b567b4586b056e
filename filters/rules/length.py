from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.errors import RecipeError
from gen.text import count_words, has_words


@component("length", source="ours")
@dataclass(frozen=True, slots=True)
class Length:
    """Bounds on words; a CJK character is a word. The instruction is counted with its input. The defaults
    keep one-word answers and "Add 2 and 3", and drop one-word tasks and what no trainer's context holds."""

    min_instruction_words: Annotated[int, Meta(ge=0)] = 2
    """fewest words of instruction and input; 2 drops "Hi" and other tasks of one word, 1 keeps them"""
    max_instruction_words: Annotated[int, Meta(ge=1)] = 8192
    """most words of instruction and input"""
    min_response_words: Annotated[int, Meta(ge=0)] = 1
    """fewest words of the response"""
    max_response_words: Annotated[int, Meta(ge=1)] = 8192
    """most words of the response"""

    def __post_init__(self) -> None:
        bounds = {"instruction": (self.min_instruction_words, self.max_instruction_words),
                  "response": (self.min_response_words, self.max_response_words)}  # fmt: skip
        for what, (fewest, most) in bounds.items():
            if fewest > most:
                raise RecipeError(f"min_{what}_words {fewest} is above max_{what}_words {most}; nothing would pass")

    def check(self, sample: Sample) -> Verdict:
        asked = ("instruction", sample.prompt, self.min_instruction_words, self.max_instruction_words)
        said = ("response", sample.response, self.min_response_words, self.max_response_words)
        for what, text, fewest, most in (asked, said):
            if text is not None and not has_words(text, fewest, most):
                words = count_words(text)
                return drop("length", f"{what}_too_{'short' if words < fewest else 'long'}", value=words)
        return KEEP
