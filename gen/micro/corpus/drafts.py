"""Right and wrong answers to a task. A wrong one is the right answer to a task that is nearly the same: one with an
item lost, swapped or mistaken, another word asked for, or a demand forgotten. So people and models go wrong."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

from gen.micro.corpus.evolve import grown
from gen.world import FAMILIES, Task, check, draw, held_out, solutions, solve
from gen.world.families import facts
from gen.world.task import valid

Fault = Literal["", "demand", "parts", "other"]


class Draft(NamedTuple):
    text: str
    fault: Fault = ""
    """What is wrong: nothing, a `demand` is not met, its `parts` are wrong, or it answers an `other` task."""
    missed: str = ""
    """The sentence of the task that was forgotten, where the fault is `demand`."""


def task_of(
    rng: random.Random, depths: tuple[int, ...] = (0, 0, 1, 1, 2), family: str | None = None, held: bool = False,
) -> Task:
    """A task after one of so many operations; among the held-out instances, or not."""
    while held_out(task := grown(rng, rng.choice(depths), family)) != held:
        pass
    return task


def right(task: Task, rng: random.Random) -> Draft:
    """A right answer, where there are several any of the first ones."""
    return Draft(rng.choice(list(itertools.islice(solutions(task), 12))))


def wrong(task: Task, rng: random.Random) -> Draft:
    """A wrong answer, of the fault that comes up first; one to another task where nothing else can be wrong."""
    ways = [_forgotten] * (2 * bool(task.clauses)) + [_mistaken, _mistaken]
    rng.shuffle(ways)
    for way in (*ways, _unrelated):
        draft = _unrelated(task, rng) if rng.random() < 0.08 else way(task, rng)
        if draft and not check(task, draft.text):
            return draft
    return wrong(task, rng)


def _forgotten(task: Task, rng: random.Random) -> Draft | None:
    clause = rng.choice(task.clauses)
    text = solve(replace(task, clauses=tuple(c for c in task.clauses if c != clause)))
    return Draft(text, "demand", clause.text)


def _mistaken(task: Task, rng: random.Random) -> Draft | None:
    for change in rng.sample(CHANGES, len(CHANGES)):
        other = change(task, rng)
        if other is not None and valid(other) and not check(task, text := solve(other)):
            return Draft(text, "parts")
    return _negated(task)


def _negated(task: Task) -> Draft | None:
    """Of an answer of Yes or No, the opposite."""
    if task.family != "member":
        return None
    word = dict(task.args)["word"]
    items = tuple(i for i in task.items if i != word) if word in task.items else (*task.items, word)
    other = replace(task, items=items)
    return Draft(solve(other), "parts") if valid(other) else None


def _unrelated(task: Task, rng: random.Random) -> Draft | None:
    return Draft(solve(draw(rng)), "other")


def _lost(task: Task, rng: random.Random) -> Task | None:
    """The task without one of its items."""
    at = rng.randrange(len(task.items))
    return replace(task, items=task.items[:at] + task.items[at + 1 :])


def _swapped(task: Task, rng: random.Random) -> Task | None:
    """The task with two neighbours swapped."""
    at, items = rng.randrange(len(task.items) - 1), list(task.items)
    items[at], items[at + 1] = items[at + 1], items[at]
    return replace(task, items=tuple(items))


def _replaced(task: Task, rng: random.Random) -> Task | None:
    """The task with another item in the place of one."""
    at, new = rng.randrange(len(task.items)), FAMILIES[task.family].item(rng, task.items)
    return replace(task, items=(*task.items[:at], new, *task.items[at + 1 :]))


def _asked(task: Task, rng: random.Random) -> Task | None:
    """The task with other arguments: another kind, place, word or name asked for."""
    args = dict(draw(rng, task.family).args)
    if task.field == "facts":
        owner, thing = facts(rng.choice(task.items))
        args = {slot: owner if slot == "name" else thing for slot in args}
    new = replace(task, args=tuple(sorted(args.items())))
    return new if new != task else None


CHANGES: list[Callable[[Task, random.Random], Task | None]] = [_lost, _swapped, _replaced, _asked, _asked]
