"""Evolving: a world task for every rewrite, answer and comparison."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from gen.micro.corpus.example import Example, Made, ask
from gen.prompts import Prompts
from gen.world import FAMILIES, TRANSFORMS, Task, draw, equal, graded, solve

OPERATIONS: dict[str, tuple[str, ...]] = {
    "evolve/constrain": ("add_demand", "ask_also", "add_step"),
    "evolve/deepen": ("ask_also", "add_step", "add_demand"),
    "evolve/concretize": ("make_specific", "add_demand", "ask_also"),
    "evolve/reason": ("add_step", "ask_also", "add_demand"),
    "evolve/complicate": ("give_data",),
    "evolve/breadth": ("sibling",),
}
"""What each prompt does to a task: its own transform first, then the nearest one for a task without room."""
DEPTH = [name for name in OPERATIONS if name != "evolve/breadth"]


def applied(name: str, task: Task, rng: random.Random) -> tuple[str, Task] | None:
    """The transform that prompt `name` stands for on this task, and its result."""
    for transform in OPERATIONS[name]:
        if (new := TRANSFORMS[transform].apply(task, rng)) is not None:
            return transform, new
    return None


def grown(rng: random.Random, depth: int, family: str | None = None) -> Task:
    """A task after `depth` random operations, as the rounds of a run make them."""
    task = draw(rng, family)
    for _ in range(depth):
        done = applied(rng.choice(list(OPERATIONS)), task, rng)
        task = done[1] if done else task
    return task


def reworded(task: Task, rng: random.Random) -> Task:
    """The same task in other words (now and then in the same words)."""
    clauses = tuple(replace(c, phrasing=rng.randrange(2)) for c in task.clauses)
    return replace(task, phrasing=rng.randrange(len(FAMILIES[task.family].phrasings)), clauses=clauses)


def pair(rng: random.Random) -> tuple[Task, Task]:
    """Two tasks to compare, equal and not equal equally often."""
    task = grown(rng, rng.choice([0, 0, 1, 1, 2, 3]))
    if rng.random() < 0.5:
        return task, reworded(task, rng) if rng.random() < 0.7 else task
    if rng.random() < 0.25:
        other = draw(rng, task.family)
        return task, replace(other, form=task.form, scenes=task.scenes, clauses=task.clauses)
    done = applied(rng.choice(list(OPERATIONS)), task, rng)
    return task, reworded(done[1], rng) if done and rng.random() < 0.3 else done[1] if done else task


def reply(name: str, task: Task) -> str:
    """The ideal reply to an evolving prompt whose new task is `task`."""
    text = f"<instruction>\n{task.instruction}\n</instruction>"
    data = name == "evolve/complicate" or (name == "evolve/breadth" and task.input)
    return f"{text}\n<input>\n{task.input}\n</input>" if data else text


def rewrite(prompts: Prompts, name: str, rng: random.Random) -> Made:
    """The ideal rewrite for prompt `name`, with the old task and the new one."""
    while True:
        task = grown(rng, rng.choice([0, 0, 1, 1, 2, 2]))
        if done := applied(name, task, rng):
            messages = ask(prompts.get(name), instruction=task.instruction, input=task.input)
            return Made(Example(name, messages, reply(name, done[1])), (task, done[1]))


def answer(
    prompts: Prompts, rng: random.Random, families: Sequence[str] = (), plain: bool = False, level: int = 0
) -> Made:
    """A task and its ideal answer: of one of these families where some are named, and then unevolved where `plain`; of
    a level of the world where one is named."""
    family = rng.choice(families) if families else None
    depth = 0 if family and plain else rng.choice([0, 0, 0, 1, 2, 3])
    task = graded(rng, level, family) if level else grown(rng, depth, family)
    messages = ask(prompts.get("evolve/answer"), instruction=task.instruction, input=task.input)
    return Made(Example("evolve/answer", messages, solve(task)), (task,))


def comparison(prompts: Prompts, rng: random.Random) -> Made:
    first, second = pair(rng)
    messages = ask(prompts.get("evolve/equal"), first=first.text, second=second.text)
    return Made(Example("evolve/equal", messages, "Equal" if equal(first, second) else "Not equal"), (first, second))
