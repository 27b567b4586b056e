"""Self-Instruct: from few tasks to many, by showing a model some and asking for more (arXiv 2212.10560). Two stages,
each with a gate of its own:

    instructions  ->  keywords, exact, ROUGE-L  ->  instances (`gen.loops.instances`)  ->  gate

Instructions are asked for in batches that grow with what was kept. Deviations: only the first letter of an instruction
is made a capital (`capitals`); of a reply that was cut only its last item is lost; tasks are counted by the parser,
since a stop string such as "16." also stops inside a task. `compat` reads replies as the published script does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from gen import text
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Rollout, Sample, Verdict
from gen.errors import InputError
from gen.loop import Part
from gen.loops import _drawing, _listed, _official
from gen.loops._common import ask, checked, unfinished
from gen.loops.instances import Instances
from gen.prompts import Prompt, Prompts

FILLS = ("tasks", "count", "language", "domain")
NAME = "self_instruct"
NOVEL = ("leakage", "keywords", "exact", "rouge")
"""The gate of new instructions, before instances are paid for."""


@component(NAME, source="arXiv 2212.10560 (Self-Instruct), section 2.2")
@dataclass(frozen=True, slots=True)
class SelfInstruct:
    domain: str = ""
    """Keep every task inside this domain, such as "contract law"."""
    language: str = ""
    """Language of tasks, inputs and outputs; empty: that of the seeds."""
    style: Literal["chat", "base"] = "chat"
    """Who is asked: a chat model, or a base model, which goes on with a list and no chat template (the paper)."""
    shown: Annotated[int, Meta(ge=1, le=100)] = 8
    """Tasks that each question shows."""
    from_pool: Annotated[int, Meta(ge=0, le=100)] = 2
    """How many of these are tasks that were made and kept, as soon as there are so many; the rest are seeds."""
    asked: Annotated[int, Meta(ge=1, le=100)] = 7
    """New tasks that each question asks for; no more are read."""
    classification_only: bool = False
    """Ask for classification tasks, and show only such seeds: rows with is_classification true."""
    prompts_per_batch: Annotated[int, Meta(ge=1, le=10000)] = 32
    """Questions of a batch, at most: 2 at first, one more for every 8 tasks kept."""
    dry_batches: Annotated[int, Meta(ge=1, le=10000)] = 10
    """Batches in a row without anything new until the loop ends."""
    min_words: Annotated[int, Meta(ge=1)] = 4
    """Fewest words of a new instruction; a CJK character is a word."""
    max_words: Annotated[int, Meta(ge=1)] = 150
    """Most words of a new instruction."""
    capitals: Literal["first", "flatten", "keep"] = "first"
    """The first letter of an instruction is made a capital; flatten: and all others small, as published; keep: none."""
    max_instances: Annotated[int, Meta(ge=1, le=100)] = 5
    """Instances of each task: so many are asked for, and of more so many drawn."""
    seeds_too: bool = False
    """Seeds are samples as well: as they are, or, without an answer, with instances of their own. A target counts them,
    too."""
    compat: bool = False
    """Read replies as the published script does, mistakes included; needs style base."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of new tasks and of instances; empty: what each prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus of new tasks and of instances; empty: what each prompt's passport says."""
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    """Taken from the logits of tokens that a list of tasks has already; empty: what its passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each list of tasks, and of all instances of one; empty: what each prompt's passport says."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        _drawing.check(self)

    def parts(self) -> tuple[Part, ...]:
        """New instructions, then the instances of those that are new indeed."""
        instances = Instances(
            self.style, self.language, self.max_instances, seeds_too=self.seeds_too, compat=self.compat,
            temperature=self.temperature, top_p=self.top_p, max_new_tokens=self.max_new_tokens, prompts=self.prompts,
        )  # fmt: skip
        return Part(self, NOVEL), Part(instances, of=0)

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that the first stage can send; they decide the run."""
        return (self._prompt(),)

    def _prompt(self) -> Prompt:
        step = "new_classification" if self.classification_only else "new_instructions"
        return checked(self.prompts, f"self_instruct/{step}{'_base' if self.style == 'base' else ''}", FILLS)

    def batch(self, seeds: int, made: int) -> int:
        return min(self.prompts_per_batch, 2 + made // 8)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """A seed is in the pool from the beginning, as it is."""
        yield from ()
        return Grown((Candidate(seed, given=True),), ())

    def draw(self, seeds: Sequence[Sample], made: Sequence[Sample], rng: random.Random) -> Rollout[Grown]:
        """One question: some tasks are shown, more are asked for."""
        if self.classification_only:
            seeds = [seed for seed in seeds if seed.meta.get("is_classification") is True]
        if not seeds:
            which = " with is_classification true" if self.classification_only else ""
            raise InputError(f"self-instruct: no seed{which} to show; at least one is needed, 8 or more are better")
        demos, prompt = _drawing.draw(seeds, made, self.shown, self.from_pool, rng), self._prompt()
        nonce = rng.getrandbits(64)
        values = {"tasks": [" ".join(demo.instruction.split()).rstrip(":") for demo in demos], "count": self.asked,
                  "language": self.language, "domain": self.domain}  # fmt: skip
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens,
               "presence_penalty": self.presence_penalty}  # fmt: skip
        [reply] = yield [ask(prompt, values, **own)]
        meta = {"is_classification": True} if self.classification_only else {}
        found = (
            Candidate(_drawing.new("new", (nonce, i), demos, prompt, task, meta=meta), failure)
            for i, (task, failure) in enumerate(self._read(reply, demos))
        )
        return Grown(tuple(found), ())

    def _read(self, reply: Completion, demos: Sequence[Sample]) -> Iterator[tuple[str, Verdict | None]]:
        """Each item of a reply, and why it is none; what cannot be read at all as one."""
        failure = unfinished(reply, "list", NAME)
        said = text.find_refusal(reply.text) if self.style == "chat" else None
        if said or (failure and reply.finish != "length"):
            yield reply.text, failure or Verdict(False, "list_refused", NAME, note=said or "")
            return
        items, is_cut = self._items(reply, len(demos) + 1)
        if not items:
            yield reply.text, failure if is_cut else Verdict(False, "no_tasks", NAME)
        for place, item in enumerate(items[: self.asked], 1):
            if is_cut and place == len(items):
                yield item, Verdict(False, "task_truncated", NAME)
            else:
                yield item, _drawing.fault(self, item, demos, NAME)
        if surplus := items[self.asked :]:
            yield surplus[0], Verdict(False, "surplus_tasks", NAME, len(surplus))

    def _items(self, reply: Completion, first: int) -> tuple[list[str], bool]:
        """The items, and whether the last one is cut. A base model knows no end: an empty line is one, as published."""
        body, is_cut = reply.text, reply.finish == "length"
        if self.style == "base":
            body = _listed.until_gap(reply.text)
            is_cut = is_cut and len(body) == len(reply.text)
        if self.compat:
            items = _official.new_instructions(body)
            return ([], True) if is_cut and len(items) <= self.asked else (items, False)
        items = _listed.items(f"{first}.{body}" if self.style == "base" else body, first)
        if items and not items[-1]:  # the next number, and nothing behind it
            return [self._capital(item) for item in items[:-1]], False
        return [self._capital(item) for item in items], is_cut

    def _capital(self, item: str) -> str:
        return {"first": item[:1].upper() + item[1:], "flatten": item.capitalize()}.get(self.capitals, item)
