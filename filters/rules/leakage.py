from __future__ import annotations

from dataclasses import dataclass

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import find_leak, find_tag


@component("leakage", source="arXiv 2304.12244, section 3.2 (elimination, fourth rule)")
@dataclass(frozen=True, slots=True)
class Leakage:
    """Drops tasks that repeat words of the rewriting prompt, and responses inside our tags. A person's
    "based on the given prompt" is no leak, so seeds pass."""

    seeds: bool = False
    """judge seeds too, such as rows that another tool evolved"""

    def check(self, sample: Sample) -> Verdict:
        if sample.lineage.operation == "seed" and not self.seeds:
            return KEEP
        if leak := find_leak(sample.instruction):
            return drop("leakage", "prompt_leak", leak)
        leak = find_tag(sample.response or "")
        return drop("leakage", "tag_leak", leak) if leak else KEEP
