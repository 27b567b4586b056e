from __future__ import annotations

from dataclasses import dataclass

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.errors import RecipeError
from gen.text import count_words, dominant_script, is_prose, named_scripts, scripts_of_language, spoken_scripts


@component("script", source="ours")
@dataclass(frozen=True, slots=True)
class Script:
    """Drops responses in another script than the task's. A response may use the scripts of instruction,
    input and earlier turns, and of any language that they or the system prompt name ("into Russian",
    "翻译成英文"); a translation without a named language may use any. Code, numbers and fewer than five words pass."""

    expect: str = ""
    """language or script that both must have, such as "Chinese", "zh" or "cyrillic" """

    def __post_init__(self) -> None:
        if self.expect and scripts_of_language(self.expect) is None:
            raise RecipeError(
                f"filter 'script': expect = {self.expect!r} is no language known here; name it in English, by "
                'its code or by its script (such as "Chinese", "zh", "han"), or leave it empty'
            )

    def check(self, sample: Sample) -> Verdict:
        wanted, response = scripts_of_language(self.expect), sample.response or ""
        asked, said = dominant_script(sample.instruction), dominant_script(response)
        if wanted and asked and asked not in wanted:
            return _wrong("instruction", asked, wanted)
        texts = (sample.instruction, *(turn.content for turn in sample.turns))
        allowed = wanted or {script for text in (*texts, sample.input) for script in spoken_scripts(text)}
        if said is None or said in allowed or not allowed or count_words(response) < 5:
            return KEEP
        allowed = allowed.union(*map(named_scripts, (*texts, sample.system)))
        code = said == "latin" and not is_prose(response)
        return KEEP if said in allowed or code else _wrong("response", said, allowed)


def _wrong(what: str, found: str, wanted: set[str]) -> Verdict:
    return drop("script", "wrong_script", f"{what} in {found}, expected {' or '.join(sorted(wanted))}")
