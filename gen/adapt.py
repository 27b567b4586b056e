"""`--adapt`: operation weights that follow what passes the gate, the same at any concurrency. Conversations are counted
off in blocks, by round and by the place of their seed; the weights of a block depend on the verdicts of all blocks but
the one before and itself, and a conversation begins when these verdicts are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from gen.bandit import Bandit
from gen.core import Sample, replace
from gen.order import Turn

Place: TypeAlias = tuple[int, str]
"""(round, call): where the gate is, in canonical order."""
FIRST: Place = (1, "")
"""Operations are drawn from here on."""
AT_ONCE = 4
"""Blocks whose weights are remembered; at most three have conversations under way."""


class End(NamedTuple):
    """What became of a candidate."""

    round: int
    call: str
    operation: str
    kept: bool


class Ends(Protocol):
    """Where ends are found; `gen.pool.Pool` is one."""

    def ends(self, run: int, stage: int, after: Place, before: Place) -> Iterable[tuple[Any, ...]]:
        """Of the candidates of a stage from `after` on, and before `before`, as one run of its gate judged them."""
        ...


def domain_of(seed: Sample) -> str:
    """What a family is about, where its row says so: its `domain` or `category`."""
    found = seed.meta.get("domain") or seed.meta.get("category") or ""
    return str(found)[:80]


class Steady:
    """Every conversation may begin at once, with the loop as it is."""

    judged_to: Place = (0, "")
    """The gate has judged all before this place."""

    def may(self, turn: Turn) -> bool:
        """Whether all is judged that a conversation depends on."""
        return True

    def loop_for(self, turn: Turn, loop: Any) -> Any:
        """The loop that holds this conversation."""
        return loop


@dataclass
class Adaptation(Steady):
    """Weights of one stage's operations. `loop` has those at first, and the size of a block."""

    loop: Any
    seeds: Sequence[Sample]
    """All of them, once it is `closed`."""
    pool: Ends
    gate_run: int
    stage: int
    _known: dict[Place, Bandit] = field(default_factory=dict)

    def basis(self, turn: Turn) -> Place | None:
        """What is before this place must be judged before a conversation may begin; None: not known yet."""
        size, number = self.loop.adapt_block, int(turn.call[:8]) // self.loop.adapt_block
        if number:
            return turn.round, f"{(number - 1) * size:08d}"
        if not getattr(self.seeds, "closed", True):
            return None
        return turn.round - 1, f"{(len(self.seeds) - 1) // size * size:08d}"

    def may(self, turn: Turn) -> bool:
        return turn.round == 0 or ((basis := self.basis(turn)) is not None and basis <= self.judged_to)

    def loop_for(self, turn: Turn, loop: Any) -> Any:
        """The loop with the weights of this conversation's block."""
        bandit = self._learned(max(self.basis(turn) or FIRST, FIRST))
        return replace(loop, operations=bandit.weights(domain_of(self.seeds[int(turn.call[:8])])))

    def _learned(self, before: Place) -> Bandit:
        """What the ends of all candidates before a place teach."""
        if before in self._known:
            return self._known[before]
        earlier = max((place for place in self._known if place < before), default=None)
        bandit = self._known[earlier].copy() if earlier else Bandit(drawn(self.loop))
        for end in map(End._make, self.pool.ends(self.gate_run, self.stage, earlier or FIRST, before)):
            bandit.update(domain_of(self.seeds[int(end.call[:8])]), end.operation, bool(end.kept))
        self._known[before] = bandit
        if len(self._known) > AT_ONCE:
            del self._known[min(self._known)]
        return bandit


def steering(loop: Any, seeds: Sequence[Sample], pool: Ends, gate_run: int, stage: int) -> Steady:
    """What `--adapt` wants of a stage."""
    return Adaptation(loop, seeds, pool, gate_run, stage) if getattr(loop, "adapt", False) else Steady()


def drawn(loop: Any) -> dict[str, float]:
    """The operations that are drawn at all, with their weights."""
    return {name: weight for name, weight in loop.operations.items() if weight}


class Tally(NamedTuple):
    """How an operation fared in a domain."""

    domain: str
    operation: str
    tried: int
    kept: int
    rate: float | None
    first: float
    now: float
    """Shares of the draws: before anything was known, and as they would be next."""


def tallies(loop: Any, domains: Mapping[str, str], ends: Iterable[End]) -> list[Tally]:
    """By domain and operation, those of a domain by how often they were kept. `domains`: of each seed's call."""
    bandit = Bandit(drawn(loop))
    for end in ends:
        bandit.update(domains.get(end.call[:8], ""), end.operation, end.kept)
    total, found = sum(bandit.given.values()), []
    for domain in sorted({*domains.values()}):
        for operation, share in bandit.weights(domain).items():
            tried, kept = bandit.tried[domain, operation], bandit.kept[domain, operation]
            rate = kept / tried if tried else None
            found.append(Tally(domain, operation, tried, kept, rate, bandit.given[operation] / total, share))
    return sorted(found, key=lambda t: (t.domain, -t.kept, t.operation))
