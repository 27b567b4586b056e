"""Is one of two ways better, where both were tried on the same things? Counts, an exact test and an interval, so that
nobody reads more into twenty tasks than they say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Difference:
    """Of B to A, both as means over the same things (rates: 0 to 1)."""

    mean: float
    low: float
    high: float
    """Bounds of the 95 % interval (paired bootstrap, percentiles)."""
    a_better: int
    b_better: int
    equal: int
    p: float
    """Of the exact two-sided sign test: how likely so uneven counts are where neither way is better."""

    @property
    def shown(self) -> bool:
        """Whether a difference is more than chance, at the usual 5 %."""
        return self.p < 0.05


def sign_test(a: int, b: int) -> float:
    """Two-sided probability of a split of a + b things as uneven as a to b, if each falls to either side by chance.

    >>> sign_test(3, 7)
    0.34375
    """
    n = a + b
    return min(1.0, 2 * sum(comb(n, k) for k in range(min(a, b) + 1)) / (1 << n))


def interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """95 % of the means of as many values drawn again, with return; the same for the same values."""
    rng, n = random.Random(seed), len(values)
    means = sorted(fmean(rng.choices(values, k=n)) for _ in range(RESAMPLES))
    return means[round(RESAMPLES * 0.025)], means[round(RESAMPLES * 0.975) - 1]


def difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Between values of the same things, in the same order, at least one."""
    deltas = [y - x for x, y in zip(a, b, strict=True)]
    worse, better = sum(d < 0 for d in deltas), sum(d > 0 for d in deltas)
    low, high = interval(deltas)
    return Difference(fmean(deltas), low, high, worse, better, len(deltas) - worse - better, sign_test(worse, better))
