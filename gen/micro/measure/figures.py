"""Figures of merit of a judge and of a score, by their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby


def wins(right: Sequence[float], wrong: Sequence[float]) -> float:
    """In how many of the pairs of a right and a wrong case the right one scores higher, a tie being half a win: the U
    of Mann and Whitney (1947), from the sum of the right ones' ranks. Divided by the number of pairs it is the AUC."""
    rows = sorted([(score, True) for score in right] + [(score, False) for score in wrong])
    total, below = 0.0, 0
    for _, tied in groupby(rows, key=lambda row: row[0]):
        told = [is_right for _, is_right in tied]
        total += sum(told) * (below + (len(told) + 1) / 2)  # those that tie share the mean of their ranks
        below += len(told)
    return total - len(right) * (len(right) + 1) / 2


def balanced(shares: Sequence[float]) -> float:
    """Balanced accuracy: the mean of the shares of cases of each class that were told as what they are."""
    return sum(shares) / len(shares)
