"""An evolving method: a plain text that a task is put into, which a model wrote. It is data everywhere: it goes around
a fixed frame (prompts/auto_evol/_method.jinja), and where it becomes a prompt file, nothing in it is a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gen import text
from gen.core import digest

SLOT = "[[TASK]]"
"""Where the task is put."""
LABEL = "instruction"
"""The tag of the new task, the last of a reply."""
INPUTS = ("instruction", "input", "domain", "language")
"""Of the prompt file of a method; those of an operation of `evolve`."""
ENDRAW = re.compile(r"\{%(?=[-+]?\s*endraw)")


def method_id(method: str) -> str:
    return digest("method", method, size=12)


def tidy(method: str) -> str:
    """The text as it is kept, compared and shown."""
    return "\n".join(line.rstrip() for line in method.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n"))


def fault_of(method: str, max_words: int) -> tuple[str, str]:
    """Why a text is no method, as reason and note; two empty texts where it is one."""
    if (slots := method.count(SLOT)) != 1:
        return "no_slot", f"expected {SLOT} once, found it {slots} times"
    tags = re.findall(r"</\s*(\w+)\s*>", method)
    if f"<{LABEL}>" not in method or not tags or tags[-1] != LABEL:
        found = f"its last tag is </{tags[-1]}>" if tags else "it has no tags"
        return "no_label", f"expected <{LABEL}>...</{LABEL}> as the last tags; {found}"
    if (words := text.count_words(method)) > max_words:
        return "method_too_long", f"{words} words, at most {max_words}"
    return "", ""


def around(method: str) -> dict[str, str]:
    """What stands before and after the task: inputs of the prompt auto_evol/apply."""
    before, after = method.split(SLOT)
    return {"before": before.strip(), "after": after.strip()}


def as_prompt(method: str, sampling: Mapping[str, Any], *, changed: str) -> str:
    """The method as a file of prompts/evolve, which renders to exactly what auto_evol/apply sends."""
    passport = {
        "paper": "arXiv 2406.00770 (an evolving method, found by `gen auto-evol`)",
        "purpose": "rewrite a task by an evolving method that was improved on its failures",
        "role": "evolver", "inputs": INPUTS, "changed": changed,
    }  # fmt: skip
    sections = {"sampling": sampling, "reply": {"form": "sections", "sections": [LABEL], "last": True}}
    head = [*_toml(passport), *(line for name, table in sections.items() for line in ("", f"[{name}]", *_toml(table)))]
    blocks = [f"{{% block {name} %}}{_raw(part)}{{% endblock %}}" for name, part in around(method).items()]
    return "\n".join(["---", *head, "---", '{% extends "auto_evol/_method" %}', *blocks, ""])


def _toml(table: Mapping[str, Any]) -> list[str]:
    """JSON of texts, numbers, truth values and lists of them is TOML."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]


def _raw(plain: str) -> str:
    """A text that Jinja renders as it is. The end of a raw block inside it is written as a literal."""
    safe = ENDRAW.sub("{%+ endraw +%}{{ '{%' }}{% raw %}", plain)
    return f"{{% raw %}}{safe}{{%+ endraw +%}}"
