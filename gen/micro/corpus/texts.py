"""Backtranslation and extraction: what was asked to get this text, and which passage of a page is an answer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import partial

from gen.micro.corpus.drafts import task_of
from gen.micro.corpus.example import Example, Made, Maker, ask
from gen.prompts import Prompts
from gen.world import Task, solve
from gen.world.pages import ENDS, TOPS, Page, page, told


def source(rng: random.Random) -> Task:
    """A task with all that it needs in its instruction; mostly one whose answer tells what was asked."""
    if rng.random() < 0.8:
        return told(rng)
    while (task := task_of(rng, (0,))).form != "inline":
        pass
    return task


def invert(prompts: Prompts, rng: random.Random) -> Made:
    task, prompt = source(rng), prompts.get("backtranslate/invert")
    pairs = [source(rng) for _ in range(rng.choice([0, 0, 1, 2, 3]))]
    shown = [{"text": solve(t), "instruction": t.instruction} for t in pairs]
    text = solve(task) + rng.choice(["", "."])
    reply = f"<instruction>\n{task.instruction}\n</instruction>"
    return Made(Example(prompt.name, ask(prompt, text=text, examples=shown), reply), (task, *pairs))


def keywords(paragraph: str, rng: random.Random) -> str:
    """Up to four of its words in their order, those of four letters or more where there are any."""
    words = list(dict.fromkeys(re.findall(r"\w+", paragraph)))
    words = [w for w in words if len(w) > 3] or words
    drawn = rng.sample(words, min(len(words), 4))
    return ", ".join(w for w in words if w in drawn)


HINTS: Mapping[str, Callable[[Page, str, random.Random], dict[str, str]]] = {
    "extract/whole": lambda found, paragraph, rng: {},
    "extract/sentence": lambda found, paragraph, rng: {"sentence": paragraph},
    "extract/keywords": lambda found, paragraph, rng: {"keywords": keywords(paragraph, rng)},
}


def extract(prompts: Prompts, rng: random.Random, name: str) -> Made:
    found = page(rng, rng.randint(1, 3))
    useless = name != "extract/whole" and found.end and rng.random() < 0.12
    paragraph = found.end if useless else rng.choice(found.paragraphs)
    messages = ask(prompts.get(name), document=found.text, **HINTS[name](found, paragraph, rng))
    passage = found.body if name == "extract/whole" else paragraph
    inside = "" if useless else f"{passage}\n"
    return Made(Example(name, messages, f"<passage>\n{inside}</passage>"), found.tasks)


MAKERS: dict[str, Maker] = {
    "backtranslate/invert": invert, **{name: partial(extract, name=name) for name in HINTS}}
PASSAGES = ("<passage>\n", "\n</passage>", "<passage>\n</passage>", *TOPS, "Posted by", ENDS[1], "Share this page with")
