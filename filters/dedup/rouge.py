from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from filters.dedup._inverted import Inverted
from gen.catalog import component
from gen.core import Sample, Verdict
from gen.text import rouge_tokens

SLACK = 1e-9
"""More than what floats can be off."""


@component("rouge", source="arXiv 2212.10560, section 2.2 (filtering)")
@dataclass(frozen=True, slots=True)
class Rouge:
    """ROUGE-L novelty: drops what is too like a sample of another family. The value is the largest F over
    all that was admitted, in rouge-score's own arithmetic; `nearest` is the first that reaches it."""

    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """drop when F is larger"""
    strict: bool = False
    """drop at the threshold too, as in the paper"""
    column: Literal["instruction", "prompt"] = "instruction"
    """what is compared: the instruction alone, or with its input"""
    tokens: Literal["unicode", "ascii"] = "unicode"
    """words of every script (CJK by character), or rouge-score's own a-z and 0-9"""

    def open(self) -> RougeIndex:
        return RougeIndex(self)


@dataclass(slots=True)
class RougeIndex:
    """Exact, by best-first search. An LCS is no longer than the tokens that two texts share, repetitions numbered; an
    inverted index counts those for all that was admitted, and only texts whose bound reaches the best F so far are
    compared. Tokens become code points, so that a text is a string and LCS a bit-parallel string function; a text with
    a token beyond the last code point is a list of numbers, which compares alike but slower."""

    params: Rouge
    alphabet: dict[str, int] = field(default_factory=dict)
    texts: list[str | list[int]] = field(default_factory=list)
    lengths: array[int] = field(default_factory=lambda: array("i"))
    tokens: Inverted = field(default_factory=Inverted)
    """The texts that have the k-th occurrence of a token."""
    families: dict[str, list[int]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def judge(self, sample: Sample) -> Verdict:
        text = self._encode(sample)
        best, number = self._nearest(text, self.families.get(sample.lineage.root, [])) if text else (0.0, 0)
        near = best > self.params.threshold or (self.params.strict and best == self.params.threshold)
        nearest = self.ids[number] if best else None
        return Verdict(not near, "near_duplicate" if near else "", "rouge", best, nearest)

    def admit(self, sample: Sample) -> None:
        if text := self._encode(sample):
            number = self.tokens.add(_occurrences(text))
            self.families.setdefault(sample.lineage.root, []).append(number)
            self.texts.append(text)
            self.lengths.append(len(text))
            self.ids.append(sample.id)

    def _nearest(self, text: str | list[int], family: list[int]) -> tuple[float, int]:
        """The largest F over all texts but those of the family, and the first text that reaches it."""
        import numpy as np

        shared_N = self.tokens.shared(_occurrences(text))
        shared_N[family] = 0
        most = int(shared_N.max(initial=0))
        if not most:
            return 0.0, 0
        least = max(1, most - 1)
        best = self._best_first(text, np.flatnonzero(shared_N >= least), shared_N, (0.0, 0))
        # whoever shares s tokens has at most F = 2 s / (n + s)
        needed = max(1, math.ceil(best[0] * len(text) / (2 - best[0]) - SLACK))
        if needed >= least:
            return best
        return self._best_first(text, np.flatnonzero(shared_N >= needed), shared_N, best)

    def _best_first(
        self, text: str | list[int], found_C: Any, shared_N: Any, best: tuple[float, int]
    ) -> tuple[float, int]:
        """The largest F among the texts found and the best before, highest bounds first, until no bound reaches it."""
        import numpy as np
        from rapidfuzz.distance import LCSseq
        from rapidfuzz.process import cdist

        total_C = np.frombuffer(self.lengths, np.int32)[found_C] + len(text)
        bound_C = 2.0 * shared_N[found_C] / total_C
        size = 16
        while True:
            left_C = bound_C >= best[0] - SLACK
            found_C, bound_C, total_C, size = found_C[left_C], bound_C[left_C], total_C[left_C], 4 * size
            if not len(found_C):
                return best
            first_K = np.argpartition(-bound_C, size)[:size] if len(found_C) > size else np.arange(len(found_C))
            bound_C[first_K] = -1
            cutoff = max(0, int(best[0] * total_C[first_K].min() / 2 - 1e-6))
            texts = [self.texts[n] for n in found_C[first_K].tolist()]
            [lcs_K] = cdist([text], texts, scorer=LCSseq.similarity, score_cutoff=cutoff)
            f_K = 2 * lcs_K / total_C[first_K]
            for k in np.flatnonzero(f_K >= max(best[0], f_K.max()) - SLACK).tolist():
                at = int(found_C[first_K[k]])
                f = fmeasure(int(lcs_K[k]), self.lengths[at], len(text))
                best = min(best, (f, at), key=lambda one: (-one[0], one[1]))

    def _encode(self, sample: Sample) -> str | list[int]:
        tokens = rouge_tokens(getattr(sample, self.params.column), self.params.tokens)
        numbers = [self.alphabet.setdefault(token, len(self.alphabet)) for token in tokens]
        return numbers if max(numbers, default=0) > sys.maxunicode else "".join(map(chr, numbers))


def _occurrences(text: str | list[int]) -> Iterator[tuple[int, int]]:
    """Each token with the number of times that it came before."""
    seen: Counter[int] = Counter()
    for token in map(ord, text) if isinstance(text, str) else text:
        yield token, seen[token]
        seen[token] += 1


def fmeasure(lcs: int, m: int, n: int) -> float:
    """ROUGE-L's F of two texts of `m` and `n` tokens, operation by operation as rouge-score 0.1.2 has it;
    the order of the two changes no bit."""
    precision, recall = lcs / n, lcs / m
    return 2 * precision * recall / (precision + recall) if lcs else 0.0
