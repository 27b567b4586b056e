"""Chains of answers and critiques: reading a critique, and a chain as one text to learn from (SelFee).

    the first answer          the answer to the task
    ### Feedback 1            what was said of it
    ### Revision 1            the second answer
    ### Feedback 2            ..."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gen import text
from gen.errors import ParseError
from gen.loops._notes import read_score

SCALE = 10
SECTIONS = ("comments", "score", "verdict")
_NOT_NEEDED = r"""
    \bno\ (?:further\ |more\ |additional\ )?revisions?\b(?:\ (?:is|are|seems?))?(?:\ (?:needed|required|necessary))?
    | \brevisions?\ (?:is|are)(?:\ not|n't)\ (?:needed|required|necessary) | \brevisions?\ (?:is|are)\ unnecessary
    | \b(?:does|do|need)(?:\ not|n't)\ (?:need|require|be)\ (?:(?:a|any|further|to\ be)\ )*(?:revisions?|revised)\b
    | \bno\ need\ (?:for|of|to)\ (?:(?:a|any|further|be)\ )*(?:revisions?|revised?)\b
    | (?:无需|無需|不需要|不必|不用|没有必要)(?:再|进行|作|做)*(?:修改|修订|修正)
"""
_NEEDED = r"""
    \brevisions?\ (?:is|are)\ (?:still\ |also\ )?(?:needed|required|necessary)
    | \b(?:needs?|requires?)\ (?:(?:a|some|further|more|to\ be)\ )*(?:revisions?|revised)\b
    | \b(?:should|must)\ be\ revised\b
    | 需要(?:再|进行|作|做)*(?:修改|修订|修正)
"""
_VERDICT = re.compile(f"(?P<stop>{_NOT_NEEDED})|(?P<revise>{_NEEDED})", re.I | re.X)
_OFFICIAL = ("no critique", "no revision", "no need", "not needed")
_TAGS = re.compile(r"</?(?:comments|score|verdict)>")


@dataclass(frozen=True, slots=True)
class Link:
    """One answer of a chain, with its critique; without one as long as `feedback` is empty."""

    answer: str
    reasoning: str = ""
    feedback: str = ""
    revise: bool | None = None
    """The verdict; None where there is none."""
    score: float | None = None
    """1 to 10; None where it cannot be read."""
    conflict: bool = False
    """Score and verdict contradict each other by the threshold."""

    def row(self) -> dict[str, Any]:
        """As a dataset keeps it."""
        verdict = {True: "needed", False: "not_needed", None: None}[self.revise]
        row = {"text": self.answer, "feedback": self.feedback, "verdict": verdict, "score": self.score}
        return {**row, "conflict": True} if self.conflict else row


def read_verdict(critique: str, *, official: bool = False) -> bool | None:
    """Whether a critique asks for a revision; None where it does not say. The last verdict counts, and "no revision is
    needed" is one, not the "revision is needed" inside it. `official`: the published rule, four phrases anywhere.

    >>> read_verdict("There is no need for jargon. Revision is needed.")
    True
    >>> read_verdict("There is no need for jargon. Revision is needed.", official=True)
    False
    """
    if official:
        return not any(phrase in critique.lower() for phrase in _OFFICIAL)
    found = [match.lastgroup for match in _VERDICT.finditer(" ".join(critique.split()))]
    return found[-1] == "revise" if found else None


def read_critique(reply: str, *, official: bool = False) -> tuple[str, str, float | None, bool | None]:
    """(comments, the whole as a chain has it, score, verdict) of a reply in tagged sections, or of a free one, whose
    score has the form n/10. A tagged verdict that says both says nothing."""
    parts = {tag: re.search(f"<{tag}>(.*?)</{tag}>", reply, re.S) for tag in SECTIONS if f"</{tag}>" in reply}
    if len(parts) < len(SECTIONS) or not all(parts.values()):
        plain = _TAGS.sub("", reply).strip()
        comments = re.sub(r"\d+(?:\.\d+)?\s*/\s*10", "", plain)
        return comments, plain, _score(plain, bare=False), read_verdict(plain, official=official)
    comments, score, said = (part[1].strip() for part in parts.values() if part)
    number, verdict = _score(score, bare=True), read_verdict(said, official=official)
    if not official and len({match.lastgroup for match in _VERDICT.finditer(" ".join(said.split()))}) > 1:
        verdict = None
    told = [f"Score: {number:g}/{SCALE}."] if number is not None else []
    told += [] if verdict is None else ["Revision is needed." if verdict else "Revision is not needed."]
    return comments, f"{comments}\n{' '.join(told)}".strip(), number, verdict


def _score(passage: str, *, bare: bool) -> float | None:
    try:
        return read_score(passage, SCALE, bare=bare)
    except ParseError:
        return None


def gives_away(comments: str, gold: str, known: Sequence[str]) -> bool:
    """Whether comments state the right answer (of a solution in the form of GSM8K, the part after "####" as well) that
    neither the task nor the student has said: `known`. Numbers and texts from 4 characters on count wherever they
    stand as words; shorter ones, such as "B" or "no", only where they are called the answer."""
    return any(
        _states(comments, form) and not any(_has(text.normalise(said), form) for said in known)
        for form in {text.normalise(gold), text.normalise(gold.rpartition("####")[2])} if form
    )  # fmt: skip


_CALLED = (
    r"(?:answer|result|solution|option|it) (?:is|should be|must be|would be|was)|correct:?"
    r"|答案(?:是|为|應為|应为)?[:：]?"
)


def _states(comments: str, form: str) -> bool:
    said = text.normalise(comments)
    if len(form) >= 4 or re.fullmatch(r"[-+]?[\d.,/%]+", form):
        return _has(said, form)
    return bool(re.search(rf"(?:{_CALLED})\W*{re.escape(form)}(?!\w)", said))


def _has(said: str, form: str) -> bool:
    edge = form.isascii()  # other scripts write without spaces
    before, after = (r"(?<!\w)(?<!\d[.,])", r"(?!\w)(?![.,]\d)") if edge else ("", "")
    return bool(re.search(f"{before}{re.escape(form)}{after}", said))


_HEADER = re.compile(r"### (Feedback|Revision) (\d{1,9})")
_LIKE_HEADER = re.compile(r"\\*### (?:Feedback|Revision) \d+\s*")


def render(pairs: Sequence[tuple[str, str]]) -> str:
    """A chain of (answer, feedback) as one text; `parse` gives it back, texts stripped. Lines of a text that look like
    a header get a backslash. Only the last answer may have no feedback."""
    parts = []
    for number, (answer, feedback) in enumerate(pairs):
        parts.append((f"### Revision {number}\n" if number else "") + _escape(answer))
        if feedback.strip() or number < len(pairs) - 1:
            parts.append(f"### Feedback {number + 1}\n{_escape(feedback)}")
    return "\n\n".join(parts)


def parse(chain: str) -> list[tuple[str, str]]:
    """The (answer, feedback) pairs of a rendered chain. Raises ParseError where its headers are out of order."""
    blocks: list[list[str]] = [[]]
    for line in chain.split("\n"):
        if header := _HEADER.fullmatch(line):
            number = len(blocks)
            expected = ("Revision", number // 2) if number % 2 == 0 else ("Feedback", number // 2 + 1)
            if (header[1], int(header[2])) != expected:
                raise ParseError("chain_unparsed", f"expected '### {expected[0]} {expected[1]}', found {line!r}")
            blocks.append([])
        else:
            blocks[-1].append(line[1:] if line.startswith("\\") and _LIKE_HEADER.fullmatch(line) else line)
    texts = ["\n".join(lines).strip() for lines in blocks]
    return list(zip(texts[::2], [*texts[1::2], ""], strict=False))


def _escape(body: str) -> str:
    return "\n".join(f"\\{line}" if _LIKE_HEADER.fullmatch(line) else line for line in body.strip().split("\n"))
