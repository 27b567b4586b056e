"""Splits what a model thought from what it answered. Text to text; every engine uses it, once."""

from __future__ import annotations

import re
from typing import NamedTuple

PAIRS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
HARMONY = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)|\Z)", re.S)
# What remains of the same form where the server has dropped the special tokens.
HARMONY_BARE = re.compile(r"\A\s*analysis(.*?)assistantfinal(.*)\Z", re.S)


class Split(NamedTuple):
    answer: str
    reasoning: str
    open: bool
    """The text ended while the model was still thinking."""


def split_reasoning(text: str, field: str = "") -> Split:
    """The answer and the reasoning of one reply; `field` is what the server itself has set apart.

    Known are `<think>...</think>` and `[THINK]...[/THINK]` anywhere, also without an end (cut while thinking)
    or without a beginning (the chat template has opened it), and the channels of gpt-oss. A text without
    any of them comes back unchanged, byte for byte. "<think>2+2</think>\\n4" -> ("4", "2+2", False)."""
    if "<|channel|>" in text:
        split = _harmony(text)
    elif bare := HARMONY_BARE.match(text):
        split = Split(bare[2].lstrip(), bare[1].strip(), False)
    else:
        begin, end = next((pair for pair in PAIRS if pair[0] in text or pair[1] in text), ("", ""))
        split = _tagged(text, begin, end, bool(field)) if begin else Split(text, "", False)
    thoughts = [thought for thought in (field.strip(), split.reasoning) if thought]
    return Split(split.answer, "\n\n".join(thoughts), split.open)


def _tagged(text: str, begin: str, end: str, is_set_apart: bool) -> Split:
    answer, thoughts, position = "", [], 0
    while True:
        start, stop = text.find(begin, position), text.find(end, position)
        if stop >= 0 and not 0 <= start < stop and not is_set_apart:
            # An end that nothing began: all that came before was thought.
            thoughts.append(answer + text[position:stop])
            answer, position = "", stop + len(end)
        elif start < 0:
            answer += text[position:]
            return _joined(answer, thoughts, is_open=False) if thoughts else Split(text, "", False)
        else:
            answer += text[position:start]
            stop = text.find(end, start)
            thoughts.append(text[start + len(begin) : stop if stop >= 0 else len(text)])
            if stop < 0:
                return _joined(answer, thoughts, is_open=True)
            position = stop + len(end)


def _harmony(text: str) -> Split:
    parts = HARMONY.findall(text)
    if not parts:
        return Split("", text.strip(), True)
    answer = "".join(words for channel, words in parts if channel == "final")
    thoughts = [words for channel, words in parts if channel != "final"]
    return _joined(answer, thoughts, is_open=all(channel != "final" for channel, _ in parts))


def _joined(answer: str, thoughts: list[str], *, is_open: bool) -> Split:
    return Split(answer.lstrip(), "\n\n".join(t.strip() for t in thoughts if t.strip()), is_open)
