"""Splits what a model thought from what it answered. Text to text; every engine uses it, once."""

from __future__ import annotations

import re
from typing import NamedTuple

BLOCK = re.compile(r"<think>(.*?)(</think>|\Z)|\[THINK\](.*?)(\[/THINK\]|\Z)", re.S)
END = re.compile(r"</think>|\[/THINK\]")
# gpt-oss's channels, where the server has dropped the special tokens.
CHANNELS = re.compile(r"\A\s*analysis(.*?)assistantfinal(.*)\Z", re.S)


class Split(NamedTuple):
    answer: str
    reasoning: str
    open: bool
    """The text ended while the model was still thinking."""


def split_reasoning(text: str, field: str = "") -> Split:
    """The answer and the reasoning of one reply; `field` is what the server itself has set apart.

    Known are `<think>...</think>` and `[THINK]...[/THINK]` anywhere, also without an end (cut while thinking)
    or without a beginning (the chat template has opened it). A text without any of them comes back unchanged,
    byte for byte. "<think>2+2</think>\\n4" -> ("4", "2+2", False)."""
    thoughts, is_open = [field], False
    if bare := CHANNELS.match(text):
        return Split(bare[2].lstrip(), bare[1].strip(), False)
    blocks = BLOCK.findall(text)
    for in_tags, end, in_brackets, end_bracket in blocks:
        thoughts.append(in_tags or in_brackets)
        is_open = not (end or end_bracket)
    answer = BLOCK.sub("", text)
    if not field and END.search(answer):  # an end that nothing began: all that came before was thought
        *before, answer = END.split(answer)
        thoughts += before
    split = answer.lstrip() if answer != text else text
    return Split(split, "\n\n".join(filter(None, map(str.strip, thoughts))), is_open)
