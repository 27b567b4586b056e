"""Self-Refine: an answer is reviewed, written anew by the notes, reviewed again, until nothing is to be noted
(arXiv 2303.17651). One sample is one conversation:

    draft (where it has no answer)  ->  feedback  ->  rewrite  ->  feedback  ->  rewrite  ...

A rewrite that was cut, refused, cannot be read, speaks of the rewriting or changes nothing ends the conversation and
replaces nothing. Deviations: replies are tagged sections; no demonstrations; an unreadable reply is asked for again by
itself, not the whole conversation; `max_refines` counts rewrites, and no feedback is paid for that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Request, Rollout, Sample, child, replace
from gen.errors import ParseError, PromptError, RecipeError, nearest
from gen.loop import RULES
from gen.loops._common import ask, checked
from gen.loops._notes import Version, fields, has_phrase, notes, read_scores
from gen.loops._versions import End, Talk, bad_answer, context, drafted, drop, mended, with_meta
from gen.prompts import Prompt, Prompts, parse_sections
from gen.remarks import strip_remarks

STOPS = ("none", "phrase", "score", "fixed")
FILLS = {
    "draft": ("instruction", "input", "language"),
    "feedback": ("instruction", "input", "context", "answer", "aspects", "scale"),
    "rewrite": ("instruction", "input", "context", "versions", "language"),
    "fused": ("instruction", "input", "context", "versions", "language"),
}
"""What the inputs of each prompt may be."""


@component("refine", source="arXiv 2303.17651 (Self-Refine), section 2 and appendix on the tasks")
@dataclass(frozen=True, slots=True)
class Refine:
    GATE: ClassVar[tuple[str, ...]] = (*RULES, "exact")

    language: str = ""
    """Language of drafts and rewrites; empty: that of each sample."""
    max_refines: Annotated[int, Meta(ge=0, le=20)] = 4
    """Rewrites of a sample, at most."""
    feedback: Literal["specific", "generic", "none"] = "specific"
    """What a rewrite is written by: notes on the answer, a fixed sentence, or nothing; these two ask no judge."""
    generic_feedback: str = "Something in this answer could be better."
    """The fixed sentence of generic feedback."""
    history: Literal["all", "last"] = "all"
    """What a rewrite sees: all versions with their notes, the oldest left out where that is too long, or the last."""
    stop: tuple[str, ...] = ("none", "phrase")
    """What of the feedback ends the rewriting: every field is none, it has a phrase, its score; or fixed: nothing."""
    phrases: tuple[str, ...] = ("the answer needs no change",)
    """Passages that end the rewriting where the feedback has one, any case."""
    stop_score: Annotated[float, Meta(gt=1)] | None = None
    """Mean score from which on `stop = score` ends the rewriting; empty: the best there is."""
    select: Literal["last", "best"] = "last"
    """Which version is the result: the last, or the first of those with the best mean score."""
    aspects: tuple[str, ...] = ("correctness", "completeness", "clarity")
    """What the feedback scores an answer for; none: no scores are asked for."""
    scale: Annotated[int, Meta(ge=2, le=100)] = 5
    """The best score of an aspect; the worst is 1."""
    score_final: bool = False
    """Review the last version as well, for its score; `select = best` always does."""
    require_change: bool = True
    """A rewrite that equals an earlier version ends the rewriting."""
    retries: Annotated[int, Meta(ge=0, le=10)] = 2
    """How often a reply that cannot be read is asked for again."""
    fused: bool = False
    """Notes and rewrite come in one reply of the answerer."""
    keep_trace: bool = False
    """Keep every version with its notes in the sample's `refine` column."""
    seeds_too: bool = True
    """Samples that needed no change, or got no better one, are candidates as well."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """Sampling temperature of drafts and rewrites; empty: what each prompt's passport says."""
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Nucleus of drafts and rewrites; empty: what each prompt's passport says."""
    max_new_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each draft and rewrite; empty: what each prompt's passport says."""
    prompts: Prompts = field(default_factory=Prompts, compare=False, repr=False, metadata={"parameter": False})

    def __post_init__(self) -> None:
        for rule in self.stop:
            if rule not in STOPS:
                raise RecipeError(f"stop: no rule {rule!r}; {nearest(rule, STOPS)}")
        if self._scored and (self.fused or self.feedback != "specific" or not self.aspects):
            raise RecipeError(
                "select = 'best', stop = 'score' and score_final need scores; expected aspects, feedback = 'specific' "
                "and fused off"
            )
        if self.fused and self.feedback != "specific":
            raise RecipeError(f"fused with feedback = {self.feedback!r}; expected 'specific', or fused off")
        if self.stop_score and self.stop_score > self.scale:
            raise RecipeError(f"stop_score {self.stop_score} is above the scale, {self.scale}")

    @property
    def _scored(self) -> bool:
        """Scores decide something: a review without them is unreadable."""
        return self.select == "best" or self.score_final or "score" in self.stop

    def asks(self) -> tuple[Prompt, ...]:
        """Every prompt that a run of this loop can send; they decide the run."""
        steps = {"fused": ("fused",), "specific": ("feedback", "rewrite")}
        used = steps.get("fused" if self.fused else self.feedback, ("rewrite",))
        return tuple(self._checked(name) for name in ("draft", *used))

    def _checked(self, name: str) -> Prompt:
        prompt = checked(self.prompts, f"refine/{name}", FILLS[name])
        wanted = {"rewrite": ("answer",), "fused": ("answer",), "feedback": ("scores",) if self.aspects else ()}
        for section in wanted.get(name, ()):
            if section not in (*prompt.reply.sections, *prompt.reply.optional):
                raise PromptError(f"{prompt.name}: its reply has no section {section!r}; add it to the passport")
        if name in ("feedback", "fused") and not fields(prompt):
            raise PromptError(f"{prompt.name}: its reply has no section for the notes; add one to the passport")
        return prompt

    def _ask(self, name: str, seed: Sample, round: int = 0, attempt: int = 0, **values: Any) -> Request:
        prompt = self.prompts.get(f"refine/{name}")
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_new_tokens}
        values |= {"instruction": seed.instruction, "input": seed.input, "context": context(seed),
                   "language": self.language, "aspects": self.aspects, "scale": self.scale}  # fmt: skip
        own = {} if name == "feedback" else own
        return ask(prompt, values, round * (self.retries + 1) + attempt, **own)

    def answer(self, seed: Sample) -> Rollout[Grown]:
        first = seed
        if not (seed.response or "").strip():
            first, failure = yield from drafted(seed, self._ask("draft", seed))
            if failure:
                return Grown((Candidate(first, drop("refine", failure, first.response or "")),), ())
        versions, end = yield from self._versions(first)
        return Grown((*self._result(seed, first, versions, end), *end.failure(seed, "refine")), ())

    def _versions(self, first: Sample) -> Talk[tuple[list[Version], End]]:
        """Every version, and why there are no more."""
        versions, reviewed = [Version(first.response or "", first.reasoning)], self.feedback == "specific"
        while True:
            full = len(versions) > self.max_refines
            if full and not (self.score_final or self.select == "best"):
                return versions, End("max_refines")
            if reviewed and not self.fused:
                versions[-1], end = yield from self._review(first, versions)
                if full or end:
                    return versions, end or End("max_refines")
            elif self.feedback == "generic":
                versions[-1] = replace(versions[-1], feedback=self.generic_feedback)
            if end := (yield from self._rewrite(first, versions)):
                return versions, end

    def _review(self, seed: Sample, versions: Sequence[Version]) -> Talk[tuple[Version, End | None]]:
        """The last version with its notes, and why it is not rewritten; empty where it is."""
        prompt, last = self.prompts.get("refine/feedback"), versions[-1]

        def ask(shown: Sequence[Version], attempt: int) -> Request:
            return self._ask("feedback", seed, len(versions) - 1, attempt, answer=shown[-1].answer)

        def read(reply: Completion) -> Version:
            if reply.finish == "length":
                raise ParseError("feedback_truncated", "cut at max_tokens")
            return self._noted(last, _sections(reply, prompt, "feedback_unparsed"), prompt)

        noted, _, end = yield from mended(ask, [last], read, "feedback", self.retries, cut_too=True)
        return noted or last, End("stop_signal") if noted and noted.done else end

    def _noted(self, version: Version, found: Mapping[str, str], prompt: Prompt) -> Version:
        """The version with what was noted of it."""
        scores: Mapping[str, float] = {}
        if self.aspects and not self.fused:
            try:
                scores = read_scores(found.get("scores", ""), self.aspects, self.scale)
            except ParseError:
                if self._scored:
                    raise
        noted = replace(version, feedback=notes(found, fields(prompt)), scores=scores)
        done = {
            "none": not noted.feedback, "phrase": has_phrase(noted.feedback, self.phrases),
            "score": noted.score is not None and noted.score >= (self.stop_score or self.scale),
        }  # fmt: skip
        return replace(noted, done=any(done.get(rule, False) for rule in self.stop))

    def _rewrite(self, seed: Sample, versions: list[Version]) -> Talk[End | None]:
        """Adds the next version, or says why there is none. Fused, the last version gets its notes, too."""
        name = "fused" if self.fused else "rewrite"
        prompt = self.prompts.get(f"refine/{name}")

        def ask(shown: Sequence[Version], attempt: int) -> Request:
            return self._ask(name, seed, len(versions) - 1, attempt, versions=shown)

        def read(reply: Completion) -> tuple[Version, str]:
            found = _sections(reply, prompt, f"{name}_unparsed")
            last = self._noted(versions[-1], found, prompt) if self.fused else versions[-1]
            if "answer" not in found and not last.done:
                raise ParseError(f"{name}_unparsed", "expected an <answer> beside the notes, found none")
            return last, found.get("answer", "")

        shown = versions if self.history == "all" else versions[-1:]
        told, reply, end = yield from mended(ask, shown, read, name, self.retries)
        if told is None:
            return end
        versions[-1], new = told
        if self.fused and versions[-1].done:
            return End("stop_signal")
        source = f"{context(seed)}\n{seed.prompt}\n{versions[-1].feedback}"
        earlier = [v.answer for v in versions]
        new = strip_remarks(new, "\n".join((source, *earlier)))
        if why := bad_answer(new, source, earlier, what="rewrite", must_change=self.require_change):
            return End(why, reply, new)
        versions.append(Version(new, reply.reasoning))
        return None

    def _result(self, seed: Sample, first: Sample, versions: Sequence[Version], end: End) -> Sequence[Candidate]:
        """The version that won, with what it won against."""
        at = self._chosen(versions)
        won, lost = versions[at], [v.answer for i, v in enumerate(versions) if i != at and _lost(i, at, versions)]
        record: dict[str, Any] = {"stop_reason": end.reason, "rounds": len(versions) - 1}
        if self.keep_trace:
            record["trace"] = [{"answer": v.answer, "feedback": v.feedback, "scores": v.scores} for v in versions]
        if won.scores:
            record |= {"scores": won.scores, "scale": self.scale}
        rated = {} if won.score is None else {"refine": won.score}
        steps = ("fused",) if self.fused else ("feedback", "rewrite") if self.feedback == "specific" else ("rewrite",)
        used = (*first.lineage.prompts, *(self.prompts.get(f"refine/{step}").ref for step in steps))
        new = child(seed, "refine", seed.instruction, input=seed.input, response=won.answer, prompts=used)
        if at == 0 and not self.seeds_too:
            why = "no_change_needed" if end.reason == "stop_signal" else "no_better"
            return () if end.reply else (Candidate(new, drop("refine", why)),)
        sample = replace(new, reasoning=won.reasoning) if at else first
        meta = with_meta(seed.meta, lost, rated, "refine", record, changed=at > 0)
        return (Candidate(replace(sample, meta=meta)),)

    def _chosen(self, versions: Sequence[Version]) -> int:
        scored = [i for i, v in enumerate(versions) if v.score is not None]
        best = max(scored, key=lambda i: (versions[i].score, -i)) if self.select == "best" and scored else -1
        return [v.answer for v in versions].index(versions[best].answer)  # what came back is what was there first


def _sections(reply: Completion, prompt: Prompt, reason: str) -> dict[str, str]:
    try:
        return parse_sections(reply.text, prompt.reply.sections, prompt.reply.optional)
    except ParseError as error:
        raise ParseError(reason, str(error)) from error


def _lost(i: int, at: int, versions: Sequence[Version]) -> bool:
    """Version i was mended on the way to version `at`, and not scored above it; or came later, and was scored below."""
    own, best = versions[i].score, versions[at].score
    if i < at:
        return versions[i].answer != versions[at].answer and (own is None or best is None or own <= best)
    return own is not None and best is not None and own < best
