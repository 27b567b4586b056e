from __future__ import annotations

from dataclasses import dataclass

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.fences import blocks, guess, python_error, python_of
from gen.text import asks_for_code, find_solution


@component("code", source="ours, after the failures that arXiv 2306.08568 leaves unchecked")
@dataclass(frozen=True, slots=True)
class Code:
    """Drops programming tasks that hold their own solution, and answers whose code block never closes, that lack the
    code block which the task asks for, or whose Python does not parse. Nothing is run. Code of other languages passes
    as unknown, and so does what a person answered: it is often code without a fence."""

    seeds: bool = False
    """judge seeds that came with an answer too"""
    block: bool = True
    """a task that asks for code needs an answer with a code block, or one that is Python throughout"""

    def check(self, sample: Sample) -> Verdict:
        if sample.lineage.operation == "seed" and not sample.lineage.prompts and not self.seeds:
            return KEEP
        asked, answer = asks_for_code(sample.instruction), sample.response or ""
        found = blocks(answer)
        if asked and (line := find_solution(sample.prompt)):
            return drop("code", "solution_in_task", line)
        if found and not found[-1].closed:
            return drop("code", "truncated", answer[-60:])
        if asked and self.block and not found and not python_of(answer):
            return drop("code", "no_code", answer)
        if asked and (given := _given(sample.prompt, [b.text for b in found])):
            return drop("code", "solution_in_task", given)
        for code in (b.text for b in found if guess(b) == "python"):
            if error := python_error(code):
                return drop("code", "syntax_error", error)
        return KEEP


def _given(task: str, answers: list[str]) -> str:
    """The longest code block of an answer, where it has 3 lines and the task shows it already, but for white space."""
    longest = max(answers, key=len, default="")
    whole = "".join(longest.split())
    return longest if len(longest.strip().splitlines()) > 2 and whole in "".join(task.split()) else ""
