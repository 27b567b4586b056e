"""A file that is one JSON value, read an element at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from gen.errors import InputError

CHUNK = 1 << 16
DECODER = json.JSONDecoder(strict=False)


def elements(name: str, stream: BufferedReader, most: int) -> Iterator[Any]:
    """The elements of a list, of the list under `data` of an object, or else the value itself. Raises InputError
    where the JSON breaks: what follows cannot be told apart. Each element has at most about `most` characters."""
    text = _Text(name, stream, most)
    match text.next():
        case "[":
            yield from _list(text)
        case "{":
            yield from _object(text)
        case _:
            yield text.value()
    if text.next():
        raise text.broken("more text after the end of the value")


def _list(text: _Text) -> Iterator[Any]:
    text.skip("[")
    while text.next() != "]":
        yield text.value()
        if text.next() != "]":
            text.skip(",")
            if text.next() == "]":
                raise text.broken("a comma before the end of a list")
    text.skip("]")


def _object(text: _Text) -> Iterator[Any]:
    rest: dict[str, Any] = {}
    listed = False
    text.skip("{")
    while text.next() != "}":
        if rest:
            text.skip(",")
        if text.next() != '"':
            raise text.broken("expected a name in double quotes")
        key = text.value()
        text.skip(":")
        if key == "data" and text.next() == "[":
            yield from _list(text)
            listed, rest[key] = True, None
        else:
            rest[key] = text.value()
    text.skip("}")
    if not listed:
        yield rest


class _Text:
    """A stream of UTF-8 as JSON tokens; holds little more than the value that is read. Broken bytes become half
    surrogates, which are refused later: one of them costs one row and not the file."""

    def __init__(self, name: str, stream: BufferedReader, most: int) -> None:
        self._name, self._stream, self._most = name, stream, most
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text, self._at, self._ended = "", 0, False
        self._line, self._column = 1, 0  # of the first character held

    def next(self) -> str:
        """The next character that is not blank, which stays; empty at the end."""
        while True:
            text = self._text
            while self._at < len(text) and text[self._at] in " \t\n\r":
                self._at += 1
            if self._at < len(text):
                return text[self._at]
            if self._ended:
                return ""
            self._more()

    def skip(self, wanted: str) -> None:
        if self.next() != wanted:
            raise self.broken(f"expected {wanted!r}")
        self._at += 1

    def value(self) -> Any:
        """The next JSON value."""
        self.next()
        while True:
            problem = "the value is too long"
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
                if len(self._text) - end > 2 or self._ended:  # else a number may go on: `1` of `1e+5`
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                problem = error.msg
                if self._ended:
                    self._at = error.pos
                    raise self.broken(problem) from None
            except (ValueError, RecursionError) as error:
                raise self.broken(str(error)) from None
            if len(self._text) - self._at > self._most:
                raise self.broken(f"{problem}, or more than {self._most:,} characters in one element")
            self._more()

    def _more(self) -> None:
        """Drop what was read, and hold at least twice as much of the rest."""
        gone, self._text = self._text[: self._at], self._text[self._at :]
        self._line += gone.count("\n")
        self._column = len(gone) - gone.rfind("\n") - 1 if "\n" in gone else self._column + len(gone)
        data = self._stream.read(max(CHUNK, len(self._text)))
        self._ended = not data
        self._text, self._at = self._text + self._decode(data, not data), 0

    def broken(self, problem: str) -> InputError:
        before = self._text[: self._at]
        line = self._line + before.count("\n")
        column = len(before) - before.rfind("\n") if "\n" in before else self._column + len(before) + 1
        return InputError(f"{self._name}: not valid JSON ({problem}: line {line} column {column}); JSONL has one value "
                          "a line, and its name ends in .jsonl")
