"""Is one of two ways better, where both were tried on the same things? Counts, an exact test and an interval, so that
nobody reads more into twenty tasks than they say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean, stdev

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


T975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
        2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
        2.0452, 2.0423)  # fmt: skip
"""97.5 % points of Student's t for 1 to 30 degrees of freedom."""


def t_interval(deltas: Sequence[float]) -> tuple[float, float | None, float | None]:
    """The mean of paired differences, at least one, and its 95 % interval by Student's t; of a single one there is
    none. Beyond 31 differences the interval is that of 30 degrees of freedom, which is a little too wide.

    >>> [round(v, 3) for v in t_interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    n, mean = len(deltas), fmean(deltas)
    if n < 2:
        return mean, None, None
    half = T975[min(n - 1, len(T975)) - 1] * stdev(deltas) / n**0.5
    return mean, mean - half, mean + half
