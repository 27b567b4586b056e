"""How well the model evolves, answers and compares: what it learned first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial

from gen.errors import ParseError
from gen.micro.corpus.evolve import DEPTH, OPERATIONS, applied, grown, pair
from gen.micro.corpus.example import ask
from gen.micro.measure.model import GREEDY, Model
from gen.micro.measure.rows import Row, fresh
from gen.prompts import Prompts, parse_choice, parse_sections
from gen.world import TRANSFORMS, Task, check, draw, equal, families, held_out, parse


def rewritten(name: str, old: Task, text: str, rng: random.Random) -> bool:
    """Whether `text` is a reply to prompt `name` whose task belongs to the world and differs as asked."""
    try:
        optional = () if name == "evolve/complicate" else ("input",)
        sections = parse_sections(text, ("instruction",) if optional else ("instruction", "input"), optional)
    except ParseError:
        return False
    kept = "" if name == "evolve/breadth" else old.input
    new, done = parse(sections["instruction"], sections.get("input", kept)), applied(name, old, rng)
    return new is not None and done is not None and TRANSFORMS[done[0]].differs(old, new)


def operations(model: Model, prompts: Prompts, rng: random.Random, count: int, depth: int) -> list[Row]:
    """Rewrites by every operation, of seeds (depth 0) or of tasks already evolved."""
    rows = []
    for name in OPERATIONS:
        tasks = [t for t in fresh(lambda: grown(rng, depth), 2 * count) if applied(name, t, rng)][:count]
        prompt = prompts.get(name)
        replies = model.reply([ask(prompt, instruction=t.instruction, input=t.input) for t in tasks], prompt.sampling)
        right = sum(rewritten(name, t, r, rng) for t, r in zip(tasks, replies, strict=True))
        rows.append(Row(name.removeprefix("evolve/"), right, len(tasks)))
    return rows


def answers(model: Model, prompts: Prompts, name: str, tasks: Sequence[Task]) -> Row:
    """Right answers at temperature 0."""
    chats = [ask(prompts.get("evolve/answer"), instruction=t.instruction, input=t.input) for t in tasks]
    right = sum(check(t, r) for t, r in zip(tasks, model.reply(chats, GREEDY), strict=True))
    return Row(name, right, len(tasks))


def verdicts(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """The judge of equality on as many equal pairs as unequal ones."""
    rows, prompt = [], prompts.get("evolve/equal")
    for truth in (True, False):
        pairs: list[tuple[Task, Task]] = []
        while len(pairs) < count:
            first, second = pair(rng)
            if held_out(first) and equal(first, second) == truth:
                pairs.append((first, second))
        chats = [ask(prompt, first=a.text, second=b.text) for a, b in pairs]
        right = 0
        for text in model.reply(chats, GREEDY):
            try:
                right += (parse_choice(text, prompt.reply.choices) == "equal") == truth
            except ParseError:
                continue
        rows.append(Row("equal pairs" if truth else "unequal pairs", right, count))
    return rows


def deepened(rng: random.Random, depth: int) -> Task:
    """A task after exactly `depth` in-depth operations."""
    task = grown(rng, 0)
    for _ in range(depth):
        done = applied(rng.choice(DEPTH), task, rng)
        task = done[1] if done else task
    return task


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    plain = [answers(model, prompts, f, fresh(partial(draw, rng, f), count)) for f in families()]
    evolved = [answers(model, prompts, f"after {d} operations", fresh(partial(deepened, rng, d), count))
               for d in (1, 2, 3)]
    return {"rewrites of seeds": operations(model, prompts, rng, count, 0),
            "rewrites of evolved tasks": operations(model, prompts, rng, count, 2),
            "answers to seeds": plain, "answers to evolved tasks": evolved,
            "verdicts": verdicts(model, prompts, rng, count)}
