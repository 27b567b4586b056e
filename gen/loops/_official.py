"""How the published scripts read replies (github.com/yizhongw/self-instruct and tatsu-lab/stanford_alpaca), mistakes
included: for `compat`. Their rules on words and keywords are the loops' and the filters'."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gen.loops._pairs import Pair
from gen.loops._triples import Triple

ITEM = re.compile(r"\n\d+\s?\. ")
EXAMPLE = re.compile(r"Example\s?\d*\.?")
OUTPUT = re.compile(r"Output\s*+\d*+\s*:")
INPUT = re.compile(r"Input\s*+\d*+\s*:")
LABEL = "Class label:"


def new_instructions(text: str) -> list[str]:
    """The items of a list, of which all capitals but the first are lost. Of a reply that was cut none is wanted."""
    return [item.capitalize() for part in ITEM.split(text) if (item := " ".join(part.split()))]


def instances(text: str, *, cut: bool, is_classification: bool) -> list[Pair]:
    """Pairs of input and output; the last one is dropped where the reply was cut."""
    pairs = list(_classified(text) if is_classification else _generated(text.strip()))
    return pairs[:-1] if cut else pairs


def _generated(text: str) -> Iterator[Pair]:
    """Of texts with the word "Example", wherever it stands, each piece between two of them."""
    if not (EXAMPLE.search(text) or OUTPUT.search(text)):
        return
    for piece in EXAMPLE.split(text) if EXAMPLE.search(text) else [text]:
        if piece.strip():
            before, *outputs = OUTPUT.split(piece.strip())
            given, output = (before, outputs[0]) if outputs else ("", before)
            opening = INPUT.match(given.strip())
            yield Pair(given.strip()[opening.end() if opening else 0 :].strip(), INPUT.split(output)[0].strip())


def _classified(text: str) -> Iterator[Pair]:
    for piece in text.split(LABEL)[1:]:
        label, _, given = piece.strip().partition("\n")
        yield Pair(given.strip(), label.strip())


def triples(text: str, shown: int, *, cut: bool) -> list[Triple]:
    """Instruction, input and output of each item that has the number of its place: one number left out loses all that
    follows, and so do three hash marks inside an output."""
    pieces, found = f"{shown + 1}. Instruction:{text}".split("###"), []
    for number, piece in enumerate(pieces[:-1] if cut else pieces, shown + 1):
        fields = re.split(rf"{number}\.\s+(?:Instruction|Input|Output):", piece)
        if len(fields) == 4:
            instruction, given, output = (field.strip() for field in fields[1:])
            found.append(Triple(instruction, "" if given.lower() == "<noinput>" else given, output))
    return found
