"""One checkpoint's part of the proof: its runs, configurations, students and effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gen.job import Watch
from gen.pool import Pool
from gen.prove import loops, runs
from gen.prove.choosing import CHOICES, chosen
from gen.prove.controls import matched, random_drop
from gen.prove.effects import Accuracies, measured
from gen.prove.gates import GATES, ifd_of, kept_by
from gen.prove.inputs import Inputs
from gen.prove.made import Config, Made, cost_of, rounded, row
from gen.prove.students import School

TABLES = ("rounds", "gates", "selection", "loops")
"""Groups of configurations."""
WORTH = 0.98
"""Gates that keep more than this share of the candidates have no students of their own."""
SPARED = ("rounds/1 alone", "loops/answers for SelFee", "loops/revised answers")
"""Configurations without students."""
Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Trial:
    checkpoint: str
    model: str
    folder: Path
    inputs: Inputs
    school: School
    seeds: int
    """Of students, and of every choice by chance."""
    only: frozenset[str]
    """Groups, and `students`."""
    loops: frozenset[str]
    """Runs of the group `loops`."""
    watch: Callable[[], Watch]
    say: Callable[[str], None]
    """Is told what the user should know of a run."""
    tell: Callable[[str], None]
    """Is told how far teaching has come."""
    configs: dict[str, Config] = field(default_factory=dict)
    students: dict[str, Accuracies | None] = field(default_factory=dict)

    def tables(self) -> Iterator[tuple[str, Rows]]:
        """Each group with its rows, as soon as they are known."""
        if self.only & {"rounds", "gates", "selection"}:
            for group, found in self._evolved():
                yield group, self._add(found)
        if "loops" in self.only:
            for name, table in runs.tables(self.inputs).items():
                if name in self.loops:
                    with self._run(name, table) as pool:
                        found = loops.configs_of(name, pool, self.inputs)
                    self._add(found)
            yield "loops", self.rows("loops")

    def _run(self, name: str, table: Mapping[str, Any]) -> Any:
        return runs.carried_out(table, self.folder / name, self.model, self.watch, self.say)

    def _add(self, found: list[Config]) -> Rows:
        self.configs |= {config.path: config for config in found}
        return [row(config) for config in found]

    def rows(self, group: str) -> Rows:
        """With what students of them answer right, where they were taught."""
        return [row(c) | rounded(self._taught(c.path)) for c in self.configs.values() if c.group == group]

    def _taught(self, path: str) -> dict[str, float | None]:
        if path not in self.students:
            return {}
        found = self.students[path]
        names = {"student": "all", "tuning": "tuning", "unseen": "unseen"}
        return {name: sum(found[g]) / len(found[g]) if found and g in found else None for name, g in names.items()}

    def _evolved(self) -> Iterator[tuple[str, list[Config]]]:
        """All that one run of `evolve` stands for."""
        with self._run("evolve", runs.tables(self.inputs)["evolve"]) as pool:
            roots, names = loops.roots(pool), Names()
            for one in loops.judged(pool.kept(1), roots):
                names.add(one)
            if "rounds" in self.only:
                spans = {"0": [0], **{f"0-{r}": range(r + 1) for r in range(1, runs.ROUNDS + 1)}, "1 alone": [1]}
                yield "rounds", [self._rounds(pool, names, name, span) for name, span in spans.items()]
            if "gates" in self.only:
                yield "gates", [*self._gates(pool, names)]
            if "selection" in self.only:
                fit, ifd = self.school.fit(names.all), ifd_of([m.sample for m in names.all], pool)
                proposed, cost, k = loops.proposed(pool, 0), cost_of(pool), self.school.k
                yield "selection", [
                    Config("selection", name, proposed, tuple(
                        chosen(name, fit, ifd, k, seed) for seed in range(self.seeds)), cost)
                    for name in CHOICES]

    def _rounds(self, pool: Pool, names: Names, name: str, span: Sequence[int]) -> Config:
        kept = [m for m in names.all if m.sample.lineage.round in span]
        proposed = sum(r.count for r in pool.funnel(1) if r.round in span)
        return Config("rounds", name, proposed, (kept,), cost_of(pool, span))

    def _gates(self, pool: Pool, names: Names) -> Iterator[Config]:
        proposed, cost = loops.proposed(pool, 0), cost_of(pool)
        tuning = [m.sample for m in names.all if m.group == "tuning"]
        yield Config("gates", "no gate", proposed, (names.all,), cost)
        for gate in GATES:
            kept = [names.by_id[sample.id] for sample in kept_by(gate, pool, tuning)]
            yield Config("gates", gate, proposed, (kept,), cost, {"share": len(kept) / max(1, len(names.all))})
            same = range(self.seeds)
            yield Config("gates", f"{gate}, random", proposed,
                         tuple(random_drop(names.all, len(kept), seed) for seed in same), cost)
            yield Config("gates", f"{gate}, matched", proposed,
                         tuple(matched(names.all, kept, seed) for seed in same), cost)

    def teach(self) -> Iterator[tuple[str, Rows]]:
        """Students of every configuration; each group with its rows, once all of its students are taught."""
        for group in TABLES:
            found = [c for c in self.configs.values() if c.group == group and self._teaches(c)]
            for at, config in enumerate(found, 1):
                before = self.school.trained
                self.students[config.path] = self.school.accuracies(config, self.seeds)
                if new := self.school.trained - before:
                    self.tell(f"{self.checkpoint}: {new} students of {config.path} ({at} of {len(found)} in {group})")
            if found:
                yield group, self.rows(group)

    def _teaches(self, config: Config) -> bool:
        """Whether students of it are worth their time: not of gates that drop nearly nothing, which are no gate again,
        nor of what is there for another comparison."""
        if config.group == "gates" and "default gate" not in config.name:
            every = len(self.configs["gates/no gate"].all())
            return config.name == "no gate" or len(config.draw(0)) < WORTH * every
        return config.path not in SPARED

    def results(self) -> dict[str, Any]:
        groups = {group: rows for group in TABLES if (rows := self.rows(group))}
        return {"weights": self.folder.name, "groups": groups, "effects": measured(self.configs, self.students)}


@dataclass(slots=True)
class Names:
    """Samples in canonical order, and by id."""

    all: list[Made] = field(default_factory=list)
    by_id: dict[str, Made] = field(default_factory=dict)

    def add(self, one: Made) -> None:
        self.all.append(one)
        self.by_id[one.sample.id] = one
