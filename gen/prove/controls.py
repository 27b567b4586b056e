"""What chance would have kept: as many samples, or as many of each length."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from gen.core import digest
from gen.prove.made import Made

BINS = (1, 2, 3, 4, 5, 7, 9, 13)
"""Bin b holds responses of BINS[b] words up to one fewer than BINS[b + 1]; the last has no end. 0 words: the first."""


def bin_of(words: int) -> int:
    return max(0, bisect_right(BINS, words) - 1)


def shuffled(found: Sequence[Made], seed: int, order: str = "order") -> list[Made]:
    """In the order of this seed: a task has one place among all tasks, whatever others are there and whatever its
    answer is, so that the same tasks come first before an answer is mended and after."""

    def place(one: Made) -> tuple[str, str]:
        sample = one.sample
        return digest(order, seed, sample.lineage.root, sample.instruction, sample.input), sample.id

    return sorted(found, key=place)


def random_drop(found: Sequence[Made], count: int, seed: int) -> list[Made]:
    return shuffled(found, seed)[:count]


def matched(found: Sequence[Made], kept: Sequence[Made], seed: int) -> list[Made]:
    """As many of each length bin as `kept`, which are some of `found`, has. In an order of its own: by that of lessons,
    the first k would be drawn before any bin is full, and be no match."""
    room, drawn = Counter(bin_of(m.words) for m in kept), list[Made]()
    for one in shuffled(found, seed, "matched"):
        if room[bin_of(one.words)]:
            room[bin_of(one.words)] -= 1
            drawn.append(one)
    return drawn
