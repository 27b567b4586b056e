"""Splits what a model thought from what it answered. Text to text; every engine uses it, once."""

from __future__ import annotations

import re
from typing import NamedTuple

BLOCK = re.compile(r"<think>(.*?)(</think>|\Z)|\[THINK\](.*?)(\[/THINK\]|\Z)", re.S)
END = re.compile(r"</think>|\[/THINK\]")
# gpt-oss's channels, with their tokens and where the server has dropped them.
CHANNELS = re.compile(r"\A\s*analysis(.*?)assistantfinal(.*)\Z", re.S)
HARMONY = re.compile(r"<\|channel\|>(\w+)[^<]*<\|message\|>(.*?)(<\|(?:end|return|call)\|>|\Z)", re.S)
MARKS = re.compile(r"</?think>|\[/?THINK\]|<\|channel\|>")
"""What chat templates of models that think speak of."""
QUESTION = "Write one word, any word."
"""What a model is asked to see whether it thinks: it needs no thought."""


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
    if "<|channel|>" in text and (parts := HARMONY.findall(text)):
        said = [body for name, body, _ in parts if name == "final"]
        thoughts += [body for name, body, _ in parts if name != "final"]
        return Split("".join(said), "\n\n".join(filter(None, map(str.strip, thoughts))), not said and not parts[-1][2])
    if bare := CHANNELS.match(text):
        return Split(bare[2].lstrip(), bare[1].strip(), False)
    if "think>" not in text and "THINK]" not in text:
        return Split(text, field.strip(), False)
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


def habit(model: str) -> str:
    """What to say of a model that thinks although it was asked not to."""
    return (
        f"{model} thinks although thinking is off: its thoughts are paid for and leave less room for its answers; give "
        "them room (--thinking on --thinking-budget N), or take a model that can do without. If it is none that "
        "thinks, its server runs with a reasoning parser that takes answers for thoughts"
    )


def closing(tail: str) -> str:
    """What ends the reasoning block that a chat template leaves open for the model, in the way in which templates
    write a block without thoughts; empty where none is open. `tail` is the end of the rendered prompt.
    "...<think>\\n" -> "\\n</think>\\n\\n"."""
    last = tail.rstrip()
    for begin, end in (("<think>", "</think>"), ("[THINK]", "[/THINK]")):
        if last.endswith(begin):
            return f"{'' if tail.endswith(chr(10)) else chr(10)}\n{end}\n\n"
    return ""
