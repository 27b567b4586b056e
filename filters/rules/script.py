from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.errors import RecipeError
from gen.text import (
    asks_translation,
    count_words,
    dominant_script,
    is_prose,
    named_scripts,
    scripts_of_language,
    spoken_scripts,
)


@component("script", source="ours")
@dataclass(frozen=True, slots=True)
class Script:
    """Drops responses in another script than the task's. A response may use the scripts of instruction,
    input and earlier turns, and of any language that they or the system prompt name ("into Russian",
    "翻译成英文"); a translation without a named language may use any. Code, numbers and short names pass."""

    expect: str = ""
    """language or script that both must have, such as "Chinese", "zh" or "cyrillic" """
    min_words: Annotated[int, Meta(ge=1)] = 5
    """shorter responses pass"""

    def __post_init__(self) -> None:
        if self.expect and scripts_of_language(self.expect) is None:
            raise RecipeError(
                f"filter 'script': expect = {self.expect!r} is no language known here; name it in English, by "
                'its code or by its script (such as "Chinese", "zh", "han"), or leave it empty'
            )

    def check(self, sample: Sample) -> Verdict:
        wanted = scripts_of_language(self.expect) if self.expect else None
        asked = dominant_script(sample.instruction)
        if wanted and asked and asked not in wanted:
            return _wrong("instruction", asked, wanted)
        said = dominant_script(sample.response or "")
        allowed = (wanted or _natural(sample)) | _named(sample)
        if said is None or not allowed or said in allowed or not self._counts(sample, said):
            return KEEP
        return _wrong("response", said, allowed)

    def _counts(self, sample: Sample, said: str) -> bool:
        response = sample.response or ""
        if asks_translation(sample.instruction) and not named_scripts(sample.instruction):
            return False
        return count_words(response) >= self.min_words and (said != "latin" or is_prose(response))


def _natural(sample: Sample) -> set[str]:
    """Kanji alone are good Japanese."""
    texts = (sample.instruction, sample.input, *(turn.content for turn in sample.turns))
    scripts = {script for text in texts for script in spoken_scripts(text)}
    return scripts | ({"han"} if "kana" in scripts else set())


def _named(sample: Sample) -> set[str]:
    asked = (turn.content for turn in sample.turns if turn.role == "user")
    return named_scripts("\n".join((sample.system, sample.instruction, *asked)))


def _wrong(what: str, found: str, wanted: set[str]) -> Verdict:
    return Verdict(False, "wrong_script", "script", note=f"{what} in {found}, expected {' or '.join(sorted(wanted))}")
