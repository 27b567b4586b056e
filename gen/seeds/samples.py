"""From a row to its seeds, whatever shape the row has."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gen.core import Lineage, Message, Sample, replace, seed_id
from gen.errors import InputError, nearest
from gen.seeds.chat import Turn, chosen, exchanges
from gen.text import says_no_input

MAX_DEPTH = 100
COLUMNS = {
    "messages": ("messages", "conversations", "conversation"),
    "instruction": ("instruction", "prompt", "question", "text"), "input": ("input", "context"),
    "response": ("output", "response", "completion", "answer"), "system": ("system", "system_prompt"),
}  # fmt: skip
"""Where a field is looked for when no mapping says so; the first column that a row has wins."""
UNSTORABLE = re.compile(r"[\ud800-\udfff\0]")
"""What neither UTF-8 nor the store can hold."""
TEXTS = ("instruction", "input", "response", "system")


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows are read. With a `mapping` (field -> column) only the mapped columns; the rest is `meta`."""

    mapping: Mapping[str, str] | None = None
    turn: Turn = "last"

    def check(self, name: str, columns: set[str]) -> None:
        """Raises InputError for a mapping that no row with these columns can fit (none: not known)."""
        for field, column in (self.mapping or {}).items():
            if field not in COLUMNS:
                raise InputError(f"--map {field}={column}: unknown field {field!r}; {nearest(field, COLUMNS)}")
            if columns and column not in columns:
                raise InputError(f"{name}: --map {field}={column}: no such column; {nearest(column, columns)}")
        if self.mapping is not None and ("messages" in self.mapping) == ("instruction" in self.mapping):
            raise InputError(f"--map {dict(self.mapping)}: says no column for instruction, or one for messages too; "
                             "add `--map instruction=COLUMN`, or `--map messages=COLUMN` for conversations")

    def seeds(self, value: Any) -> Iterator[Sample]:
        """The seeds of a row: one, or that of each user turn of a conversation, which are one family. What follows a
        turn is left out of its seed. Raises ValueError that says why there is none."""
        _check(value)
        if (columns := self._lone(value)) is not None:  # most rows are
            yield _sample(value, columns, ())
            return
        root = ""
        for row, columns, turns in self._flat(value):
            sample = _sample(row, columns, turns)
            root = root or sample.id
            yield replace(sample, lineage=replace(sample.lineage, root=root)) if root != sample.id else sample

    def _lone(self, value: Any) -> dict[str, str] | None:
        """Field -> column of a row that is one exchange as it stands; None where it takes a closer look."""
        usual = type(value) is dict and self.mapping is None and isinstance(self.turn, str)
        return _usual_lone(tuple(value)) if usual else None

    def _flat(self, value: Any) -> Iterator[tuple[dict[str, Any], dict[str, str], tuple[Message, ...]]]:
        """The row with an instance or an exchange of its conversation brought to columns, which columns are read,
        and the earlier turns; once for each user turn that is asked for."""
        row = _columns(value) if self.mapping is None or not isinstance(value, dict) else value
        if (column := self._conversation(row)) is None:
            chosen(self.turn, 1)
            yield row, self._read(row), ()
            return
        system, said = exchanges(row[column])
        rest = {c: v for c, v in row.items() if c != column} | ({"system": system} if system else {})
        columns = self._read(rest) | {"instruction": "instruction", "input": "input", "response": "output"}
        columns |= {"system": "system"} if system else {}
        earlier = [m for e in said for m in (Message("user", e.asked), Message("assistant", e.answer or ""))]
        for place in chosen(self.turn, len(said)):
            told, given, answer = said[place].asked, "", said[place].answer
            # Our own dataset rows say the split beside the messages; it holds where it makes the same prompt.
            if place == len(said) - 1 and told == f"{row.get('instruction')}\n\n{row.get('input')}":
                told, given = row["instruction"], row["input"]
            yield {**rest, "instruction": told, "input": given, "output": answer}, columns, tuple(earlier[: 2 * place])

    def _conversation(self, row: dict[str, Any]) -> str | None:
        """The column that holds a conversation. One that is no list counts where there is no instruction."""
        if self.mapping is not None:
            return column if (column := self.mapping.get("messages")) in row else None
        if (listed := _listed(row)) or any(c in row for c in COLUMNS["instruction"]):
            return listed
        return next((c for c in COLUMNS["messages"] if isinstance(row.get(c), list | dict | str)), None)

    def _read(self, row: dict[str, Any]) -> dict[str, str]:
        """Field -> column, empty where there is none."""
        if self.mapping is not None:
            return {f: self.mapping.get(f, "") for f in TEXTS} | (
                {"instruction": column} if (column := self.mapping.get("messages")) else {})
        return _usual(tuple(row))


@functools.lru_cache(1024)
def _usual(names: tuple[str, ...]) -> dict[str, str]:
    return {f: next((c for c in COLUMNS[f] if c in names), "") for f in TEXTS}


@functools.lru_cache(1024)
def _usual_lone(names: tuple[str, ...]) -> dict[str, str] | None:
    """As `_usual`, unless one of the columns may hold something else than a text."""
    return None if {*COLUMNS["messages"], "instances", "chosen"}.intersection(names) else _usual(names)


def _columns(value: Any) -> dict[str, Any]:
    match value:
        case str():
            return {"instruction": value}
        case {"instruction": told, "instances": [dict(first), *others], **rest} if not _listed(value):
            return {**rest, "instruction": told, **first} | ({"instances": others} if others else {})
        case {"instruction": _, "instances": found} if found != [] and not _listed(value):
            raise ValueError(f"'instances' is {found!r:.60}; [{{\"input\": ..., \"output\": ...}}] is allowed")
        case {"chosen": str() | list() as answer, **rest} if not any(c in rest for c in COLUMNS["response"]):
            return _preferred(answer, rest)
        case dict():
            return value
    raise ValueError(f"the row is {value!r:.60}; an object or a text is needed")


def _preferred(answer: str | list[Any], rest: dict[Any, Any]) -> dict[str, Any]:
    """A row of a preference dataset, whose better answer is the answer; its `rejected` stays (`gen.export.pairs`).
    A list holds turns: the answer alone, or the whole conversation."""
    if isinstance(answer, str):
        return {**rest, "output": answer}
    asked = rest.pop("prompt", None)
    before = asked if isinstance(asked, list) else [{"role": "user", "content": asked}] if len(answer) == 1 else []
    return {**rest, "messages": [*before, *answer]}


def _listed(row: dict[str, Any]) -> str | None:
    return next((c for c in ("messages", "conversations") if isinstance(row.get(c), list)), None)


def _sample(row: dict[str, Any], columns: dict[str, str], turns: tuple[Message, ...]) -> Sample:
    if columns["instruction"] not in row:
        wanted = columns["instruction"] or ", ".join((*COLUMNS["instruction"], "messages or conversations"))
        raise ValueError(f"no column {wanted[:200]}; columns found: {', '.join(row)[:200] or 'none'}")
    instruction, given, response, system = [_text(row, columns[f]) if columns[f] else "" for f in TEXTS]
    if not instruction:
        raise ValueError(f"{columns['instruction']!r} is empty; a text is needed")
    if given and says_no_input(given):
        given = ""
    # A system text is part of what a seed says, so it counts as an earlier turn of its id.
    before = (Message("system", system), *turns) if system else turns
    answer = response or None
    name = seed_id(instruction, given, answer, before)
    read, own = columns.values(), row.get("id")
    lineage = Lineage(name, origin=str(own) if isinstance(own, str | int) else "")
    meta = {c: v for c, v in row.items() if c not in read}
    return Sample(name, instruction, lineage, input=given, response=answer, system=system, turns=turns, meta=meta)


def _text(row: dict[str, Any], column: str) -> str:
    """The text of a column; empty where there is none, or blanks alone."""
    found = row.get(column)
    if found is not None and not isinstance(found, str):
        raise ValueError(f"{column!r} is {found!r:.60}; a text is needed")
    return found if found and not found.isspace() else ""


def _check(value: Any) -> None:
    """Raises ValueError for what could not be stored and read again."""
    if isinstance(value, ValueError):
        raise value
    if _is_storable(value):
        return
    if _is_deep(value):
        raise ValueError(f"nested more than {MAX_DEPTH} deep; flatten it")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace(r"\\", "")
    if found := re.search(r"[\ud800-\udfff]|\\u0000", text):
        before = text[: found.start()][-30:]
        raise ValueError(f"a NUL character, a byte that is not UTF-8 or half of a surrogate pair after {before!r}")
    raise ValueError("a whole number of more than 64 bits; write it as a text")


def _is_storable(value: Any, left: int = MAX_DEPTH) -> bool:
    if isinstance(value, str):
        return (value.isascii() and "\0" not in value) or not UNSTORABLE.search(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if value is None or not left:
        return not value
    if isinstance(value, dict):
        value = (*value, *value.values())
    for inner in value:
        if type(inner) is str and inner.isascii() and "\0" not in inner:
            continue
        if not _is_storable(inner, left - 1):
            return False
    return True


def _is_deep(value: Any, left: int = MAX_DEPTH) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return left < 0 or (isinstance(value, list | dict) and any(_is_deep(v, left - 1) for v in inner))
