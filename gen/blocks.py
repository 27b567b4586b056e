"""What a text is made of, told by its look: headings, paragraphs, fenced code, sentences. Pure functions; every place
is a character of the text as it is.

Headings are those of Markdown (`## Title`; a line over `===` or `---`) and of reStructuredText (a line over, or
between, lines of one sign; the order in which signs appear gives the level)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

LINE = re.compile(r"[^\n]*\n|[^\n]+")
ATX = re.compile(r"(#{1,6})(?:[ \t]++|\Z)")
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[^`]*")
RULE = re.compile(r"([=\-~^\"'`#*+_.:<>])\1{2,}")
FRONT = re.compile(r"\A---[ \t]*\n(?=[\w-]+:)(?:.*\n){1,200}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
LINK = re.compile(r"!?\[([^\]]{0,300})\](?:\([^)]{0,300}\)|\[[^\]]{0,300}\])")
ITEM = r"(?:[-*+•·◦▪]|\(?\d{1,3}[.)、]|\(?[a-z][.)])\s"
END = re.compile(
    r"(?P<latin>(?<![.!?…])[.!?…]++[\"'”’»)\]*_`]*+(?=\s|\Z))"  # an end only before a blank: 3.14, example.org
    r"|[。！？；｡]+[”’」』）】〉》\"]*"  # CJK has no blanks between sentences
    rf"|(?=\n[ \t]*{ITEM})|(?=\n[ \t]*\|)|(?=\n[ \t]*\n)"  # items of a list, rows of a table, paragraphs
)
SHORT = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:[A-Z]|[A-Za-z](?:\.[A-Za-z])+|cf|vs|etc|al|approx|resp|ca|viz|Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|Fig|"
    r"Figs|Eq|Eqs|Sec|Ch|No|Nos|Vol|pp?|Inc|Ltd|Co|Corp|Gen|Gov|Sen|Rep|Rev|Hon|Mt|ed|eds)$"
)
"""Before a full stop that ends no sentence."""
LONGEST = 1000
"""Characters of a heading."""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph (lines without a blank one between) or a fenced code block: `text[start:end]`, without the
    last line break."""

    kind: Literal["heading", "paragraph", "fence"]
    start: int
    end: int
    title: str = ""
    level: int = 0
    """Of a heading, from 1."""


class _Line(NamedTuple):
    start: int
    text: str


class _Head(NamedTuple):
    title: str
    style: str
    """`#` and its level, or the sign of its underline, twice where it has a line above, too."""
    lines: int


def blocks(text: str) -> list[Block]:
    """All blocks in order; front matter (YAML between `---`) and ruling lines belong to none."""
    front = FRONT.match(text)
    lines = [_Line(m.start(), m.group().rstrip()) for m in LINE.finditer(text, front.end() if front else 0)]
    found: list[Block] = []
    styles: list[str] = []
    endless: dict[str, int] = {}
    at = opened = 0  # `opened`: the first line of the paragraph that is being read

    def close(upto: int) -> None:
        if upto > opened:
            found.append(Block("paragraph", lines[opened].start, _end(lines[upto - 1])))

    while at < len(lines):
        if head := _heading(lines, at, opened < at):
            close(at)
            styles.append(head.style)
            found.append(Block("heading", lines[at].start, _end(lines[at + head.lines - 1]), head.title, len(styles)))
            at = opened = at + head.lines
        elif beyond := _fence(lines, at, endless):
            close(at)
            found.append(Block("fence", lines[at].start, _end(lines[beyond - 1])))
            at = opened = beyond
        elif not lines[at].text or (opened == at and RULE.fullmatch(lines[at].text)):
            close(at)
            at = opened = at + 1
        else:
            at += 1
    close(at)
    return _levelled(found, styles)


def _end(line: _Line) -> int:
    return line.start + len(line.text)


def _heading(lines: Sequence[_Line], at: int, inside: bool) -> _Head | None:
    """The heading that begins with this line; `inside` a paragraph only `#` makes one."""
    line, under, last = (lines[i].text if i < len(lines) else "" for i in range(at, at + 3))
    between = not inside and last == line and 0 < len(under.strip()) <= len(line) and not RULE.fullmatch(under)
    if between and (rule := RULE.fullmatch(line)):
        return _Head(_plain(under), rule[1] * 2, 3)
    if line.startswith("#") and (atx := ATX.match(line)):
        return _Head(_plain(_unclosed(line[atx.end() :])), f"#{len(atx[1])}", 1)
    if inside or not line or line[0].isspace() or RULE.fullmatch(line) or not (rule := RULE.fullmatch(under)):
        return None
    return _Head(_plain(line), rule[1], 2) if rule[1] in "=-" or len(under) >= len(line) else None


def _unclosed(title: str) -> str:
    """The text of a heading without the signs that close it: "Title ##"."""
    bare = title.rstrip("#")
    return bare.rstrip(" \t") if bare[-1:] in (" ", "\t") else title


def _plain(title: str) -> str:
    """A heading without links, emphasis and anchors; of one without end the beginning."""
    bare = re.sub(r"\{[#.][^}]{0,300}\}\s*$|\*\*|`", "", LINK.sub(r"\1", title[:LONGEST]))
    return " ".join(bare.strip(" \t*~¶#").split())


def _fence(lines: Sequence[_Line], at: int, endless: dict[str, int]) -> int:
    """The line after the fenced block that begins with this one; 0 where none does, or where it is never closed.
    `endless`: how long the fences of each sign are that nothing closes from here on."""
    opening = FENCE.fullmatch(lines[at].text)
    if not opening or len(sign := opening[1]) >= endless.get(sign[0], len(sign) + 1):
        return 0
    for beyond in range(at + 1, len(lines)):
        line = lines[beyond].text.strip()
        if line.startswith(sign) and not line.strip(sign[0]):
            return beyond + 1
    endless[sign[0]] = len(sign)
    return 0


def _levelled(found: list[Block], styles: Sequence[str]) -> list[Block]:
    """With the levels of the headings, whose `level` is so far the number of the heading. Beside those of `#`, a line
    of `=` means 1 and any other 2."""
    order = list(dict.fromkeys(styles))
    known = {style: order.index(style) + 1 for style in order}
    if any(style[0] == "#" and style[1:].isdigit() for style in order):
        known = {style: int(style[1:]) if style[1:].isdigit() else 2 - (style[0] == "=") for style in order}
    return [replace(b, level=known[styles[b.level - 1]]) if b.kind == "heading" else b for b in found]


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The places of the sentences of `text[start:end]`, without the blanks between them; items of a list, rows of a
    table and paragraphs end one too."""
    stop = len(text) if end is None else end
    begin = start
    for found in END.finditer(text, start, stop):
        if found["latin"] and not _ends(text, begin, found, stop):
            continue
        yield from _trimmed(text, begin, found.end())
        begin = max(begin, found.end())
    yield from _trimmed(text, begin, stop)


def _ends(text: str, begin: int, found: re.Match[str], stop: int) -> bool:
    after = text[found.end() : min(found.end() + 8, stop)].lstrip()[:1]
    abbreviated = found.group() == "." and SHORT.search(text[max(begin, found.start() - 12) : found.start()])
    return not after.islower() and not abbreviated


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    inner = text[start:end]
    if bare := inner.strip():
        first = start + inner.index(bare[0])
        yield first, first + len(bare)
