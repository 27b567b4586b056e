from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import repeat
from typing import Annotated, Any, Literal

from msgspec import Meta

from gen.catalog import component
from gen.core import Sample, Verdict
from gen.text import rouge_tokens

MANY = 16
"""Texts that may be listed under one n-gram before it counts as common; four times as many for each time it did."""
WORDS = 1 << 18
"""Words whose hashes are remembered."""
BASE = 0x9E3779B97F4A7C17
"""Of the polynomial that hashes an n-gram: odd, so that powers of it can be divided by, and BASE - 1 is twice an odd
number, so that the order of two words tells in 63 bits."""
SLACK = 1e-6
"""More than what floats can be off, and less than one n-gram."""


@component("jaccard", source="arXiv 2107.06499, section 4.2, with exact similarities in place of MinHash estimates")
@dataclass(frozen=True, slots=True)
class Jaccard:
    """Near-duplicates of long texts: drops what shares too large a part of its word n-grams with a sample of another
    family. The value is the exact Jaccard similarity with the nearest of those at or above the threshold, `nearest`
    the first that reaches it; what is kept has no value. A text of fewer words than `n` is one n-gram."""

    threshold: Annotated[float, Meta(gt=0, le=1)] = 0.7
    """drop when as many of all n-grams of the two are in both, or more"""
    # The custom of NearDup (the source), RefinedWeb and datatrove. A changed word costs n on either side, so that of a
    # text of 100 words about 3 may be others at 0.7, and 5 with n = 3: texts that short are better left to `rouge`.
    n: Annotated[int, Meta(ge=1, le=100)] = 5
    """words in a row; a CJK character is a word"""
    column: Literal["all", "prompt", "response"] = "all"
    """what is compared: earlier turns, task and answer as one text, or one side of it"""

    def open(self) -> JaccardIndex:
        return JaccardIndex(self)

    def compared(self, sample: Sample) -> str:
        """What is compared."""
        if self.column == "response":
            return sample.response or ""
        asked = [*(turn.content for turn in sample.turns), sample.prompt]
        return "\n".join([*asked, sample.response or ""] if self.column == "all" else asked)


class Words(dict[str, int]):
    """64-bit hashes of words, made when first asked for, of each word alone: it matters not which came before."""

    def __missing__(self, word: str) -> int:
        if len(self) >= WORDS:
            self.clear()
        self[word] = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        return self[word]


@dataclass(slots=True)
class JaccardIndex:
    """Exact, by the prefix filter (Chaudhuri, Ganti, Kaushik 2006): put the n-grams of all sets in one order; if two
    sets x and y are as like as t, the first |x| - ceil(t |x|) + 1 of x and as many of y have one in common. Only these
    are listed, and whoever is listed under one of them is compared as a whole. The order is that of the hashes, but
    what many texts have comes last: an n-gram whose list grows too long is moved back, and the texts of its list go to
    the next n-gram of theirs, so that lists stay short whatever the texts repeat. n-grams are compared by 64-bit
    hashes."""

    params: Jaccard
    words: Words = field(default_factory=Words)
    sets: list[bytes] = field(default_factory=list)
    """Of each admitted text its hashes, sorted."""
    sizes: array[int] = field(default_factory=lambda: array("i"))
    roots: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    lists: dict[int, int | list[int]] = field(default_factory=dict)
    """Of an n-gram the texts that have it among their first: one number, or several."""
    moved: dict[int, int] = field(default_factory=dict)
    """How often a common n-gram was moved back."""
    last: tuple[Sample, Any] | None = None
    """The sample hashed last: what is judged is often admitted next."""

    def judge(self, sample: Sample) -> Verdict:
        own_S = self._hashes(sample)
        found = self._candidates(own_S, sample.lineage.root)
        best, number = self._nearest(own_S, found) if found else (0.0, 0)
        if best < self.params.threshold:
            return Verdict(True, by="jaccard")
        return Verdict(False, "near_duplicate", "jaccard", best, self.ids[number])

    def admit(self, sample: Sample) -> None:
        own_S, number = self._hashes(sample), len(self.ids)
        if not len(own_S):
            return
        self.sets.append(own_S.tobytes())
        self.sizes.append(len(own_S))
        self.roots.append(sample.lineage.root)
        self.ids.append(sample.id)
        crowded = self._list(zip(self._first(own_S), repeat(number)))
        while crowded:
            crowded += self._list(self._move_back(crowded.pop()))

    def _list(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """Put texts under n-grams; those under which there are too many now."""
        crowded, lists = [], self.lists
        for gram, number in pairs:
            found = lists.setdefault(gram, number)
            if isinstance(found, list):
                found.append(number)
                if len(found) > MANY << 2 * self.moved.get(gram, 0):
                    crowded.append(gram)
            elif found != number:
                lists[gram] = [found, number]
        return crowded

    def _move_back(self, gram: int) -> Iterator[tuple[int, int]]:
        """Take an n-gram for more common than before. Under which n-gram each text of its list is found instead: the
        next in the order, or the same where it is still among the first."""
        import numpy as np

        numbers = self.lists.get(gram)
        if isinstance(numbers, list) and len(numbers) > MANY << 2 * self.moved.get(gram, 0):
            del self.lists[gram]
            self.moved[gram] = self.moved.get(gram, 0) + 1
            for number in numbers:
                first = self._first(np.frombuffer(self.sets[number], np.uint64))
                yield (gram if gram in first else first[-1]), number

    def _first(self, own_S: Any) -> list[int]:
        """The n-grams by which a set is found: the first in the order, so many that no set is like it without one."""
        size = len(own_S) - math.ceil(self.params.threshold * len(own_S) - SLACK) + 1
        first: list[int] = own_S[:size].tolist()
        if self.moved.keys().isdisjoint(first):
            return first
        grams, moved = own_S.tolist(), self.moved
        rare = [gram for gram in grams if gram not in moved]
        if len(rare) < size:
            rare += sorted((gram for gram in grams if gram in moved), key=lambda gram: (moved[gram], gram))
        return rare[:size]

    def _candidates(self, own_S: Any, family: str) -> list[int]:
        """The texts of other families that may be as like as the threshold, in order of admission."""
        size, sizes, lists = len(own_S), self.sizes, self.lists
        before: dict[int, int] = {}
        """Of each text found: how many n-grams of the own set come before the first shared one."""
        for at, gram in enumerate(self._first(own_S) if size else ()):
            if (found := lists.get(gram)) is not None:
                for number in found if isinstance(found, list) else (found,):
                    before.setdefault(number, at)
        # like t at least: shared / (|x| + |y| - shared) >= t
        share = self.params.threshold / (1 + self.params.threshold)
        near = [n for n, at in before.items() if min(size - at, sizes[n]) >= share * (size + sizes[n]) - SLACK]
        return sorted(number for number in near if self.roots[number] != family)

    def _nearest(self, own_S: Any, numbers: list[int]) -> tuple[float, int]:
        """The largest similarity of a set with those of these texts, and the first text that reaches it."""
        import numpy as np

        theirs_T = np.frombuffer(b"".join([self.sets[number] for number in numbers]), np.uint64)
        size_N = np.array([self.sizes[number] for number in numbers])
        at_T = np.searchsorted(own_S, theirs_T)
        at_T[at_T == len(own_S)] = 0
        shared_N = np.add.reduceat(own_S[at_T] == theirs_T, np.cumsum(size_N) - size_N, dtype=np.int64)
        like_N = shared_N / (len(own_S) + size_N - shared_N)
        best = int(like_N.argmax())
        return float(like_N[best]), numbers[best]

    def _hashes(self, sample: Sample) -> Any:
        """The distinct n-grams of a sample as sorted numbers: of the words w_i to w_i+n-1 the sum of hash(w_i+k) BASE^k
        modulo 2^64, from running sums of hash(w_i) BASE^i."""
        import numpy as np

        if self.last and self.last[0] is sample:
            return self.last[1]
        words = rouge_tokens(self.params.compared(sample))
        n, size = min(self.params.n, len(words)), len(words)
        power_W, inverse_W = _powers(size.bit_length())
        sum_W = np.fromiter(map(self.words.__getitem__, words), np.uint64, size)
        sum_W *= power_W[:size]
        sum_W = sum_W.cumsum()
        hash_S = sum_W[max(n - 1, 0) :].copy()
        if len(hash_S) > 1:
            hash_S[1:] -= sum_W[:-n]
            hash_S *= inverse_W[: len(hash_S)]
            hash_S.sort()
            new_S = hash_S[1:] != hash_S[:-1]
            if np.count_nonzero(new_S) < len(new_S):
                hash_S = np.concatenate([hash_S[:1], hash_S[1:][new_S]])
        self.last = sample, hash_S
        return hash_S


@cache
def _powers(bits: int) -> tuple[Any, Any]:
    """The first 2^bits powers of BASE and of its inverse, modulo 2^64."""
    import numpy as np

    factors = [np.full(1 << bits, base, np.uint64) for base in (BASE, pow(BASE, -1, 1 << 64))]
    for factor_W in factors:
        factor_W[0] = 1
    return factors[0].cumprod(), factors[1].cumprod()
