"""What can be told of code in a text without running it: fenced blocks, their language, whether Python parses."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from typing import NamedTuple

_OPENING = re.compile(r"[ \t>]*(`{3,}(?=[^`]*$)|~{3,})(.*)")
_TAG = re.compile(r"[\w+#-]+")
_ALIASES = {"py": "python", "python3": "python", "py3": "python", "ipython": "python", "ipython3": "python",
            "md": "markdown", "mdx": "markdown"}  # fmt: skip
_PYTHON = re.compile(r"^[ \t]*(?:(?:async )?def \w+\(|class \w+[(:]|from [\w.]+ import |import \w[\w., ]*$)", re.M)
_OTHER = re.compile(r"[{;]\s*$|^\s*(?:#include|//|<\w|package |import .*;|\$ )|^\s*>>> |\bend$", re.M)
_MAGIC = re.compile(r"^[!%].*", re.M)
"""Shell lines and magics of notebooks, which are no Python and no mistake."""
LONGEST = 200_000
"""Characters of the longest block that is parsed."""
MISSES = 100
"""Blocks of Markdown in one text that may be looked through in vain, before those inside no longer count."""


class Block(NamedTuple):
    """A fenced block. `language` is its tag, lower case, aliases made one; empty without a tag."""

    language: str
    text: str
    closed: bool


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a text, of backticks or tildes, as CommonMark has them; indentation and quote marks before
    a fence are allowed. Two liberties with what models write: a block may be closed at the end of a line of code, and
    in a block of Markdown the blocks inside, of fences as long as its own, are part of it."""
    found, reader, at = [], _Reader(text), 0
    lines = reader.lines
    while at < len(lines):
        opening, at = _OPENING.fullmatch(lines[at]), at + 1
        if opening:
            language = _language(opening[2])
            end, body = reader.end(at, opening[1], nests=language == "markdown")
            found.append(Block(language, "\n".join(body), end is not None))
            at = len(lines) if end is None else end + 1
    return found


class _Reader:
    """The lines of a text. Remembers which fences nothing closes any more, so that a text in which nearly every line
    opens a block is not gone through once for each."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self._endless: dict[str, int] = {}
        self._misses = 0

    def end(self, start: int, fence: str, *, nests: bool) -> tuple[int | None, list[str]]:
        """The number of the line that closes a block opened before line `start`, and the lines between."""
        lines = self.lines
        if (at := self._closing(start, fence, nests=nests and self._misses < MISSES)) is not None:
            return at, lines[start:at]
        for at in range(start, len(lines)):
            if lines[at].rstrip().endswith(fence) and not _OPENING.fullmatch(lines[at]):
                return at, [*lines[start:at], lines[at].rstrip()[: -len(fence)]]
        return None, lines[start:]

    def _closing(self, start: int, fence: str, *, nests: bool) -> int | None:
        """The line that is a closing fence."""
        if len(fence) >= self._endless.get(fence[0], len(fence) + 1):
            return None
        closing, inner, met = re.compile(rf"[ \t>]*{re.escape(fence)}{re.escape(fence[0])}*[ \t]*"), 0, False
        for at in range(start, len(self.lines)):
            if closing.fullmatch(self.lines[at]):
                if not inner:
                    return at
                inner, met = inner - 1, True
            elif nests and (opened := _OPENING.fullmatch(self.lines[at])) and opened[1] == fence:
                inner += 1
        self._misses += met
        if not met:
            self._endless[fence[0]] = len(fence)
        return None


def _language(info: str) -> str:
    """The tag of an info string: "Python", "{.py}", "python3.11", "python title=x" are all python."""
    found = _TAG.search(info.lower())
    return _ALIASES.get(found[0], found[0]) if found else ""


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    reader, kept, at = _Reader(text), [], 0
    lines = reader.lines
    while at < len(lines):
        if opening := _OPENING.fullmatch(lines[at]):
            end, _ = reader.end(at + 1, opening[1], nests=_language(opening[2]) == "markdown")
            at = len(lines) if end is None else end
        else:
            kept.append(lines[at])
        at += 1
    return "\n".join(kept)


def guess(block: Block) -> str:
    """The language of a block: its tag, else `python` where it looks like nothing else, else empty (unknown)."""
    if block.language or not _PYTHON.search(block.text) or _OTHER.search(block.text):
        return block.language
    return "python"


def python_of(text: str) -> list[str]:
    """The Python of an answer, block by block; of one without any fence, all of it if it is Python throughout."""
    if found := blocks(text):
        return [_bare(b.text) for b in found if guess(b) == "python"]
    whole = guess(Block("", text, True)) == "python" and not python_error(text)
    return [text] if whole else []


def python_error(code: str) -> str:
    """Why code is no Python, by the parser of the Python that runs this, and never by running it; empty where it
    parses. Sessions (`>>> `) and what is longer than `LONGEST` are not judged."""
    if len(code) > LONGEST or code.lstrip().startswith((">>>", "In [")):
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in strings
        try:
            ast.parse(_bare(code))
        except SyntaxError as error:
            return f"line {error.lineno}: {error.msg}"
        except (RecursionError, MemoryError):
            return "nested too deeply"
        except ValueError as error:  # null bytes, lone surrogates
            return str(error)
    return ""


def _bare(code: str) -> str:
    return textwrap.dedent(_MAGIC.sub("", code))
