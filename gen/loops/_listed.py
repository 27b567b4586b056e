"""Reading a list of tasks that a model wrote: numbered lines, else bullets, else lines."""

from __future__ import annotations

import re

NUMBER = re.compile(r"^[ \t]*(?:[*_#]+[ \t]*)?(\d{1,4})[ \t]*\\?[.)](?!\d)[*_]*[ \t]*", re.M)
BULLET = re.compile(r"^[ \t]*[-*•][ \t]+", re.M)
GAP = re.compile(r"\n[ \t]*\n")
SKIP = 5
"""Numbers may be left out; one that is further on, or goes back, belongs to the text of its item."""


def items(text: str, first: int) -> list[str]:
    """The items of a list that was to begin with number `first`, each on one line. What a model repeats of the list
    before that number, and what it says before and after its list, is left out.

    >>> items("Sure!\\n9. Name a tree.\\n10) Sort these:\\n1. ash\\n2. yew\\n\\nAnything else?", 9)
    ['Name a tree.', 'Sort these: 1. ash 2. yew']
    """
    marks: list[tuple[int, re.Match[str]]] = []
    for found in NUMBER.finditer(text):
        if not marks or marks[-1][0] < int(found[1]) <= marks[-1][0] + SKIP:
            marks.append((int(found[1]), found))
    begin = next((i for i, (number, _) in enumerate(marks) if number == first), 0)
    places = [found for _, found in marks[begin:]] or [*BULLET.finditer(text)]
    if not places:
        return [line for part in text.splitlines() if (line := part.strip()) and not line.endswith(":")]
    ends = [found.start() for found in places[1:]]
    bodies = [text[a.end() : b] for a, b in zip(places, ends, strict=False)]
    bodies.append(GAP.split(text[places[-1].end() :].strip())[0])
    return [" ".join(body.split()).strip("*").strip() for body in bodies]


def until_gap(text: str) -> str:
    """The beginning of a text up to its first empty line, as if that had stopped the model."""
    return text[: len(text) - len(text.lstrip())] + GAP.split(text.lstrip())[0]
