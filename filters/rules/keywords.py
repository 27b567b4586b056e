from __future__ import annotations

import string
from dataclasses import dataclass

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.text import find_word

WORDS = ("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot",
         "go to")  # fmt: skip


@component("keywords", source="arXiv 2212.10560, section 2.2 (filtering)")
@dataclass(frozen=True, slots=True)
class Keywords:
    """Drops instructions by their words and by how they begin: what a text model cannot do (images, files, going
    somewhere), and what is no sentence. Inputs and responses are not looked at."""

    words: tuple[str, ...] = WORDS
    """words and phrases that no instruction may hold, as wholes, in any case"""
    prefixes: tuple[str, ...] = ("Write a program",)
    """what no instruction may begin with, in any case"""
    punctuation: bool = True
    """drop what begins with an ASCII punctuation mark"""
    non_ascii: bool = False
    """drop what begins with any character outside ASCII, as published; English only"""

    def check(self, sample: Sample) -> Verdict:
        said = sample.instruction.lstrip()
        if word := find_word(said, self.words):
            return drop("keywords", "keyword", word)
        if prefix := next((p for p in self.prefixes if said.casefold().startswith(p.casefold())), None):
            return drop("keywords", "prefix", prefix)
        if self.punctuation and said[:1] and said[0] in string.punctuation:
            return drop("keywords", "punctuation", said)
        return drop("keywords", "non_ascii", said) if self.non_ascii and not said[:1].isascii() else KEEP
