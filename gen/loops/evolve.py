"""Evol-Instruct: rewrite a task to be harder (in depth) or rarer (in breadth), throw out what came to
nothing, answer the rest (arXiv 2304.12244). One round of one lineage is one conversation:

    rewrite  ->  equal?  ->  answer

A failed evolution leaves its parent as heir. Deviations: replies are tagged sections instead of free
text; input data is carried over by us in depth, so that it cannot get lost; a judgement that cannot be
read drops the rewrite instead of letting it pass (`keep_unjudged` restores the published rule)."""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from gen import text
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Request, Rollout, Sample, Verdict, child
from gen.errors import ParseError, PromptError, RecipeError, nearest
from gen.loops._common import checked, unfinished
from gen.prompts import Prompt, Prompts, parse_choice, read_sections

RULES = ("equal", "sorry", "hollow", "leak", "unchanged", "refusal", "length", "data", "script")
FILLS = {"equal": ("first", "second"), "answer": ("instruction", "input", "language")}
REWRITE_FILLS = ("instruction", "input", "domain", "language", "min_added", "max_added")
"""What the inputs of a prompt may be; those of every operation are the same."""
OPERATIONS = ("constrain", "deepen", "concretize", "reason", "complicate", "breadth")
Step = Generator[list[Request], list[Completion], Verdict | None]


@component("evolve", source="arXiv 2304.12244 (WizardLM, Evol-Instruct), sections 3.1 to 3.3")
@dataclass(frozen=True, slots=True)
class Evolve:
    domain: str = ""
    """Keep every rewrite inside this domain, such as "contract law"."""
    language: str = ""
    """Language of rewrites and answers; empty: that of each seed."""
    operations: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(OPERATIONS, 1.0))
    """Weight of each operation; each is a file prompts/evolve/NAME.jinja, so a new one needs no code."""
    min_added: Annotated[int, Meta(ge=0, le=1000)] = 10
    """Words that an in-depth rewrite is asked to add, at least."""
    max_added: Annotated[int, Meta(ge=1, le=1000)] = 20
    """Words that an in-depth rewrite is asked to add, at most."""
    slack: Annotated[float, Meta(ge=1, le=100)] = 3.0
    """A rewrite that adds more than max_added times this many words is dropped."""
    rules: tuple[str, ...] = RULES
    """Elimination rules that are on: equal sorry hollow leak (the paper's four), and our extras."""
    keep_unjudged: bool = False
    """Keep a rewrite whose equality judgement cannot be read (the published rule)."""
    on_failure: Literal["parent", "stop"] = "parent"
    """What the next round grows from when an evolution fails: its parent, or nothing."""
    seeds_too: bool = True
    """Seeds are candidates for the pool as well."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of rewrites and answers; empty: what each prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus of rewrites and answers; empty: what each prompt's passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each rewrite and answer; empty: what each prompt's passport says."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule not in RULES:
                raise RecipeError(f"rules: no elimination rule {rule!r}; {nearest(rule, RULES)}")
        if not 0 < sum(self.operations.values()) < math.inf or min(self.operations.values()) < 0:
            raise RecipeError(f"operations = {dict(self.operations)}; expected finite weights >= 0, one above 0")
        if self.min_added > self.max_added:
            raise RecipeError(f"min_added {self.min_added} is above max_added {self.max_added}")

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that a run of this loop can send; they decide the run."""
        drawn = [name for name, weight in self.operations.items() if weight]
        return tuple(self._checked(name) for name in (*drawn, "equal", "answer"))

    def _checked(self, name: str) -> Prompt:
        """The prompt, refused where this loop cannot fill or read it. Whoever holds a conversation has asked
        for `asks` before, so that conversations need not check again."""
        sections = () if name in FILLS else ("instruction",)
        prompt = checked(self.prompts, f"evolve/{name}", FILLS.get(name, REWRITE_FILLS), sections)
        if name == "equal" and "equal" not in prompt.reply.choices:
            raise PromptError(f"{prompt.name}: its reply has no choice 'equal'; add it to the passport")
        return prompt

    def _ask(self, prompt: Prompt, **values: Any) -> Request:
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        given = {} if prompt.name == "evolve/equal" else {k: v for k, v in own.items() if v is not None}
        inputs = {k: values[k] for k in prompt.inputs}
        return prompt.ask(sampling=replace(prompt.sampling, **given), **inputs)  # type: ignore[arg-type]

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """Round 0: a seed without an answer is answered. It evolves even if that fails."""
        candidate = Candidate(seed)
        if seed.response is None:
            failure, whole = yield from self._answer(seed)
            candidate = Candidate(whole, failure)
        return Grown((candidate,) if self.seeds_too else (), (seed,))

    def grow(self, seed: Sample, rng: random.Random) -> Rollout[Grown]:
        """One evolution of one instruction: rewrite, eliminate, answer, eliminate."""
        names, weights = zip(*sorted(self.operations.items()), strict=True)
        operation = rng.choices(names, weights)[0]
        prompt = self.prompts.get(f"evolve/{operation}")
        [reply] = yield [self._ask(
            prompt, instruction=seed.instruction, input=seed.input, domain=self.domain, language=self.language,
            min_added=self.min_added, max_added=self.max_added,
        )]  # fmt: skip
        proposal, failure = self._proposal(seed, operation, prompt, reply)
        failure = failure or self._eliminate(seed, proposal, deeper="max_added" in prompt.inputs)
        failure = failure or (yield from self._judge(seed, proposal))
        if failure is None:
            failure, proposal = yield from self._answer(proposal)
        heirs = (proposal,) if failure is None else (seed,) if self.on_failure == "parent" else ()
        return Grown((Candidate(proposal, failure),), heirs)

    def _proposal(
        self, seed: Sample, operation: str, prompt: Prompt, reply: Completion
    ) -> tuple[Sample, Verdict | None]:
        blank = child(seed, operation, reply.text, prompts=(prompt.ref,))
        if failure := unfinished(reply, "rewrite", "evolve"):
            return blank, failure
        try:
            found = read_sections(prompt.reply, reply.text)
        except ParseError as error:
            return blank, drop("rewrite_unparsed", note=str(error))
        # The data stays attached as it is; only an operation that asks for data replaces it.
        carries = "input" not in (*prompt.reply.sections, *prompt.reply.optional)
        data = seed.input if carries else found.get("input", "")
        return child(seed, operation, found["instruction"], input=data, prompts=(prompt.ref,)), None

    def _eliminate(self, seed: Sample, new: Sample, *, deeper: bool) -> Verdict | None:
        """The rules that cost no question, before the judge and the answer are paid for."""
        on = self.rules
        if not new.instruction:
            return drop("empty_rewrite")
        if "leak" in on and (leak := text.find_leak(new.instruction, seed.prompt)):
            return drop("prompt_leak", note=leak)
        if "refusal" in on and (refusal := text.find_refusal(new.instruction)):
            return drop("rewrite_refused", note=refusal)
        if "unchanged" in on and text.normalise(new.prompt) == text.normalise(seed.prompt):
            return drop("unchanged")
        if "script" in on and not self._in_language(seed.instruction, new.instruction):
            return drop("wrong_script", note=text.dominant_script(new.instruction) or "")
        if not deeper:
            return None
        added = text.count_words(new.instruction) - text.count_words(seed.instruction)
        if "length" in on and added > self.max_added * self.slack:
            return drop("too_long", value=added)
        if "data" in on and (text.lost_fences(seed.prompt, new.prompt) or _lost(seed.input, new.prompt)):
            return drop("lost_data")
        return None

    def _in_language(self, old: str, new: str) -> bool:
        wanted = text.scripts_of_language(self.language) if self.language else text.spoken_scripts(old)
        found = text.dominant_script(new)
        return not wanted or found is None or found in wanted

    def _judge(self, seed: Sample, new: Sample) -> Step:
        """The first elimination rule: equal in demands, depth and breadth means no gain."""
        if "equal" not in self.rules:
            return None
        prompt = self.prompts.get("evolve/equal")
        [reply] = yield [self._ask(prompt, first=seed.prompt, second=new.prompt)]
        try:
            verdict = parse_choice(reply.text, prompt.reply.choices)
        except ParseError as error:
            unjudged = unfinished(reply, "judgement", "evolve") or drop("judgement_unparsed", note=str(error))
            return None if self.keep_unjudged else unjudged
        return drop("no_gain") if verdict == "equal" else None

    def _answer(
        self, sample: Sample
    ) -> Generator[list[Request], list[Completion], tuple[Verdict | None, Sample]]:
        prompt = self.prompts.get("evolve/answer")
        asked = self._ask(prompt, instruction=sample.instruction, input=sample.input, language=self.language)
        *system, user = asked.messages
        own = [m for m in replace(sample, response=None).messages if m.role == "system"]
        [reply] = yield [replace(asked, messages=(*system, *own, *sample.turns, user))]
        lineage = replace(sample.lineage, prompts=(*sample.lineage.prompts, prompt.ref))
        whole = replace(sample, response=reply.text, reasoning=reply.reasoning, lineage=lineage)
        return self._bad_answer(reply), whole

    def _bad_answer(self, reply: Completion) -> Verdict | None:
        if failure := unfinished(reply, "answer", "evolve"):
            return failure
        if "sorry" in self.rules and text.says_sorry(reply.text):
            return drop("sorry_answer", value=text.count_words(reply.text), note=reply.text[:120])
        if "hollow" in self.rules and text.is_hollow(reply.text):
            return drop("hollow_answer", note=reply.text[:120])
        return None


def drop(reason: str, *, value: float | None = None, note: str = "") -> Verdict:
    return Verdict(False, reason, "evolve", value, note=note)


def _lost(data: str, new: str) -> bool:
    """Whether most words of a task's data are gone from its rewrite."""
    words = set(text.rouge_tokens(data))
    return 2 * len(words & set(text.rouge_tokens(new))) < len(words)
