"""SelFee: an answer is criticised and revised, again and again, until the critic is content (Ye et al., May 2023). One
sample is one conversation, and what it makes is the last answer or, to train a model that mends its own answers, the
whole chain.

    answer (where there is none)  ->  critique  ->  revision  ->  critique  ...

Where the right answer is known (`gold`), a teacher who sees it criticises, and a student who does not see it revises.
Deviations: the verdict has a tag, and a remark such as "no need for jargon" is not taken for one (`verdict =
"official"` is the published rule); a critique without a verdict is asked for again, and is never taken for one; what
gives the right answer away is asked for again; a revision that came to nothing ends the chain before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gen import text
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Request, Rollout, Sample, child, replace
from gen.errors import ParseError
from gen.loop import RULES
from gen.loops._chain import Link, gives_away, read_critique, render
from gen.loops._common import ask, checked
from gen.loops._versions import End, Talk, bad_answer, context, drafted, drop, mended, with_meta
from gen.prompts import Prompt, Prompts, parse_sections
from gen.remarks import strip_remarks

TASK = ("instruction", "input", "context")
FILLS = {
    "answer": ("instruction", "input", "language"),
    "critique": (*TASK, "answer", "max_words", "threshold"),
    "critique_gold": (*TASK, "answer", "gold", "max_words", "threshold"),
    "revise": (*TASK, "versions", "language", "max_words"),
    "revise_minimal": (*TASK, "versions", "language", "max_words"),
}
"""What the inputs of each prompt may be."""


@component("selfee", source="SelFee (Ye et al., KAIST, May 2023; a blog post without arXiv number)")
@dataclass(frozen=True, slots=True)
class SelFee:
    GATE: ClassVar[tuple[str, ...]] = (*RULES, "exact")

    language: str = ""
    """Language of answers and revisions; empty: that of each sample."""
    max_answers: Annotated[int, Meta(ge=1, le=20)] = 5
    """Answers of a chain, the first one included, at most."""
    train_on: Literal["final", "chain"] = "final"
    """What a sample's response becomes: the last answer, or the chain with its critiques, to train a model on."""
    gold: str = ""
    """Column with the right answer, or "response" for the sample's own; where it has one, a teacher knows it."""
    threshold: Annotated[float, Meta(ge=1, le=10)] = 9.0
    """Score from which on an answer needs no revision; the critic is told so."""
    verdict_source: Literal["phrase", "score", "both"] = "phrase"
    """What decides on a revision: the verdict, the score, or the verdict and, where it is missing, the score."""
    verdict: Literal["strict", "official"] = "strict"
    """How it is read: negations first and the last one counts; or the published search for four phrases."""
    on_missing: Literal["retry", "revise", "stop"] = "retry"
    """What follows a critique without a verdict: another one (`retries` times), a revision, or the end of the chain."""
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    """How often a critique without a verdict, or with the right answer, or an unreadable revision is asked again."""
    reset_after: Annotated[int, Meta(ge=0, le=20)] = 2
    """From more answers than these on, a revision sees only the last one and its critique (a student all of them)."""
    critique_words: Annotated[int, Meta(ge=1, le=10000)] = 100
    """Words that a critique is asked to stay below."""
    revise_words: Annotated[int, Meta(ge=1, le=100000)] = 500
    """Words that a revision is asked to keep to; one of more than twice as many is dropped."""
    keep_partial: bool = False
    """Keep chains that ended without a verdict to stop, too, where a chain is what is trained on."""
    seeds_too: bool = True
    """Samples whose answer needed no revision are candidates as well."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of answers and revisions; empty: what each prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus of answers and revisions; empty: what each prompt's passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each answer and revision; empty: what each prompt's passport says."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that a run of this loop can send; they decide the run."""
        steps = ("answer", "critique", "revise", *(("critique_gold", "revise_minimal") if self.gold else ()))
        sections = {"revise": ("answer",), "revise_minimal": ("answer",)}
        return tuple(checked(self.prompts, f"selfee/{s}", FILLS[s], sections.get(s, ())) for s in steps)

    def _ask(self, name: str, seed: Sample, round: int = 0, attempt: int = 0, **values: Any) -> Request:
        prompt = self.prompts.get(f"selfee/{name}")
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        values |= {"instruction": seed.instruction, "input": seed.input, "context": context(seed),
                   "language": self.language, "threshold": f"{self.threshold:g}"}  # fmt: skip
        own = {} if name.startswith("critique") else own
        return ask(prompt, values, round * (self.retries + 1) + attempt, **own)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        own = self.gold == "response"
        known = seed.response if own else seed.meta.get(self.gold)
        gold = "" if known is None else str(known).strip()
        first = replace(seed, response=None, reasoning="") if own else seed
        if not (first.response or "").strip():
            first, failure = yield from drafted(first, self._ask("answer", first))
            if failure:
                lost = child(seed, "selfee", seed.instruction, input=seed.input, response=first.response)
                why = drop("selfee", failure, first.response or "")
                return Grown((Candidate(lost if own and gold else first, why),), ())
        links, end = yield from self._chain(first, gold)
        return Grown((*self._result(seed, first, links, end, gold), *end.failure(seed, "selfee")), ())

    def _chain(self, first: Sample, gold: str) -> Talk[tuple[list[Link], End]]:
        """Every answer with its critique, and why there are no more."""
        links = [Link((first.response or "").strip(), first.reasoning)]
        while True:
            judged, end = yield from self._criticise(first, links, gold)
            links[-1] = judged or links[-1]
            if end:
                return links, end
            if not links[-1].revise:
                return links, End("verdict_ok")
            if len(links) == self.max_answers:
                return links, End("max_answers")
            new, end = yield from self._revise(first, links, gold)
            if new is None:
                return links, end or End("revision_unparsed")
            links.append(new)

    def _criticise(self, seed: Sample, links: Sequence[Link], gold: str) -> Talk[tuple[Link | None, End | None]]:
        name = "critique_gold" if gold else "critique"
        known = [seed.prompt, context(seed), *(link.answer for link in links)]

        def ask(shown: Sequence[Link], attempt: int) -> Request:
            values = {"answer": shown[-1].answer, "gold": gold, "max_words": self.critique_words}
            return self._ask(name, seed, len(links) - 1, attempt, **values)

        def read(reply: Completion) -> Link:
            comments, whole, score, said = read_critique(reply.text, official=self.verdict == "official")
            if gold and gives_away(comments, gold, known):
                raise ParseError("gold_leak", "the critique gives the right answer away")
            low = None if score is None else score < self.threshold
            verdict = {"phrase": said, "score": low, "both": low if said is None else said}[self.verdict_source]
            if reply.finish == "length" and self.verdict == "strict":
                verdict = None  # what was to come last is missing
            if verdict is None and self.on_missing != "revise":
                raise ParseError("verdict_missing", "expected whether a revision is needed")
            conflict = said is not None and low is not None and said != low
            return replace(links[-1], feedback=whole, revise=verdict is not False, score=score, conflict=conflict)

        retries = self.retries if gold or self.on_missing == "retry" else 0
        judged, _, end = yield from mended(ask, links[-1:], read, "critique", retries, cut_too=True)
        return judged, end

    def _revise(self, seed: Sample, links: Sequence[Link], gold: str) -> Talk[tuple[Link | None, End | None]]:
        name = "revise_minimal" if gold else "revise"
        prompt = self.prompts.get(f"selfee/{name}")

        def ask(shown: Sequence[Link], attempt: int) -> Request:
            return self._ask(name, seed, len(links) - 1, attempt, versions=shown, max_words=self.revise_words)

        def read(reply: Completion) -> str:
            if _is_na(reply.text) or (self.verdict == "official" and "N/A" in reply.text):
                return "N/A"
            try:
                return parse_sections(reply.text, prompt.reply.sections, prompt.reply.optional)["answer"]
            except ParseError as error:
                raise ParseError("revision_unparsed", str(error)) from error

        shown = links if gold or len(links) <= self.reset_after else links[-1:]
        new, reply, end = yield from mended(ask, shown, read, "revision", self.retries)
        if new is None:
            return None, end
        source, earlier = f"{context(seed)}\n{seed.prompt}\n{links[-1].feedback}", [link.answer for link in links]
        new = strip_remarks(new, "\n".join((source, *earlier)))
        why = "na_revision" if _is_na(new) else bad_answer(new, source, earlier, what="revision")
        if not why and not gold and text.count_words(new) > 2 * self.revise_words:
            why = "revision_too_long"
        return (None, End(why, reply, new)) if why else (Link(new, reply.reasoning), None)

    def _result(
        self, seed: Sample, first: Sample, links: Sequence[Link], end: End, gold: str
    ) -> Sequence[Candidate]:
        """The chain as a sample."""
        truncated = len(links) == self.max_answers and links[-1].revise is True
        status = "complete" if end.reason == "verdict_ok" else "truncated" if truncated else "partial"
        record: dict[str, Any] = {
            "outputs": [link.row() for link in links], "iteration": len(links), "truncated": truncated,
            "stop_reason": end.reason, "status": status, **({"gold": gold} if self.gold == "response" else {}),
        }  # fmt: skip
        rated = {} if links[-1].score is None else {"selfee": links[-1].score}
        chain = self.train_on == "chain"
        changed = len(links) > 1 or chain or bool(gold and self.gold == "response")
        response = render([(link.answer, link.feedback) for link in links]) if chain else links[-1].answer
        steps = ("critique_gold", "revise_minimal") if gold else ("critique", "revise")
        used = (*first.lineage.prompts, *(self.prompts.get(f"selfee/{s}").ref for s in steps[: len(links)]))
        new = child(seed, "selfee", seed.instruction, input=seed.input, response=response, prompts=used)
        if chain and status == "partial" and not self.keep_partial:
            return ()
        if not changed and not self.seeds_too:
            return () if end.reply else (Candidate(new, drop("selfee", "no_change_needed")),)
        lost = [] if chain else [link.answer for link in links[:-1]]
        sample = replace(new, reasoning=links[-1].reasoning) if changed else first
        meta = with_meta(seed.meta, lost, rated, "selfee", record, changed=changed)
        return (Candidate(replace(sample, meta=meta)),)


def _is_na(reply: str) -> bool:
    """N/A and nothing else."""
    bare = reply.replace("<answer>", "").replace("</answer>", "")
    return text.normalise(bare) == "n/a"
