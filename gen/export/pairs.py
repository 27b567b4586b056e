"""Where preference pairs come from: two answers to the same task, of which one is known to be worse.

- A sample may carry the worse answers itself: `meta["rejected"]`, a text, a list of messages that ends with the
  assistant's, or a list of texts. Rows of the user with `chosen` and `rejected` columns are such seeds (`chosen` then
  stands for the answer), and loops that ask for several answers put those that lost there.
- A kept sample, against candidates of its family that ask the same, word for word, and were dropped for what their
  answer is like (ANSWER); one dropped for anything else may have had the better answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gen.core import Sample, replace
from gen.pool import Pool

ANSWER = frozenset((
    "refusal", "sorry_response", "sorry_answer", "hollow_response", "hollow_answer", "truncated", "answer_truncated",
    "repetitive", "wrong_script", "response_too_short", "response_too_long", "tag_leak",
))  # fmt: skip
"""Reasons that speak of the answer."""


def pairs(pool: Pool, gate_run: int, stage: int = 0) -> Iterator[tuple[Sample, Sample]]:
    """(chosen, rejected) of all that this gate run keeps, in canonical order."""
    dropped = any(row.reason in ANSWER for row in pool.funnel(gate_run, stage))
    for sample in pool.kept(gate_run, stage):
        chosen = next(iter(_texts(sample.meta.get("chosen"))), sample.response)
        whole = sample if chosen == sample.response else replace(sample, response=chosen, reasoning="")
        worse = [replace(whole, response=text, reasoning="") for text in _texts(sample.meta.get("rejected"))]
        worse += _dropped(pool, gate_run, sample) if dropped else []
        told = {whole.response, None, ""}
        for other in worse:
            if other.response not in told:
                told.add(other.response)
                yield whole, other


def _dropped(pool: Pool, gate_run: int, kept: Sample) -> list[Sample]:
    asked = replace(kept, response=None).messages
    others = (s for s in pool.family(kept.lineage.root) if s.id != kept.id and s.response)
    return [s for s in others if replace(s, response=None).messages == asked and _reason(pool, gate_run, s) in ANSWER]


def _reason(pool: Pool, gate_run: int, sample: Sample) -> str:
    """Why this gate run, or the loop itself, dropped it; empty if neither did."""
    if failure := pool.failure(sample.id):
        return failure.reason
    return next((v.reason for run, v in pool.verdicts(sample.id) if run == gate_run and not v.keep), "")


def _texts(value: Any) -> list[str]:
    """The answers in a column of a preference row."""
    match value:
        case str():
            return [value]
        case [*_, {"role": "assistant", "content": str(text)}] | [*_, {"from": "gpt", "value": str(text)}]:
            return [text]
        case [*many] if all(isinstance(text, str) for text in many):
            return many
    return []
