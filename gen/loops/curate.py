"""Self-curation: a judge rates each answer of a dataset as an example, from 1 to 5. What is kept is decided by the
filter `rating`, so that `gen regate` moves the bound and asks nothing (arXiv 2308.06259, section 2.3).

    pair  ->  reasons, then a score  ->  (no score: the score alone)

Deviations: one judgement at temperature 0 by default, of at most two sentences; a judgement without a score is asked
for it once more, and never counted as a low one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Message, Request, Rollout, Sample, Sampling, Verdict, replace
from gen.errors import RecipeError
from gen.loop import GATE
from gen.loops._common import checked, table, unfinished
from gen.prompts import Prompt, Prompts

LOWEST, HIGHEST = 1, 5
SCORE = re.compile(
    r"(?:(?<![a-z])(?:score|rating)|评分|得分|分数|打分)[\s*_`]*+(?:\(1\s?[-–]\s?5\))?[\s*_`]*+"
    r"(?:[:：=]|\bis\b|\bof\b|是|为)?[\s*_`(\[<]*+(?P<value>[-+]?\d+(?:[.,]\d+)?)[*_`)\]>]*"
    r"(?:\s*(?:/|out of)\s*(?P<of>\d+))?(?P<list>[*_`]*\s*(?:,|-|–|to\b|or\b|/)\s*\d)?",
    re.I,
)
"""A labelled number, `of` the scale that it names; `list`: several, as in a copy of the question."""


@component("curate", source="arXiv 2308.06259 (Humpback, self-curation), section 2.3")
@dataclass(frozen=True, slots=True)
class Curate:
    GATE: ClassVar[tuple[str, ...]] = ("rating", *GATE)
    rubric: str = "assistant"
    """What the judge is asked, a file prompts/curate/NAME.jinja: assistant (five levels), additive (five demands)."""
    called: str = "curation"
    """Name of the rating, for the filter `rating`."""
    judges: Annotated[int, Meta(ge=1, le=64)] = 1
    """Ratings of each answer, of which the mean counts."""
    fractional: bool = False
    """Let the judge give scores such as 4.5."""
    ask_again: bool = True
    """Ask once more, for the score alone, where a judgement is cut before it or has none."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of ratings; empty: what the prompt's passport says for one rating, 0.7 for several."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each judgement; empty: what the prompt's passport says."""
    spare: str = field(default="", metadata={"parameter": False})
    """Operation of samples that are kept unrated."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        if self.judges > 1 and self.temperature == 0:
            raise RecipeError(f"judges = {self.judges} at temperature 0 all say the same; use one, or a temperature")

    def asks(self) -> tuple[Prompt, ...]:
        rubric = checked(self.prompts, f"curate/{self.rubric}", ("instruction", "input", "response"))
        return (rubric, checked(self.prompts, "curate/score", ())) if self.ask_again else (rubric,)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """The sample with its rating; it keeps its id."""
        if seed.lineage.operation == self.spare:
            return Grown((Candidate(seed, given=True),), ())
        if not (seed.response or "").strip():
            return Grown((Candidate(seed, Verdict(False, "unanswered", "curate")),), ())
        asked = self._questions(seed)
        first = yield asked
        # a cut judgement may have named other scores on its way
        scores = [self._score(reply) if reply.finish == "stop" else None for reply in first]
        last = list(first)
        if open := [i for i, score in enumerate(scores) if score is None and self._may_ask_again(first[i])]:
            again = yield [self._shorter(asked[i], first[i]) for i in open]
            for i, reply in zip(open, again, strict=True):
                last[i], scores[i] = reply, self._score(reply)
        found = [score for score in scores if score is not None]
        if not found:
            return Grown((Candidate(seed, _failure(last[0])),), ())
        told = {"scores": scores, "rubric": asked[0].prompt, "why": _reasons(first[0].text)}
        return Grown((Candidate(rated(seed, self.called, fmean(found), told)),), ())

    def _score(self, reply: Completion) -> float | None:
        return parse_score(reply.text, self.fractional)

    def _may_ask_again(self, reply: Completion) -> bool:
        return self.ask_again and reply.finish not in ("overlong", "refused")

    def _questions(self, seed: Sample) -> list[Request]:
        prompt = self.prompts.get(f"curate/{self.rubric}")
        values = {"instruction": _asked(seed), "input": seed.input, "response": seed.response}
        own = {k: values[k] for k in prompt.inputs}
        return [prompt.ask(sampling=self._sampling(prompt), attempt=i, **own) for i in range(self.judges)]

    def _sampling(self, prompt: Prompt) -> Sampling:
        warm = 0.7 if self.judges > 1 else prompt.sampling.temperature
        temperature = warm if self.temperature is None else self.temperature
        return replace(
            prompt.sampling, temperature=temperature, max_tokens=self.max_new_tokens or prompt.sampling.max_tokens
        )

    def _shorter(self, asked: Request, reply: Completion) -> Request:
        """For the score alone, after what the judge has said so far."""
        prompt = self.prompts.get("curate/score")
        request = prompt.ask(attempt=asked.attempt)
        *before, user = asked.messages
        [wish] = request.messages
        if not reply.text.strip():
            return replace(request, messages=(*before, replace(user, content=f"{user.content}\n\n{wish.content}")))
        return replace(request, messages=(*asked.messages, Message("assistant", reply.text), wish))


def parse_score(reply: str, fractional: bool = False) -> float | None:
    """The last labelled score of a judgement, 1 to 5; None where there is none, it is out of range or of another scale.

    >>> parse_score("I give Score: 2 at first... **Score:** 3/5.")
    3.0
    """
    found = [*SCORE.finditer(reply)]
    if not found or found[-1]["list"] or found[-1]["of"] not in (None, str(HIGHEST)):
        return None
    value = float(found[-1]["value"].replace(",", "."))
    return value if LOWEST <= value <= HIGHEST and (fractional or value.is_integer()) else None


def rated(sample: Sample, name: str, value: float, told: Mapping[str, Any]) -> Sample:
    """The sample with a rating of that name, and how it came about."""
    ratings = {**table(sample.meta, "ratings"), name: value}
    judgements = {**table(sample.meta, "judgements"), name: told}
    return replace(sample, meta={**sample.meta, "ratings": ratings, "judgements": judgements})


def _failure(reply: Completion) -> Verdict:
    return unfinished(reply, "judgement", "curate") or Verdict(False, "no_score", "curate", note=reply.text[-120:])


def _asked(seed: Sample) -> str:
    """What the answer answers: the instruction, or the conversation up to it."""
    if not seed.turns:
        return seed.instruction
    told = (f"{turn.role.capitalize()}: {turn.content}" for turn in (*seed.turns, Message("user", seed.instruction)))
    return "\n\n".join(told)


def _reasons(judgement: str) -> str:
    """What the judge said before the score, for people."""
    found = [*SCORE.finditer(judgement)]
    reasons = " ".join((judgement[: found[-1].start()] if found else judgement).split())
    return reasons if len(reasons) <= 300 else f"{reasons[:299]}…"
