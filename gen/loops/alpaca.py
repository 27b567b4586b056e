"""Alpaca: whole tasks, many in one reply, after a few seeds (Stanford Alpaca, 2023, a variant of arXiv 2212.10560). No
second question: instruction, input and output come together.

Deviations: chat models reply in JSON, in which nothing inside a task can be taken for its border; base models in the
published form, which is read by its labels whatever their numbers, so that hash marks and a skipped number lose
nothing; an empty output is dropped; every spelling of "no input" is one; no stop strings. `compat` reads as published.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from gen import text
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Rollout, Sample, Verdict, replace
from gen.errors import InputError
from gen.loop import MEASURED, RULES
from gen.loops import _drawing, _official, _triples
from gen.loops._common import ask, checked, unfinished
from gen.loops._triples import Triple
from gen.prompts import Prompt, Prompts

NAME = "alpaca"
FILLS = ("tasks", "triples", "count", "language", "domain")
BANNED = ("video", "audio", "music", "flowchart", "diagram")
"""What the published script bans besides the words of Self-Instruct."""


@component(NAME, source="Stanford Alpaca (github.com/tatsu-lab/stanford_alpaca), a variant of arXiv 2212.10560")
@dataclass(frozen=True, slots=True)
class Alpaca:
    GATE: ClassVar[tuple[str, ...]] = (*RULES, "keywords", "exact", "rouge", *MEASURED)
    domain: str = ""
    """Keep every task inside this domain, such as "contract law"."""
    language: str = ""
    """Language of the tasks; empty: that of the seeds."""
    style: Literal["chat", "base"] = "chat"
    """Who is asked: a chat model, or a base model, which goes on with a list and no chat template (published)."""
    shown: Annotated[int, Meta(ge=1, le=100)] = 3
    """Tasks that each question shows, with input and output."""
    from_pool: Annotated[int, Meta(ge=0, le=100)] = 0
    """How many of these are tasks that were made and kept, as soon as there are so many; the rest are seeds."""
    asked: Annotated[int, Meta(ge=1, le=100)] = 20
    """New tasks that each question asks for; no more are read."""
    prompts_per_batch: Annotated[int, Meta(ge=1, le=10000)] = 32
    """Questions of a batch, at most: 2 at first, one more for every 8 tasks kept."""
    dry_batches: Annotated[int, Meta(ge=1, le=10000)] = 10
    """Batches in a row without anything new until the loop ends."""
    min_words: Annotated[int, Meta(ge=1)] = 4
    """Fewest words of a new instruction; a CJK character is a word."""
    max_words: Annotated[int, Meta(ge=1)] = 150
    """Most words of a new instruction."""
    banned: tuple[str, ...] = BANNED
    """Words that no new instruction may hold, besides those of the gate's `keywords`."""
    seeds_too: bool = False
    """Seeds are samples as well; a target counts them, too."""
    compat: bool = False
    """Read replies as the published script does, mistakes included; needs style base."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature; empty: what the prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus; empty: what the prompt's passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of all tasks of a reply; empty: what the prompt's passport says."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        _drawing.check(self)

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that a run of this loop can send; they decide the run."""
        return (checked(self.prompts, f"alpaca/triples{'_base' if self.style == 'base' else ''}", FILLS),)

    def batch(self, seeds: int, made: int) -> int:
        return min(self.prompts_per_batch, 2 + made // 8)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """A seed is in the pool from the beginning, as it is. One without an answer shows no output, so it is none."""
        yield from ()
        failure = Verdict(False, "unanswered_seed", NAME) if seed.response is None else None
        return Grown((Candidate(seed, failure, given=failure is None),), ())

    def draw(self, seeds: Sequence[Sample], made: Sequence[Sample], rng: random.Random) -> Rollout[Grown]:
        """One question: some tasks are shown, more are asked for."""
        seeds = [seed for seed in seeds if seed.response is not None]
        if not seeds:
            raise InputError("alpaca: no seed has an answer to show; at least one is needed, 3 or more are better")
        [prompt] = self.asks()
        demos, nonce = _drawing.draw(seeds, made, self.shown, self.from_pool, rng), rng.getrandbits(64)
        triples = [Triple(d.instruction, d.input, d.response or "") for d in demos]
        values = {"tasks": [_triples.render(*t[:3]) for t in triples], "triples": [t._asdict() for t in triples],
                  "count": self.asked, "language": self.language, "domain": self.domain}  # fmt: skip
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        [reply] = yield [ask(prompt, values, **own)]

        def candidate(place: int, task: Triple, failure: Verdict | None) -> Candidate:
            sample = _drawing.new("triples", (nonce, place), demos, prompt, task.instruction, task.input, task.output)
            return Candidate(replace(sample, reasoning=reply.reasoning), failure)

        return Grown(tuple(candidate(i, *found) for i, found in enumerate(self._read(reply, demos))), ())

    def _read(self, reply: Completion, demos: Sequence[Sample]) -> Iterator[tuple[Triple, Verdict | None]]:
        """Each task of a reply, and why it is none; what cannot be read at all as one."""
        failure, is_cut = unfinished(reply, "list", NAME), reply.finish == "length"
        tasks = self._tasks(reply.text, len(demos), cut=is_cut) if is_cut or failure is None else []
        if not tasks:
            said = text.find_refusal(reply.text) if self.style == "chat" else None
            none = Verdict(False, "list_refused" if said else "no_tasks", NAME, note=said or "")
            yield Triple(reply.text), failure or none
        for task in tasks[: self.asked]:
            yield task, self._fault(task, demos)
        if surplus := tasks[self.asked :]:
            yield surplus[0], Verdict(False, "surplus_tasks", NAME, len(surplus))

    def _tasks(self, told: str, shown: int, *, cut: bool) -> list[Triple]:
        if self.compat:
            return _official.triples(told, shown, cut=cut)
        goes_on = shown if self.style == "base" else None
        return [_triples.tidy(task) for task in _triples.read(told, cut=cut, shown=goes_on)]

    def _fault(self, task: Triple, demos: Sequence[Sample]) -> Verdict | None:
        if task.reason:
            return Verdict(False, task.reason, NAME)
        if word := text.find_word(task.instruction, self.banned):
            return Verdict(False, "keyword", NAME, note=word)
        if not task.output and not self.compat:
            return Verdict(False, "empty_output", NAME)
        return _drawing.fault(self, task.instruction, demos, NAME)
