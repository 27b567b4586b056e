"""What one wording of a prompt came to, seed by seed and in all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from gen import text
from gen.core import Candidate, Completion, Grown, Request, Verdict
from gen.errors import ParseError
from gen.pool import Pool
from gen.prompts import Prompt, parse_choice, read_sections
from gen.rollout import Told
from gen.wordings import Wording


@dataclass(frozen=True, slots=True)
class Try:
    """One seed, by one wording."""

    seed: int
    """Its number, from 0."""
    time: int
    read: bool
    """The reply to the prompt has the form that its passport asks for."""
    kept: bool | None
    """By loop and gate; None where there is nothing that they could judge."""
    reason: str
    """Why it was not read or kept."""
    instruction: str
    """The new task, or the reply of a prompt that makes none."""
    response: str
    reply_tokens: int
    prompt_tokens: int
    generated_tokens: int
    """Of the whole conversation: the judge's and the answerer's, too."""


@dataclass(frozen=True, slots=True)
class Side:
    label: str
    shown: str
    ref: str
    tries: tuple[Try, ...]
    read: float
    """Share of the tries."""
    kept: float | None
    reasons: Mapping[str, int]
    instruction_words: float | None
    """Mean, of what was read."""
    response_words: float | None
    """Mean, of answers that there are."""
    reply_tokens: float
    prompt_tokens: float
    generated_tokens: float
    """Means of a try."""
    seconds: float
    """In which this side was asked, on whatever day."""
    questions: int
    """That were asked in these seconds."""



def reads(prompt: Prompt, reply: Completion) -> str:
    """Why a reply has not the form that the passport asks for; empty where it has."""
    if reply.finish != "stop":
        return {"length": "truncated", "refused": "rejected"}.get(reply.finish, reply.finish)
    try:
        if prompt.reply.form == "sections":
            found = read_sections(prompt.reply, reply.text)
            return "" if all(found[s] for s in prompt.reply.sections) else "empty"
        if prompt.reply.form == "choice":
            parse_choice(reply.text, prompt.reply.choices)
        elif prompt.reply.form == "json":
            return _reads_json(prompt, reply.text)
    except ParseError:
        return "unparsed"
    return "" if reply.text.strip() else "empty"


def _reads_json(prompt: Prompt, said: str) -> str:
    bare = re.sub(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", r"\1", said, flags=re.DOTALL)
    try:
        found = json.loads(bare)
    except ValueError:
        return "unparsed"
    asked = (prompt.reply.schema or {}).get("required", ())
    return "" if not asked or (isinstance(found, dict) and {*asked} <= {*found}) else "unparsed"


def try_of(
    at: tuple[int, int], told: Told[Grown], pool: Pool, wording: Wording, candidates: Sequence[Candidate],
    verdict: Verdict | None,
) -> Try:  # fmt: skip
    heard: list[tuple[Request, Completion]] = pool.asked(told.asked)
    own = [reply for request, reply in heard if request.prompt == wording.prompt.ref]
    fault = reads(wording.prompt, own[0]) if own else "not_asked"
    sample = candidates[0].sample if candidates else None
    alone = not wording.style
    dropped = verdict.reason if verdict and not verdict.keep else ""
    return Try(
        *at, read=not fault, kept=None if verdict is None else verdict.keep and not fault, reason=dropped or fault,
        instruction=sample.instruction if sample and not alone else own[0].text if own else "",
        response="" if alone or sample is None else sample.response or "",
        reply_tokens=sum(reply.completion_tokens for reply in own),
        prompt_tokens=sum(reply.prompt_tokens for _, reply in heard),
        generated_tokens=sum(reply.completion_tokens for _, reply in heard),
    )  # fmt: skip


def summed(wording: Wording, tries: Sequence[Try], pool: Pool) -> Side:
    seconds, questions = pool.state(took(wording), [0.0, 0])
    judged = [t.kept for t in tries if t.kept is not None]
    return Side(
        wording.label, wording.shown, wording.prompt.ref, tuple(tries), fmean(t.read for t in tries),
        fmean(judged) if judged else None, dict(Counter(t.reason for t in tries if t.reason).most_common()),
        _words(t.instruction for t in tries if t.read), _words(t.response for t in tries if t.response),
        fmean(t.reply_tokens for t in tries), fmean(t.prompt_tokens for t in tries),
        fmean(t.generated_tokens for t in tries), seconds, questions,
    )  # fmt: skip


def _words(texts: Iterable[str]) -> float | None:
    counts = [text.count_words(t) for t in texts]
    return fmean(counts) if counts else None



def took(wording: Wording) -> str:
    """The name of the state that holds seconds and questions."""
    return f"took:{wording.prompt.ref}"
