"""Auto Evol-Instruct (arXiv 2406.00770): the evolving method is itself improved, by what went wrong with it on a few
seeds. One step:

    evolve a mini-batch  ->  m times: analyse, improve the method  ->  m times: evolve and answer the dev set  ->  best

Deviations: the method goes before and after a fixed frame; what F (the failure function, on answers) cannot see counts
as failure too, apart from it; the last method stays in the comparison, so the rate never rises."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from gen import text
from gen.core import Request, Rollout, Sample, child, replace
from gen.errors import ParseError, PromptError, RecipeError
from gen.loops._abreast import Cost, abreast, metered
from gen.loops._common import checked, unfinished
from gen.loops._failures import EXTENDED, PUBLISHED, FailureRule, failures, is_unchanged
from gen.loops._method import LABEL, around, fault_of, tidy
from gen.loops._trials import UNSEEN, Step, Trial, case, fault_of_feedback, mark_repeated, read_section
from gen.prompts import Prompt, Prompts, parse_last

FILLS = {
    "auto_evol/initial": (), "auto_evol/analyse": ("cases",), "auto_evol/optimise": ("method", "feedback", "max_words"),
    "auto_evol/apply": ("before", "after", "instruction", "input", "domain", "language"),
    "evolve/answer": ("instruction", "input", "language"),
}  # fmt: skip
SECTIONS = {"auto_evol/apply": (LABEL,), "auto_evol/analyse": ("failures",), "auto_evol/optimise": ("method",)}
"""What is read of a reply."""
ENGLISH = {*PUBLISHED, *EXTENDED}


@dataclass(frozen=True, slots=True)
class AutoEvol:
    sample: Annotated[int, Meta(ge=2)] = 2000
    """Seeds that are looked at, drawn at random."""
    dev: Annotated[int, Meta(ge=1)] = 50
    """Of these, so many compare the methods and do nothing else."""
    batch: Annotated[int, Meta(ge=1)] = 10
    """Of the others, so many show in each step what goes wrong."""
    evolutions: Annotated[int, Meta(ge=1, le=10)] = 2
    """How often each of these is evolved, always from the last result."""
    candidates: Annotated[int, Meta(ge=1, le=100)] = 5
    """Analyses of a step, and methods made from them."""
    steps: Annotated[int, Meta(ge=1, le=100)] = 10
    """Most steps."""
    method_patience: Annotated[int, Meta(ge=1)] = 1
    """Steps without a better method, until it ends."""
    literal: bool = False
    """Match the failure rules letter by letter, as published, not by words in any case."""
    guard: bool = True
    """A task that comes back as it was counts as failure, though the paper's rules would not see it."""
    max_words: Annotated[int, Meta(ge=50, le=10000)] = 400
    """Longest method."""
    domain: str = ""
    """Keep every rewrite inside this domain, such as "contract law"."""
    language: str = ""
    """Language of rewrites and answers; other than English only with failure rules of your own."""
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0
    """Of rewrites and answers."""
    optimiser_temperature: Annotated[float, Meta(ge=0, le=2)] = 0.6
    """Of analyses and new methods."""
    optimiser_top_p: Annotated[float, Meta(gt=0, le=1)] = 0.95
    """Nucleus of analyses and new methods."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each reply; empty: what each prompt's passport says."""
    failing: tuple[FailureRule, ...] = field(default=PUBLISHED, metadata={"parameter": False})
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        if self.candidates > 1 and not self.optimiser_temperature:
            raise RecipeError(f"optimiser_temperature 0 makes {self.candidates} equal candidates; expected more than 0")
        if re.split(r"\W", self.language.casefold())[0] not in ("", "en", "english") and set(self.failing) <= ENGLISH:
            raise RecipeError(
                f"language = {self.language!r}: the failure rules are English and would find nothing in its answers; "
                "expected English, or rules of your own (--failures FILE)"
            )
        for rule in self.failing:
            if rule.name in UNSEEN or not (rule.starts_with or rule.ends_with or rule.contains):
                raise RecipeError(f"failure rule {rule.name!r}: expected a name of its own, and a condition")

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that can be sent. Raises PromptError where one cannot be filled or read."""
        found = tuple(checked(self.prompts, name, fills, SECTIONS.get(name, ())) for name, fills in FILLS.items())
        if (fault := fault_of(self.first_method(), self.max_words))[0]:
            raise PromptError(f"auto_evol/initial: {fault[1]}; mend it")
        return found

    def first_method(self) -> str:
        return tidy(self.prompts.get("auto_evol/initial").render()[-1].content)

    def calls(self) -> tuple[int, int]:
        """Questions, at most: before the first step, and of each."""
        trial = 2 * self.dev
        return trial, self.batch * self.evolutions + self.candidates * (2 + trial)

    def split(self, samples: Sequence[Sample], rng: random.Random) -> tuple[list[Sample], list[Sample]]:
        """Dev set and the rest. Raises RecipeError where there is too little."""
        if len(samples) < self.dev + self.batch:
            raise RecipeError(
                f"{len(samples)} seeds, but dev {self.dev} and batch {self.batch} take {self.dev + self.batch} that "
                "differ; give more seeds, or a smaller --dev and --batch"
            )
        drawn = rng.sample(range(len(samples)), min(max(self.sample, self.dev + self.batch), len(samples)))
        found = [samples[i] for i in drawn]
        return found[: self.dev], found[self.dev :]

    # --- the whole

    def optimise(self, samples: Sequence[Sample], rng: random.Random, done: list[Step]) -> Rollout[str]:
        """Steps until one says why it is the last: `steps`, `patience`, `no_failures` (no analysis found one), or
        `no_rate` (nothing of the dev set fails, so no method can be better). `done` gets each as it ends."""
        dev, rest = self.split(samples, rng)
        [first] = yield from self._tried([Trial(0, 0, self.first_method())], dev)
        done.append(Step(0, (first,), first, first.cost))
        idle = 0
        for number in range(1, self.steps + 1):
            best = done[-1].best
            if not best.rate:
                return "no_rate"
            batch = rng.sample(rest, self.batch)
            traces, cost = yield from metered(abreast([self._trace(best.text, seed) for seed in batch]))
            proposed = yield from abreast([self._propose(number, i, best, traces) for i in range(self.candidates)])
            trials = yield from self._tried(mark_repeated(proposed, done), dev)
            better = min((t for t in trials if t.rate is not None), key=lambda t: t.rate or 0, default=best)
            won = better if (better.rate or 0) < best.rate else best
            done.append(Step(number, tuple(trials), won, sum((t.cost for t in trials), cost)))
            if all(t.fault == "no_failures" for t in trials):
                return "no_failures"
            idle = 0 if won is not best else idle + 1
            if idle >= self.method_patience:
                return "patience"
        return "steps"

    def _tried(self, trials: Sequence[Trial], dev: Sequence[Sample]) -> Rollout[list[Trial]]:
        """The trials with what came of them on the dev set, all at once; those with a fault as they are."""
        found = yield from abreast([metered(self._evaluate(t.text, dev)) for t in trials if not t.fault])
        results = iter(found)
        return [t if t.fault else self._rated(t, *next(results)) for t in trials]

    def _rated(self, trial: Trial, failed: list[list[str]], cost: Cost) -> Trial:
        named = {rule.name for rule in self.failing}
        return replace(
            trial, rate=sum(map(bool, failed)) / len(failed), cost=trial.cost + cost,
            published=sum(not named.isdisjoint(names) for names in failed) / len(failed),
            counts=dict(sorted(Counter(name for names in failed for name in names).items())),
        )  # fmt: skip

    def _evaluate(self, method: str, dev: Sequence[Sample]) -> Rollout[list[list[str]]]:
        return (yield from abreast([self._fails(method, seed) for seed in dev]))

    # --- one task

    def _fails(self, method: str, seed: Sample) -> Rollout[list[str]]:
        """What is wrong with one evolution: evolve once, answer, look at the answer."""
        new, fault = yield from self._rewrite(method, seed)
        if new is None:
            return [fault]
        found = ["unchanged"] if self.guard and is_unchanged(seed.prompt, new.prompt) else []
        found += ["rewrite_refused"] if text.find_refusal(new.instruction) else []
        [reply] = yield [self._question(new)]
        if cut := unfinished(reply, "answer", "auto_evol"):
            found.append(cut.reason)
        elif not reply.text.strip():
            found.append("empty_answer")
        return found + failures(reply.text, self.failing, strict=self.literal)

    def _rewrite(self, method: str, seed: Sample) -> Rollout[tuple[Sample | None, str]]:
        values = {"instruction": seed.instruction, "input": seed.input, **around(method)}
        values |= {"domain": self.domain, "language": self.language}
        [reply] = yield [self._ask("auto_evol/apply", values)]
        if cut := unfinished(reply, "rewrite", "auto_evol"):
            return None, cut.reason
        try:
            found = parse_last(reply.text, (LABEL,))[LABEL]
        except ParseError:
            return None, "rewrite_unparsed"
        return (child(seed, "auto", found, input=seed.input), "") if found else (None, "empty_rewrite")

    def _question(self, sample: Sample) -> Request:
        values = {"instruction": sample.instruction, "input": sample.input, "language": self.language}
        asked = self._ask("evolve/answer", values)
        *system, user = asked.messages
        own = [m for m in sample.messages if m.role == "system"]
        return replace(asked, messages=(*system, *own, *sample.turns, user))

    def _trace(self, method: str, seed: Sample) -> Rollout[list[str]]:
        """The stages of a task, as far as it came."""
        stages, now = [seed.prompt], seed
        for _ in range(self.evolutions):
            new, fault = yield from self._rewrite(method, now)
            if new is None:
                return [*stages, f"[nothing came of it: {fault.replace('_', ' ')}]"]
            stages.append(new.prompt)
            now = new
        return stages

    # --- one candidate

    def _propose(self, step: int, index: int, best: Trial, traces: Sequence[Sequence[str]]) -> Rollout[Trial]:
        """Analyse, improve. The attempt tells the candidates' samples apart."""
        attempt, trial = step * self.candidates + index, Trial(step, index, "", best.id)
        cases = "\n\n".join(case(number, stages) for number, stages in enumerate(traces, 1))
        [reply] = yield [self._ask("auto_evol/analyse", {"cases": cases}, attempt)]
        trial = replace(trial, cost=Cost(1, reply.completion_tokens))
        feedback, fault, note = read_section(reply, "failures", "analysis")
        if not fault:
            fault = fault_of_feedback(feedback, len(traces))
        if fault:
            return replace(trial, fault=fault, note=note or feedback[:200])
        values = {"method": best.text, "feedback": feedback, "max_words": self.max_words}
        [reply] = yield [self._ask("auto_evol/optimise", values, attempt)]
        method, fault, note = read_section(reply, "method", "method")
        if not fault:
            method = tidy(method)
            fault, note = fault_of(method, self.max_words)
        cost = trial.cost + Cost(1, reply.completion_tokens)
        return replace(trial, text=method, feedback=feedback, fault=fault, note=note, cost=cost)

    def _ask(self, name: str, values: Mapping[str, Any], attempt: int = 0) -> Request:
        prompt = self.prompts.get(name)
        own: dict[str, Any] = {"max_tokens": self.max_new_tokens or prompt.sampling.max_tokens}
        if prompt.role == "judge":
            own |= {"temperature": self.optimiser_temperature, "top_p": self.optimiser_top_p}
        else:
            own |= {"temperature": self.temperature}
        sampling = replace(prompt.sampling, **own)
        return prompt.ask(sampling=sampling, attempt=attempt, **{k: values[k] for k in prompt.inputs})
