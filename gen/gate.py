"""The ordered filters before the pool. A sample is judged by each in turn until one drops it; what all
keep is admitted to every dedup index, in canonical order, so that the same candidates always give the
same pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from gen.core import KEEP, Sample, Score, Vector, Verdict, replace
from gen.errors import GenError, RecipeError
from gen.pool import GrownRow, Pool, of_stage
from gen.sections import Budget

BATCH = 256
"""Conversations that are judged in one go, and committed in one transaction."""
UNSCORED = Verdict(False, "unscored", note="never measured, because a cheaper filter dropped it first (--score-all)")


class Facts(NamedTuple):
    """What was measured of a sample, by filter; None, or absent: never asked."""

    scores: Mapping[str, Score | None]
    vectors: Mapping[str, Vector | None]


NOTHING = Facts({}, {})


class Recall:
    """Where the facts of a sample are found; here: nowhere. `gen.assess.Record` reads them from the journal."""

    def facts(self, sample: Sample) -> Facts:
        return NOTHING

    def vectors(self, sample: Sample) -> Mapping[str, Vector | None]:
        return {}

    def vector(self, sample: Sample) -> Vector | None:
        """The one that tells what it means, where it has any."""
        return next(filter(None, self.vectors(sample).values()), None)


class Gate:
    """Filters of a recipe, opened: rules as they are, dedup filters as indexes, which remember what must not be
    repeated. `scorers` measure with a model, `encoded` compare vectors: they judge by the facts of a sample."""

    def __init__(self, filters: Sequence[Any]) -> None:
        named = {f.passport.name: f for f in filters}
        self.scorers = {name: f for name, f in named.items() if hasattr(f, "score")}
        self.encoded = {name: f for name, f in named.items() if hasattr(f, "text") and hasattr(f, "open")}
        self.indexes = {name: f.open() for name, f in named.items() if hasattr(f, "open")}
        self._preparing = {name: index.expect for name, index in self.indexes.items() if hasattr(index, "expect")}
        for filter in filters:
            if hasattr(filter, "require"):  # what this machine must have, found out before the first question
                filter.require()
        measured = {*self.scorers, *self.encoded, *(n for n, f in named.items() if getattr(f, "slow", False))}
        first = next((i for i, name in enumerate(named) if name in measured), len(named))
        self._rules = {name: f.check for name, f in [*named.items()][:first] if hasattr(f, "check")}
        self._steps = [(name, self._step(name, f)) for name, f in named.items() if name not in self._rules]
        self._early: dict[str, Verdict] = {}

    def _step(self, name: str, filter: Any) -> Callable[[Sample, Facts], Verdict]:
        if name in self.scorers:
            return lambda _, facts: filter.judge(s) if (s := facts.scores.get(name)) else UNSCORED
        if name in self.encoded:
            judge = self.indexes[name].judge
            return lambda s, facts: UNSCORED if (v := facts.vectors.get(name)) is None else judge(s, v)
        only = self.indexes[name].judge if name in self.indexes else filter.check
        return lambda sample, _: only(sample)

    def refuse_idle(self, given: str) -> None:
        """Raises RecipeError where no filter would compare with data that must not be repeated."""
        if not self.indexes:
            raise RecipeError(f"{given}: no filter of the gate compares with it; add 'exact' or 'rouge' to --gate")

    def early(self, sample: Sample) -> Verdict:
        """What the rules before the first measurement say, whatever was kept before: only what they keep is
        measured. Remembered until the sample is judged."""
        if sample.id not in self._early:
            steps = ((name, lambda s, _, check=check: check(s)) for name, check in self._rules.items())
            self._early[sample.id] = _first_drop(steps, sample, NOTHING)
        return self._early[sample.id]

    def expect(self, coming: Iterable[tuple[Sample, Facts]]) -> None:
        """What is judged or admitted next, so that indexes can prepare for it in one go; changes no verdict."""
        found = [*coming] if self._preparing else []
        for name, expect in self._preparing.items():
            if name in self.encoded:
                expect([(sample, v) for sample, facts in found if (v := facts.vectors.get(name)) is not None])
            else:
                expect([sample for sample, _ in found])

    def judge(self, sample: Sample, facts: Facts = NOTHING) -> Verdict:
        """The first verdict that drops the sample, or KEEP. Raises GenError when a filter's own code fails."""
        verdict = self.early(sample)
        del self._early[sample.id]
        return _first_drop(self._steps, sample, facts) if verdict.keep else verdict

    def admit(self, sample: Sample, vectors: Mapping[str, Vector | None] = NOTHING.vectors) -> None:
        """Remember a kept sample in every index; in one of vectors only if it has one."""
        for name, index in self.indexes.items():
            if name not in self.encoded:
                index.admit(sample)
            elif vector := vectors.get(name):
                index.admit(sample, vector)


def broken(name: str, sample: Sample, error: Exception) -> GenError:
    """A filter's own code failed."""
    return GenError(
        f"filter {name!r} failed on sample {sample.id}: {type(error).__name__}: {error}; mend it and run "
        f"the same command again, or judge without it: `gen regate DIR --recipe NEW.toml`"
    )


def _first_drop(
    steps: Iterable[tuple[str, Callable[[Sample, Facts], Verdict]]], sample: Sample, facts: Facts
) -> Verdict:
    for name, judge in steps:
        try:
            verdict = judge(sample, facts)
        except Exception as error:
            raise broken(name, sample, error) from error
        if not verdict.keep:
            return replace(verdict, by=name)
    return KEEP


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
    def stored(cls, pool: Pool, run: int, stage: int = 0) -> Position:
        return cls(**pool.state(of_stage(f"gate:{run}", stage), {}))


@dataclass(slots=True)
class Admission:
    """One application of a gate to the stored candidates, in canonical order, as far as the budget goes.

    Its position is stored with the verdicts, so it goes on where it was; admissions never overwrite one
    another (`run` tells them apart)."""

    gate: Gate
    run: int
    budget: Budget
    recall: Recall = field(default_factory=Recall)
    stage: int = 0
    position: Position = field(default_factory=Position)
    told: list[Callable[[Sample], None]] = field(default_factory=list)
    """Who is told of each kept sample, in canonical order, once its verdict is stored."""
    behind: bool = False
    """Whether the gate does not know yet what an earlier process kept."""
    hurry: bool = False
    """Set to stop remembering: nothing can be judged then."""
    _page: int = 1
    _knows_given: bool = False

    def restore(self, pool: Pool, *, given: bool = False) -> None:
        """Take up the position that an earlier process left; what it kept is remembered before the next judgement.
        `given`: samples of round 0 are remembered already."""
        self.position, self._knows_given = Position.stored(pool, self.run, self.stage), given
        self.behind = self.position.kept > 0

    def remember(self, pool: Pool) -> None:
        """Admit what an earlier process kept, and tell of it; once, and unless it is told to leave it (`hurry`)."""
        kept = pool.kept(self.run, self.stage) if self.behind else iter(())
        while block := [*islice(kept, BATCH)]:
            self.gate.expect((sample, NOTHING) for sample in block)
            for sample in block:
                if self.hurry:
                    return
                if not self._knows_given or sample.lineage.round:
                    self.gate.admit(sample, self.recall.vectors(sample))
                self._tell([sample])
        self.behind = False

    def _tell(self, kept: Iterable[Sample]) -> None:
        for sample in kept:
            for hear in self.told:
                hear(sample)

    def is_past(self, round: int, call: str) -> bool:
        """Whether all candidates of a conversation have been judged."""
        return bool(self.position.call) and (round, call) <= (self.position.round, self.position.call)

    def pending(self, pool: Pool, before: tuple[int, str] | None) -> list[GrownRow]:
        """The next conversations to judge: stored, after the position, and `before` what is missing. As they
        often come one by one, little more is read than could be judged the last time."""
        if self.spent():
            return []
        at = self.position
        rows = pool.grown_after(self.stage, (at.round, at.call) if at.call else None, self._page)
        found = [r for r in rows if before is None or (r.round, r.call) < before]
        self._page = max(self._page // 2, min(BATCH, 2 * len(found) + 1))
        return found

    def judge(self, pool: Pool, rows: Sequence[GrownRow]) -> None:
        """Judge conversations until a budget is met, and store verdicts, scores and position together."""
        self.remember(pool)
        facts = {sample.id: self.recall.facts(sample) for sample in self._facing(rows)}
        self.gate.expect((sample, facts[sample.id]) for sample in self._facing(rows))
        decided = self._decide(rows, facts)
        found = [(s.id, score) for s, _ in decided if s.id in facts for score in facts[s.id].scores.values() if score]
        state = {of_stage(f"gate:{self.run}", self.stage): asdict(self.position)}
        pool.add_verdicts(self.run, [(s.id, v) for s, v in decided], state, scores=found, stage=self.stage)
        self._tell(sample for sample, verdict in decided if verdict.keep)

    def _facing(self, rows: Sequence[GrownRow]) -> Iterator[Sample]:
        """The samples still to be judged that come to the filters that measure."""
        for i, row in enumerate(rows):
            for candidate in row.candidates[0 if i else self.position.index :]:
                judged = candidate.failure is None and not candidate.given
                if judged and self.gate.early(candidate.sample).keep:
                    yield candidate.sample

    def _decide(self, rows: Sequence[GrownRow], facts: Mapping[str, Facts]) -> list[tuple[Sample, Verdict]]:
        """The verdicts; moves the position as it goes."""
        decided: list[tuple[Sample, Verdict]] = []
        at = self.position
        for row in rows:
            for candidate in row.candidates[at.index :]:
                if self.spent() == "target":
                    return decided
                at.index += 1
                sample, known = candidate.sample, facts.get(candidate.sample.id, NOTHING)
                verdict = candidate.failure or (KEEP if candidate.given else self.gate.judge(sample, known))
                if verdict.keep:
                    if not (candidate.given and self._knows_given):
                        self.gate.admit(sample, self.recall.vectors(sample) if candidate.given else known.vectors)
                    at.kept += 1
                else:
                    at.dropped[verdict.reason] = at.dropped.get(verdict.reason, 0) + 1
                if candidate.failure is None:
                    decided.append((sample, verdict))
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
