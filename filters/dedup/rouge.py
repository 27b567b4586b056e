from __future__ import annotations

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
    """Admitted texts of one length, in order of admission."""

    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    orders: list[int] = field(default_factory=list)
    families: dict[str, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class RougeIndex:
    """Exact. Tokens become code points, so a text is a string and LCS a bit-parallel string function;
    holds up to 1.1 million distinct tokens."""

    params: Rouge
    buckets: dict[int, Bucket] = field(default_factory=dict)
    alphabet: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def judge(self, sample: Sample) -> Verdict:
        value, nearest = self._nearest(sample)
        limit = self.params.threshold
        near = value >= limit if self.params.strict else value > limit
        return Verdict(not near, "near_duplicate" if near else "", "rouge", value, nearest)

    def admit(self, sample: Sample) -> None:
        tokens = self._tokens(sample)
        for token in tokens:
            self.alphabet.setdefault(token, chr(len(self.alphabet) + 1))
        bucket = self.buckets.setdefault(len(tokens), Bucket())
        bucket.families.setdefault(sample.lineage.root, []).append(len(bucket.texts))
        bucket.texts.append(self._encode(tokens))
        bucket.ids.append(sample.id)
        bucket.orders.append(self.size)
        self.size += 1

    def _nearest(self, sample: Sample) -> tuple[float, str | None]:
        tokens = self._tokens(sample)
        text, n = self._encode(tokens), len(tokens)
        best, order, nearest = 0.0, 0, None
        lengths = sorted((m for m in self.buckets if m and n), key=lambda m: -fmeasure(min(m, n), m, n))
        for m in lengths:
            if fmeasure(min(m, n), m, n) < best:
                break
            bucket = self.buckets[m]
            lcs, at = longest(text, bucket, sample.lineage.root, least_lcs(best, m, n))
            found = fmeasure(lcs, m, n)
            if found > best or (found == best > 0 and bucket.orders[at] < order):
                best, order, nearest = found, bucket.orders[at], bucket.ids[at]
        return best, nearest

    def _tokens(self, sample: Sample) -> list[str]:
        text = sample.prompt if self.params.column == "prompt" else sample.instruction
        return rouge_tokens(text, self.params.tokens)

    def _encode(self, tokens: list[str]) -> str:
        return "".join(self.alphabet.get(token, "\0") for token in tokens)


def longest(text: str, bucket: Bucket, root: str, cutoff: int) -> tuple[int, int]:
    """The longest common subsequence with a text of another family, and the first place that has it;
    0 if all are below `cutoff`."""
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cdist

    [lcs_M] = cdist([text], bucket.texts, scorer=LCSseq.similarity, score_cutoff=cutoff)
    if own := bucket.families.get(root):
        lcs_M[own] = 0
    at = int(lcs_M.argmax())
    return int(lcs_M[at]), at


def least_lcs(f: float, m: int, n: int) -> int:
    """A lower bound, safe against rounding, of the common length that reaches F = `f`."""
    return max(1, int(f * (m + n) / 2 - 1e-6))


def fmeasure(lcs: int, m: int, n: int) -> float:
    """ROUGE-L's F of two texts of `m` and `n` tokens, operation by operation as rouge-score 0.1.2 has it;
    the order of the two changes no bit."""
    precision, recall = lcs / n, lcs / m
    return 2 * precision * recall / (precision + recall) if lcs else 0.0
