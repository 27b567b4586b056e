"""Extract, then generate: passages of documents become answers, a model writes the instructions. It pulls out what
could be an answer first; what is no copy from the document is dropped (David vs Goliath, arXiv 2308.12711).

    window of a document  ->  passage (hint: keywords, a sentence, or none)  ->  instruction

The paper's gate is a band of perplexity ratios, here the filter `ifd` in its form `ppl`; see gen/recipes/extract.toml.
Only the paper's abstract and reviews say how it extracts: hints and prompts are our reading. Deviation: an
instruction-tuned model is asked where the paper trains two models."""

from __future__ import annotations

import difflib
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from msgspec import Meta

from gen import text
from gen.blocks import sentences
from gen.catalog import component
from gen.core import Candidate, Completion, Grown, Rollout, Sample, Verdict, child, derive_seed, replace
from gen.errors import RecipeError
from gen.loop import GATE, Document
from gen.loops._common import checked, unfinished
from gen.loops._invert import Inverter, sections
from gen.prompts import Prompt
from gen.segments import to_sample, windows

Level = Literal["keywords", "sentence", "whole"]
FILLS = {"keywords": ("document", "keywords"), "sentence": ("document", "sentence"), "whole": ("document",)}
SAME = str.maketrans("“”„‟‘’‚‛′–—−\u00a0", "\"\"\"\"'''''--- ")
"""Signs that a model writes differently when it copies, one for one, so that places stay."""
TOKEN = re.compile(r"[\u3400-\u9fff\u3041-\u30ff]|\w+")
WORD = re.compile(r"[\u3400-\u9fff\u3041-\u30ff]{2,4}|[^\W\d_\u3041-\u30ff\u3400-\u9fff]{4,}")


class Hint(NamedTuple):
    level: str
    text: str = ""


@component("extract", source="arXiv 2308.12711 (David vs Goliath / SASS): extract, then generate")
@dataclass(frozen=True, slots=True)
class Extract(Inverter):
    GATE: ClassVar[tuple[str, ...]] = GATE
    window: Annotated[int, Meta(ge=100)] = 6000
    """Most characters of a document that are shown at once."""
    levels: tuple[Level, ...] = ("keywords", "sentence", "whole")
    """Hints for the extraction, in turn over the windows of a document; name one twice to have it twice as often."""
    keywords: Annotated[int, Meta(ge=1, le=20)] = 4
    """Words of a hint by keywords, from one sentence of the document."""
    passage_tokens: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens of each extraction; empty: what its prompt's passport says."""
    min_passage_chars: Annotated[int, Meta(ge=1)] = 40
    """Fewest characters of an extracted passage."""
    normalise: bool = True
    """A passage counts as copied whatever its case, white space and punctuation; the document's are stored."""
    min_overlap: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Share of a passage's words that must stand in the document in runs of four or more; below 1, what the model
    changed is put back, and what it left out. 1: every word, in one piece."""
    keep_document_as_input: bool = False
    """Keep the window as the task's input: a task of reading. Its answers are copies, so lower --ifd.min, too."""

    def __post_init__(self) -> None:
        Inverter.__post_init__(self)
        if not self.levels:
            raise RecipeError("levels is empty; expected one or more of keywords, sentence, whole")

    def asks(self) -> tuple[Prompt, ...]:
        levels = dict.fromkeys((*self.levels, "whole"))  # where a window has no sentence to hint at
        return (*(checked(self.prompts, f"extract/{n}", FILLS[n], ("passage",)) for n in levels), self.inverting())

    def split(self, document: Document, dropped: Counter[str]) -> Iterator[Sample]:
        """Windows, each with the level of its hint: in turn, from a place that differs by document."""
        begin = derive_seed("levels", document.id)
        for i, segment in enumerate(windows(document, self.window, dropped=dropped)):
            piece = to_sample(document, segment)
            level = self.levels[(begin + i) % len(self.levels)]
            yield replace(piece, meta={**piece.meta, "hint_level": level})

    def answer(self, seed: Sample) -> Rollout[Grown]:
        """Extract a passage, find it in the document, and write the instruction to it. A pair that a person wrote is
        kept as it is."""
        document = seed.response or ""
        if not document.strip():
            reason = "unanswered" if seed.instruction else "empty_text"
            return Grown((Candidate(seed, Verdict(False, reason, "extract")),), ())
        if seed.instruction:
            return Grown((Candidate(seed, given=True),), ())
        hint = self.hint(seed)
        prompt = self.prompts.get(f"extract/{hint.level}")
        values = {"document": document, "keywords": hint.text, "sentence": hint.text}
        own: dict[str, Any] = {k: values[k] for k in prompt.inputs}
        most = self.passage_tokens or prompt.sampling.max_tokens
        [reply] = yield [prompt.ask(sampling=replace(prompt.sampling, max_tokens=most), **own)]
        span, failure = self._passage(reply, document)
        meta: dict[str, Any] = {**seed.meta, "hint_level": hint.level, "hint": hint.text}
        if failure:
            lost = child(seed, "extract", "", response=reply.text, prompts=(prompt.ref,))
            return Grown((Candidate(replace(lost, meta=meta), failure),), ())
        start = seed.meta.get("start", 0)
        meta |= {"start": start + span[0], "end": start + span[1], "response_origin": "human_span"}
        found = yield from self.invert(
            seed, "extract", answer=document[slice(*span)], meta=meta, prompts=(prompt.ref,),
            input=document if self.keep_document_as_input else "",
        )  # fmt: skip
        return Grown(found, ())

    def hint(self, seed: Sample) -> Hint:
        """What points at a passage: a sentence of the document, or words of it, drawn for this piece alone."""
        level = seed.meta.get("hint_level") or self.levels[derive_seed("levels", seed.id) % len(self.levels)]
        rng = random.Random(derive_seed("hint", seed.id))
        document = seed.response or ""
        said = (" ".join(document[start:end].split()) for start, end in sentences(document))
        usable = [s for s in said if text.count_words(s) >= 5 and WORD.search(s) and len(s) <= 400]
        if level == "whole" or not usable:
            return Hint("whole")
        sentence = rng.choice(usable)
        if level == "sentence":
            return Hint(level, sentence)
        words = list(dict.fromkeys(WORD.findall(sentence)))
        longest = sorted(words, key=len, reverse=True)[: 2 * self.keywords]  # short words say little
        drawn = {*rng.sample(longest, min(self.keywords, len(longest)))}
        return Hint(level, ", ".join(word for word in words if word in drawn))

    def _passage(self, reply: Completion, document: str) -> tuple[tuple[int, int], Verdict | None]:
        """The place of the extracted passage in the document."""
        if failure := unfinished(reply, "extraction", "extract"):
            return (0, 0), failure
        found = sections(reply.text, "passage")
        if not found:
            note = f"expected <passage>...</passage>, found {reply.text[:80]!r}"
            return (0, 0), Verdict(False, "extraction_unparsed", "extract", note=note)
        if not found[0]:
            return (0, 0), Verdict(False, "nothing_to_extract", "extract")
        span, overlap = locate(document, found[0], normalise=self.normalise, min_overlap=self.min_overlap)
        if span is None:
            return (0, 0), Verdict(False, "not_extractive", "extract", overlap, note=found[0][:120])
        if span[1] - span[0] < self.min_passage_chars:
            return span, Verdict(False, "passage_too_short", "extract", span[1] - span[0])
        return span, None


def locate(
    document: str, passage: str, *, normalise: bool = True, min_overlap: float = 1.0
) -> tuple[tuple[int, int] | None, float]:
    """Where a passage stands in a document, as characters [start, end), and the share of it that does; None where too
    little does. It stands there as it is, else (`normalise`) but for case, white space and punctuation, and, with
    `min_overlap` below 1, but for some words.

    >>> locate("A b c. D e f.", "d  e f.")
    ((7, 13), 1.0)
    """
    if (at := document.find(passage)) >= 0:
        return (at, at + len(passage)), 1.0
    if not normalise:
        return None, 0.0
    pattern = r"\s+".join(re.escape(word) for word in passage.translate(SAME).split())
    if found := re.search(pattern, document.translate(SAME), re.I):
        return found.span(), 1.0
    span, overlap = _nearest(document, passage)
    return (span if overlap >= min_overlap else None), overlap


def _nearest(document: str, passage: str) -> tuple[tuple[int, int], float]:
    """The span of the document from the first to the last run of four words that the passage has in the same order, to
    the end of its sentence's punctuation; and the share of its words, and of the passage's, that lie in such runs."""
    old, new = ([*TOKEN.finditer(said.translate(SAME).lower())] for said in (document, passage))
    words = [m.group() for m in old], [m.group() for m in new]
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    runs = [run for run in matcher.get_matching_blocks() if run.size >= min(4, len(new))]
    if not runs or not new:
        return (0, 0), 0.0
    first, last = runs[0].a, runs[-1].a + runs[-1].size
    share = sum(run.size for run in runs) / max(len(new), last - first)
    end = old[last - 1].end()
    closing = re.compile(r"[^\w\s(\[{<]*").match(document, end)
    return (old[first].start(), closing.end() if closing else end), share
