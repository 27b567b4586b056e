"""Self-Instruct and Alpaca: lists of new tasks, what they are, and instances of them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gen.micro.corpus.drafts import task_of
from gen.micro.corpus.example import Example, Made, Maker, ask
from gen.micro.corpus.refine import sections
from gen.prompts import Prompts
from gen.world import TRANSFORMS, Task, another, families, held_out, solve

LABELLED = "member"
"""The family whose answers are labels: Yes and No."""


def seed(rng: random.Random, family: str | None = None) -> Task:
    """A plain task, now and then with a clause, its items in the sentence or in a list below."""
    task = task_of(rng, (0,), family)
    transform = TRANSFORMS[rng.choice(["add_demand", "ask_also", "add_step", "make_specific"])]
    return (transform.apply(task, rng) or task) if rng.random() < 0.15 else task


def listed(rng: random.Random, family: str | None = None) -> Task:
    """A task on a list that the instruction does not hold."""
    while (task := seed(rng, family)).form != "list":
        pass
    return task


def several(rng: random.Random, count: int, family: str | None = None) -> list[Task]:
    """Different tasks: of different families as far as there are so many."""
    names = [family] * count if family else [f for _ in range(count) for f in rng.sample(families(), len(families()))]
    return [rng.choice([seed, listed])(rng, name) for name in names[:count]]


def fresh(task: Task, rng: random.Random) -> Task:
    """The same instruction on other items that are not held out."""
    while held_out(new := another(task, rng)):
        pass
    return new


def continued(prompts: Prompts, rng: random.Random, name: str) -> Made:
    """The list of tasks, gone on with."""
    family = LABELLED if name.endswith("classification") else None
    shown, count = several(rng, rng.choice([4, 8, 8, 8]), family), rng.choice([3, 4, 5, 7, 7])
    new = several(rng, count, family)
    lines = [f"{number}. {task.instruction}" for number, task in enumerate(new, len(shown) + 1)]
    messages = ask(prompts.get(name), tasks=[t.instruction for t in shown], count=count)
    return Made(Example(name, messages, "\n".join(lines)), ())


def is_classification(prompts: Prompts, rng: random.Random) -> Made:
    yes = rng.random() < 0.4
    task = seed(rng, LABELLED if yes else rng.choice([f for f in families() if f != LABELLED]))
    messages = ask(prompts.get("self_instruct/is_classification"), instruction=task.instruction)
    return Made(Example("self_instruct/is_classification", messages, "Yes" if yes else "No"), (task,))


def instances(prompts: Prompts, rng: random.Random, name: str) -> Made:
    """Inputs of a task with their outputs; where the task says all, the output alone."""
    label_first = name == "self_instruct/instances_output_first"
    others = [f for f in families() if f != LABELLED]
    task = rng.choice([seed, listed, listed])(rng, LABELLED if label_first else rng.choice(others))
    task = replace(task, scenes=(), clauses=()) if label_first else task
    count, whole = rng.choice([2, 3, 5, 5]), rng.random() < 0.15
    if task.form == "inline" or whole:
        found, shown = [task], [sections({"output": solve(task)})]
    else:
        found = labelled(task, rng, count) if label_first else [fresh(task, rng) for _ in range(count)]
        tags = ("output", "input") if label_first else ("input", "output")
        shown = [sections({tag: solve(t) if tag == "output" else t.input for tag in tags}) for t in found]
    messages = ask(prompts.get(name), instruction=task.text if whole else task.instruction, count=count)
    return Made(Example(name, messages, "\n".join(shown)), tuple(found))


def labelled(task: Task, rng: random.Random, count: int) -> list[Task]:
    """Instances whose labels take turns."""
    found: list[Task] = []
    labels = rng.sample(["Yes", "No"], 2)
    for number in range(count):
        wanted = labels[number % 2]
        while solve(new := fresh(task, rng)) != wanted:
            pass
        found.append(new)
    return found


def triple(task: Task) -> str:
    """A whole task as one line of JSON."""
    return json.dumps({"instruction": task.instruction, "input": task.input, "output": solve(task)}, ensure_ascii=False)


def together(tasks: Sequence[Task]) -> str:
    return '{"tasks": [\n' + ",\n".join(map(triple, tasks)) + "\n]}"


def triples(prompts: Prompts, rng: random.Random) -> Made:
    prompt, shown, count = prompts.get("alpaca/triples"), several(rng, 3), rng.choice([2, 3, 3, 4, 4, 5, 5, 8, 20])
    new = several(rng, count)
    messages = ask(prompt, tasks=[triple(t) for t in shown], count=count)
    return Made(Example(prompt.name, messages, together(new)), (*shown, *new))


NEW = ("self_instruct/new_instructions", "self_instruct/new_classification")
INSTANCES = ("self_instruct/instances_input_first", "self_instruct/instances_output_first")
MAKERS: dict[str, Maker] = {
    **{name: partial(continued, name=name) for name in NEW},
    **{name: partial(instances, name=name) for name in INSTANCES},
    "self_instruct/is_classification": is_classification, "alpaca/triples": triples}
PASSAGES = ('{"instruction": "', '", "input": "', '", "output": "', '"},\n', '{"tasks": [\n', '"}\n]}', "\\n", "\\n-",
            '", "input": "-', "<input>\n", "<output>\n", "\n</output>", "\n</output>\n<input>\n",
            "\n</input>\n<output>\n",
            "\n</output>\n<input>\n-", "<input>\n-", "\n</input>\n<output>\n-")
