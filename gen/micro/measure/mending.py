"""Whether answers become better by being mended: the share of right ones before and after the loops themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from gen.core import Grown, Sample
from gen.loops.refine import Refine
from gen.loops.selfee import SelFee
from gen.micro.corpus.judging import case
from gen.micro.measure.model import Model, hold
from gen.micro.measure.rows import Row, mixed, row, sample
from gen.prompts import Prompts
from gen.world import Task, check


def result(grown: Grown) -> Sample:
    """What became of a task: the kept candidate, or a draft that was none."""
    return next((c.sample for c in grown.candidates if c.failure is None), grown.candidates[0].sample)


def last(grown: Grown) -> str:
    return result(grown).response or ""


def first(grown: Grown) -> str:
    meta = result(grown).meta
    steps = meta.get("refine", {}).get("trace", []) or meta.get("selfee", {}).get("outputs", [])
    return str(steps[0].get("answer", steps[0].get("text"))) if steps else last(grown)


def before_and_after(name: str, tasks: Sequence[Task], grown: Sequence[Grown]) -> list[Row]:
    both = {"before": first, "after": last}
    return [row(f"{name}, {when}", (check(t, of(g)) for t, g in zip(tasks, grown, strict=True)))
            for when, of in both.items()]


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    """The loops mend answers that they draft themselves, as their prompts say, and answers that are brought along, one
    half of which are wrong."""
    tasks, cases = mixed(rng, 2 * count), [case(rng, 0.5, held=True) for _ in range(2 * count)]
    loops: dict[str, Any] = {"refine": Refine(keep_trace=True, prompts=prompts),
                             "refine, fused": Refine(fused=True, keep_trace=True, prompts=prompts),
                             "selfee": SelFee(prompts=prompts)}
    own, brought = [], []
    for name, loop in loops.items():
        own += before_and_after(name, tasks, hold(model, (loop.answer(sample(task)) for task in tasks)))
        seeds = [sample(given.task, given.draft.text) for given in cases]
        brought += before_and_after(name, [given.task for given in cases], hold(model, map(loop.answer, seeds)))
    return {"right answers of the model, before and after mending": own,
            "right answers brought along, before and after mending": brought}
