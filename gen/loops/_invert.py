"""The instruction to which a given text is the answer: asked for, read and checked. What the loops share that take a
person's text as the answer (arXiv 2308.06259, section 2.2; arXiv 2308.12711)."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from gen import text
from gen.core import Candidate, Completion, Request, Sample, Verdict, child, derive_seed, replace
from gen.errors import RecipeError
from gen.loops._common import ask, checked, unfinished
from gen.prompts import Prompt, Prompts

PROMPT = "backtranslate/invert"
LABEL = re.compile(
    r"^[\s*_#>]*+(?:instruction|task|question|prompt|指令|任务|问题)[\s*_]*+\d*+[\s*_]*+[:：][\s*_]*", re.I)
HOPELESS = ("overlong", "refused")
"""Ends of a reply that asking again would not change."""


@dataclass(frozen=True, slots=True)
class Inverter:
    """Parameters of the question, and what is no instruction."""

    language: str = ""
    """Language of the instructions; empty: that of each text."""
    shots: Annotated[int, Meta(ge=0, le=16)] = 2
    """Pairs of --demos that are shown with each text, drawn anew for each; 0, or no demos: none."""
    demos_too: bool = False
    """Keep the pairs of --demos as well: they come first, as they are."""
    min_instruction_chars: Annotated[int, Meta(ge=1)] = 10
    """Fewest characters of an instruction; a wide one (CJK) counts as two."""
    max_instruction_chars: Annotated[int, Meta(ge=1)] = 800
    """Most characters of an instruction; a wide one (CJK) counts as two."""
    max_copied: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Largest share of the text that its instruction may repeat word by word."""
    retries: Annotated[int, Meta(ge=0, le=9)] = 1
    """How often an instruction is asked for again that came to nothing (the papers: 0)."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of instructions; empty: what the prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus of instructions; empty: what the prompt's passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each instruction; empty: what the prompt's passport says."""
    demos: Sequence[Sample] = field(default=(), compare=False, repr=False, metadata={"parameter": False})
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        least, most = self.min_instruction_chars, self.max_instruction_chars
        if least > most:
            raise RecipeError(f"min_instruction_chars {least} is above max_instruction_chars {most}")

    def inverting(self) -> Prompt:
        """The prompt, checked."""
        return checked(self.prompts, PROMPT, ("text", "examples", "language"), ("instruction",))

    def invert(
        self, piece: Sample, by: str, *, answer: str, input: str = "", meta: dict[str, Any], prompts: Sequence[str] = ()
    ) -> Generator[list[Request], list[Completion], tuple[Candidate, ...]]:
        """Ask for the instruction to `answer`, again where it came to nothing. Every reply is a candidate, the last of
        them a whole sample if any is. `by`: the loop's name, which is the operation; `prompts`: those asked before."""
        prompt = self.prompts.get(PROMPT)
        values = {"text": answer, "examples": self._examples(piece), "language": self.language}
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        found: list[Candidate] = []
        for attempt in range(self.retries + 1):
            [reply] = yield [ask(prompt, values, attempt, **own)]
            instruction, several, failure = _read(reply, by)
            failure = failure or self._bad(instruction, answer, by)
            sample = child(piece, by, instruction, input=input, response=answer, prompts=(*prompts, prompt.ref))
            told = {**meta, "instructions_in_reply": several} if several > 1 else meta
            found.append(Candidate(replace(sample, meta=told), failure))
            if failure is None or reply.finish in HOPELESS:
                break
        return tuple(found)

    def _examples(self, piece: Sample) -> list[dict[str, str]]:
        """Pairs of text and instruction, drawn for this piece alone: the same at any concurrency."""
        usable = [d for d in self.demos if d.instruction and d.response]
        rng = random.Random(derive_seed("shots", piece.id))
        drawn = rng.sample(usable, min(self.shots, len(usable)))
        return [{"text": d.response or "", "instruction": d.prompt} for d in drawn]

    def _bad(self, instruction: str, answer: str, by: str) -> Verdict | None:
        """Why this is no instruction to that answer."""
        if not instruction:
            return Verdict(False, "empty_instruction", by)
        if evasion := text.find_evasion(instruction):
            return Verdict(False, "instruction_refused", by, note=evasion)
        share = copied(instruction, answer)
        if share > self.max_copied or text.normalise(instruction) == text.normalise(answer):
            return Verdict(False, "answer_leak", by, share, note=instruction[:120])
        if pointer := text.find_pointer(instruction, answer):
            return Verdict(False, "prompt_leak", by, note=pointer)
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in instruction)
        if not self.min_instruction_chars <= width <= self.max_instruction_chars:
            short = width < self.min_instruction_chars
            return Verdict(False, f"instruction_too_{'short' if short else 'long'}", by, width)
        return None


def _read(reply: Completion, by: str) -> tuple[str, int, Verdict | None]:
    """The first instruction of a reply, without its label, and how many there are. A reply without the tags is one if
    it begins with a label."""
    if failure := unfinished(reply, "instruction", by):
        return reply.text, 0, failure
    bodies = sections(reply.text, "instruction")
    if not bodies and "<instruction>" not in reply.text and LABEL.match(reply.text):
        bodies = [reply.text]
    if not bodies:
        note = f"expected <instruction>...</instruction>, found {reply.text[:80]!r}"
        return reply.text, 0, Verdict(False, "instruction_unparsed", by, note=note)
    kind = LABEL.match(bodies[0])
    lines = bodies[0].splitlines() if kind else []
    later = [i for i, line in enumerate(lines) if i and line.strip() and LABEL.match(line)]
    first = "\n".join(lines[: later[0]]) if later else bodies[0]
    return LABEL.sub("", first).strip(), len(bodies) + len(later), None


def copied(new: str, old: str) -> float:
    """Share of the tokens of `old` that lie in a 4-gram of `new`, 0 to 1. Of three tokens: in the whole of it; of
    fewer: 0, since they say nothing of who copied."""
    source, found = text.rouge_tokens(old), text.rouge_tokens(new)
    n = min(4, len(source))
    if n < 3:
        return 0.0
    known = {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}
    hits = {j for i in range(len(source) - n + 1) if tuple(source[i : i + n]) in known for j in range(i, i + n)}
    return len(hits) / len(source)


def sections(reply: str, tag: str) -> list[str]:
    """What stands in each section of this tag, stripped."""
    opened, closed, found, at = f"<{tag}>", f"</{tag}>", list[str](), 0
    while (begin := reply.find(opened, at)) >= 0 and (end := reply.find(closed, begin)) >= 0:
        found.append(reply[begin + len(opened) : end].strip())
        at = end + len(closed)
    return found
