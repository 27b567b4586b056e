from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from filters.dedup._clusters import PROBES, Block, Clusters, Vectors, gathered, nearest
from gen.catalog import component
from gen.core import Sample, Vector, Verdict

log = logging.getLogger("gen.filters.semantic")
BLOCK = 4096
"""Admitted vectors by which memory grows, and that are compared in one product."""
COMING = 256
"""Expected vectors that are compared in one product: 4 MiB of similarities with a block."""
ENERGY = 0.9
"""The part of the squared lengths that the leading directions hold. A vector's bounds take that many numbers: 193 for
384 of all-MiniLM-L6-v2 on Alpaca. More cost longer products, fewer leave more pairs to be compared as a whole."""


@component("semantic", source="arXiv 2303.09540 (SemDeDup), compared with all instead of within clusters")
@dataclass(frozen=True, slots=True)
class Semantic:
    """Semantic novelty: drops what means nearly the same as a sample of another family. The value is the largest
    cosine similarity over all that was admitted, to six decimals, and `nearest` the first that reaches it. A sample
    without a vector (nothing to embed, or a script that the encoder does not know) is not compared."""

    # 0.9 is what others use (Deita, arXiv 2312.15685; semhash). With all-MiniLM-L6-v2 it drops 1.4 % of 20,000 rows of
    # Alpaca: of 60 pairs drawn from these, 53 asked the same. Of paraphrases written for it, it found 16 of 30.
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.9
    """drop when the cosine similarity is larger"""
    column: Literal["prompt", "instruction", "response"] = "prompt"
    """what is compared: the instruction with its input and earlier turns, the instruction alone, the response"""

    exact_to: Annotated[int, Meta(ge=0)] = field(default=200_000, metadata={"later": True})
    """compare with all up to so many kept samples; beyond, with the latest and the nearest clusters of them (0: all)"""

    def text(self, sample: Sample) -> str:
        if self.column != "prompt":
            return getattr(sample, self.column) or ""
        # the latest first, because an encoder cuts off the end
        return "\n\n".join([sample.prompt, *(turn.content for turn in reversed(sample.turns))])

    def caveat(self, kept: int) -> str:
        """What the readers of so many kept samples should know; mostly nothing."""
        if not 0 < self.exact_to < kept:
            return ""
        return f"compared with all up to {self.exact_to:,} kept samples, then with the latest and the nearest clusters"

    def open(self) -> SemanticIndex:
        return SemanticIndex(self)


class Best(NamedTuple):
    """The larger is the nearer, then the earlier."""

    cosine: float
    number: int
    """Minus the number of the vector in order of admission."""


class Known(NamedTuple):
    """A family's vector that is expected."""

    best: Best
    """The nearest among the first `seen` admitted."""
    seen: int
    vectors: Vectors
    at: int
    """Its row in `vectors`."""


NONE = Best(-2.0, 0)
OWN = -3.0
"""Stands for the cosine with the own family."""


@dataclass(slots=True)
class SemanticIndex:
    """Exact, and cheaper than all products. Split each vector into its part Px in the leading directions of what was
    admitted, and the rest, of length r(x): then x y <= Px Py + r(x) r(y), whatever the directions are, and one product
    of the short rows [Px, r(x)] gives that bound for all pairs. Only pairs whose bound reaches the largest cosine found
    so far are compared as a whole, in float64, where no order of summation can matter: products of two float16 up to 1
    are multiples of 2^-48, and so are their sums, which stay below 2^5. The directions are found anew each time that
    the number of blocks has doubled; no verdict depends on them, nor on how the work is cut into products.

    Beyond `exact_to`, full blocks go into clusters, which are found anew each time that there are twice as many.
    What is dropped is near then, too; of what is near, a little is kept. A verdict depends on what was admitted and in
    which order, and on nothing else, all the same."""

    params: Semantic
    ids: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    """Those that are not in `clusters`."""
    clusters: Clusters | None = None
    expected: dict[tuple[str, Vector], Known] = field(default_factory=dict)
    basis_DE: Any = None
    """The leading directions; None: all numbers as they are, and nothing is left over."""
    width: int = 0
    """Bytes of a vector."""
    off: float = 0.0
    """The most that the length of an admitted vector is off from 1."""

    def judge(self, sample: Sample, vector: Vector) -> Verdict:
        if not vector:
            return Verdict(True, by="semantic", note="no vector to compare")
        family = sample.lineage.root
        known = self.expected.get((family, vector))
        if known:
            best = self._later(known, family)
        else:
            [best] = self._nearest(self._vectors([vector]), [family])
        if best == NONE:
            return Verdict(True, by="semantic")
        value = round(best.cosine, 6) + 0.0
        near = value > self.params.threshold
        return Verdict(not near, "near_duplicate" if near else "", "semantic", value, self.ids[-best.number])

    def admit(self, sample: Sample, vector: Vector) -> None:
        if not vector:
            return
        known = self.expected.get((sample.lineage.root, vector))
        new = known.vectors.take(slice(known.at, known.at + 1)) if known else self._vectors([vector])
        if len(self.ids) % BLOCK == 0:
            self.blocks.append(Block.sized(BLOCK, new))
        self.blocks[-1].add(new, len(self.ids), [sample.lineage.root])
        self.off = max(self.off, abs(float(new.square_N[0]) ** 0.5 - 1))
        self.width = len(vector)
        self.ids.append(sample.id)
        if len(self.ids) % BLOCK == 0:
            self._full()

    def expect(self, coming: Sequence[tuple[Sample, Vector]]) -> None:
        keys = list({(sample.lineage.root, vector): None for sample, vector in coming if vector})
        self.expected = {}
        for i in range(0, len(keys), COMING):
            part = keys[i : i + COMING]
            vectors = self._vectors([vector for _, vector in part])
            found = self._nearest(vectors, [family for family, _ in part])
            seen = len(self.ids)
            self.expected |= {
                k: Known(best, seen, vectors, n) for n, (k, best) in enumerate(zip(part, found, strict=True))
            }

    def _later(self, known: Known, family: str) -> Best:
        """The nearest of an expected vector, those included that were admitted since."""
        new = known.vectors.take(slice(known.at, known.at + 1))
        first, block = known.seen % BLOCK, self.blocks[-1] if self.blocks else None
        if block and known.seen == len(self.ids) - block.used + first and first < block.used:
            # mostly there is none that matters, and that is seen at once
            bound_M = new.short_NE[0] @ block.short_EM[:, first : block.used]
            if family not in block.families and bound_M.max() < known.best.cosine - self._margin(new):
                return known.best
        [best] = self._nearest(new, [family], known.seen, [known.best])
        return best

    def _margin(self, new: Vectors) -> float:
        return 2 * ((1 + new.margin) * (1 + self.off) - 1)

    def _nearest(
        self, new: Vectors, families: Sequence[str], start: int = 0, known: Sequence[Best] | None = None
    ) -> list[Best]:
        """Of each vector: the nearest among those admitted from number `start` on, and those known."""
        best = list(known or [NONE] * len(families))
        for block, n_Q, first in self._faced(new, start):
            self._search(new, families, block, n_Q, first, best)
        return best

    def _faced(self, new: Vectors, start: int) -> Iterator[tuple[Block, Any, int]]:
        """Blocks, which vectors are to be compared with them, and from which row on."""
        import numpy as np

        clustered = self.clusters.count if self.clusters else 0
        if self.clusters and start < clustered:
            yield from ((block, n_Q, 0) for block, n_Q in self.clusters.probed(new.rows_ND))
        all_N = np.arange(len(new.rows_ND))
        for b in range(max(start - clustered, 0) // BLOCK, len(self.blocks)):
            yield self.blocks[b], all_N, max(start - clustered - b * BLOCK, 0)

    def _search(
        self, new: Vectors, families: Sequence[str], block: Block, n_Q: Any, first: int, best: list[Best]
    ) -> None:
        """Put into `best` what the rows of a block from `first` on improve, for the vectors `n_Q`."""
        import numpy as np

        bound_QM = new.short_NE[n_Q] @ block.short_EM[:, first : block.used]
        for bound_M, n in zip(bound_QM, n_Q.tolist(), strict=True):
            if own := block.families.get(families[n]):
                bound_M[[at - first for at in own if at >= first]] = OWN
        margin = self._margin(new)
        (row_R,) = np.nonzero(bound_QM.max(1, initial=OWN) >= _cosines(best, n_Q) - margin)
        if not len(row_R):
            return
        # the pair of the largest bound first: it leaves few others
        self._compare(new, block, n_Q[row_R], bound_QM[row_R].argmax(1) + first, best)
        cut_R = _cosines(best, n_Q[row_R]) - margin
        r_P, m_P = np.divmod(np.flatnonzero(bound_QM[row_R] >= cut_R[:, None]), bound_QM.shape[1])
        n_P = n_Q[row_R[r_P]]
        for i in range(0, len(n_P), BLOCK):
            self._compare(new, block, n_P[i : i + BLOCK], m_P[i : i + BLOCK] + first, best)

    def _compare(self, new: Vectors, block: Block, n_P: Any, m_P: Any, best: list[Best]) -> None:
        """Put into `best` what the cosines of pairs (vector, row of a block) improve."""
        import numpy as np

        y_PD = block.rows_MD[m_P].astype("f8")
        cosine_P = np.einsum("pd,pd->p", new.rows_ND[n_P], y_PD) / np.sqrt(new.square_N[n_P] * block.square_M[m_P])
        (good_G,) = np.nonzero(cosine_P >= _cosines(best, n_P, "f8"))
        found = (n_P, -block.number_M[m_P], cosine_P)
        for n, number, cosine in zip(*(of_P[good_G].tolist() for of_P in found), strict=True):
            best[n] = max(best[n], Best(cosine, number))

    def _full(self) -> None:
        """The latest block is full: it goes into clusters, where there are any; now and then all is ordered anew."""
        count, clusters = len(self.ids), self.clusters
        if clusters and count < 2 * clusters.found_for:
            self._file(*gathered(self.blocks, clusters.count, count))
        elif clusters or 0 < self.params.exact_to <= count:
            rows_ND, families = gathered([*(clusters.blocks.values() if clusters else ()), *self.blocks], 0, count)
            self.clusters, clusters, self.blocks = None, None, []  # so much less to hold at once
            self._turn(rows_ND[:: count // BLOCK])
            self.clusters = Clusters.found(rows_ND)
            self._file(rows_ND, families)
            shape = f"{PROBES} of {len(self.clusters.centroid_KD):,}"
            log.info("%s kept: new ones are compared with the latest and those of %s clusters", f"{count:,}", shape)
        elif len(self.blocks).bit_count() == 1:
            self._turn(gathered(self.blocks, 0, count)[0][:: len(self.blocks)])
            for block in self.blocks:
                block.short_EM = self._short(block.rows_MD.astype("f8"), block.square_M).T.copy()

    def _file(self, rows_ND: Any, families: Sequence[str]) -> None:
        """Put the next vectors into clusters. What is expected has seen other blocks than there are now."""
        import numpy as np

        assert self.clusters
        own_N = nearest(self.clusters.centroid_KD, rows_ND)
        room_K = np.bincount(own_N)
        for i in range(0, len(rows_ND), BLOCK):
            part = slice(i, i + BLOCK)
            rows_BD = rows_ND[part].astype("f8")
            square_B = np.square(rows_BD).sum(1)
            some = Vectors(rows_BD, square_B, self._short(rows_BD, square_B), 0)
            self.clusters.add(some, families[part], own_N[part], room_K)
        self.blocks, self.expected = [], {}

    def _turn(self, rows_SD: Any) -> None:
        """Find the leading directions of vectors. What is expected has short rows along others."""
        import numpy as np

        energy_D, direction_DD = np.linalg.eigh(rows_SD.astype("f8").T @ rows_SD.astype("f8"))
        part_D = np.cumsum(energy_D[::-1]) / energy_D.sum()
        leading = int(np.searchsorted(part_D, ENERGY)) + 1
        self.basis_DE = np.ascontiguousarray(direction_DD[:, ::-1][:, :leading])  # else copied for every product
        self.expected = {}

    def _short(self, rows_ND: Any, square_N: Any) -> Any:
        import numpy as np

        if self.basis_DE is None:
            return rows_ND.astype("f4")
        led_NE = rows_ND @ self.basis_DE
        rest_N = np.sqrt(np.maximum(square_N - np.square(led_NE).sum(1), 0))
        return np.concatenate([led_NE, rest_N[:, None]], 1, dtype="f4")

    def _vectors(self, vectors: Sequence[Vector]) -> Vectors:
        """Raises ValueError for what cannot be compared with what was admitted."""
        import numpy as np

        width = self.width or len(vectors[0])
        if wrong := next((v for v in vectors if len(v) != width), None):
            raise ValueError(f"a vector of {len(wrong)} bytes among vectors of {width}; expected one encoder for all")
        rows_ND = np.frombuffer(b"".join(vectors), "<f2").reshape(len(vectors), -1).astype("f8")
        square_N = np.square(rows_ND).sum(1)
        off = float(abs(square_N**0.5 - 1).max())
        if not off < 0.05:
            raise ValueError("a vector whose length is not 1; expected unit vectors in float16")
        # A bound is less than a cosine by no more than D roundings of float32, in whatever order it is summed, and by
        # what the two lengths are off from 1; rounding to float16 leaves them near, not at it.
        rounding = max(1e-5, (rows_ND.shape[1] + 8) * 2.0**-24)
        return Vectors(rows_ND, square_N, self._short(rows_ND, square_N), (1 + rounding) * (1 + off) - 1)


def _cosines(best: Sequence[Best], n_Q: Any, type: str = "f4") -> Any:
    import numpy as np

    return np.array([best[n].cosine for n in n_Q.tolist()], type)
