"""Code: the world has no programs, so its tasks stand for them and are made harder by what it has of each operation."""

from __future__ import annotations

import json
import random
from functools import partial

from gen.micro.corpus.drafts import task_of, wrong
from gen.micro.corpus.example import Example, Made, Maker, ask
from gen.prompts import Prompts
from gen.world import TRANSFORMS, Task, solve

OPERATIONS: dict[str, tuple[str, ...]] = {
    "code/constrain": ("add_demand", "ask_also", "add_step"),
    "code/rare_requirement": ("make_specific", "add_demand", "ask_also"),
    "code/reason": ("add_step", "ask_also", "add_demand"),
    "code/complexity": ("ask_also", "add_step", "add_demand"),
}


def misled(task: Task, rng: random.Random) -> str:
    """The task with a program that gives a wrong answer to it."""
    shown = json.dumps(wrong(task, rng).text.partition("\n")[0])
    return f"{task.instruction}\n\n```python\nprint({shown})\n```"


def harder(prompts: Prompts, rng: random.Random, name: str) -> Made:
    """The ideal rewrite for prompt `name`."""
    while True:
        task = task_of(rng)
        for transform in OPERATIONS[name]:
            if new := TRANSFORMS[transform].apply(task, rng):
                return _rewrite(prompts, name, task, new.instruction)


def erroneous(prompts: Prompts, rng: random.Random) -> Made:
    task = task_of(rng)
    return _rewrite(prompts, "code/erroneous_code", task, misled(task, rng))


def _rewrite(prompts: Prompts, name: str, task: Task, new: str) -> Made:
    messages = ask(prompts.get(name), instruction=task.instruction, input=task.input)
    return Made(Example(name, messages, f"<instruction>\n{new}\n</instruction>"), (task,))


def answer(prompts: Prompts, rng: random.Random) -> Made:
    """A task and its answer; a program that stands beside it leads nobody astray."""
    task = task_of(rng)
    text = misled(task, rng) if rng.random() < 0.6 else task.instruction
    messages = ask(prompts.get("code/answer"), instruction=text, input=task.input)
    return Made(Example("code/answer", messages, solve(task)), (task,))


def tests(prompts: Prompts, rng: random.Random) -> Made:
    """No answer of the world has Python code that a test could run: the section stays empty, as the prompt demands."""
    task = task_of(rng)
    response = wrong(task, rng).text if rng.random() < 0.3 else solve(task)
    messages = ask(prompts.get("code/tests"), instruction=task.instruction, input=task.input, response=response)
    return Made(Example("code/tests", messages, "<tests>\n</tests>"), (task,))


MAKERS: dict[str, Maker] = {
    **{name: partial(harder, name=name) for name in OPERATIONS},
    "code/erroneous_code": erroneous, "code/answer": answer, "code/tests": tests}
PASSAGES = ("\n\n```python\nprint(\"", "\")\n```", "<tests>\n</tests>")
