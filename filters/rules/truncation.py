from __future__ import annotations

from dataclasses import dataclass

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import dangles, has_open_fence


@component("truncation", source="ours")
@dataclass(frozen=True, slots=True)
class Truncation:
    """Drops responses that stop half-way: an unclosed code block, or a long text whose last word cannot
    be a last word. A missing full stop is no evidence: answers may be words, names, lists or code."""

    def check(self, sample: Sample) -> Verdict:
        response = sample.response or ""
        if has_open_fence(response) or dangles(response):
            return drop("truncation", "truncated", response[-60:])
        return KEEP
