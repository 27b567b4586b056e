"""Self-Refine and SelFee: drafts, notes and critiques that say what is wrong and why, and better versions."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial

from gen.loops.refine import Refine
from gen.micro.corpus.drafts import task_of, wrong
from gen.micro.corpus.example import Example, Made, Maker, ask
from gen.micro.corpus.judging import SHOULD, Case, case, fault, reasons
from gen.prompts import Prompts
from gen.world import Task, solve

GRADES = {"": 10, "demand": 6, "parts": 3, "other": 1}
"""Of ten, as critiques rate."""
ASPECTS = ("correctness", "completeness", "clarity")
RATED = {"": (5, 5, 5), "demand": (3, 2, 5), "parts": (2, 3, 5), "other": (1, 1, 4)}
"""Of five each, as reviews rate."""
LIMITS = {"critique": {"max_words": 100, "threshold": 9}, "revise": {"max_words": 500}}
NEEDED, SPARED = "Revision is needed.", "Revision is not needed."


def notes(given: Case) -> dict[str, str]:
    """What is to change and what to add."""
    if given.draft.fault == "demand":
        return {"change": "none", "add": given.draft.missed}
    return {"change": f"{SHOULD}{given.expected}" if given.draft.fault else "none", "add": "none"}


def sections(fields: Mapping[str, str]) -> str:
    return "\n".join(f"<{tag}>\n{text}\n</{tag}>" for tag, text in fields.items())


def review(given: Case) -> str:
    """The task worked out, then the notes: text before the first tag is the reviewer's own."""
    return f"{SHOULD}{given.expected}\n{sections(notes(given))}"


def shown(given: Case) -> str:
    """Notes as the rewriter sees them: a line for each that is not none."""
    return "\n".join(f"{tag.capitalize()}: {text}" for tag, text in notes(given).items() if text != "none")


def feedback(prompts: Prompts, rng: random.Random) -> Made:
    given, prompt = case(rng), prompts.get("refine/feedback")
    aspects, reply = ASPECTS if rng.random() < 0.8 else (), review(given)
    if aspects:
        told = "\n".join(f"{name}: {score}" for name, score in zip(aspects, RATED[given.draft.fault], strict=True))
        reply += f"\n{sections({'scores': told})}"
    messages = ask(prompt, instruction=given.task.instruction, input=given.task.input, answer=given.draft.text,
                   aspects=aspects, scale=5)
    return Made(Example(prompt.name, messages, reply), (given.task,))


def versions(task: Task, rng: random.Random, tell: Callable[[Case], str]) -> list[dict[str, str]]:
    """One wrong answer with its notes, now and then two."""
    count = 1 + (rng.random() < 0.2)
    found = [Case(task, wrong(task, rng), solve(task)) for _ in range(count)]
    return [{"answer": one.draft.text, "feedback": tell(one)} for one in found]


def rewrite(prompts: Prompts, rng: random.Random) -> Made:
    """By the notes on it; or, where feedback is off, by a sentence that says nothing or by none, and then what was
    right stays."""
    prompt, mode = prompts.get("refine/rewrite"), rng.random()
    if mode < 0.5:
        task = task_of(rng)
        told, best = versions(task, rng, shown), solve(task)
    else:
        given = case(rng)
        task, best = given.task, given.expected
        told = [{"answer": given.draft.text, "feedback": Refine().generic_feedback if mode < 0.75 else ""}]
    messages = ask(prompt, instruction=task.instruction, input=task.input, versions=told)
    return Made(Example(prompt.name, messages, sections({"answer": best})), (task,))


def fused(prompts: Prompts, rng: random.Random) -> Made:
    given, prompt = case(rng), prompts.get("refine/fused")
    earlier = versions(given.task, rng, shown) if rng.random() < 0.2 else []
    told = [*earlier, {"answer": given.draft.text, "feedback": ""}]
    messages = ask(prompt, instruction=given.task.instruction, input=given.task.input, versions=told)
    better = f"\n{sections({'answer': solve(given.task)})}" if given.draft.fault else ""
    return Made(Example(prompt.name, messages, review(given) + better), (given.task,))


def verdict(given: Case, comments: str) -> str:
    return sections({"comments": comments, "score": str(GRADES[given.draft.fault]),
                     "verdict": NEEDED if given.draft.fault else SPARED})


def critique(prompts: Prompts, rng: random.Random) -> Made:
    given, prompt = case(rng), prompts.get("selfee/critique")
    messages = ask(prompt, instruction=given.task.instruction, input=given.task.input, answer=given.draft.text,
                   **LIMITS["critique"])
    return Made(Example(prompt.name, messages, verdict(given, reasons(given))), (given.task,))


def guided(prompts: Prompts, rng: random.Random) -> Made:
    """A teacher's critique: the right answer is known and not given away."""
    given, prompt = case(rng), prompts.get("selfee/critique_gold")
    messages = ask(prompt, instruction=given.task.instruction, input=given.task.input, answer=given.draft.text,
                   gold=given.expected, **LIMITS["critique"])
    return Made(Example(prompt.name, messages, verdict(given, fault(given.draft))), (given.task,))


def told_critique(given: Case, hint: bool) -> str:
    """A critique as the reviser sees it."""
    comments = fault(given.draft) if hint else reasons(given)
    return f"{comments}\nScore: {GRADES[given.draft.fault]}/10. {NEEDED}"


def revise(prompts: Prompts, rng: random.Random, name: str) -> Made:
    task, prompt = task_of(rng), prompts.get(name)
    told = versions(task, rng, partial(told_critique, hint=name == "selfee/revise_minimal"))
    messages = ask(prompt, instruction=task.instruction, input=task.input, versions=told, **LIMITS["revise"])
    return Made(Example(name, messages, sections({"answer": solve(task)})), (task,))


MAKERS: dict[str, Maker] = {
    **{name: partial(revise, name=name) for name in ("selfee/revise", "selfee/revise_minimal")},
    "refine/feedback": feedback, "refine/rewrite": rewrite, "refine/fused": fused,
    "selfee/critique": critique, "selfee/critique_gold": guided}
PASSAGES = (
    "\n</add>\n<scores>\n", *(f"{a}: {n}" for a in ASPECTS for n in (1, 2, 3, 4, 5)), "\n</scores>",
    "\n<change>\n", "\n</change>\n<add>\n", "\n</add>", "\n</add>\n<answer>\n", "\n<change>\nnone\n</change>\n<add>\n",
    "<answer>\n", "\n</answer>", "<comments>\n", "\n</comments>\n<score>\n", "\n</score>\n<verdict>\n", NEEDED, SPARED,
    "\n</verdict>", "none\n</add>", "/10. " + NEEDED, "Change: ", "Add: ", "\nScore: ")
