"""What every scoring shares, whoever computes it: how a text is fitted into the context, and when what came back is a
Likelihood. Numbers to numbers; no I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gen.core import Likelihood, Message, Scoring

PROBE = Scoring((Message("user", "Name a river."),), "The Nile.")
"""Asked of an engine to see whether it can score."""
IMPOSSIBLE = -9999.0
"""What vLLM writes for a log-probability of minus infinity, which JSON cannot hold."""


class Fitted(NamedTuple):
    """Token ids that go to the model; those of the text are all behind the first `prompt`."""

    prompt: Sequence[int]
    text: Sequence[int]
    skipped: int
    truncated: bool


def fit(prompt: Sequence[int], text: Sequence[int], limit: int) -> Fitted | Likelihood:
    """As much of the text as fits `limit` tokens together with the prompt, or the Likelihood where nothing is left
    to compute. Without a prompt nothing precedes the first token of the text: it becomes the prompt."""
    if not text:
        return Likelihood()
    room = limit - len(prompt)
    if room <= 0:
        return Likelihood(finish="overlong", note=f"limit {limit}, prompt {len(prompt)}")
    kept, skipped = text[:room], 0 if prompt else 1
    if len(kept) == skipped:
        return Likelihood(skipped=skipped, truncated=len(text) > room)
    return Fitted(prompt or kept[:1], kept[skipped:], skipped, len(text) > room)


def told(fitted: Fitted, values: Sequence[float]) -> Likelihood:
    """The Likelihood of the values of `fitted.text`. What is not finite is no measure: `refused`."""
    if strange := next((v for v in values if not math.isfinite(v) or v <= IMPOSSIBLE), None):
        return Likelihood(finish="refused", note=f"a log-probability of {strange:g}: no finite number")
    return Likelihood(tuple(values), fitted.skipped, fitted.truncated)


def put_before(with_special: Sequence[int], bare: Sequence[int]) -> list[int]:
    """The tokens that a tokenizer puts before a text (BOS, or none): `with_special` up to where `bare` begins.
    Whatever it puts behind is left out. Raises ValueError where the one is no part of the other."""
    for start in range(len(with_special) - len(bare) + 1):
        if [*with_special[start : start + len(bare)]] == [*bare]:
            return [*with_special[:start]]
    raise ValueError(f"special tokens change the tokens of a text: {[*with_special]} against {[*bare]}")


def fault(found: Likelihood, count: int) -> str:
    """Why this cannot be the Likelihood of a text of `count` tokens; empty when it can."""
    if found.finish != "ok":
        return f"{found.finish}: {found.note}"
    if len(found.logprobs) + found.skipped != count:
        return f"{len(found.logprobs)} values for {count} tokens"
    if not all(v <= 1e-4 for v in found.logprobs):  # rounding
        return f"values above 0, such as {max(found.logprobs):g}: no log-probabilities"
    return ""
