"""The ordered filters before the pool. A sample is judged by each in turn until one drops it; what all
keep is admitted to every dedup index, in canonical order, so that the same candidates always give the
same pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gen.core import KEEP, Sample, Verdict
from gen.errors import GenError, RecipeError
from gen.pool import GrownRow, Pool
from gen.recipe import Budget

BATCH = 64
"""Conversations that are judged in one go, and committed in one transaction."""


class Gate:
    """Filters of a recipe, opened: rules as they are, dedup filters as indexes, which remember what must not be
    repeated. Raises RecipeError where there is such data and no filter compares with it."""

    def __init__(self, filters: Sequence[Any], against: Sequence[Sample] = ()) -> None:
        indexes = {f.passport.name: f.open() for f in filters if hasattr(f, "open")}
        self._steps = [(n, indexes[n].judge if n in indexes else f.check) for f in filters for n in [f.passport.name]]
        self._indexes = list(indexes.values())
        if against and not indexes:
            raise RecipeError("--against: no filter of the gate compares with it; add 'exact' or 'rouge' to --gate")
        for sample in against:
            self.admit(sample)

    def judge(self, sample: Sample) -> Verdict:
        """The first verdict that drops the sample, or KEEP. Raises GenError when a filter's own code fails."""
        for name, judge in self._steps:
            try:
                verdict: Verdict = judge(sample)
            except Exception as error:
                raise GenError(
                    f"filter {name!r} failed on sample {sample.id}: {type(error).__name__}: {error}; mend it and run "
                    f"the same command again, or judge without it: `gen regate DIR --recipe NEW.toml`"
                ) from error
            if not verdict.keep:
                return replace(verdict, by=name)
        return KEEP

    def admit(self, sample: Sample) -> None:
        """Remember a kept sample in every index."""
        for index in self._indexes:
            index.admit(sample)


@dataclass(slots=True)
class Position:
    """How far the gate has judged: strictly after (round, call), and `index` candidates into the next."""

    round: int = -1
    call: str = ""
    index: int = 0
    kept: int = 0
    tokens: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Candidates by the reason that dropped them."""

    @classmethod
    def stored(cls, pool: Pool, run: int) -> Position:
        return cls(**pool.state(f"gate:{run}", {}))


@dataclass(slots=True)
class Admission:
    """One application of a gate to the stored candidates, in canonical order, as far as the budget goes.

    Its position is stored with the verdicts, so it goes on where it was; admissions never overwrite one
    another (`run` tells them apart)."""

    gate: Gate
    run: int
    budget: Budget
    position: Position = field(default_factory=Position)
    _page: int = 1

    def restore(self, pool: Pool) -> None:
        """Take up the state that an earlier process left."""
        self.position = Position.stored(pool, self.run)
        for sample in pool.kept(self.run):
            self.gate.admit(sample)

    def pending(self, pool: Pool, stage: int, before: tuple[int, str] | None) -> list[GrownRow]:
        """The next conversations to judge: stored, after the position, and `before` what is missing. As they
        often come one by one, little more is read than could be judged the last time."""
        if self.spent():
            return []
        at = self.position
        rows = pool.grown_after(stage, (at.round, at.call) if at.call else None, self._page)
        found = [r for r in rows if before is None or (r.round, r.call) < before]
        self._page = min(BATCH, 2 * len(found) + 1)
        return found

    def judge(self, pool: Pool, rows: Sequence[GrownRow]) -> None:
        """Judge conversations until a budget is met, and store verdicts and position together."""
        pool.add_verdicts(self.run, self._decide(rows), {f"gate:{self.run}": asdict(self.position)})

    def _decide(self, rows: Sequence[GrownRow]) -> list[tuple[str, Verdict]]:
        """The verdicts; moves the position as it goes."""
        decided: list[tuple[str, Verdict]] = []
        at = self.position
        for row in rows:
            for candidate in row.candidates[at.index :]:
                if self.spent() == "target":
                    return decided
                at.index += 1
                verdict = candidate.failure or self.gate.judge(candidate.sample)
                if verdict.keep:
                    self.gate.admit(candidate.sample)
                    at.kept += 1
                else:
                    at.dropped[verdict.reason] = at.dropped.get(verdict.reason, 0) + 1
                if candidate.failure is None:
                    decided.append((candidate.sample.id, verdict))
            at.round, at.call, at.index = row.round, row.call, 0
            at.tokens += row.tokens
            if self.spent():
                return decided
        return decided

    def spent(self) -> str:
        """The budget that is met at the position, or an empty string."""
        if self.budget.target is not None and self.position.kept >= self.budget.target:
            return "target"
        if self.budget.max_tokens is not None and self.position.tokens >= self.budget.max_tokens:
            return "max_tokens"
        return ""
