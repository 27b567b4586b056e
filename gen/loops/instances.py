"""Instances for tasks: what a task is carried out on, and the result (arXiv 2212.10560, section 2.2). One task is one
conversation:

    classification?  ->  inputs and their outputs, or labels and inputs for them  ->  read, clean

Deviations: chat models reply in tagged sections, and are asked for no more instances than are kept; labels count only
at the beginning of a line; an input that only says that there is none is none. `compat` reads as published."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from gen import text
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Request, Rollout, Sample, Verdict, child, derive_seed, replace
from gen.errors import ParseError, PromptError, RecipeError
from gen.loops import _official, _pairs
from gen.loops._common import ask, checked, unfinished
from gen.prompts import Prompt, Prompts, parse_choice

FILLS = ("instruction", "count", "language")
STEPS = ("instances_input_first", "instances_output_first")


@component("instances", source="arXiv 2212.10560 (Self-Instruct), section 2.2 (classification, instances, filtering)")
@dataclass(frozen=True, slots=True)
class Instances:
    style: Literal["chat", "base"] = "chat"
    """Who is asked: a chat model, or a base model, which goes on with worked tasks and no chat template."""
    language: str = ""
    """Language of inputs and outputs; empty: that of each task."""
    max_instances: Annotated[int, Meta(ge=1, le=100)] = 5
    """Instances of each task: so many are asked for, and of more so many drawn."""
    order: Literal["ask", "input-first", "output-first"] = "ask"
    """What is written first; ask: the label for what the model finds to be a classification task, else the input."""
    seeds_too: bool = True
    """Tasks that come with an answer are candidates as they are; else they are passed over."""
    compat: bool = False
    """Read replies as the published script does, mistakes included; needs style base."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of instances; empty: what each prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus of instances; empty: what each prompt's passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of all instances of a task; empty: what each prompt's passport says."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        if self.compat and self.style != "base":
            raise RecipeError("compat reads what a base model writes; set style = 'base', or leave compat out")

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that a run of this loop can send; they decide the run."""
        if self.order != "ask":
            return (self._prompt(STEPS[self.order == "output-first"]),)
        judge = self._prompt("is_classification")
        if not {"yes", "no"} <= {*judge.reply.choices}:
            raise PromptError(f"{judge.name}: its reply has no choices 'yes' and 'no'; add them to the passport")
        return (judge, *map(self._prompt, STEPS))

    def _prompt(self, step: str) -> Prompt:
        return checked(self.prompts, f"self_instruct/{step}{'_base' if self.style == 'base' else ''}", FILLS)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """What becomes of a task: its instances; of one that has its answer already, itself."""
        if seed.response is not None:
            return Grown((Candidate(seed, given=True),) if self.seeds_too else (), ())
        labels, used = yield from self._is_classification(seed)
        prompt = self._prompt(STEPS[labels])
        values = {"instruction": seed.prompt, "count": self.max_instances, "language": self.language}
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        [reply] = yield [ask(prompt, values, **own)]
        refs = (*seed.lineage.prompts, *(p.ref for p in (*used, prompt)))
        blank = child(seed, STEPS[labels], seed.instruction, input=seed.input, response=reply.text, prompts=refs)
        blank = replace(blank, reasoning=reply.reasoning, meta={**seed.meta, "is_classification": labels})
        return Grown(tuple(self._candidates(seed, blank, reply, labels)), ())

    def _is_classification(self, seed: Sample) -> Generator[list[Request], list[Completion], tuple[bool, list[Prompt]]]:
        """Whether the task is one, and the prompt that was asked. What is neither Yes nor No counts as No."""
        known = seed.meta.get("is_classification")
        if isinstance(known, bool) or self.order != "ask":
            return self.order == "output-first" if self.order != "ask" else bool(known), []
        prompt = self._prompt("is_classification")
        values = {"instruction": seed.prompt, "count": self.max_instances, "language": self.language}
        [reply] = yield [ask(prompt, values)]
        if self.compat:
            return reply.text.strip() in ("Yes", "yes", "YES"), [prompt]
        said = reply.text.strip().split("\n")[0] if self.style == "base" else reply.text
        try:
            return parse_choice(said, prompt.reply.choices) == "yes", [prompt]
        except ParseError:
            return False, [prompt]

    def _candidates(self, seed: Sample, blank: Sample, reply: Completion, labels: bool) -> list[Candidate]:
        failure = unfinished(reply, "instances", "instances")
        if failure and reply.finish != "length":
            return [Candidate(blank, failure)]
        read = _official.instances if self.compat else _pairs.read
        pairs = read(reply.text, cut=reply.finish == "length", is_classification=labels)
        if not pairs:
            said = text.find_refusal(reply.text)
            reason = "instances_refused" if said else "no_instances"
            return [Candidate(blank, failure or Verdict(False, reason, "instances", note=said or ""))]
        rng = random.Random(derive_seed("instances", seed.id))
        return [self._candidate(seed, blank, pair) for pair in _pairs.clean(pairs, self.max_instances, rng)]

    def _candidate(self, seed: Sample, blank: Sample, pair: _pairs.Pair) -> Candidate:
        whole = replace(blank, input=pair.input or seed.input, response=pair.output)
        return Candidate(whole, Verdict(False, pair.reason, "instances") if pair.reason else None)
