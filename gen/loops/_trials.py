"""What is known of a method that was tried, and how the replies that make and judge methods are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gen.core import Completion, replace
from gen.errors import ParseError
from gen.loops._abreast import NOTHING, Cost
from gen.loops._common import unfinished
from gen.loops._method import method_id
from gen.prompts import parse_last

UNSEEN = ("rewrite_unparsed", "rewrite_truncated", "rewrite_rejected", "rewrite_refused", "empty_rewrite", "unchanged",
          "answer_truncated", "answer_rejected", "empty_answer", "reasoning_truncated", "overlong")  # fmt: skip
"""Failures that F cannot see: counted apart from it."""
CASE = re.compile(r"\bcase\W{0,4}(\d{1,9})", re.IGNORECASE)
NONE = re.compile(r"\W*(none|no (cases?|failures?)\b.*|(every|all) cases? went well)?\W*", re.IGNORECASE | re.DOTALL)
SHOWN = 4000
"""Characters of a stage that an analysis sees."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A method and how it did on the dev set; where `fault` is set it is no method, and was not tried."""

    step: int
    index: int
    text: str
    parent: str = ""
    """Id of the method that it was made from."""
    feedback: str = ""
    rate: float | None = None
    """Share of the dev set that failed, by F or otherwise (lambda)."""
    published: float | None = None
    """Share that failed by F alone."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How often each rule held; a task may fail by several."""
    fault: str = ""
    note: str = ""
    cost: Cost = NOTHING
    """Of its analysis, its making and its trial."""

    @property
    def id(self) -> str:
        return method_id(self.text) if self.text else ""


@dataclass(frozen=True, slots=True)
class Step:
    number: int
    """0: the first method is tried."""
    trials: tuple[Trial, ...]
    best: Trial
    """The method after this step."""
    cost: Cost


def case(number: int, stages: Sequence[str]) -> str:
    """A trajectory as the analysis is shown it."""
    shown = (s if len(s) <= SHOWN else f"{s[:SHOWN]} [...]" for s in stages)
    return "\n".join([f"Case {number}", *(f"Stage {i}: {stage}" for i, stage in enumerate(shown))])


def read_section(reply: Completion, section: str, what: str) -> tuple[str, str, str]:
    """A section of a reply, or why there is none: (text, fault, note)."""
    if cut := unfinished(reply, what, "auto_evol"):
        return "", cut.reason, cut.note
    try:
        return parse_last(reply.text, (section,))[section], "", ""
    except ParseError as error:
        return "", f"{what}_unparsed", str(error)


def fault_of_feedback(feedback: str, cases: int) -> str:
    """Why feedback is none: it says that nothing failed, or it names no case that there is."""
    if any(1 <= int(number) <= cases for number in CASE.findall(feedback)):
        return ""
    return "no_failures" if NONE.fullmatch(feedback) else "analysis_unparsed"


def mark_repeated(trials: Sequence[Trial], before: Sequence[Step]) -> list[Trial]:
    """Whoever proposes a method that was tried already has proposed nothing: it would do as it did."""
    known = {t.text for step in before for t in step.trials if not t.fault}
    marked = []
    for trial in trials:
        again = not trial.fault and trial.text in known
        marked.append(replace(trial, fault="repeated") if again else trial)
        known.add(trial.text)
    return marked
