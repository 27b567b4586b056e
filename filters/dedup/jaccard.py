from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import filterfalse, islice, pairwise, repeat
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from filters.dedup._grams import sorted_grams
from gen.catalog import component
from gen.core import Sample, Verdict
from gen.text import spaced_tokens

MANY = 16
"""Texts that may be listed under one n-gram before it counts as common; four times as many for each time it did."""
PART = 1 << 18
"""Bytes of expected texts that are hashed in one go; a text is never divided."""
SLACK = 1e-6
"""More than what floats can be off, and less than one n-gram."""
KEPT = Verdict(True, by="jaccard")


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


class Grams(NamedTuple):
    """The n-grams of a sample."""

    sample: Sample
    all: bytes
    """Their hashes, distinct, sorted, of 8 bytes each."""
    first: list[int]
    """The first of them: as many as find it, if none is common."""


@dataclass(slots=True)
class JaccardIndex:
    """Exact, by the prefix filter (Chaudhuri, Ganti, Kaushik 2006): put the n-grams of all sets in one order; if two
    sets x and y are as like as t, the first |x| - ceil(t |x|) + 1 of x and as many of y have one in common. Only these
    are listed, and whoever is listed under one of them is compared as a whole. The order is that of the hashes, but
    what many texts have comes last: an n-gram whose list grows too long is moved back, and the texts of its list go to
    the next n-gram of theirs, so that lists stay short whatever the texts repeat. n-grams are compared by 60-bit
    hashes."""

    params: Jaccard
    sets: list[bytes] = field(default_factory=list)
    """Of each admitted text its hashes, sorted."""
    sizes: array[int] = field(default_factory=lambda: array("i"))
    roots: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    lists: dict[int, int | list[int]] = field(default_factory=dict)
    """Of an n-gram the texts that have it among their first: one number, or several."""
    moved: dict[int, int] = field(default_factory=dict)
    """How often a common n-gram was moved back."""
    expected: dict[str, Grams] = field(default_factory=dict)
    """By id of the sample, what is hashed already; what is judged is often admitted next."""

    def judge(self, sample: Sample) -> Verdict:
        own = self._grams(sample)
        found = self._candidates(own, sample.lineage.root)
        best, number = self._nearest(own.all, found) if found else (0.0, 0)
        if best < self.params.threshold:
            return KEPT
        return Verdict(False, "near_duplicate", "jaccard", best, self.ids[number])

    def admit(self, sample: Sample) -> None:
        own, number = self._grams(sample), len(self.ids)
        if not own.all:
            return
        self.sets.append(own.all)
        self.sizes.append(len(own.all) // 8)
        self.roots.append(sample.lineage.root)
        self.ids.append(sample.id)
        crowded = self._list(zip(self._first(own), repeat(number)))
        while crowded:
            crowded += self._list(self._move_back(crowded.pop()))

    def expect(self, coming: Iterable[Sample]) -> None:
        """What is judged next, hashed in one go; changes no verdict."""
        self.expected = {}
        part: list[tuple[Sample, bytes]] = []
        size = 0
        for sample in coming:
            part.append((sample, spaced_tokens(self.params.compared(sample))))
            size += len(part[-1][1])
            if size >= PART:
                self._hash(part)
                part, size = [], 0
        if part:
            self._hash(part)

    def _grams(self, sample: Sample) -> Grams:
        known = self.expected.get(sample.id)
        if not known or known.sample is not sample:
            self.expect([sample])
            known = self.expected[sample.id]
        return known

    def _hash(self, coming: Sequence[tuple[Sample, bytes]]) -> None:
        """Put the n-grams of samples into `expected`, given their texts."""
        hash_G, starts = sorted_grams([text for _, text in coming], self.params.n)
        for (sample, _), (start, end) in zip(coming, pairwise(starts), strict=True):
            own_S = hash_G[start:end]
            first = own_S[: end - start - self._lacking(end - start)].tolist()
            self.expected[sample.id] = Grams(sample, own_S.tobytes(), first)

    def _list(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """Put texts under n-grams; those under which there are too many now."""
        crowded, lists = [], self.lists
        for gram, number in pairs:
            found = lists.setdefault(gram, number)
            if found == number:
                continue
            if isinstance(found, list):
                found.append(number)
                if len(found) > MANY << 2 * self.moved.get(gram, 0):
                    crowded.append(gram)
            else:
                lists[gram] = [found, number]
        return crowded

    def _move_back(self, gram: int) -> Iterator[tuple[int, int]]:
        """Take an n-gram for more common than before. Under which n-gram each text of its list is found instead: the
        next in the order, or the same where it is still among the first."""
        numbers = self.lists.get(gram)
        if isinstance(numbers, list) and len(numbers) > MANY << 2 * self.moved.get(gram, 0):
            del self.lists[gram]
            self.moved[gram] = self.moved.get(gram, 0) + 1
            for number in numbers:
                first = self._rarest(self.sets[number])
                yield (gram if gram in first else first[-1]), number

    def _first(self, own: Grams) -> list[int]:
        """The n-grams by which a set is found: the first in the order, so many that no set is like it without one."""
        return own.first if self.moved.keys().isdisjoint(own.first) else self._rarest(own.all)

    def _rarest(self, own: bytes) -> list[int]:
        """The first n-grams of a set that has common ones."""
        grams, moved = array("Q", own), self.moved
        size = len(grams) - self._lacking(len(grams))
        rare = [*islice(filterfalse(moved.__contains__, grams), size)]
        if len(rare) < size:
            rare += sorted((gram for gram in grams if gram in moved), key=lambda gram: (moved[gram], gram))
        return rare[:size]

    def _lacking(self, size: int) -> int:
        """How many n-grams of a set come after its first; fewer than any set shares with it that is like it."""
        return math.ceil(self.params.threshold * size - SLACK) - 1

    def _candidates(self, own: Grams, family: str) -> list[int]:
        """The texts of other families that may be as like as the threshold, in order of admission. If x and y share s
        n-grams, and the first of x end before those of y, then so many are among the first of both as s is more than
        what comes after the first of x; and the other way round."""
        shared: dict[int, int] = {}
        """Of each text found: how many n-grams are among the first of both."""
        for gram in self.lists.keys() & self._first(own):
            found = self.lists[gram]
            for number in found if isinstance(found, list) else (found,):
                shared[number] = shared.get(number, 0) + 1
        if not shared:
            return []
        near, sizes, t, size = [], self.sizes, self.params.threshold, len(own.all) // 8
        lacking = self._lacking(size)
        smallest, largest = t * size - SLACK, (size + SLACK) / t
        # like t at least: s / (|x| + |y| - s) >= t
        share = t / (1 + t)
        for number, count in shared.items():
            theirs = sizes[number]
            if smallest <= theirs <= largest:
                after = lacking if theirs <= size else self._lacking(theirs)
                if count >= share * (size + theirs) - SLACK - after and self.roots[number] != family:
                    near.append(number)
        return sorted(near)

    def _nearest(self, own: bytes, numbers: list[int]) -> tuple[float, int]:
        """The largest similarity of a set with those of these texts, and the first text that reaches it."""
        own_S, best = set(array("Q", own)), (0.0, 0)
        for number in numbers:
            shared = len(own_S.intersection(array("Q", self.sets[number])))
            like = shared / (len(own_S) + self.sizes[number] - shared)
            best = (like, number) if like > best[0] else best
        return best
