"""How well the model judges: reviews, critiques and scores of right answers and of wrong ones; and what scores are
good for: the share of right pairs among all that backtranslation makes, and among those that curation would keep."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from gen.core import Grown, Sample
from gen.errors import ParseError
from gen.loops.backtranslate import Backtranslate
from gen.loops.curate import Curate, parse_score
from gen.micro.corpus.example import ask
from gen.micro.corpus.judging import case
from gen.micro.corpus.refine import ASPECTS, LIMITS
from gen.micro.measure.model import GREEDY, Model, hold
from gen.micro.measure.rows import Row, row, sample
from gen.prompts import Prompts, parse_sections
from gen.world import check, parse, solve
from gen.world.pages import told

KEPT = 4
"""The score from which on curation keeps a pair."""


def praises(name: str, text: str) -> bool | None:
    """Whether a judgement finds nothing wrong; None where it cannot be read."""
    try:
        if name.startswith("curate/"):
            score = parse_score(text)
            return None if score is None else score >= KEPT
        if name == "refine/feedback":
            found = parse_sections(text, ("change", "add"), ("scores",))
            return (found["change"], found["add"]) == ("none", "none")
        return "not needed" in parse_sections(text, ("comments", "score", "verdict"))["verdict"]
    except ParseError:
        return None


JUDGES: dict[str, dict[str, Any]] = {
    "refine/feedback": {"aspects": ASPECTS, "scale": 5}, "selfee/critique": LIMITS["critique"],
    "selfee/critique_gold": LIMITS["critique"], "curate/assistant": {}, "curate/additive": {}}


def verdicts(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """Judgements of as many right answers as wrong ones, at temperature 0."""
    rows = []
    for name, values in JUDGES.items():
        for right in (True, False):
            cases = [case(rng, float(right), held=True) for _ in range(count)]
            chats = [ask(prompts.get(name), **values, instruction=c.task.instruction, input=c.task.input,
                         answer=c.draft.text, response=c.draft.text, gold=c.expected) for c in cases]
            said = [praises(name, text) for text in model.reply(chats, GREEDY)]
            rows.append(row(f"{name}: {'right' if right else 'wrong'} answers", (s is right for s in said)))
    return rows


def curation(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """Pairs that are right (a task of the world, and an answer to it): of all, and of those that a judge rates high
    enough. They come from backtranslation, or along with the tasks, every other one spoiled."""
    tasks = [told(rng, held=True) for _ in range(2 * count)]
    pieces = [sample(task, solve(task) + ".", bare=True) for task in tasks]
    grown = hold(model, map(Backtranslate(prompts=prompts).answer, pieces))
    pairs = [c.sample for fruit in grown for c in fruit.candidates if c.failure is None]

    rows = [row("instructions that pass the loop's rules", (any(not c.failure for c in g.candidates) for g in grown))]
    brought = [case(rng, 0.5, held=True) for _ in range(2 * count)]
    sets = {"backtranslation": pairs, "answers brought along": [sample(g.task, g.draft.text) for g in brought]}
    for name, made in sets.items():
        rows.append(row(f"{name}: all", map(is_right, made)))
        for rubric in ("assistant", "additive"):
            judged = hold(model, map(Curate(rubric=rubric, prompts=prompts).answer, made))
            best = kept(judged, lambda rating: rating >= KEPT)
            rows.append(row(f"{name}: rated {KEPT} or more ({rubric})", map(is_right, best)))
    return rows


def is_right(pair: Sample) -> bool:
    task = parse(pair.instruction, pair.input)
    return task is not None and check(task, pair.response or "")


def kept(judged: list[Grown], enough: Callable[[float], bool]) -> list[Sample]:
    """The samples whose rating is enough."""
    found = [c.sample for fruit in judged for c in fruit.candidates if c.failure is None]
    return [s for s in found if enough(s.meta["ratings"]["curation"])]


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    return {"judgements": verdicts(model, prompts, rng, count),
            "right pairs, without curation and with it": curation(model, prompts, rng, count)}
