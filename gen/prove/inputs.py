"""What a proof begins with: held-out tasks as seeds and tests, right and wrong drafts of answers, small pages; drawn
with fixed seeds, so that every checkpoint is given the same."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen.core import digest
from gen.export.files import atomic
from gen.loops._method import as_prompt, tidy
from gen.micro.corpus.drafts import right, wrong
from gen.prompts import Prompts
from gen.world import LEVELS, TUNING, UNSEEN, Task, graded, held_out, key, solve
from gen.world.pages import Page, page

SEED, TEST, DRAFT, PAGE = 1, 2, 3, 4
"""Seeds of what is drawn."""
TESTED = LEVELS[:2]
"""Levels of tests: of harder ones students answer none, whatever they learned."""
TRIES = 200
"""Draws of a task: one in eight is held out."""
PARAGRAPHS, FURNITURE = 3, 5
METHOD_FRAME = "auto_evol/_method"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Tasks, and the files that runs read."""

    folder: Path
    seeds: Sequence[Task]
    tests: Sequence[Task]

    def file(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def digest(self) -> str:
        return digest([[t.instruction, t.input] for t in (*self.seeds, *self.tests)])


def graded_tasks(
    count: int, seed: int, avoid: Iterable[str] = (), levels: Sequence[int] = LEVELS,
) -> list[Task]:
    """`count` held-out tasks, none like another or one of `avoid` (keys): one of a tuning family, one of an unseen one
    in turn, the families of each in turn, of each family the levels in turn; where a family has no more, the next."""
    rng, seen, found = random.Random(seed), set(avoid), list[Task]()
    for at in range(count):
        names, place = (TUNING, UNSEEN)[at % 2], at // 2
        level = levels[(place % len(names) + place // len(names)) % len(levels)]
        turns = (names[(place + shift) % len(names)] for shift in itertools.count())
        task = next(filter(None, (_new(rng, level, family, seen) for family in turns)))
        seen.add(key(task))
        found.append(task)
    return found


def _new(rng: random.Random, level: int, family: str, seen: Container[str]) -> Task | None:
    """A held-out task that was not drawn before; None where that takes too many tries."""
    drawn = (graded(rng, level, family) for _ in range(TRIES))
    return next((task for task in drawn if held_out(task) and key(task) not in seen), None)


def group_of(task: Task | None) -> str:
    """`tuning` or `unseen`; empty for what is no task of the world."""
    return "" if task is None else "unseen" if task.family in UNSEEN else "tuning"


def prepare(folder: Path, seeds: int, tests: int) -> Inputs:
    """Draws everything and writes the files, if they are not there as they should be."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = graded_tasks(seeds, SEED)
    inputs = Inputs(folder, asked, graded_tasks(tests, TEST, map(key, asked), TESTED))
    few, rng = asked[: max(1, seeds // 2)], random.Random(DRAFT)
    drafts = [(right if at % 4 < 2 else wrong)(task, rng).text for at, task in enumerate(few)]
    _write(folder / "tasks.jsonl", map(_row, asked))
    _write(folder / "seeds.jsonl", (_row(t) | {"output": solve(t)} for t in asked))
    _write(folder / "drafts.jsonl", (_row(t) | {"output": d} for t, d in zip(few, drafts, strict=True)))
    pages, texts = random.Random(PAGE), dict[str, str]()
    while len(texts) < len(few):
        found = page(pages, 1 + len(texts) % PARAGRAPHS, held=True)
        texts.setdefault(_piece(found, len(texts)), found.text)
    _write(folder / "pages.jsonl", ({"text": whole} for whole in texts.values()))
    _write(folder / "texts.jsonl", ({"text": piece} for piece in texts))
    first_method(folder / "prompts")
    return inputs


def _piece(found: Page, at: int) -> str:
    """A paragraph that answers a task; of every fifth page what belongs to the page instead."""
    return found.paragraphs[0] if at % FURNITURE or not found.end else found.end


def first_method(folder: Path) -> None:
    """The method with which Auto Evol-Instruct begins, as an operation of `evolve`."""
    prompts = Prompts()
    apply = prompts.get("auto_evol/apply").sampling
    sampling = {"temperature": apply.temperature, "top_p": apply.top_p, "max_tokens": apply.max_tokens}
    method = tidy(prompts.get("auto_evol/initial").render()[-1].content)
    _put(folder / "evolve/auto.jinja", as_prompt(method, sampling, changed="the first method, not improved"))
    for part in prompts.closure(METHOD_FRAME):
        _put(folder / f"{part}.jinja", prompts.path(part).read_text(encoding="utf-8"))


def _row(task: Task) -> dict[str, Any]:
    return {"instruction": task.instruction, "input": task.input}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    _put(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _put(path: Path, text: str) -> None:
    """Only where it changes: another process may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic(path) as file:
            file.write(text)
