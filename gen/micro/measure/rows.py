"""What a table is made of, and held-out tasks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gen.core import Lineage, Sample
from gen.micro.corpus.drafts import task_of
from gen.world import Task, held_out, key


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: how many of `total` were right."""

    name: str
    right: float
    """A tie of two is half a right one."""
    total: int


def row(name: str, found: Iterable[bool]) -> Row:
    told = list(found)
    return Row(name, sum(told), len(told))


def share(rows: Sequence[Row]) -> float:
    return sum(r.right for r in rows) / max(1, sum(r.total for r in rows))


def fresh(make: Callable[[], Task | None], count: int) -> list[Task]:
    """`count` held-out tasks."""
    found: list[Task] = []
    while len(found) < count:
        if (task := make()) is not None and held_out(task):
            found.append(task)
    return found


def mixed(rng: random.Random, count: int) -> list[Task]:
    """`count` held-out tasks, half of them after one or two operations."""
    return [task_of(rng, held=True) for _ in range(count)]


def sample(task: Task, response: str | None = None, *, bare: bool = False) -> Sample:
    """The task as a seed; `bare`: its response alone, as a piece of a document is."""
    name = key(task)
    if bare:
        return Sample(name, "", Lineage(name), response=response)
    return Sample(name, task.instruction, Lineage(name), input=task.input, response=response)
