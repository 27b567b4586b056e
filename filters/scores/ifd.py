"""Instruction-following difficulty: how much harder the answer is to predict without its instruction.

With s the mean negative log-likelihood of the answer's tokens (nats), conditioned on the conversation or direct:
`loss` is s_cond / s_direct (Cherry LLM, equations 3 to 5), `ppl` is exp(s_cond - s_direct), the ratio of perplexities
(Superfiltering, equation 2). Both are 1 where the instruction is no help; below 1 their orders differ.

The papers differ also in what the direct answer follows, which is `direct`: nothing (Superfiltering), or the format's
words without any content (Cherry's response marker), here the chat template with an empty user turn. Without a BOS
token nothing can be said of a bare answer's first token: its mean is over the others, as in Superfiltering's code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Literal

from msgspec import Meta

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Likelihood, Measurement, Message, Sample, Score, Scoring, Verdict, replace
from gen.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Difficulty:
    """One measured sample. `status` is `ok`, or why there is no value."""

    status: str
    ifd: float | None = None
    s_cond: float | None = None
    """Mean negative log-likelihood of the answer after its conversation, in nats a token."""
    s_direct: float | None = None
    n_tokens_cond: int = 0
    n_tokens_direct: int = 0
    truncated: bool = False
    """Only a beginning of the answer fits the context; both means are over that beginning."""


@component("ifd", source="arXiv 2308.12032 (loss) and 2402.00530 (ppl)")
@dataclass(frozen=True, slots=True)
class Ifd:
    """Drops answers that the instruction does not help to predict (IFD above `max`): instruction and answer do not
    belong together. System prompt and earlier turns count as instruction."""

    form: Literal["loss", "ppl"] = "loss"
    """ratio of mean losses (Cherry LLM) or of perplexities (Superfiltering)"""
    max: Annotated[float, Meta(ge=0)] = 1.0
    """drop when IFD is larger"""
    inclusive: bool = True
    """keep what is exactly `max`"""
    min: Annotated[float, Meta(ge=0)] | None = None
    """drop when IFD is smaller: too easy to teach anything"""
    direct: Literal["none", "marker"] = "none"
    """what the answer alone follows: nothing (or BOS), or the chat template with an empty user turn"""
    reuse: bool = False
    """take the conditioned half from the answer's own generation, where a server tells it for the very same tokens"""
    unscored: Literal["short", "drop", "keep"] = "short"
    """what is kept of samples that cannot be scored: only one-token answers (of a model without BOS), none, or all"""

    def __post_init__(self) -> None:
        if self.min is not None and self.min > self.max:
            raise RecipeError(f"ifd: min {self.min:g} is above max {self.max:g}; nothing would pass")

    def measure(self, sample: Sample) -> Measurement[Difficulty]:
        """All that is measured of one sample."""
        answer = sample.response or ""
        if not answer.strip():
            return Difficulty("empty_answer")
        alone = (Message("user", ""),) if self.direct == "marker" else ()
        messages = replace(sample, response=None).messages
        cond, direct = yield [Scoring(messages, answer, step="ifd_cond"), Scoring(alone, answer, step="ifd_direct")]
        return self.compare(cond, direct)

    def compare(self, cond: Likelihood, direct: Likelihood) -> Difficulty:
        """The two halves put together, over the tokens of the answer that both have."""
        ends = {cond.finish, direct.finish}
        if ends != {"ok"}:
            return Difficulty("refused" if "refused" in ends else "too_long")
        count = min(len(half.logprobs) + half.skipped for half in (cond, direct))
        values_cond, values_direct = (half.logprobs[: count - half.skipped] for half in (cond, direct))
        found = Difficulty(
            "ok", n_tokens_cond=len(values_cond), n_tokens_direct=len(values_direct),
            truncated=cond.truncated or direct.truncated,
        )  # fmt: skip
        if not values_cond or not values_direct:
            return replace(found, status="no_answer_tokens")
        s_cond, s_direct = _loss(values_cond), _loss(values_direct)
        ratio = self._ratio(s_cond, s_direct)
        if not all(map(math.isfinite, (s_cond, s_direct, ratio))):
            return replace(found, status="nan")
        return replace(found, ifd=ratio, s_cond=s_cond, s_direct=s_direct)

    def _ratio(self, s_cond: float, s_direct: float) -> float:
        try:
            return s_cond / s_direct if self.form == "loss" else math.exp(s_cond - s_direct)
        except (ZeroDivisionError, OverflowError):
            return math.nan

    def score(self, sample: Sample) -> Measurement[Score]:
        found = yield from self.measure(sample)
        return Score("ifd", found.ifd, "" if found.status == "ok" else found.status)

    def judge(self, score: Score) -> Verdict:
        if score.value is None:
            is_kept = self.unscored == "keep" or (self.unscored == "short" and score.note == "no_answer_tokens")
            return KEEP if is_kept else drop("ifd", score.note)
        if score.value > self.max or (score.value == self.max and not self.inclusive):
            return drop("ifd", "misaligned", value=score.value)
        if self.min is not None and score.value < self.min:
            return drop("ifd", "too_easy", value=score.value)
        return KEEP


def _loss(logprobs: Sequence[float]) -> float:
    return -fmean(logprobs)
