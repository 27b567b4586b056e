"""Values out of bytes, so that a fuzzer that changes bytes changes values: numbers, texts, JSON, tables, messages.

Every byte string gives some value, and one that has ended gives zeros. What most texts and names are made of is listed
by the parser that is fuzzed (`words`), since blind bytes would seldom spell a column or a tag."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gen.core import Completion, Lineage, Message, Sample, seed_id

T = TypeVar("T")
ODD = (
    "",
    " ",
    "\n",
    "\0",
    "\ud800",
    "\udfff",
    "\ufeff",
    "\u2028",
    "\x85",
    "\x1b[2J",
    "甲",
    "é",
    "🙂",
    "a" * 300,
    "\\",
    '"',
    "{{",
    "%}",
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    9,
    10,
    100,
    2**31,
    2**63,
    -(2**63),
    2**64,
    10**30,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
)
WORDS = (
    "a",
    "the",
    "Write",
    "a poem",
    "about",
    "bees",
    ".",
    ",",
    ": ",
    "\n",
    "\n\n",
    "1. ",
    "- ",
    "# ",
    "```\n",
    "| a | b |\n",
    "好的。",
    "抱歉",
)


@dataclass(slots=True)
class Take:
    """Reads a byte string from its beginning."""

    data: bytes
    at: int = 0

    def byte(self) -> int:
        """0 to 255; 0 at the end."""
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def number(self, below: int) -> int:
        """0 to `below` - 1."""
        return ((self.byte() << 8 | self.byte()) if below > 256 else self.byte()) % below

    def pick(self, of: Sequence[T]) -> T:
        return of[self.number(len(of))]

    def raw(self) -> bytes:
        """All that is left."""
        rest, self.at = self.data[self.at :], len(self.data)
        return rest

    @property
    def ended(self) -> bool:
        return self.at >= len(self.data)

    def text(self, words: Sequence[str] = WORDS, most: int = 40) -> str:
        """Words of the list, odd ones, and letters as they come."""
        parts = list[str]()
        for _ in range(most):
            kind = self.byte()
            if kind == 0:
                break
            if kind < 160:
                parts.append(
                    words[(kind - 1) % len(words)] if kind < 2 * len(words) or len(words) > 79 else self.pick(words)
                )
            elif kind < 176:
                parts.append(self.pick(ODD))
            elif kind < 250:
                parts.append(chr(self.byte()))
            else:
                parts.append(self.pick(words) * self.byte())
        return "".join(parts)

    def rest(self) -> str:
        """All that is left, as text; what is no UTF-8 as half surrogates."""
        return self.raw().decode("utf-8", "surrogateescape")

    def json(self, names: Sequence[str], words: Sequence[str] = WORDS, depth: int = 0) -> Any:
        """A JSON value; its objects have keys of `names`, mostly."""
        kind = self.byte() % (12 if depth < 6 else 7)
        if kind < 2:
            return self.text(words)
        if kind < 6:
            return [None, True, False, self.pick(NUMBERS)][kind - 2]
        if kind == 6:
            return self.number(1 << 16)
        if kind < 9:
            return [self.json(names, words, depth + 1) for _ in range(self.byte() % 5)]
        return {self.name(names): self.json(names, words, depth + 1) for _ in range(self.byte() % 6)}

    def name(self, names: Sequence[str]) -> str:
        return self.pick(names) if self.byte() < 240 else self.text()

    def object(self, names: Sequence[str], words: Sequence[str] = WORDS) -> dict[str, Any]:
        """The same, an object for sure."""
        return {self.name(names): self.json(names, words, 1) for _ in range(self.byte() % 8)}

    def sample(self, words: Sequence[str] = WORDS) -> Sample:
        """A sample that a seed file could have brought: texts without NUL and half surrogates."""

        def text() -> str:
            return self.text(words).replace("\0", "").encode("utf-8", "replace").decode()

        instruction, given, response = text() or "x", text(), text() or None
        roles = ("user", "assistant") * (self.byte() % 3)
        turns = tuple(Message(role, text() or "y") for role in roles)
        root = seed_id(instruction, given, response, turns)
        system = text() if self.byte() % 4 == 0 else ""
        return Sample(root, instruction, Lineage(root), input=given, response=response, system=system, turns=turns)

    def completion(self, words: Sequence[str]) -> Completion:
        """A reply, as an engine gives it: any text, and in one of eight cases one that was cut or refused."""
        finish = self.byte()
        ends = ("length", "reasoning_truncated", "overlong", "refused")
        text = self.text(words, 60).encode("utf-8", "replace").decode()
        return Completion(text, ends[finish % 4] if finish >= 224 else "stop", completion_tokens=len(text))


def rng(data: bytes) -> random.Random:
    return random.Random(data)
