"""Instruction backtranslation: a model writes the instructions that texts of people answer. Self-augmentation makes a
pair of every text, then a judge rates each pair and only the best are kept: self-curation (arXiv 2308.06259).

    piece of a document  ->  instruction          part 0
    pair  ->  rated 1 to 5                        one part each pass, over the whole of part 0

A pass of curation rates every pair anew, never the survivors of the pass before: raise `iterations` when the model
that was trained on the last selection is ready to judge (`--judge-of`). Deviations: an instruction-tuned model is shown
pairs instead of being trained on them backwards; an instruction that came to nothing is asked for once more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from gen.catalog import component
from gen.core import Candidate, Grown, Rollout, Sample, Verdict, replace
from gen.errors import RecipeError
from gen.loop import GATE, RULES, Document, Part
from gen.loops._invert import Inverter
from gen.loops.curate import Curate
from gen.prompts import Prompt
from gen.segments import segments, to_sample


@component("backtranslate", source="arXiv 2308.06259 (Humpback, instruction backtranslation), sections 2.2 and 2.3")
@dataclass(frozen=True, slots=True)
class Backtranslate(Inverter):
    GATE: ClassVar[tuple[str, ...]] = ("rating", *GATE)
    GROWING: ClassVar[tuple[str, ...]] = ("iterations", "judge_of")
    min_chars: Annotated[int, Meta(ge=1)] = 600
    """Fewest characters of a piece of a document."""
    max_chars: Annotated[int, Meta(ge=1)] = 3000
    """Most characters of a piece of a document."""
    max_jaccard: Annotated[float, Meta(ge=0, le=1)] = 0.8
    """A piece in which two sentences have more of their words in common is left out as repetitive."""
    pack_long: bool = False
    """Cut what is too long under one heading between its paragraphs (the paper leaves it out)."""
    tags: bool = True
    """Tell by the system text where an answer comes from, so that the model learns to tell them apart."""
    text_tag: str = "Answer from what people have written on the web."
    """System text of pairs whose answer is a piece of a document; use both tags together when you ask the model."""
    demo_tag: str = "Answer in the manner of an AI assistant."
    """System text of the pairs of --demos."""
    iterations: Annotated[int, Meta(ge=0, le=9)] = 1
    """Passes of curation over all pairs; raise it later, with another judge. 0: nothing is rated."""
    judge_of: tuple[str, ...] = ()
    """Judge of each pass in order, named as for --judge; where it is empty or missing: that of --judge."""
    rubric: str = "assistant"
    """What the judge is asked, a file prompts/curate/NAME.jinja: assistant (five levels), additive (five demands)."""
    judges: Annotated[int, Meta(ge=1, le=64)] = 1
    """Ratings of each pair in a pass, of which the mean counts."""
    judge_temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of ratings; empty: 0 for one rating, 0.7 for several."""

    def __post_init__(self) -> None:
        Inverter.__post_init__(self)
        if self.min_chars > self.max_chars:
            raise RecipeError(f"min_chars {self.min_chars} is above max_chars {self.max_chars}; nothing would pass")
        if len(self.judge_of) > self.iterations:
            found = f"judge_of names {len(self.judge_of)} judges"
            raise RecipeError(f"{found}, iterations is {self.iterations}; expected at most one for each pass")
        self.parts()  # refuses what curation refuses

    def asks(self) -> tuple[Prompt, ...]:
        return (self.inverting(),)

    def parts(self) -> tuple[Part, ...]:
        """Writing the instructions, then each pass of curation: of all pairs, with a rating of its own. What writes
        them is this loop without curation, so that it stays the same however many passes follow."""
        passes = []
        for i in range(self.iterations):
            judge = Curate(
                rubric=self.rubric, called=f"curation_{i}", judges=self.judges, temperature=self.judge_temperature,
                spare="seed", prompts=self.prompts,
            )  # fmt: skip
            named = self.judge_of[i] if i < len(self.judge_of) else ""
            passes.append(Part(judge, of=0, roles={"judge": named} if named else {}))
        writer = replace(self, iterations=0, judge_of=()) if self.iterations else self
        return (Part(writer, gate=self._without_script((*RULES, "exact"))), *passes)

    @property
    def default_gate(self) -> tuple[str, ...]:
        return self._without_script(self.GATE)

    def _without_script(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Where the user names the language of instructions, that of the texts may be another."""
        return tuple(name for name in names if name != "script" or not self.language)

    def split(self, document: Document, dropped: Counter[str]) -> Iterator[Sample]:
        for segment in segments(
            document, min_chars=self.min_chars, max_chars=self.max_chars, max_jaccard=self.max_jaccard,
            pack_long=self.pack_long, dropped=dropped,
        ):  # fmt: skip
            yield to_sample(document, segment)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """The instruction to a piece of text. A pair that a person wrote is kept as it is."""
        if not (seed.response or "").strip():
            reason = "unanswered" if seed.instruction else "empty_text"
            return Grown((Candidate(seed, Verdict(False, reason, "backtranslate")),), ())
        if seed.instruction:
            return Grown((Candidate(self._tagged(seed, self.demo_tag), given=True),), ())
        found = yield from self.invert(seed, "backtranslate", answer=seed.response or "", meta=dict(seed.meta))
        return Grown(tuple(replace(c, sample=self._tagged(c.sample, self.text_tag)) for c in found), ())

    def _tagged(self, sample: Sample, tag: str) -> Sample:
        """With the tag before what the sample's own system text says."""
        told = "\n\n".join(filter(None, (tag, sample.system)))
        return replace(sample, system=told) if self.tags else sample
