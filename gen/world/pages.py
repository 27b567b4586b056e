"""Pages that somebody wrote: paragraphs, each of which answers a task of the world, among what belongs to the page."""

from __future__ import annotations

import random
from dataclasses import dataclass

from gen.world.lexicon import VALUES
from gen.world.task import Task, draw, held_out, solve

TOLD = ("filter", "reverse", "double", "count", "sort", "name")
"""Families whose answers are lists, from which one can guess what was asked."""
TOPS = ("Home | News | Contact", "Menu | Search | Help")
ENDS = ("Posted by {name} on {day}.", "All rights reserved.", "Share this page with {name}.")


@dataclass(frozen=True, slots=True)
class Page:
    text: str
    paragraphs: tuple[str, ...]
    tasks: tuple[Task, ...]
    """To each paragraph a task that it answers."""
    end: str = ""
    """The last line, where it belongs to the page."""

    @property
    def body(self) -> str:
        return "\n\n".join(self.paragraphs)


def told(rng: random.Random, held: bool = False, level: int | None = None) -> Task:
    """A task, all in its own sentence, whose answer tells what was asked and is not given away there; among the
    held-out instances, or not."""
    while True:
        task = draw(rng, rng.choice(TOLD), level)
        if task.form == "inline" and held_out(task) == held and solve(task) not in task.instruction:
            return task


def page(rng: random.Random, count: int, held: bool = False) -> Page:
    """A page of `count` different paragraphs."""
    tasks: dict[str, Task] = {}
    while len(tasks) < count:
        task = told(rng, held, rng.choice([2, 3, 3]))
        tasks[solve(task) + "."] = task
    top = [rng.choice(TOPS)] if rng.random() < 0.8 else []
    end = rng.choice(ENDS).format(name=rng.choice(VALUES["name"]), day=rng.choice(VALUES["day"]))
    end = end if rng.random() < 0.8 else ""
    text = "\n\n".join([*top, *tasks, *([end] if end else [])])
    return Page(text, tuple(tasks), tuple(tasks.values()), end)
