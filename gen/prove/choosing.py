"""Choosing exactly k: at random, by IFD, by the checker; from a half of the candidates that each seed draws, so that
chance has a part in every choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gen.prove.controls import shuffled
from gen.prove.made import Made

Choice = Callable[[Sequence[Made], Mapping[str, float], int], Sequence[Made]]
"""(candidates in a random order, IFD by sample id, k) -> the chosen."""


def _ranked(found: Sequence[Made], ifd: Mapping[str, float]) -> list[Made]:
    """Those that have an IFD, the lowest first; ties by id."""
    return sorted((m for m in found if m.sample.id in ifd), key=lambda m: (ifd[m.sample.id], m.sample.id))


def _middle(found: Sequence[Made], ifd: Mapping[str, float], k: int) -> Sequence[Made]:
    ranked = _ranked(found, ifd)
    start = max(0, (len(ranked) - k) // 2)
    return ranked[start : start + k]


CHOICES: dict[str, Choice] = {
    "random": lambda found, ifd, k: found[:k],
    "highest IFD": lambda found, ifd, k: _ranked(found, ifd)[-k:],
    "middle IFD": _middle,
    "lowest IFD": lambda found, ifd, k: _ranked(found, ifd)[:k],
    "checker": lambda found, ifd, k: [m for m in found if m.right][:k],
}


def chosen(name: str, found: Sequence[Made], ifd: Mapping[str, float], k: int, seed: int) -> Sequence[Made]:
    """`k` samples, or as many as the half has."""
    half = shuffled(found, seed)[: max(k, len(found) // 2)]
    return CHOICES[name](half, ifd, k)
