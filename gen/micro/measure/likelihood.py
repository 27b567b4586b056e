"""Whether the model finds right answers more likely than wrong ones, by the mean log-probability of their tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence

from gen.micro.corpus.drafts import right, wrong
from gen.micro.corpus.example import ask
from gen.micro.measure.figures import wins
from gen.micro.measure.model import Model
from gen.micro.measure.rows import Row, mixed
from gen.prompts import Prompts
from gen.world import Task, check

END = ", end included"
"""Of the rows in which the token that ends the answer counts, too: the scorers of `gen` leave it out."""


def mean(logprobs: Sequence[float], end: bool) -> float:
    """The mean over an answer's tokens, of which the last one ends it; an empty answer has that one alone."""
    told = logprobs if end or len(logprobs) == 1 else logprobs[:-1]
    return sum(told) / len(told)


def compared(name: str, told: Sequence[Sequence[float]], truths: Sequence[bool]) -> list[Row]:
    """Of all pairs of a right and a wrong answer those in which the right one is the more likely one: the AUC."""
    rows = []
    for end in (False, True):
        sides = [[mean(t, end) for t, truth in zip(told, truths, strict=True) if truth is side]
                 for side in (True, False)]
        rows.append(Row(name + END * end, wins(*sides), len(sides[0]) * len(sides[1])))
    return rows


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    """A right and a wrong draft for each of four times `count` tasks; and answers that the model samples itself."""
    prompt, tasks = prompts.get("evolve/answer"), mixed(rng, 4 * count)
    chats = [ask(prompt, instruction=t.instruction, input=t.input) for t in tasks]
    drafts = [right(t, rng).text for t in tasks] + [wrong(t, rng).text for t in tasks]
    own = model.reply(chats, prompt.sampling)
    truths = [True] * len(tasks) + [False] * len(tasks)
    return {"right answers likelier than wrong ones, of all pairs": [
        *compared("drafts", model.logprobs([*chats, *chats], drafts), truths),
        *compared("own samples", model.logprobs(chats, own), judged(tasks, own))]}


def judged(tasks: Sequence[Task], answers: Sequence[str]) -> list[bool]:
    return [check(task, answer) for task, answer in zip(tasks, answers, strict=True)]
