"""Reviews, critiques and scores: the judge first works the task out, then compares, and so its verdict follows from
what it has written. Small models judge far better so than by a verdict alone."""

from __future__ import annotations

import random
from functools import partial
from typing import NamedTuple

from gen.core import Message
from gen.micro.corpus.drafts import Draft, right, task_of, wrong
from gen.micro.corpus.example import Example, Made, Maker, ask
from gen.prompts import Prompts
from gen.world import Task, solve

SHOULD = "It should be: "
SAME = "That is what it says."
SCORES = {"": 5, "demand": 3, "parts": 2, "other": 1}
"""Of five, as curation rates: a right answer, one that forgets a demand, one with wrong parts, one to another task."""
FAULTS = {"": SAME, "demand": "This is missing: ", "parts": "Its parts are wrong.", "other": "It answers another task."}


class Case(NamedTuple):
    task: Task
    draft: Draft
    expected: str
    """The right answer that the draft is held against: itself where it is right, for there may be several."""


def case(rng: random.Random, share: float = 0.42, held: bool = False) -> Case:
    """A task and a draft, right in this share of cases: below one half, or a judge learns to nod."""
    task = task_of(rng, held=held)
    if rng.random() < share:
        draft = right(task, rng)
        return Case(task, draft, draft.text)
    return Case(task, wrong(task, rng), solve(task))


def fault(draft: Draft) -> str:
    return FAULTS[draft.fault] + draft.missed


def reasons(given: Case) -> str:
    return f"{SHOULD}{given.expected}\n{fault(given.draft)}"


def score(prompts: Prompts, rng: random.Random, name: str) -> Made:
    """A curation score; its reasons first."""
    given = case(rng)
    messages = ask(prompts.get(name), instruction=given.task.instruction, input=given.task.input,
                   response=given.draft.text)
    reply = f"{reasons(given)}\nScore: {SCORES[given.draft.fault]}"
    return Made(Example(name, messages, reply), (given.task,))


def bare_score(prompts: Prompts, rng: random.Random) -> Made:
    """The score alone, after reasons that were cut off."""
    cut = score(prompts, rng, rng.choice(["curate/assistant", "curate/additive"]))
    said, _, last = cut.example.reply.rpartition("\n")
    said = said[: rng.randint(len(said) // 2, len(said))].rstrip()
    messages = (*cut.example.messages, Message("assistant", said), *ask(prompts.get("curate/score")))
    return Made(Example("curate/score", messages, last), cut.tasks)


MAKERS: dict[str, Maker] = {
    **{name: partial(score, name=name) for name in ("curate/assistant", "curate/additive")}, "curate/score": bare_score}
PASSAGES = (SHOULD, *("\n" + text.rstrip() for text in FAULTS.values()), *(f"\nScore: {n}" for n in range(1, 6)),
            *(f"Score: {n}" for n in range(1, 6)))
