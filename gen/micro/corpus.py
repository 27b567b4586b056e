"""The training examples: the project's own prompts, filled with tasks of the world, and ideal replies.

Every text passes through the prompt files, with the variables that the evolving loop uses by default, so
the model learns the very forms that it will be asked in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gen.core import Message
from gen.prompts import Prompt, Prompts
from gen.world import FAMILIES, TRANSFORMS, Task, draw, equal, held_out, solve

OPERATIONS: dict[str, tuple[str, ...]] = {
    "evolve/constrain": ("add_demand", "ask_also", "add_step"),
    "evolve/deepen": ("ask_also", "add_step", "add_demand"),
    "evolve/concretize": ("make_specific", "add_demand", "ask_also"),
    "evolve/reason": ("add_step", "ask_also", "add_demand"),
    "evolve/complicate": ("give_data",),
    "evolve/breadth": ("sibling",),
}
"""What each prompt does to a task: its own transform first, then the nearest one for a task without room."""
DEPTH = [name for name in OPERATIONS if name != "evolve/breadth"]
NAMES = sorted([*OPERATIONS, "evolve/answer", "evolve/equal"])
SLOW = ("filter", "tally", "name", "member", "count", "sort", "who", "what")
"""The families whose answers take long to learn, and those that take longest: they look things up."""
SLOWEST = ("who", "what", "member", "who", "what", "member", "filter")


@dataclass(frozen=True, slots=True)
class Stage:
    """How often each prompt occurs from the training step `start` on."""

    start: int
    answer: int
    equal: int
    depth: int
    """For each in-depth operation; `complicate` and `breadth` have their own."""
    complicate: int
    breadth: int
    slow: float = 0.0
    """Share of the tasks to answer that are drawn from the slow families alone,"""
    plain: bool = False
    """whether these are left unevolved,"""
    families: tuple[str, ...] = SLOW
    """and which these are."""

    def weights(self) -> list[int]:
        own = {"evolve/answer": self.answer, "evolve/equal": self.equal, "evolve/complicate": self.complicate,
               "evolve/breadth": self.breadth}
        return [own.get(name, self.depth) for name in NAMES]


STAGES = (Stage(0, 35, 13, 9, 9, 7), Stage(800, 48, 28, 4, 4, 4), Stage(1200, 50, 16, 5, 8, 6, slow=0.5),
          Stage(2000, 70, 8, 3, 5, 5, slow=0.6, plain=True),
          Stage(3260, 68, 12, 3, 5, 4, slow=0.65, plain=True, families=SLOWEST))
"""Rewrites are learned first; then they make room for verdicts, and these for answers."""
DEFAULTS = {"domain": "", "language": "", "min_added": 10, "max_added": 20}


@dataclass(frozen=True, slots=True)
class Example:
    prompt: str
    """The name of the prompt file."""
    messages: tuple[Message, ...]
    reply: str


def ask(prompt: Prompt, **values: str) -> tuple[Message, ...]:
    """The prompt's messages for `values`, with the loop's defaults for the rest."""
    return prompt.render(**{n: values.get(n, DEFAULTS.get(n, "")) for n in prompt.inputs})


def applied(name: str, task: Task, rng: random.Random) -> tuple[str, Task] | None:
    """The transform that prompt `name` stands for on this task, and its result."""
    for transform in OPERATIONS[name]:
        if (new := TRANSFORMS[transform].apply(task, rng)) is not None:
            return transform, new
    return None


def grown(rng: random.Random, depth: int, family: str | None = None) -> Task:
    """A task after `depth` random operations, as the rounds of a run make them."""
    task = draw(rng, family)
    for _ in range(depth):
        done = applied(rng.choice(list(OPERATIONS)), task, rng)
        task = done[1] if done else task
    return task


def reworded(task: Task, rng: random.Random) -> Task:
    """The same task in other words (now and then in the same words)."""
    clauses = tuple(replace(c, phrasing=rng.randrange(2)) for c in task.clauses)
    return replace(task, phrasing=rng.randrange(len(FAMILIES[task.family].phrasings)), clauses=clauses)


def pair(rng: random.Random) -> tuple[Task, Task]:
    """Two tasks to compare, equal and not equal equally often."""
    task = grown(rng, rng.choice([0, 0, 1, 1, 2, 3]))
    if rng.random() < 0.5:
        return task, reworded(task, rng) if rng.random() < 0.7 else task
    if rng.random() < 0.25:
        other = draw(rng, task.family)
        return task, replace(other, form=task.form, scenes=task.scenes, clauses=task.clauses)
    done = applied(rng.choice(list(OPERATIONS)), task, rng)
    return task, reworded(done[1], rng) if done and rng.random() < 0.3 else done[1] if done else task


def reply(name: str, task: Task) -> str:
    """The ideal reply to an evolving prompt whose new task is `task`."""
    text = f"<instruction>\n{task.instruction}\n</instruction>"
    data = name == "evolve/complicate" or (name == "evolve/breadth" and task.input)
    return f"{text}\n<input>\n{task.input}\n</input>" if data else text


def example(
    prompts: Prompts, name: str, rng: random.Random, stage: Stage = STAGES[0],
) -> tuple[Example, tuple[Task, ...]]:
    """One example for prompt `name`, and the tasks that occur in it."""
    prompt = prompts.get(name)
    if name == "evolve/equal":
        first, second = pair(rng)
        messages = ask(prompt, first=first.text, second=second.text)
        return Example(name, messages, "Equal" if equal(first, second) else "Not equal"), (first, second)
    answer = name == "evolve/answer"
    family = rng.choice(stage.families) if answer and stage.slow and rng.random() < stage.slow else None
    depth = rng.choice([0, 0, 0, 1, 2, 3] if answer else [0, 0, 1, 1, 2, 2])
    task = grown(rng, 0 if family and stage.plain else depth, family)
    messages = ask(prompt, instruction=task.instruction, input=task.input)
    if answer:
        return Example(name, messages, solve(task)), (task,)
    done = applied(name, task, rng)
    if done is None:
        return example(prompts, name, rng)
    return Example(name, messages, reply(name, done[1])), (task, done[1])


def examples(prompts: Prompts, rng: random.Random, step: int = 0) -> Iterator[Example]:
    """Endless training examples for one step of the training, without any held-out instance."""
    stage = next(s for s in reversed(STAGES) if s.start <= step)
    while True:
        made, tasks = example(prompts, rng.choices(NAMES, stage.weights())[0], rng, stage)
        if not any(held_out(t) for t in tasks):
            yield made
