"""Measures the model on held-out tasks, judged by the world's exact checker:
`python -m gen.micro.evaluate [--model DIR] [--json] [--record]`.

Rewrites are sampled as their prompts say (temperature 1.0, top_p 0.9) and count when they parse, belong
to the world and differ from the old task as their operation demands; answers and verdicts are greedy."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gen.core import Message, Sampling
from gen.errors import ParseError
from gen.micro.bundled import weights
from gen.micro.corpus import DEPTH, OPERATIONS, applied, ask, grown, pair
from gen.prompts import Prompts, parse_choice, parse_sections
from gen.world import TRANSFORMS, Task, check, draw, equal, families, held_out, parse

GREEDY = Sampling(temperature=0.0)
LONGEST = 160


class Model:
    """The model behind transformers, alone with its batch."""

    def __init__(self, folder: Path, batch: int = 64) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.batch = batch

    def reply(self, chats: Sequence[Sequence[Message]], sampling: Sampling) -> list[str]:
        texts = [self.tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in chat], add_generation_prompt=True, tokenize=False)
            for chat in chats]
        how = {"do_sample": False} if sampling.temperature == 0 else {
            "do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        found: list[str] = []
        for start in range(0, len(texts), self.batch):
            inputs = self.tokenizer(texts[start : start + self.batch], return_tensors="pt", padding=True,
                                    add_special_tokens=False, return_token_type_ids=False)
            with torch.inference_mode():
                output = self.model.generate(**inputs, max_new_tokens=LONGEST, **how)
            found += self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how many of `total` were right."""

    name: str
    right: int
    total: int

def fresh(make: Callable[[], Task | None], count: int) -> list[Task]:
    """`count` held-out tasks."""
    found: list[Task] = []
    while len(found) < count:
        if (task := make()) is not None and held_out(task):
            found.append(task)
    return found


def rewritten(name: str, old: Task, text: str, rng: random.Random) -> bool:
    """Whether `text` is a reply to prompt `name` whose task belongs to the world and differs as asked."""
    try:
        optional = () if name == "evolve/complicate" else ("input",)
        sections = parse_sections(text, ("instruction",) if optional else ("instruction", "input"), optional)
    except ParseError:
        return False
    kept = "" if name == "evolve/breadth" else old.input
    new, done = parse(sections["instruction"], sections.get("input", kept)), applied(name, old, rng)
    return new is not None and done is not None and TRANSFORMS[done[0]].differs(old, new)


def operations(model: Model, prompts: Prompts, rng: random.Random, count: int, depth: int) -> list[Row]:
    """Rewrites by every operation, of seeds (depth 0) or of tasks already evolved."""
    rows = []
    for name in OPERATIONS:
        tasks = [t for t in fresh(lambda: grown(rng, depth), 2 * count) if applied(name, t, rng)][:count]
        prompt = prompts.get(name)
        replies = model.reply([ask(prompt, instruction=t.instruction, input=t.input) for t in tasks], prompt.sampling)
        right = sum(rewritten(name, t, r, rng) for t, r in zip(tasks, replies, strict=True))
        rows.append(Row(name.removeprefix("evolve/"), right, len(tasks)))
    return rows


def answers(model: Model, prompts: Prompts, name: str, tasks: Sequence[Task]) -> Row:
    """Right answers at temperature 0."""
    chats = [ask(prompts.get("evolve/answer"), instruction=t.instruction, input=t.input) for t in tasks]
    right = sum(check(t, r) for t, r in zip(tasks, model.reply(chats, GREEDY), strict=True))
    return Row(name, right, len(tasks))


def verdicts(model: Model, prompts: Prompts, rng: random.Random, count: int) -> list[Row]:
    """The judge of equality on as many equal pairs as unequal ones."""
    rows, prompt = [], prompts.get("evolve/equal")
    for truth in (True, False):
        pairs: list[tuple[Task, Task]] = []
        while len(pairs) < count:
            first, second = pair(rng)
            if held_out(first) and equal(first, second) == truth:
                pairs.append((first, second))
        chats = [ask(prompt, first=a.text, second=b.text) for a, b in pairs]
        right = 0
        for text in model.reply(chats, GREEDY):
            try:
                right += (parse_choice(text, prompt.reply.choices) == "equal") == truth
            except ParseError:
                continue
        rows.append(Row("equal pairs" if truth else "unequal pairs", right, count))
    return rows


def evaluate(folder: Path, count: int = 50, seed: int = 0) -> dict[str, list[Row]]:
    """All tables; each row has about `count` cases (at least), and the same ones for the same seed."""
    model, prompts, rng = Model(folder), Prompts(), random.Random(seed)
    torch.manual_seed(seed)
    plain = [answers(model, prompts, f, fresh(partial(draw, rng, f), count)) for f in families()]
    evolved = [answers(model, prompts, f"after {d} operations", fresh(partial(deepened, rng, d), count))
               for d in (1, 2, 3)]
    return {"rewrites of seeds": operations(model, prompts, rng, count, 0),
            "rewrites of evolved tasks": operations(model, prompts, rng, count, 2),
            "answers to seeds": plain, "answers to evolved tasks": evolved,
            "verdicts": verdicts(model, prompts, rng, count)}


def deepened(rng: random.Random, depth: int) -> Task:
    """A task after exactly `depth` in-depth operations."""
    task = grown(rng, 0)
    for _ in range(depth):
        done = applied(rng.choice(DEPTH), task, rng)
        task = done[1] if done else task
    return task


def bar(tables: dict[str, list[Row]]) -> tuple[float, float]:
    """The two figures that the project asks to be above one half: in-depth rewrites, and answers."""
    depth = [r for r in tables["rewrites of seeds"] if f"evolve/{r.name}" in DEPTH]
    return share(depth), share(tables["answers to seeds"])


def share(rows: list[Row]) -> float:
    return sum(r.right for r in rows) / sum(r.total for r in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=weights(), help="folder of the model (the bundled one)")
    parser.add_argument("--count", type=int, default=50, help="held-out cases per row")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    parser.add_argument("--record", action="store_true", help="write the figures into the model's manifest")
    args = parser.parse_args()
    tables = evaluate(args.model, args.count)
    figures = {title: {r.name: [r.right, r.total] for r in rows} for title, rows in tables.items()}
    if args.record:
        path = args.model / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**manifest, "evaluation": figures}, indent=1) + "\n", encoding="utf-8")
    if args.json:
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        return
    for title, rows in tables.items():
        lines = [f"  {r.name:22}{r.right:4} of {r.total:4}  {share([r]):6.1%}" for r in rows]
        sys.stdout.write("\n".join([title, *lines]) + "\n")
    sys.stdout.write("in-depth rewrites {:.1%}, answers {:.1%}\n".format(*bar(tables)))


if __name__ == "__main__":
    main()
