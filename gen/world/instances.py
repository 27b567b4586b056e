"""The same instruction on other items: what a task "on the list below" can be carried out on."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from gen.world.families import Items
from gen.world.task import Task, base, draw, parse, valid

TRIES = 400


def items_for(family: str, args: Mapping[str, str], rng: random.Random) -> Items:
    """Items that a task of this family with these arguments may have: not always ones that it makes sense on."""
    while True:
        new = draw(rng, family)
        drawn = dict(new.args)
        if args.get("kind") == drawn.get("kind"):
            swap = {drawn[slot]: args[slot] for slot in ("word", "name") if slot in drawn}
            return tuple(" ".join(swap.get(word, word) for word in item.split(" ")) for item in new.items)


def another(task: Task, rng: random.Random) -> Task:
    """The same task, word by word, on other items."""
    while not valid(new := replace(task, items=items_for(task.family, dict(task.args), rng))):
        pass
    return new


def imagine(instruction: str, rng: random.Random) -> Task | None:
    """A task that an instruction sets: on its own items, or on a list that one can think of. None where the text does
    not belong to the world."""
    if task := parse(instruction):
        return task
    if found := base(instruction, "list"):
        family, args = found
        for _ in range(TRIES):
            items = items_for(family, args, rng)
            if task := parse(instruction, "\n".join(f"- {item}" for item in items)):
                return task
    return None
