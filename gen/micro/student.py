"""A student, with which the value of data is measured: the base model, fine-tuned on lessons alone, and asked.

All students begin with the same weights, make the same `STEPS` steps of exactly `TOKENS` tokens each, and know nothing
of tasks but their lessons; so what they get right afterwards is owed to these.

The instrument was tried before it was used (`python -m gen.micro.measure.students`): 8 paired seeds, 312 held-out
questions of levels 1 to 3 of all families, 5.2 s of one core a student. Right answers, and by how much they differ from
those of 200 ideal lessons (95 % interval, Student's t):

    200 ideal lessons   35.5 %
    10 % wrong          33.0 %   - 2.5  [ -4.5,  -0.4]       100 lessons   30.5 %   -5.0  [-6.7, -3.2]
    30 % wrong          29.0 %   - 6.5  [ -7.8,  -5.2]       400 lessons   39.8 %   +4.3  [+1.6, +7.0]
    50 % wrong          25.3 %   -10.2  [-12.8,  -7.5]       800 lessons   41.6 %   +6.1  [+2.7, +9.6]
    6 of 26 families    26.2 %   - 9.3  [-10.2,  -8.4]

So it sees wrong answers, how many there are, too few lessons and missing families, and 800 lessons are not its ceiling.
Its range is narrow, about 25 to 42 %, and intervals reach one to three points to each side. Families
of arithmetic and looking up (total, replace, who, box, program) stay at 2 in 12 or below: it is nearly blind there."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from gen.core import derive_seed
from gen.micro.learning import Row, reply_loss
from gen.world import Task, check

STEPS = 48
TOKENS = 768
"""Tokens of a step, those of prompts, replies and chat marks alike; padding does not count."""
K = 200
"""Lessons of a student, where nothing else is said."""
RATE = 2e-3
WARMUP = 4
"""Steps in which the learning rate rises; then it falls to a twentieth."""
PARTS = 2
"""Parts of a step, by length, so that little is padding."""
LONGEST = 160
"""Tokens of a lesson, at most; what is beyond is cut off. No right answer to a task of the world is as long."""
REPLY = 96
"""Tokens of an answer, at most."""
BATCH = 100
"""Questions asked at once."""


@dataclass(frozen=True, slots=True)
class Lesson:
    instruction: str
    input: str
    response: str

    @property
    def prompt(self) -> str:
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


class Student:
    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    def right(self, tasks: Sequence[Task]) -> list[bool]:
        """Whether the student's answer to each task is right."""
        return [check(t, a) for t, a in zip(tasks, self.answers([t.text for t in tasks]), strict=True)]

    def answers(self, prompts: Sequence[str]) -> list[str]:
        """Greedy answers, in the order of the prompts."""
        rows = [_asked(prompt, self.tokenizer) for prompt in prompts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found: dict[int, str] = {}
        with _one_thread(), torch.inference_mode():
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                replies = _greedy(self.model, [rows[i] for i in part])
                found |= {i: self.tokenizer.decode(ids) for i, ids in zip(part, replies, strict=True)}
        return [found[i] for i in range(len(rows))]


def folder() -> Path:
    """Where the base is that ships."""
    return Path(str(resources.files("gen.micro") / "base"))


def taught(lessons: Sequence[Lesson], seed: int, base: Path | None = None) -> Student:
    """The base after it has learned the responses of `lessons`, at least one, in an order that `seed` decides. The same
    lessons and seed make the same student on the same machine."""
    if not lessons:
        raise ValueError("a student needs at least one lesson")
    model, tokenizer = _loaded(base or folder())
    model = deepcopy(model).train()
    way = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    with _one_thread():
        for at, rows in enumerate(steps([_row(lesson, tokenizer) for lesson in lessons], seed)):
            _step(model, sorted(rows, key=lambda row: len(row[1])))
            way.param_groups[0]["lr"] = RATE * min(1.0, (at + 1) / WARMUP) * (1 - 0.95 * at / STEPS)
            way.step()
            way.zero_grad(set_to_none=True)
    return Student(model.eval(), tokenizer)


def steps(rows: Sequence[Row], seed: int) -> Iterator[list[Row]]:
    """Exactly `TOKENS` tokens for each of `STEPS` steps, however long the lessons are: all lessons, shuffled anew for
    each time that they come round, as many as fit into the step, and of the next one its beginning. The step after
    begins with this one again, so that each is seen whole."""
    rng, order = random.Random(derive_seed("lessons", seed)), list[Row]()
    for _ in range(STEPS):
        step, left = list[Row](), TOKENS
        while left:
            order = order or rng.sample(rows, len(rows))
            name, ids, start = order[-1]
            step.append((name, ids[:left], min(start, left)))
            if len(ids) <= left:
                order.pop()
            left -= len(step[-1][1])
        yield step


def _step(model: Any, rows: Sequence[Row]) -> None:
    """The gradient of one step."""
    size = -(-len(rows) // PARTS)
    for start in range(0, len(rows), size):
        _, loss = reply_loss(model, rows[start : start + size])
        (loss / len(rows)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def _row(lesson: Lesson, tokenizer: Any) -> Row:
    prompt = _asked(lesson.prompt, tokenizer)
    reply = tokenizer.encode(lesson.response, add_special_tokens=False)
    ids = [*prompt, *reply, tokenizer.eos_token_id][:LONGEST]
    return "lesson", ids, min(len(prompt), len(ids))


def _asked(prompt: str, tokenizer: Any) -> list[int]:
    """The ids of a chat up to where the answer begins."""
    chat = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return list(tokenizer.encode(text, add_special_tokens=False))


def _greedy(model: Any, rows: Sequence[list[int]]) -> list[list[int]]:
    """The likeliest token again and again, for all rows at once; those that have ended leave the batch."""
    end, pad, width = model.config.eos_token_id, model.config.pad_token_id, max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    place = (mask.cumsum(1) - 1).clamp(min=0)
    cache, alive, replies = DynamicCache(config=model.config), torch.arange(len(rows)), [list[int]() for _ in rows]
    for _ in range(REPLY):
        found = model(input_ids=ids, attention_mask=mask, position_ids=place, past_key_values=cache, logits_to_keep=1)
        best = found.logits[:, -1].argmax(-1)
        going = best != end
        for row, token in zip(alive[going].tolist(), best[going].tolist(), strict=True):
            replies[row].append(token)
        if not going.any():
            break
        if not going.all():
            cache.batch_select_indices(going.nonzero()[:, 0])
        alive, ids = alive[going], best[going, None]
        mask = torch.cat([mask[going], torch.ones(len(alive), 1, dtype=torch.long)], 1)
        place = place[going, -1:] + 1
    return replies


@functools.cache
def _loaded(base: Path) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), AutoTokenizer.from_pretrained(base)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, so that sums are made in one order wherever a student is made."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
