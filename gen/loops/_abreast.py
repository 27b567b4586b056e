"""Many conversations as one, and what they cost. A conversation that knows of a whole set is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from gen.core import Completion, Request, Rollout

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    calls: int = 0
    tokens: int = 0
    """Generated."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.tokens + other.tokens)


NOTHING = Cost()


def abreast(conversations: Sequence[Rollout[T]]) -> Rollout[list[T]]:
    """Several conversations as one: what all of them ask next is asked at once."""
    results: dict[int, T] = {}
    waiting: dict[int, list[Completion] | None] = dict.fromkeys(range(len(conversations)))
    while waiting:
        asked: dict[int, list[Request]] = {}
        for i, answers in waiting.items():
            try:
                asked[i] = conversations[i].send(answers)  # type: ignore[arg-type]  # None starts it
            except StopIteration as stop:
                results[i] = stop.value
        replies = iter((yield [q for questions in asked.values() for q in questions]) if asked else ())
        waiting = {i: [next(replies) for _ in questions] for i, questions in asked.items()}
    return [results[i] for i in range(len(conversations))]


def metered(conversation: Rollout[T]) -> Rollout[tuple[T, Cost]]:
    """A conversation with what it cost."""
    cost, answers = Cost(), None
    while True:
        try:
            questions = conversation.send(answers)  # type: ignore[arg-type]
        except StopIteration as stop:
            return stop.value, cost
        answers = yield questions
        cost += Cost(len(answers), sum(a.completion_tokens for a in answers))
