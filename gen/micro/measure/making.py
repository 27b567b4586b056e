"""What the model makes of its own: new tasks and their instances, whole triples, programming tasks, and copies."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import partial

from gen.core import Candidate, Grown, Sample
from gen.errors import ParseError
from gen.loops.alpaca import Alpaca
from gen.loops.extract import Extract, Hint
from gen.loops.instances import Instances
from gen.loops.self_instruct import SelfInstruct
from gen.micro.corpus import code
from gen.micro.corpus.example import ask
from gen.micro.corpus.self_instruct import LABELLED
from gen.micro.measure.model import Model, hold
from gen.micro.measure.rows import Row, fresh, mixed, row, sample
from gen.prompts import Prompts, parse_sections
from gen.world import TRANSFORMS, Task, check, draw, families, imagine, parse, solve
from gen.world.pages import Page, page


def seeds(rng: random.Random, count: int) -> list[Sample]:
    tasks = fresh(lambda: draw(rng), count)
    return [sample(task, solve(task)) for task in tasks]


def candidates(grown: Sequence[Grown]) -> list[Candidate]:
    return [candidate for fruit in grown for candidate in fruit.candidates]


def is_right(given: Sample) -> bool:
    task = parse(given.instruction, given.input)
    return task is not None and check(task, given.response or "")


def self_instruct(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """New instructions from eight seeds, and instances of those that belong to the world."""
    pool, loop = seeds(rng, 40), SelfInstruct(prompts=prompts)
    made = candidates(hold(model, (loop.draw(pool, (), random.Random(rng.random())) for _ in range(count // 5))))
    shown, told, new = {s.instruction for s in pool}, set[str](), list[Candidate]()
    for candidate in made:
        text = candidate.sample.instruction
        if candidate.failure is None and text not in shown | told:
            told.add(text)
            new.append(candidate)
    ours = [c.sample for c in new if imagine(c.sample.instruction, rng)]
    found = candidates(hold(model, map(Instances(prompts=prompts).answer, ours)))
    return [row("instructions read", (c.failure is None for c in made)),
            Row("new ones among them", len(new), len(made)),
            Row("of the world among these", len(ours), len(new)),
            row("instances that pass the loop's rules", (c.failure is None for c in found)),
            row("right ones among them", (is_right(c.sample) for c in found if c.failure is None)),
            *labels(model, prompts, rng, count)]


def labels(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """Which tasks have labels, and instances whose label came first."""
    rows, loop = [], Instances(prompts=prompts)
    for name, chosen in (("tasks with labels found", [LABELLED]),
                         ("tasks without labels found", [f for f in families() if f != LABELLED])):
        each = -(-count // len(chosen))
        tasks = [task for family in chosen for task in fresh(partial(draw, rng, family), each)]
        done = hold(model, (loop.answer(sample(task)) for task in tasks))
        said = [c.sample.meta.get("is_classification") for fruit in done for c in fruit.candidates[:1]]
        rows.append(row(name, (s is (chosen == [LABELLED]) for s in said)))
    return rows


def alpaca(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    pool, loop = seeds(rng, 40), Alpaca(asked=4, prompts=prompts)
    made = candidates(hold(model, (loop.draw(pool, (), random.Random(rng.random())) for _ in range(count // 2))))
    read = [c.sample for c in made if c.failure is None]
    return [row("triples read", (c.failure is None for c in made)), row("right ones among them", map(is_right, read))]


def programs(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """Rewrites by the operations for code; in the world they differ as its own transforms do."""
    rows = []
    for name in (*code.OPERATIONS, "code/erroneous_code"):
        tasks, prompt = mixed(rng, count), prompts.get(name)
        replies = model.reply([ask(prompt, instruction=t.instruction, input=t.input) for t in tasks], prompt.sampling)
        rows.append(row(name, (_is_harder(name, t, r) for t, r in zip(tasks, replies, strict=True))))
    return rows


def _is_harder(name: str, old: Task, text: str) -> bool:
    try:
        said = parse_sections(text, ("instruction",))["instruction"]
    except ParseError:
        return False
    plain, shown = re.subn(r'\n\n```python\nprint\(".*"\)\n```$', "", said)
    new = parse(plain, old.input)
    if name == "code/erroneous_code":
        return shown == 1 and new == old
    return new is not None and any(t.differs(old, new) for t in TRANSFORMS.values())


def extraction(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """Passages pulled out of pages: whether those that are given are copies, and where the hint points into a paragraph
    (it may point at a menu, and then there is none), whether it is that one."""
    rows = []
    for level in ("whole", "sentence", "keywords"):
        pages = [page(rng, rng.randint(1, 3), held=True) for _ in range(2 * count)]
        loop = Extract(levels=(level,), min_passage_chars=1, retries=0, prompts=prompts)
        pieces = [sample(p.tasks[0], p.text, bare=True) for p in pages]
        found = [fruit.candidates[0] for fruit in hold(model, map(loop.answer, pieces))]
        given = [c for c in found if c.failure is None or c.failure.reason != "nothing_to_extract"]
        rows.append(row(f"{level}: copies", ("end" in c.sample.meta for c in given)))
        wanted = [_wanted(p, loop.hint(piece)) for p, piece in zip(pages, pieces, strict=True)]
        rows.append(row(f"{level}: the very passage", (
            c.sample.response == w for c, w in zip(found, wanted, strict=True) if w)))
    return rows


def _wanted(given: Page, hint: Hint) -> str:
    """The passage that a hint points at; empty where it points at none."""
    if hint.level == "whole":
        return given.body
    words = hint.text.split(", ") if hint.level == "keywords" else [hint.text]
    return next((p for p in given.paragraphs if all(word in p for word in words)), "")


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    return {"self-instruct": self_instruct(model, prompts, rng, count), "alpaca": alpaca(model, prompts, rng, count),
            "rewrites of programming tasks": programs(model, prompts, rng, count),
            "passages of pages": extraction(model, prompts, rng, count)}
