"""How hard a task is, and tasks of a given level."""

from __future__ import annotations

import random

from gen.world.task import Task, draw
from gen.world.transforms import TRANSFORMS

LEVELS = (1, 2, 3, 4)
_CLAUSES = {1: (0,), 2: (0, 1), 3: (1, 1, 2), 4: (3,)}
"""How many clauses a task of a level has."""
_HARDER = ("add_demand", "ask_also", "add_step")


def graded(rng: random.Random, level: int, family: str | None = None) -> Task:
    """A task of level 1 (two or three items and nothing else) to 4 (four or five items and three clauses)."""
    task = draw(rng, family, min(level, 3))
    for _ in range(rng.choice(_CLAUSES[level])):
        for name in rng.sample(_HARDER, len(_HARDER)):
            if new := TRANSFORMS[name].apply(task, rng):
                task = new
                break
    return task


def difficulty(task: Task) -> int:
    """One for each item, two for each demand, step and further question; scenes and wording do not count."""
    return len(task.items) + 2 * len(task.clauses)
