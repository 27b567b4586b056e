"""Students of configurations, each taught once: results go to a file line by line, under what decides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from gen.core import digest
from gen.micro import ledger
from gen.prove.controls import shuffled
from gen.prove.inputs import group_of
from gen.prove.made import Config, Made
from gen.world import Task, key

Teach = Callable[[Sequence[Made], int], list[bool]]
"""(samples, seed) -> which of the tests a student of them answers right."""


def teaching(tests: Sequence[Task]) -> Teach:
    """With the student of `gen.micro`, whose libraries are loaded by the first lesson."""

    def teach(samples: Sequence[Made], seed: int) -> list[bool]:
        from gen.micro.student import Lesson, taught

        lessons = [Lesson(m.sample.instruction, m.sample.input, m.sample.response or "") for m in samples]
        return list(taught(lessons, seed).right(tests))

    return teach


@dataclass(slots=True)
class School:
    """`file` holds a line for each student: configuration, seed, hash of what decides the result, answers that were
    right as 0 and 1. A line that a kill has cut is no line."""

    file: Path
    checkpoint: str
    tests: Sequence[Task]
    k: int
    teach: Teach
    about: str
    """What decides results besides lessons, seed and tests: the student's steps, tokens and first weights."""
    done: dict[str, str] = field(default_factory=dict)
    taboo: frozenset[str] = frozenset()
    """What the tests are about."""
    trained: int = 0
    """Students taught by this process."""

    def __post_init__(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.done = {row["digest"]: row["right"] for row in ledger.rows(self.file)}
        self.taboo = frozenset(map(key, self.tests))

    def fit(self, found: Sequence[Made]) -> list[Made]:
        """Those that may be lessons: they have an answer, and are no test."""
        return [m for m in found if m.key not in self.taboo and (m.sample.response or "").strip()]

    def lessons(self, config: Config, seed: int) -> list[Made] | None:
        """Exactly k of what is kept and fit, by the order of the seed; None where there are fewer."""
        found = shuffled(self.fit(config.draw(seed)), seed)[: self.k]
        return found if len(found) == self.k else None

    def right(self, config: Config, seed: int) -> list[bool] | None:
        """Which tests a student of this configuration and seed answers right."""
        lessons = self.lessons(config, seed)
        if lessons is None:
            return None
        told = [[m.sample.instruction, m.sample.input, m.sample.response] for m in lessons]
        name = digest(told, seed, [t.text for t in self.tests], self.about)
        if name not in self.done:
            answers = "".join("01"[one] for one in self.teach(lessons, seed))
            row = {"checkpoint": self.checkpoint, "configuration": config.path, "seed": seed, "digest": name,
                   "right": answers}  # fmt: skip
            ledger.note(self.file, row)
            self.done[name] = answers
            self.trained += 1
        return [one == "1" for one in self.done[name]]

    def accuracies(self, config: Config, seeds: int) -> dict[str, list[float]] | None:
        """The share of right answers for each seed: of all tests, of those of tuning families, of unseen ones; None
        where there are not enough lessons."""
        found = [self.right(config, seed) for seed in range(seeds)]
        if any(one is None for one in found):
            return None
        groups = {"all": [*range(len(self.tests))]}
        for at, task in enumerate(self.tests):
            groups.setdefault(group_of(task), []).append(at)
        return {name: [fmean(one[at] for at in places) for one in found if one] for name, places in groups.items()}
