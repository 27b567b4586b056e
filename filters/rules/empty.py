from __future__ import annotations

from dataclasses import dataclass

from filters.base import cut
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import is_hollow


@component("empty", source="arXiv 2304.12244, section 3.2 (elimination, third rule)")
@dataclass(frozen=True, slots=True)
class Empty:
    """Drops what says nothing. A sample that has not been answered yet (no response at all) passes."""

    hollow: bool = True
    """drop responses made of punctuation and stop words only"""

    def check(self, sample: Sample) -> Verdict:
        if not sample.prompt.strip():
            return Verdict(False, "empty_instruction", "empty")
        if sample.response is None:
            return KEEP
        if not sample.response.strip():
            return Verdict(False, "empty_response", "empty")
        if self.hollow and is_hollow(sample.response):
            return Verdict(False, "hollow_response", "empty", note=cut(sample.response))
        return KEEP
