"""What a training example is: a question as a loop asks it, and the ideal reply."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from gen.core import Message, Request
from gen.prompts import Prompt, Prompts
from gen.world import Task


@dataclass(frozen=True, slots=True)
class Example:
    prompt: str
    """The name of the prompt file."""
    messages: tuple[Message, ...]
    reply: str


class Made(NamedTuple):
    example: Example
    tasks: tuple[Task, ...]
    """The tasks that occur in it; none of them may be held out."""


Maker: TypeAlias = Callable[[Prompts, random.Random], Made]
DEFAULTS: Mapping[str, Any] = {"domain": "", "language": "", "min_added": 10, "max_added": 20}
"""What loops put into these inputs when nothing else is asked for."""


def ask(prompt: Prompt, **values: Any) -> tuple[Message, ...]:
    """The prompt's messages for `values`, with the loops' defaults for the rest."""
    return prompt.render(**{n: values.get(n, DEFAULTS.get(n, "")) for n in prompt.inputs})


def asked(request: Request, reply: str, *tasks: Task) -> Made:
    """The example that a loop's own request makes."""
    return Made(Example(request.prompt.partition("@")[0], request.messages, reply), tasks)
