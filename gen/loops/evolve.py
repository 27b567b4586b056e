"""Evol-Instruct: rewrite a task to be harder (in depth) or rarer (in breadth), throw out what came to
nothing, answer the rest (arXiv 2304.12244). One round of one lineage is one conversation:

    rewrite  ->  equal?  ->  answer

A failed evolution leaves its parent as heir. Deviations: replies are tagged sections instead of free
text; input data is carried over by us in depth, so that it cannot get lost; a judgement that cannot be
read drops the rewrite instead of letting it pass (`keep_unjudged` restores the published rule).

Style `code` is Evol-Instruct for programming tasks (arXiv 2306.08568): the five operations of prompts/code, no breadth,
the same elimination, in which fenced code is neither counted as words nor read as speech; one elimination more, of
rewrites that hold a solution; and, with `write_tests`, one question more after the answer."""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gen import text
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Request, Rollout, Sample, Verdict, child, replace
from gen.errors import ParseError, PromptError, RecipeError, nearest
from gen.fences import blocks, prose, python_error, python_of
from gen.loop import GATE, MEASURED
from gen.loop import RULES as GATE_RULES
from gen.loops._common import ask, checked, unfinished
from gen.prompts import Prompt, Prompts, parse_choice, read_sections

RULES = ("equal", "sorry", "hollow", "leak", "unchanged", "refusal", "length", "data", "script")
FILLS = {"equal": ("first", "second"), "answer": ("instruction", "input", "language"),
         "tests": ("instruction", "input", "response")}  # fmt: skip
REWRITE_FILLS = ("instruction", "input", "domain", "language", "min_added", "max_added")
"""What the inputs of a prompt may be; those of every operation are the same."""
OPERATIONS = ("constrain", "deepen", "concretize", "reason", "complicate", "breadth")
WEIGHTS = {
    "general": dict.fromkeys(OPERATIONS, 1.0),
    "code": dict.fromkeys(("constrain", "rare_requirement", "reason", "erroneous_code"), 1.0) | {"complexity": 0.5},
}
"""Default operations of each style; of code, "not too often" for the last is the paper's wish, 0.5 ours."""
Step = Generator[list[Request], list[Completion], Verdict | None]


@component("evolve", source="arXiv 2304.12244 (WizardLM, Evol-Instruct), sections 3.1 to 3.3")
@dataclass(frozen=True, slots=True)
class Evolve:
    ROUNDS: ClassVar[int] = 3
    style: Literal["general", "code"] = field(default="general", metadata={"later": True})
    """What evolves: tasks of any kind, or programming tasks, by operations and rules of their own."""
    domain: str = ""
    """Keep every rewrite inside this domain, such as "contract law"."""
    language: str = ""
    """Language of rewrites and answers; empty: that of each seed."""
    operations: Mapping[str, float] = field(default_factory=WEIGHTS["general"].copy)
    """Weight of each operation, a file prompts/evolve/NAME.jinja (style code: prompts/code/NAME.jinja), so that a new
    one needs no code. The defaults are those of the style."""
    adapt: bool = field(default=False, metadata={"later": True})
    """Let weights follow what passes the gate, by the seed's domain (its column domain or category); see gen funnel."""
    adapt_block: Annotated[int, Meta(ge=1, le=100_000)] = field(default=64, metadata={"later": True})
    """Conversations that share their weights, which come from all blocks but the one before."""
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
    write_tests: bool = field(default=False, metadata={"later": True})
    """Have the judge write asserts for every Python answer (style code), for the filter `tests` to run."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        if self.operations in WEIGHTS.values():
            object.__setattr__(self, "operations", dict(WEIGHTS[self.style]))
        if self.write_tests and self.style != "code":
            raise RecipeError("write_tests: tests are written for programs alone; add style = \"code\" (--style code)")
        for rule in self.rules:
            if rule not in RULES:
                raise RecipeError(f"rules: no elimination rule {rule!r}; {nearest(rule, RULES)}")
        if not 0 < sum(self.operations.values()) < math.inf or min(self.operations.values()) < 0:
            raise RecipeError(f"operations = {dict(self.operations)}; expected finite weights >= 0, one above 0")
        if self.min_added > self.max_added:
            raise RecipeError(f"min_added {self.min_added} is above max_added {self.max_added}")

    @property
    def default_gate(self) -> tuple[str, ...]:
        """Names of the filters where the recipe names none."""
        return GATE if self.style == "general" else (*GATE_RULES, "code", "exact", *MEASURED)

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that a run of this loop can send; they decide the run."""
        drawn = [name for name, weight in self.operations.items() if weight]
        return tuple(self._checked(n) for n in (*drawn, "equal", "answer", *(["tests"] if self.write_tests else [])))

    def _path(self, name: str) -> str:
        """Two tasks are equal, or not, whatever they are about: that prompt is shared."""
        return f"{'evolve' if self.style == 'general' or name == 'equal' else 'code'}/{name}"

    def _checked(self, name: str) -> Prompt:
        """The prompt, refused where this loop cannot fill or read it. Whoever holds a conversation has asked
        for `asks` before, so that conversations need not check again."""
        sections = ("tests",) if name == "tests" else () if name in FILLS else ("instruction",)
        prompt = checked(self.prompts, self._path(name), FILLS.get(name, REWRITE_FILLS), sections)
        if name == "equal" and "equal" not in prompt.reply.choices:
            raise PromptError(f"{prompt.name}: its reply has no choice 'equal'; add it to the passport")
        return prompt

    def _ask(self, prompt: Prompt, **values: Any) -> Request:
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        judged = prompt.name.endswith(("/equal", "/tests"))
        return ask(prompt, values, **({} if judged else own))

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
        prompt = self.prompts.get(self._path(operation))
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
        if self.style == "code" and (solved := _solution(seed, new)):
            return drop("rewrite_solved", note=solved)
        if "unchanged" in on and text.normalise(new.prompt) == text.normalise(seed.prompt):
            return drop("unchanged")
        if "script" in on and not self._in_language(seed.instruction, new.instruction):
            return drop("wrong_script", note=text.dominant_script(new.instruction) or "")
        if not deeper:
            return None
        added = text.count_words(self._spoken(new.instruction)) - text.count_words(self._spoken(seed.instruction))
        if "length" in on and added > self.max_added * self.slack:
            return drop("too_long", value=added)
        if "data" in on and (text.lost_fences(seed.prompt, new.prompt) or _lost(seed.input, new.prompt)):
            return drop("lost_data")
        return None

    def _spoken(self, words: str) -> str:
        return prose(words) if self.style == "code" else words

    def _in_language(self, old: str, new: str) -> bool:
        wanted = text.scripts_of_language(self.language) if self.language else text.spoken_scripts(old)
        found = text.dominant_script(new)
        return not wanted or found is None or found in wanted

    def _judge(self, seed: Sample, new: Sample) -> Step:
        """The first elimination rule: equal in demands, depth and breadth means no gain."""
        if "equal" not in self.rules:
            return None
        prompt = self.prompts.get(self._path("equal"))
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
        prompt = self.prompts.get(self._path("answer"))
        asked = self._ask(prompt, instruction=sample.instruction, input=sample.input, language=self.language)
        *system, user = asked.messages
        own = [m for m in replace(sample, response=None).messages if m.role == "system"]
        [reply] = yield [replace(asked, messages=(*system, *own, *sample.turns, user))]
        lineage = replace(sample.lineage, prompts=(*sample.lineage.prompts, prompt.ref))
        whole = replace(sample, response=reply.text, reasoning=reply.reasoning, lineage=lineage)
        failure = self._bad_answer(reply)
        if self.write_tests and failure is None and "tests" not in whole.meta and python_of(reply.text):
            whole = yield from self._tested(whole)
        return failure, whole

    def _tested(self, sample: Sample) -> Generator[list[Request], list[Completion], Sample]:
        """With asserts as `meta["tests"]`, or, in `meta["no_tests"]`, why there are none: no fault of the answer."""
        prompt = self.prompts.get(self._path("tests"))
        asked = {"instruction": sample.instruction, "input": sample.input, "response": sample.response}
        [reply] = yield [self._ask(prompt, **asked)]
        lineage = replace(sample.lineage, prompts=(*sample.lineage.prompts, prompt.ref))
        tests, reason = _tests(prompt, reply)
        told = {"no_tests": reason} if reason else {"tests": tests}
        return replace(sample, lineage=lineage, meta={**sample.meta, **told})

    def _bad_answer(self, reply: Completion) -> Verdict | None:
        if failure := unfinished(reply, "answer", "evolve"):
            return failure
        if "sorry" in self.rules and text.says_sorry(self._spoken(reply.text)):
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


def _solution(seed: Sample, new: Sample) -> str:
    """What shows that a rewrite solves its task instead of posing it: code alone, or a solution announced."""
    if not prose(new.instruction).strip():
        return "nothing but code"
    return (not text.find_solution(seed.prompt) and text.find_solution(new.instruction)) or ""


def _tests(prompt: Prompt, reply: Completion) -> tuple[str, str]:
    """The asserts of a reply, or why it has none."""
    if cut := unfinished(reply, "tests", "evolve"):
        return "", cut.reason
    try:
        found = read_sections(prompt.reply, reply.text)["tests"]
    except ParseError:
        return "", "tests_unparsed"
    tests = "\n".join(block.text for block in blocks(found)) or found
    return tests, "tests_unparsed" if python_error(tests) else "" if "assert" in tests else "tests_empty"
