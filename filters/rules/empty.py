from __future__ import annotations

from dataclasses import dataclass

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import is_hollow


@component("empty", source="arXiv 2304.12244, section 3.2 (elimination, third rule)")
@dataclass(frozen=True, slots=True)
class Empty:
    """Drops what says nothing: no instruction, no response, or a response of punctuation and stop words. A
    sample that has not been answered yet (no response at all) passes."""

    def check(self, sample: Sample) -> Verdict:
        response = sample.response
        if not sample.prompt.strip():
            return drop("empty", "empty_instruction")
        if response is not None and not response.strip():
            return drop("empty", "empty_response")
        return drop("empty", "hollow_response", response) if response and is_hollow(response) else KEEP
