"""Auto Evol-Instruct: methods carried out, their failures named, and better methods written."""

from __future__ import annotations

import random

from gen.errors import ParseError
from gen.loops._failures import is_unchanged
from gen.loops._method import around, fault_of
from gen.loops._trials import case
from gen.micro.corpus.auto_evol import RULES, feedback, first_method, improved, named
from gen.micro.corpus.example import ask
from gen.micro.measure.model import GREEDY, Model
from gen.micro.measure.rows import Row, mixed, row
from gen.prompts import Prompts, parse_last
from gen.world import Task, parse


def evolved(task: Task, text: str) -> bool:
    """Whether a reply has a task of the world that is not the old one."""
    try:
        new = parse_last(text, ("instruction",))["instruction"]
    except ParseError:
        return False
    return parse(new, task.input) is not None and not is_unchanged(task.instruction, new)


def section(text: str, name: str) -> str:
    try:
        return parse_last(text, (name,))[name]
    except ParseError:
        return ""


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    first, rows = first_method(prompts), []
    for name, method in (("first method", first), ("method with its rule", improved(first, [*RULES]))):
        tasks = mixed(rng, count)
        chats = [ask(prompts.get("auto_evol/apply"), instruction=t.instruction, input=t.input, **around(method))
                 for t in tasks]
        rows.append(row(f"made harder by the {name}",
                        (evolved(t, r) for t, r in zip(tasks, model.reply(chats, GREEDY), strict=True))))
    traces = [feedback(rng, 4) for _ in range(count)]
    chats = [ask(prompts.get("auto_evol/analyse"), cases="\n\n".join(case(n, s) for n, s in enumerate(found, 1)))
             for found, _ in traces]
    said = [set(section(text, "failures").splitlines()) for text in model.reply(chats, GREEDY)]
    rows.append(row("analyses that name every failure and no other",
                    (s == set(named(failed).splitlines()) for s, (_, failed) in zip(said, traces, strict=True))))
    prompt, told = prompts.get("auto_evol/optimise"), [named(failed) for _, failed in traces if failed]
    chats = [ask(prompt, method=first, feedback=t, max_words=400) for t in told]
    better = [section(text, "method") for text in model.reply(chats, prompt.sampling)]
    rows.append(row("improved methods that are one", (not fault_of(m, 400)[0] and m != first for m in better)))
    return {"evolving methods": rows}
