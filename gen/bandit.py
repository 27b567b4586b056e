"""Which operations pass the gate, learned per domain: a bandit with Boltzmann exploration (arXiv 1705.10257).

    share = floor * given + (1 - floor) * given * exp(rate / temperature) / sum

`given` are the weights before anything is known, as shares. Not the best operation alone is drawn, as by Thompson
sampling, because a dataset wants variety, more than it regrets what others lose: of two that pass 95 % and 90 % of the
time the first gets 54 % of the draws, of 90 % and 10 % it gets 87 %. `rate` is the mean of a Beta posterior whose prior
is the operation's rate over all domains, worth PRIOR trials, so that a domain that was hardly seen begins with what
others taught. No randomness here: whoever draws does so by the shares, with a seed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

FLOOR = 0.2
"""Part of its given share that an operation keeps, whatever becomes of it."""
TEMPERATURE = 0.25
PRIOR = 8.0


@dataclass(slots=True)
class Bandit:
    given: Mapping[str, float]
    """Weight of each operation, above 0 or not at all drawn."""
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Candidates by (domain, operation)."""
    _tried: Counter[str] = field(default_factory=Counter)
    _kept: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Bandit:
        """One that learns on by itself."""
        return Bandit(self.given, self.tried.copy(), self.kept.copy(), self._tried.copy(), self._kept.copy())

    def update(self, domain: str, operation: str, kept: bool) -> None:
        """Learn of one candidate; the order does not matter. Operations that are not given are no choice."""
        if operation in self.given:
            self.tried[domain, operation] += 1
            self.kept[domain, operation] += kept
            self._tried[operation] += 1
            self._kept[operation] += kept

    def rate(self, domain: str, operation: str) -> float:
        """The share of an operation's candidates in a domain that are kept, as far as is known."""
        overall = (self._kept[operation] + 1) / (self._tried[operation] + 2)
        return (self.kept[domain, operation] + PRIOR * overall) / (self.tried[domain, operation] + PRIOR)

    def weights(self, domain: str) -> dict[str, float]:
        """The share of each operation in the next draws; they sum to 1."""
        total = sum(self.given.values())
        given = {name: weight / total for name, weight in sorted(self.given.items())}
        pull = {name: share * math.exp(self.rate(domain, name) / TEMPERATURE) for name, share in given.items()}
        force = sum(pull.values())
        return {name: FLOOR * share + (1 - FLOOR) * pull[name] / force for name, share in given.items()}
