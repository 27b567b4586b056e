"""Whether answers become better by being mended: the share of right ones before and after the loops themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from gen.core import Grown
from gen.loops.refine import Refine
from gen.micro.measure.model import Model, hold
from gen.micro.measure.rows import Row, mixed, row, sample
from gen.prompts import Prompts
from gen.world import Task, check


def last(grown: Grown) -> str:
    [candidate] = grown.candidates
    return candidate.sample.response or ""


def first(grown: Grown) -> str:
    [candidate] = grown.candidates
    trace = candidate.sample.meta.get("refine", {}).get("trace", [])
    return trace[0]["answer"] if trace else last(grown)


def before_and_after(name: str, tasks: Sequence[Task], grown: Sequence[Grown]) -> list[Row]:
    both = {"before": first, "after": last}
    return [row(f"{name}, {when}", (check(t, of(g)) for t, g in zip(tasks, grown, strict=True)))
            for when, of in both.items()]


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    """Each loop drafts, judges and mends the same held-out tasks, as its prompts say."""
    tasks = mixed(rng, 4 * count)
    loops: dict[str, Any] = {"refine": Refine(keep_trace=True, prompts=prompts),
                             "refine, fused": Refine(fused=True, keep_trace=True, prompts=prompts)}
    rows = []
    for name, loop in loops.items():
        rows += before_and_after(name, tasks, hold(model, (loop.answer(sample(task)) for task in tasks)))
    return {"right answers before and after mending": rows}
