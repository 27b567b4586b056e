"""Vectors that lie together, and an inverted file of them: those of the nearest clusters are compared, the others not
(IVF; Sivic and Zisserman 2003). Which clusters there are, who is in them and which are the nearest is the same on every
machine: centroids are rounded to float16, so that their products with vectors, and all sums, are exact in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

SAMPLES = 50
"""Vectors for each centroid by which it is found."""
LLOYD = 5
"""Rounds in which centroids move to the middle of their samples."""
PROBES = 16
"""Clusters that a vector is compared with. Of Alpaca's 52,002 tasks by all-MiniLM-L6-v2 all 1,690 are dropped that the
exact search drops at 0.9, with `exact_to` at 4,096 and at 20,000; of the first 20,000 at 0.7 5,454 of 5,473. With 8
probes a few more are missed, in an eighth less time. benchmarks/cosine.py counts the same on the first 10,000."""


@dataclass(slots=True)
class Vectors:
    """N vectors to be compared or added, as in a Block."""

    rows_ND: Any
    """In float64."""
    square_N: Any
    short_NE: Any
    margin: float
    """The most by which a bound may fall short of a cosine, and a little more."""

    def take(self, at: Any) -> Vectors:
        return Vectors(self.rows_ND[at], self.square_N[at], self.short_NE[at], self.margin)


@dataclass(slots=True)
class Block:
    """Admitted vectors. Only the first `used` rows are filled."""

    rows_MD: Any
    """In float16, as they came."""
    square_M: Any
    """Their squared lengths."""
    short_EM: Any
    """In float32, for bounds; see `SemanticIndex`. One vector is a column: products with it are faster so."""
    number_M: Any
    """In order of admission."""
    used: int = 0
    families: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def sized(cls, room: int, like: Vectors) -> Block:
        import numpy as np

        width, short = like.rows_ND.shape[1], like.short_NE.shape[1]
        rows_MD, short_EM = np.empty((room, width), "<f2"), np.empty((short, room), "f4")
        return cls(rows_MD, np.empty(room), short_EM, np.empty(room, "i8"))

    def add(self, new: Vectors, number_N: Any, families: Sequence[str]) -> None:
        if (end := self.used + len(families)) > len(self.square_M):
            self._grow(new, end + end // 8 + 8)
        at = slice(self.used, end)
        self.rows_MD[at], self.square_M[at], self.short_EM[:, at] = new.rows_ND, new.square_N, new.short_NE.T
        self.number_M[at] = number_N
        for m, family in enumerate(families, self.used):
            self.families.setdefault(family, []).append(m)
        self.used = end

    def _grow(self, like: Vectors, room: int) -> None:
        more, used = Block.sized(room, like), self.used
        for old, new in ((self.rows_MD, more.rows_MD), (self.square_M, more.square_M), (self.number_M, more.number_M)):
            new[:used] = old[:used]
        more.short_EM[:, :used] = self.short_EM[:, :used]
        self.rows_MD, self.square_M, self.short_EM = more.rows_MD, more.square_M, more.short_EM
        self.number_M = more.number_M


def gathered(blocks: Sequence[Block], start: int, end: int) -> tuple[Any, list[str]]:
    """The vectors (float16) from number `start` to `end`, which these blocks hold, in order of admission, and their
    families."""
    import numpy as np

    rows_ND, families = np.empty((end - start, blocks[0].rows_MD.shape[1]), "<f2"), [""] * (end - start)
    for block in blocks:
        at_M = block.number_M[: block.used] - start
        rows_ND[at_M] = block.rows_MD[: block.used]
        for family, own in block.families.items():
            for n in at_M[own].tolist():
                families[n] = family
    return rows_ND, families


@dataclass(slots=True)
class Clusters:
    centroid_KD: Any
    """In float64, with values of float16."""
    found_for: int
    """Vectors that there were when the centroids were found."""
    blocks: dict[int, Block] = field(default_factory=dict)
    """By the number of the centroid; none for those that are nobody's nearest."""
    count: int = 0
    """Vectors in them: the first that were admitted."""

    @classmethod
    def found(cls, rows_ND: Any) -> Clusters:
        """Centroids for vectors in float16, by k-means on an even sample; as many as the root of the number."""
        import numpy as np

        count, size = len(rows_ND), math.isqrt(len(rows_ND))
        samples = min(count, SAMPLES * size)
        row_SD = rows_ND[np.arange(samples) * count // samples]
        centroid_KD = row_SD[np.arange(size) * samples // size].astype("f8")
        for _ in range(LLOYD):
            centroid_KD = moved(centroid_KD, row_SD, nearest(centroid_KD, row_SD))
        return cls(centroid_KD, count)

    def add(self, new: Vectors, families: Sequence[str], own_N: Any, room_K: Any) -> None:
        """The next vectors in order of admission, with their nearest centroids; a new block gets this room."""
        import numpy as np

        order_N = np.argsort(own_N, kind="stable")
        for part in np.split(order_N, np.flatnonzero(np.diff(own_N[order_N])) + 1):
            k, some = int(own_N[part[0]]), new.take(part)
            block = self.blocks.get(k) or self.blocks.setdefault(k, Block.sized(int(room_K[k]), some))
            block.add(some, self.count + part, [families[n] for n in part.tolist()])
        self.count += len(families)

    def probed(self, rows_ND: Any) -> Iterator[tuple[Block, Any]]:
        """Blocks, and which of the vectors are to be compared with each; the nearest cluster of every one first,
        because it leaves little to compare in others. Clusters as near as the last are probed, too."""
        import numpy as np

        like_NK = rows_ND @ self.centroid_KD.T
        first_N, last = like_NK.argmax(1), max(like_NK.shape[1] - PROBES, 0)
        near_NK = like_NK >= np.partition(like_NK, last, axis=1)[:, last, None]
        near_NK[np.arange(len(rows_ND)), first_N] = False
        for k in np.unique(first_N).tolist():
            if block := self.blocks.get(k):
                yield block, np.flatnonzero(first_N == k)
        k_P, n_P = np.nonzero(near_NK.T)
        for part in np.split(np.arange(len(k_P)), np.flatnonzero(np.diff(k_P)) + 1):
            if len(part) and (block := self.blocks.get(int(k_P[part[0]]))):
                yield block, n_P[part]


def nearest(centroid_KD: Any, rows_ND: Any) -> Any:
    """The number of the nearest centroid of each vector, the first of equals: found in float32, and where that cannot
    tell two centroids apart in float64, where products of float16 and their sums are exact."""
    import numpy as np

    found, margin = [np.zeros(0, int)], 4 * (rows_ND.shape[1] + 8) * 2.0**-24
    for i in range(0, len(rows_ND), 4096):
        rows_BD = rows_ND[i : i + 4096]
        like_BK = rows_BD.astype("f4") @ centroid_KD.astype("f4").T
        own_B, most_B = like_BK.argmax(1), like_BK.max(1)
        (open_R,) = np.nonzero((like_BK >= most_B[:, None] - np.float32(margin)).sum(1) > 1)
        own_B[open_R] = (rows_BD[open_R].astype("f8") @ centroid_KD.T).argmax(1)
        found.append(own_B)
    return np.concatenate(found)


def moved(centroid_KD: Any, row_SD: Any, own_S: Any) -> Any:
    """Centroids in the middle of their vectors, of length 1, as values of float16; without vectors where they were.
    The mean is rounded before its length is measured, so that nothing depends on the order of a sum."""
    import numpy as np

    order_S = np.argsort(own_S, kind="stable")
    used_U, start_U, count_U = np.unique(own_S[order_S], return_index=True, return_counts=True)
    mean_UD = (np.add.reduceat(row_SD[order_S], start_U, dtype="f8") / count_U[:, None]).astype("<f2").astype("f8")
    length_U = np.sqrt(np.square(mean_UD).sum(1))
    some_U = length_U > 0
    moved_KD = centroid_KD.copy()
    moved_KD[used_U[some_U]] = (mean_UD[some_U] / length_U[some_U, None]).astype("<f2").astype("f8")
    return moved_KD
