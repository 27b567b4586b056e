from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from filters.base import cut
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import dangles, has_open_fence


@component("truncation", source="ours")
@dataclass(frozen=True, slots=True)
class Truncation:
    """Drops responses that stop half-way: an unclosed code block, or a long text whose last word cannot
    be a last word. A missing full stop is no evidence: answers may be words, names, lists or code."""

    min_words: Annotated[int, Meta(ge=0)] = 20
    """shorter responses are only checked for code blocks"""

    def check(self, sample: Sample) -> Verdict:
        response = sample.response or ""
        if has_open_fence(response) or dangles(response, self.min_words):
            return Verdict(False, "truncated", "truncation", note=cut(response[-60:]))
        return KEEP
