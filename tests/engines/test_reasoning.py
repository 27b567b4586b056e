from __future__ import annotations

import pytest

from gen.engines.reasoning import Split, split_reasoning

CASES = {
    "no reasoning, byte for byte": ("  4 \n", "", Split("  4 \n", "", False)),
    "in tags": ("<think>2+2</think>\n\n4", "", Split("4", "2+2", False)),
    "in tags, after white space": ("\n<think>\n2+2\n</think>4\n", "", Split("4\n", "2+2", False)),
    "empty tags of a model told not to think": ("<think>\n\n</think>\n\n4", "", Split("4", "", False)),
    "never closed": ("<think>2+2, so", "", Split("", "2+2, so", True)),
    "only closed": ("2+2</think>4", "", Split("4", "2+2", False)),
    "closed twice": ("<think>2+2</think>no</think>4", "", Split("4", "2+2\n\nno", False)),
    "opened twice": ("<think>a<think>b</think>4", "", Split("4", "a<think>b", False)),
    "two blocks": ("<think>a</think>1<think>b</think>2", "", Split("12", "a\n\nb", False)),
    "cut in a second block": ("<think>a</think>1 <think>b", "", Split("1 ", "a\n\nb", True)),
    "in brackets": ("[THINK]2+2[/THINK]4", "", Split("4", "2+2", False)),
    "a field of its own": ("4", " 2+2\n", Split("4", "2+2", False)),
    "a field, and an answer about tags": ("write </think>", "2+2", Split("write </think>", "2+2", False)),
    "a field, and tags all the same": ("<think>a</think>4", "b", Split("4", "b\n\na", False)),
    "a field and no answer": ("", "2+2", Split("", "2+2", False)),
    "channels without their tokens": ("analysis2+2assistantfinal4", "", Split("4", "2+2", False)),
    "channels with their tokens": (
        "<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>", "",
        Split("4", "2+2", False),
    ),
    "cut in a channel": ("<|channel|>analysis<|message|>2+2, so", "", Split("", "2+2, so", True)),
    "cut in the last channel": (
        "<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>final<|message|>4, be", "",
        Split("4, be", "2+2", False),
    ),
    "a word that is no channel": ("analysis of variance", "", Split("analysis of variance", "", False)),
    "nothing": ("", "", Split("", "", False)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "field", "split"), CASES.values(), ids=CASES.keys())
def test_reasoning_never_stays_in_the_answer(text: str, field: str, split: Split) -> None:
    assert split_reasoning(text, field) == split
