"""Conversations in the shapes that are in use: turns in the words of OpenAI or ShareGPT, as a list, as columns (how
`datasets` may write them), or as one text: JSON, or with `Human:` and `Assistant:` before the turns."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from gen.core import Message

Turn: TypeAlias = int | Literal["last", "first", "all"]
"""Which user turn is the seed; a number counts from 1, or back from -1."""
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "ai": "assistant",
    "bot": "assistant",
}  # fmt: skip
TOOLS = {"tool", "function", "function_call", "function_response", "observation", "tool_call", "tool_response"}
MARKED = r"(human|user|assistant|system):"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a user said, and what was answered."""

    asked: str
    answer: str | None


def exchanges(found: Any) -> tuple[str, list[Exchange]]:
    """The system text and the exchanges of a conversation, in order; only the last may lack its answer. Raises
    ValueError that says what is wrong with it."""
    said = [_message(turn) for turn in _turns(found)]
    system = said.pop(0).content if said and said[0].role == "system" else ""
    answer = said.pop().content if said and said[-1].role == "assistant" else None
    roles = [turn.role for turn in said]
    if [*roles, "assistant"] != ["user", "assistant"] * (len(roles) // 2 + 1):
        raise ValueError(f"turns of {', '.join(roles)[:60] or 'no user'}; user and assistant take turns, user first")
    if not all(turn.content.strip() for turn in said):
        raise ValueError("a turn is empty; a text is needed")
    texts = [turn.content for turn in said]
    return system, [Exchange(*pair) for pair in zip(texts[::2], [*texts[1::2], answer], strict=True)]


def chosen(turn: Turn, count: int) -> range:
    """The positions of the user turns that become seeds. Raises ValueError where there is no such turn."""
    if turn == "all":
        return range(count)
    number = {"first": 1, "last": -1}[turn] if isinstance(turn, str) else turn
    at = number - 1 if number > 0 else count + number
    if not 0 <= at < count:
        raise ValueError(f"turn {turn} is asked for; user turns found: {count}")
    return range(at, at + 1)


def _turns(found: Any) -> list[Any]:
    if isinstance(found, str):
        return _parsed(found)
    if isinstance(found, dict):  # columns: {"role": [...], "content": [...]}
        columns = {key: values for key, values in found.items() if isinstance(values, list)}
        return [dict(zip(columns, turn, strict=False)) for turn in zip(*columns.values(), strict=False)]
    if isinstance(found, list):
        return found
    raise ValueError(f"a conversation is {found!r:.60}; a list of turns is needed")


def _parsed(text: str) -> list[Any]:
    """The turns of a conversation that is one text."""
    if text.lstrip().startswith("["):
        try:
            return list(json.loads(text, strict=False))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a conversation is {text!r:.60}, no valid JSON ({error})") from None
    # "### Human: ..." may stand anywhere in a line, a bare "Human: ..." at its beginning
    sign = rf"(?i)###\s*{MARKED}" if text.lstrip().startswith("###") else rf"(?im)^[ \t]*{MARKED}"
    before, *parts = re.split(sign, text)
    if not parts or before.strip():
        raise ValueError(f"a conversation is {text!r:.60}; a list of turns is needed, or a text of `Human: ...` and "
                         "`Assistant: ...`")
    return [{"role": role, "content": said.strip()} for role, said in zip(parts[::2], parts[1::2], strict=True)]


def _message(turn: Any) -> Message:
    match turn:
        case {"role": str(role), "content": said} | {"from": str(role), "value": said}:
            pass
        case _:
            role, said = "", None
    known = role.strip().lower()
    if known in TOOLS or (isinstance(turn, dict) and (turn.get("tool_calls") or turn.get("function_call"))):
        raise ValueError(f"the turn {turn!r:.80} is about a tool; only texts of system, user and assistant are read")
    if isinstance(said, list):
        said = "\n".join(map(_part, said))
    if known not in ROLES or not isinstance(said, str):
        raise ValueError(f"the turn {turn!r:.80} needs a role ({', '.join(ROLES)}) and a text as content")
    return Message(ROLES[known], said)


def _part(part: Any) -> str:
    match part:
        case {"type": "text", "text": str(text)} | {"text": str(text)}:
            return text
        case {"type": str(kind)}:
            raise ValueError(f"a part of type {kind!r:.40} in a turn; only text is read, no images or sounds")
    raise ValueError(f"a part of a turn is {part!r:.60}; {{\"type\": \"text\", \"text\": ...}} is allowed")
