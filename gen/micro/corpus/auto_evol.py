"""Auto Evol-Instruct: the method carried out, its failures named, and the method improved by a rule against them.

So that a method matters in the world, a task is treated as the method says and no better: the first method does not
speak of data, and tasks with data come back as they were; one with the rule against that makes them harder, too."""

from __future__ import annotations

import random
from dataclasses import replace

from gen.loops._method import SLOT, around, tidy
from gen.loops._trials import case
from gen.micro.corpus.drafts import task_of
from gen.micro.corpus.example import Example, Made, Maker, ask
from gen.prompts import Prompts
from gen.world import TRANSFORMS, Task, draw, held_out

WAYS = {"add_demand": "Add a demand.", "ask_also": "Ask a further question.", "add_step": "Add a step.",
        "make_specific": "Add a scene."}
RULES = {
    "same": "Make every task harder, one with data too.", "lost": "Keep all that the task says.",
    "other": "Keep the task and add to it.", "none": "Write a task, not an answer."}
"""What keeps a method from each failure,"""
WHY = {"same": "asks for no more than the stage before it.", "lost": "has lost something.", "other": "is another task.",
       "none": "is no task at all."}
"""and how the analysis names it."""
ANCHOR = "\n\n" + SLOT
"""Where a rule goes: before the task."""


def first_method(prompts: Prompts) -> str:
    return tidy(prompts.get("auto_evol/initial").render()[-1].content)


def improved(method: str, faults: list[str]) -> str:
    """The method with the rule against the first fault that it has none against; as it is where it has all."""
    new = next((RULES[f] for f in faults if RULES[f] not in method), "")
    return method.replace(ANCHOR, f"\n{new}{ANCHOR}") if new else method


def method_of(prompts: Prompts, rng: random.Random) -> str:
    """The first method, or one improved already."""
    method = first_method(prompts)
    for fault in rng.sample(list(RULES), rng.choice([0, 0, 1, 1, 2])):
        method = improved(method, [fault])
    return method


def harder(task: Task, rng: random.Random) -> tuple[str, Task]:
    """How a task becomes harder, and the harder one."""
    for name in rng.sample(list(WAYS), len(WAYS)):
        if new := TRANSFORMS[name].apply(task, rng):
            return name, new
    return "", task


def apply(prompts: Prompts, rng: random.Random) -> Made:
    """The method carried out in its four steps."""
    task, method = task_of(rng), method_of(prompts, rng)
    name, new = harder(task, rng) if not task.input or RULES["same"] in method else ("", task)
    ways = " ".join(WAYS[n] for n in rng.sample(list(WAYS), 2) if n != name)
    reply = (f"<ways>\n{WAYS.get(name, 'None.')} {ways}\n</ways>\n<plan>\n{WAYS.get(name, 'None.')}\n</plan>\n"
             f"<draft>\n{new.instruction}\n</draft>\n<instruction>\n{new.instruction}\n</instruction>")
    messages = ask(prompts.get("auto_evol/apply"), instruction=task.instruction, input=task.input,
                   **around(method))
    return Made(Example("auto_evol/apply", messages, reply), (task,))


def spoiled(task: Task, fault: str, rng: random.Random) -> tuple[str, Task]:
    """What a failed evolution makes of a task, and the task that the next stage begins with."""
    if fault == "other":
        while held_out(new := draw(rng)):
            pass
        return new.text, new
    if fault == "lost":
        new = replace(task, clauses=task.clauses[:-1], scenes=task.scenes if task.clauses else ())
        return new.text, new
    return ("[nothing came of it: rewrite unparsed]" if fault == "none" else task.text), task


def trace(rng: random.Random, fault: str, stages: int = 2) -> tuple[list[str], int]:
    """The stages of a task, and the one at which it failed (0: none)."""
    task = task_of(rng, (0, 0, 1))
    at = rng.randint(1, stages) if fault else 0
    at = stages if fault == "lost" else at  # the first stage has nothing to lose yet
    found = [task.text]
    for stage in range(1, stages + 1):
        if stage == at:
            text, task = spoiled(task, fault, rng)
        else:
            task = harder(task, rng)[1]
            text = task.text
        found.append(text)
        if text.startswith("["):
            break
    return found, at


def feedback(rng: random.Random, count: int) -> tuple[list[list[str]], list[tuple[int, str, int]]]:
    """Traces, and of those that failed the number, the fault and the stage."""
    traces, failed = [], []
    for number in range(1, count + 1):
        fault = rng.choice(["", "", "same", "same", "lost", "other", "none"])
        stages, at = trace(rng, fault)
        traces.append(stages)
        if fault:
            failed.append((number, fault, at))
    return traces, failed


def named(failed: list[tuple[int, str, int]]) -> str:
    return "\n".join(f"Case {number}: stage {at} {WHY[fault]}" for number, fault, at in failed) or "none"


def analyse(prompts: Prompts, rng: random.Random) -> Made:
    traces, failed = feedback(rng, rng.choice([2, 3, 4, 4, 6]))
    cases = "\n\n".join(case(number, stages) for number, stages in enumerate(traces, 1))
    messages = ask(prompts.get("auto_evol/analyse"), cases=cases)
    return Made(Example("auto_evol/analyse", messages, f"<failures>\n{named(failed)}\n</failures>"), ())


def optimise(prompts: Prompts, rng: random.Random) -> Made:
    method = method_of(prompts, rng)
    while not (failed := feedback(rng, rng.randint(2, 8))[1]):
        pass
    new = improved(method, [fault for _, fault, _ in failed])
    messages = ask(prompts.get("auto_evol/optimise"), method=method, feedback=named(failed), max_words=400)
    return Made(Example("auto_evol/optimise", messages, f"<method>\n{new}\n</method>"), ())


MAKERS: dict[str, Maker] = {"auto_evol/apply": apply, "auto_evol/analyse": analyse, "auto_evol/optimise": optimise}
PASSAGES = (
    "<ways>\n", "\n</ways>\n<plan>\n", "\n</plan>\n<draft>\n", "\n</draft>\n<instruction>\n", *WAYS.values(),
    *(" " + way for way in WAYS.values()), *("\n" + rule for rule in RULES.values()),
    *(" " + why for why in WHY.values()),
    ": stage", "\nStage", "Case", "\nCase", "<failures>\n", "\n</failures>", "<method>\n", "\n</method>", "\n\n" + SLOT,
    SLOT + "\n\n", "[nothing came of it: rewrite unparsed]")
