from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from gen.catalog import component
from gen.core import Sample, Verdict
from gen.text import rouge_tokens


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
class Bucket:
    """Admitted texts of one length, each with its number in order of admission."""

    texts: list[str | list[int]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    families: dict[str, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class RougeIndex:
    """Exact. Tokens become code points, so that a text is a string and LCS a bit-parallel string function;
    a text with a token beyond the last code point is a list of numbers, which compares alike but slower."""

    params: Rouge
    buckets: dict[int, Bucket] = field(default_factory=dict)
    alphabet: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def judge(self, sample: Sample) -> Verdict:
        from rapidfuzz.distance import LCSseq
        from rapidfuzz.process import cdist

        text = self._encode(sample)
        n, best = len(text), (0.0, 0)
        bounds = sorted(((fmeasure(min(m, n), m, n), m) for m in self.buckets if n), reverse=True)
        for bound, m in bounds:
            if bound < best[0]:
                break
            bucket, cutoff = self.buckets[m], int(best[0] * (m + n) / 2 - 1e-6)
            [lcs_M] = cdist([text], bucket.texts, scorer=LCSseq.similarity, score_cutoff=cutoff)
            lcs_M[bucket.families.get(sample.lineage.root, [])] = 0
            at = int(lcs_M.argmax())
            best = max(best, (fmeasure(int(lcs_M[at]), m, n), -bucket.numbers[at]))
        near = best[0] > self.params.threshold or (self.params.strict and best[0] == self.params.threshold)
        nearest = self.ids[-best[1]] if best[0] else None
        return Verdict(not near, "near_duplicate" if near else "", "rouge", best[0], nearest)

    def admit(self, sample: Sample) -> None:
        if text := self._encode(sample):
            bucket = self.buckets.setdefault(len(text), Bucket())
            bucket.families.setdefault(sample.lineage.root, []).append(len(bucket.texts))
            bucket.texts.append(text)
            bucket.numbers.append(len(self.ids))
            self.ids.append(sample.id)

    def _encode(self, sample: Sample) -> str | list[int]:
        tokens = rouge_tokens(getattr(sample, self.params.column), self.params.tokens)
        numbers = [self.alphabet.setdefault(token, len(self.alphabet)) for token in tokens]
        return numbers if max(numbers, default=0) > sys.maxunicode else "".join(map(chr, numbers))


def fmeasure(lcs: int, m: int, n: int) -> float:
    """ROUGE-L's F of two texts of `m` and `n` tokens, operation by operation as rouge-score 0.1.2 has it;
    the order of the two changes no bit."""
    precision, recall = lcs / n, lcs / m
    return 2 * precision * recall / (precision + recall) if lcs else 0.0
