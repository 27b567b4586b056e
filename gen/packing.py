"""Paragraphs joined to spans of bounded length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gen.blocks import Block, sentences

Span: TypeAlias = tuple[int, int]
"""Where a text begins and ends, in characters."""


def packed(text: str, found: Sequence[Block], bounds: Span, dropped: Counter[str]) -> Iterator[Span]:
    """Neighbouring pieces of text joined to spans within the bounds: the fewest characters left out, then the fewest
    spans, then the most even ones."""
    least, most = bounds
    pieces = list(pieces_of(text, found, most))
    # of the first n pieces: what they cost, and where the last span began, or n where the last piece is left out
    best: list[tuple[tuple[int, int, int], int]] = [((0, 0, 0), 0)]
    for i, (first, last) in enumerate(pieces):
        out, spans, squares = best[i][0]
        choices = [((out + last - first, spans, squares), i + 1)]
        for j in range(i, -1, -1):
            if (length := last - pieces[j][0]) > most:
                break
            out, spans, squares = best[j][0]
            choices += [((out, spans + 1, squares + length * length), j)] if length >= least else []
        best.append(min(choices))
    taken, at, whole = list[Span](), len(pieces), True
    while at:
        begin = best[at][1]
        if begin < at:
            taken.append((pieces[begin][0], pieces[at - 1][1]))
        elif (longer := pieces[at - 1][1] - pieces[at - 1][0] > most) or whole:
            dropped["too_long" if longer else "too_short"] += 1
        whole = begin < at or longer  # neighbours that are too short even together count once
        at = min(begin, at - 1)
    yield from reversed(taken)


def pieces_of(text: str, found: Sequence[Block], most: int) -> Iterator[Span]:
    """What must not be cut: blocks, each with the headings before it, and the sentences of longer paragraphs. Code and
    sentences may be longer than `most`."""
    above: Span | None = None
    for block in found:
        if block.kind == "heading":
            above = (above[0] if above else block.start, block.end)
            continue
        longer = block.kind == "paragraph" and block.end - block.start > most
        for start, end in sentences(text, block.start, block.end) if longer else [(block.start, block.end)]:
            if above and end - above[0] > most:
                yield above
                above = None
            yield above[0] if above else start, end
            above = None
    if above:
        yield above
