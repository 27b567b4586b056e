from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import rouge_tokens

_DEFINED = re.compile(r"\b(?:def|function|func|fn|sub)\s+(\w+)\s*\(")
_TWO_WORDS = re.compile(r"[a-z0-9]_+[a-z0-9]|[a-z0-9][A-Z]")
"""A name of two words or more: `main` and `solve` are everybody's."""


@component("ngram", source="arXiv 2005.14165, appendix C (13-grams against test data); arXiv 2306.08568, checked data")
@dataclass(frozen=True, slots=True)
class Ngram:
    """Decontamination: drops what has `n` words in a row that data of `--against` (benchmarks) has, in the task or in
    the answer, case and punctuation folded, code included. Test items of fewer words are left to `exact`. What was
    kept is not compared. The value is the longest such run, in words; `nearest` the first item with its beginning."""

    n: Annotated[int, Meta(ge=2, le=100)] = 10
    """words in a row; 13 is the other custom. A CJK character is a word"""
    column: Literal["all", "prompt", "response"] = "all"
    """what is compared, of either side: task and answer, or one of them"""
    functions: bool = False
    """drop, too, what names a function that the test data define, if its name is of two words (`has_close_elements`)"""

    def open(self) -> NgramIndex:
        return NgramIndex(self)

    def texts(self, sample: Sample) -> list[str]:
        """What is compared, each for itself, so that no run goes from one into the other."""
        parts = {"prompt": [*(t.content for t in sample.turns), sample.prompt], "response": [sample.response or ""]}
        return [text for name, found in parts.items() if self.column in ("all", name) for text in found if text]


@dataclass(slots=True)
class NgramIndex:
    params: Ngram
    first: dict[str, str] = field(default_factory=dict)
    """`n` words -> the first item that has them."""
    functions: dict[str, str] = field(default_factory=dict)

    def admit(self, sample: Sample) -> None:
        if not sample.id.startswith("against:"):
            return
        for text in self.params.texts(sample):
            for gram in self._grams(text):
                self.first.setdefault(gram, sample.id)
            for name in _DEFINED.findall(text) if self.params.functions else ():
                if _TWO_WORDS.search(name):
                    self.functions.setdefault(name, sample.id)

    def judge(self, sample: Sample) -> Verdict:
        longest, start, nearest = 0, "", ""
        for text in self.params.texts(sample):
            run, begun = 0, ""
            for gram in self._grams(text) if self.first else ():
                run, begun = (run + 1, begun or gram) if gram in self.first else (0, "")
                if run > longest:
                    longest, start, nearest = run, begun, self.first[begun]
        if longest:
            words = float(longest + self.params.n - 1)
            return Verdict(False, "contaminated", "ngram", words, nearest, start)
        for name in (w for text in self.params.texts(sample) for w in re.findall(r"\w+", text) if self.functions):
            if name in self.functions:
                return Verdict(False, "contaminated", "ngram", None, self.functions[name], f"function {name}")
        return KEEP

    def _grams(self, text: str) -> list[str]:
        n, words = self.params.n, rouge_tokens(text)
        return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
