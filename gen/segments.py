"""From documents to the pieces that could be answers (arXiv 2308.06259, section 2.1 and its appendix): the text under a
heading with its lower-level subtree, of bounded length, said once, and worth asking for.

Pure functions. Of every piece `text == document.text[start:end]` holds, and no two overlap. Of nested subtrees the
largest that fits is the piece: what is too long is looked into, its own text (before its first subheading) first, then
each subheading. A document with a title is a subtree itself. Without any heading, paragraphs are packed: as little as
possible is left out, then in as few pieces as possible, then of even length. No paragraph is cut that fits, longer
ones between sentences, fenced code never.

Why something was left out is counted in `dropped`, once for each piece: `too_short`, `too_long`, `repetitive`,
`no_heading` (before the first heading of a document without title), `empty_heading`, `upper_case_heading`,
`navigation` (see segments.toml)."""

from __future__ import annotations

import bisect
import fnmatch
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gen.blocks import Block, blocks, sentences
from gen.core import Lineage, Sample, seed_id
from gen.loop import Document
from gen.packing import Span, packed, pieces_of
from gen.text import rouge_tokens

FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n.*?^[ \t]*\1[`~]*[ \t]*$|^[ \t]*\|.*\|[ \t]*$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a document: `document.text[start:end]`, and the heading that it stands under."""

    start: int
    end: int
    text: str
    heading: str = ""


def segments(
    document: Document, *, min_chars: int = 600, max_chars: int = 3000, ngram: int = 3, max_jaccard: float = 0.8,
    pack_long: bool = False, keep_upper: bool = False, dropped: Counter[str] | None = None,
) -> Iterator[Segment]:
    """The pieces of `min_chars` to `max_chars` characters in which no two sentences share more than `max_jaccard` of
    their `ngram`s. Without `pack_long`, text under one heading that is too long is left out, as in the paper; with it,
    its paragraphs are packed. `keep_upper`: headings in capitals are headings, too. (The paper gives no n and no limit;
    on Python's PEPs 0.5 drops twice as many, mostly for parallel items of a list.)"""
    dropped = Counter() if dropped is None else dropped
    found, bounds = blocks(document.text), (min_chars, max_chars)
    if any(block.kind == "heading" for block in found):
        spans = _Tree(document, found, bounds, dropped, pack_long, keep_upper).spans()
    else:
        spans = ((start, end, document.title) for start, end in packed(document.text, found, bounds, dropped))
    for start, end, heading in spans:
        text = document.text[start:end]
        if is_repetitive(text, ngram, max_jaccard):
            dropped["repetitive"] += 1
        else:
            yield Segment(start, end, text, heading)


def windows(document: Document, max_chars: int, *, dropped: Counter[str] | None = None) -> Iterator[Segment]:
    """The whole document in pieces of at most `max_chars` characters, each as long as it can be, cut between paragraphs
    (a heading stays with what follows it), or else between sentences. A sentence or a code block that is longer is
    left out, as `too_long`. `heading`: the last one at or before the beginning of the piece."""
    dropped, found = Counter() if dropped is None else dropped, blocks(document.text)
    headings = [(block.start, block.title) for block in found if block.kind == "heading"]
    begin = end = -1
    spans: list[Span] = []
    for first, last in pieces_of(document.text, found, max_chars):
        if begin >= 0 and last - begin > max_chars:
            spans.append((begin, end))
            begin = -1
        if last - first > max_chars:
            dropped["too_long"] += 1
        else:
            begin, end = first if begin < 0 else begin, last
    for start, stop in [*spans, (begin, end)] if begin >= 0 else spans:
        before = bisect.bisect_right(headings, start, key=lambda heading: heading[0])
        heading = headings[before - 1][1] if before else document.title
        yield Segment(start, stop, document.text[start:stop], heading)


def to_sample(document: Document, segment: Segment) -> Sample:
    """A piece as a seed: an answer without a question, and its place."""
    name = seed_id("", "", segment.text)
    meta = {"document": document.id, "name": document.name, "title": document.title, "heading": segment.heading,
            "start": segment.start, "end": segment.end}  # fmt: skip
    return Sample(name, "", Lineage(name), response=segment.text, meta=meta)


def is_repetitive(text: str, ngram: int = 3, max_jaccard: float = 0.8) -> bool:
    """Two sentences have more than `max_jaccard` of their n-grams of tokens in common: of those that either has, those
    that both have. Code, rows of tables and sentences of fewer than 2 n tokens do not count."""
    prose, first = FENCED.sub("\n\n", text), dict[tuple[str, ...], list[int]]()
    sizes = list[int]()
    for start, end in sentences(prose):
        tokens = rouge_tokens(prose[start:end])
        grams = {*zip(*(tokens[i:] for i in range(ngram)), strict=False)} if len(tokens) >= 2 * ngram else set()
        met = [first[gram] for gram in grams if gram in first]
        shared = Counter(other for others in met for other in others) if met else {}
        if any(both > max_jaccard * (len(grams) + sizes[other] - both) for other, both in shared.items()):
            return True
        for gram in grams:
            first.setdefault(gram, []).append(len(sizes))
        sizes.append(len(grams))
    return False


def is_navigation(heading: str) -> bool:
    """Whether a heading is that of a part of a site, not of its subject."""
    return bool(_navigation().fullmatch(re.sub(r"^[\W\d_]+|[\W_]+$", "", heading.casefold())))


@cache
def _navigation() -> re.Pattern[str]:
    named = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["navigation"]
    return re.compile("|".join(fnmatch.translate(name) for name in named))


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading and its own blocks, up to the next heading of any level."""

    level: int
    title: str
    start: int
    own: tuple[Block, ...]


class _Tree:
    """The sections of a document, the first of which is the document itself: its title, and what is before the first
    heading. The subtree of section i ends before section `after[i]`."""

    def __init__(
        self, document: Document, found: Sequence[Block], bounds: Span, dropped: Counter[str], pack: bool, upper: bool
    ) -> None:
        self._text, self._bounds, self._dropped = document.text, bounds, dropped
        self._pack, self._upper = pack, upper
        heads = [i for i, block in enumerate(found) if block.kind == "heading"]
        self._sections = [_Section(0, document.title, 0, tuple(found[: heads[0]]))]
        for i, after in zip(heads, [*heads[1:], len(found)], strict=True):
            head = found[i]
            self._sections.append(_Section(head.level, head.title, head.start, tuple(found[i + 1 : after])))
        count = len(self._sections)
        self._after, self._aside = [count] * count, [False] * count
        path: list[int] = []
        for i, section in enumerate(self._sections):
            while path and self._sections[path[-1]].level >= section.level:
                self._after[path.pop()] = i
            self._aside[i] = bool(path and self._aside[path[-1]]) or (i > 0 and is_navigation(section.title))
            path.append(i)

    def spans(self, at: int = 0) -> Iterator[tuple[int, int, str]]:
        """The pieces of a subtree."""
        section, children, after = self._sections[at], self._children(at), self._after[at]
        if self._aside[at]:
            self._dropped["navigation"] += any(section.own for section in self._sections[at:after])
            return
        least, most = self._bounds
        why, whole = self._unfit(at), self._whole(at)
        # what holds nothing but one subheading hands over to it
        if whole and not why and (section.own or len(children) != 1):
            start, end = whole
            if end - start <= most:
                if end - start >= least:
                    yield start, end, section.title
                else:
                    self._dropped["too_short"] += 1
                return
        if section.own:
            yield from self._alone(section, why)
        for child in children:
            yield from self.spans(child)

    def _alone(self, section: _Section, why: str) -> Iterator[tuple[int, int, str]]:
        """What stands directly under a heading."""
        start, end = section.own[0].start, section.own[-1].end
        least, most = self._bounds
        if not why and self._pack and end - start > most:
            spans = packed(self._text, section.own, self._bounds, self._dropped)
            yield from ((first, last, section.title) for first, last in spans)
        elif why := why or ("too_short" if end - start < least else "too_long" if end - start > most else ""):
            self._dropped[why] += 1
        else:
            yield start, end, section.title

    def _children(self, at: int) -> list[int]:
        found, child = [], at + 1
        while child < self._after[at]:
            found.append(child)
            child = self._after[child]
        return found

    def _unfit(self, at: int) -> str:
        """Why nothing under this heading itself is a piece; empty where it can be."""
        title = self._sections[at].title
        if not re.search(r"\w", title):
            return "empty_heading" if at else "no_heading"
        return "upper_case_heading" if title.isupper() and at and not self._upper else ""

    def _whole(self, at: int) -> Span | None:
        """The text of a subtree without its heading, and without navigation at its end; None where there is none, or
        where navigation is in the middle of it."""
        last = self._after[at]
        while last > at + 1 and (self._aside[last - 1] or not self._sections[last - 1].own):
            last -= 1
        parts = self._sections[at:last]
        if any(self._aside[at:last]) or not parts[-1].own:
            return None
        return parts[0].own[0].start if parts[0].own else parts[1].start, parts[-1].own[-1].end
