"""What a reviewer's reply says of an answer: notes by field, scores by aspect (arXiv 2303.17651)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gen import text
from gen.errors import ParseError
from gen.prompts import Prompt

NONE = frozenset(("", "none", "n/a", "无", "没有", "無", "沒有"))
"""What a field says that notes nothing, as `text.normalise` has it."""


@dataclass(frozen=True, slots=True)
class Version:
    """One answer on the way, and what was noted of it."""

    answer: str
    reasoning: str = ""
    feedback: str = ""
    """What the next version is written by; empty where it was not asked for or notes nothing."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of each aspect, 1 to the scale; empty where it was not scored."""
    done: bool = False
    """By its feedback nothing more is to be done."""

    @property
    def score(self) -> float | None:
        """Mean of the scores."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else None


def fields(prompt: Prompt) -> tuple[str, ...]:
    """The sections of a review that hold notes: all but the scores and, where both come in one reply, the answer."""
    return tuple(s for s in (*prompt.reply.sections, *prompt.reply.optional) if s not in ("scores", "answer"))


def notes(found: Mapping[str, str], names: Sequence[str]) -> str:
    """The fields that note something, as the writer sees them: one a line, with its name where there are several."""
    said = {name: found.get(name, "") for name in names}
    said = {name: body for name, body in said.items() if text.normalise(body) not in NONE}
    return "\n".join(f"{name.capitalize()}: {body}" if len(names) > 1 else body for name, body in said.items())


def has_phrase(feedback: str, phrases: Sequence[str]) -> bool:
    """One of the phrases is in it; case and white space do not matter."""
    plain = " ".join(feedback.casefold().split())
    return any(" ".join(phrase.casefold().split()) in plain for phrase in phrases)


def read_scores(body: str, aspects: Sequence[str], scale: int) -> dict[str, float]:
    """The number behind each aspect, on its line: n, n/5, n of 5, n out of 5, or behind reasons with such a form.

    Raises ParseError where one is missing, ambiguous, outside 1 to `scale` or of another scale: never clamped.
    >>> read_scores("correctness: 4\\nclarity: says it all, 5/5", ("correctness", "clarity"), 5)
    {'correctness': 4.0, 'clarity': 5.0}
    """
    found = {}
    for aspect in aspects:
        line = re.search(rf"(?i)(?<!\w){re.escape(aspect)}(?!\w)([^\n]*(?:\n[ \t]*[-+]?\d[^\n]*)?)", body)
        found[aspect] = read_score(line[1] if line else "", scale)
    return found


_OF = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)\s*(?:/|(?:out )?of)\s*(\d+)(?![\w.]*\d)", re.I)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")


def read_score(line: str, scale: int, *, bare: bool = True) -> float:
    """The one score that a line tells; with `bare` off, only as n/10 or n of 10. Raises ParseError where there is none,
    or several, or one out of range."""
    told = {(float(n), int(of) if len(of) < 10 else 0) for n, of in _OF.findall(line)}
    told = told or {(float(n), scale) for n in _NUMBER.findall(line) if bare}
    if len(told) == 1:
        [(number, of)] = told
        if of == scale and 1 <= number <= scale:
            return number
    raise ParseError("feedback_unparsed", f"expected a score from 1 to {scale}, found {line.strip()[:80]!r}")
