"""What a configuration made, judged by the world: its samples with what the checker says of them, and the figures of a
row. A `Config` is what is compared; where chance chooses, it has a set of samples for each seed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from gen.core import Sample, digest
from gen.pool import Pool
from gen.prove.inputs import group_of
from gen.text import count_words
from gen.world import Task, check, difficulty, key, parse

PARTS = 8
"""Seed families are dealt to so many parts, over which differences are paired."""


@dataclass(frozen=True, slots=True)
class Made:
    sample: Sample
    task: Task | None
    """What the instruction with its input means; None where it does not belong to the world."""
    right: bool
    """Whether it belongs to the world and its answer checks."""
    group: str
    """`tuning` or `unseen`, by the family of the seed that it grew from, else by its own; empty: neither."""
    part: int
    """0 to PARTS - 1, the same for all that grew from one seed."""

    @property
    def key(self) -> str:
        return key(self.task) if self.task else ""

    @property
    def words(self) -> int:
        """Of the response."""
        return count_words(self.sample.response or "")


def made(sample: Sample, root: Task | None = None) -> Made:
    task = parse(sample.instruction, sample.input)
    part = int(digest("part", sample.lineage.root), 16) % PARTS
    return Made(sample, task, task is not None and check(task, sample.response or ""), group_of(root or task), part)


@dataclass(frozen=True, slots=True)
class Cost:
    calls: int = 0
    tokens: int = 0
    """Prompt and completion."""


def cost_of(pool: Pool, rounds: Container[int] | None = None, stages: Container[int] | None = None) -> Cost:
    """What was asked for the conversations of these rounds and stages (None: all), each question once."""
    keys: dict[str, None] = {}
    for row in pool.all_grown():
        if (rounds is None or row.round in rounds) and (stages is None or row.stage in stages):
            keys |= dict.fromkeys(row.asked)
    return cost_of_replies(pool, [*keys])


def cost_of_replies(pool: Pool, keys: Sequence[str]) -> Cost:
    replies = [reply for _, reply in pool.asked(keys)]
    return Cost(len(replies), sum(r.prompt_tokens + r.completion_tokens for r in replies))


@dataclass(frozen=True, slots=True)
class Config:
    """One way of making data."""

    group: str
    name: str
    candidates: int
    draws: tuple[Sequence[Made], ...]
    """What is kept: one set, or one for each seed where chance keeps."""
    cost: Cost = Cost()
    extra: Mapping[str, float] = field(default_factory=dict)
    """Further figures of this configuration alone."""

    @property
    def path(self) -> str:
        return f"{self.group}/{self.name}"

    def draw(self, seed: int) -> Sequence[Made]:
        return self.draws[seed % len(self.draws)]

    def all(self) -> list[Made]:
        return [one for draw in self.draws for one in draw]


FIGURES: dict[str, Callable[[Made], float | None]] = {
    "right": lambda m: float(m.right), "valid": lambda m: float(m.task is not None),
    "difficulty": lambda m: None if m.task is None else float(difficulty(m.task)),
}
"""Figures of one sample; their mean is that of a configuration. None: not counted."""


def mean(figure: str, found: Iterable[Made]) -> float | None:
    values = [v for m in found if (v := FIGURES[figure](m)) is not None]
    return fmean(values) if values else None


def row(config: Config) -> dict[str, Any]:
    """The figures of a configuration; where chance chose, means over its sets. What nobody counted is None."""
    all_of_them, sets = config.all(), len(config.draws)
    right = sum(m.right for m in all_of_them) / sets

    def distinct(of: Callable[[Made], Iterable[str]]) -> float:
        return _whole(fmean(len({name for m in draw for name in of(m)}) for draw in config.draws))

    return rounded({
        "name": config.name, "candidates": config.candidates, "kept": _whole(len(all_of_them) / sets),
        **{figure: mean(figure, all_of_them) for figure in FIGURES},
        "families": distinct(lambda m: [m.task.family] if m.task else []),
        "constraints": distinct(lambda m: [c.rule for c in m.task.clauses] if m.task else []),
        "words": fmean(m.words for m in all_of_them) if all_of_them else None,
        "calls": config.cost.calls, "tokens": config.cost.tokens,
        "calls_per_right": config.cost.calls / right if right else None,
        "tokens_per_right": config.cost.tokens / right if right else None,
        **config.extra,
    })  # fmt: skip


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """With six decimals: more would be noise of the arithmetic."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value
