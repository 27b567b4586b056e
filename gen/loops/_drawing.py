"""What loops do alike that draw demonstrations from the pool."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from gen import text
from gen.core import Lineage, Sample, Verdict, digest
from gen.errors import RecipeError
from gen.prompts import Prompt


def check(loop: Any) -> None:
    """Refuse parameters that exclude one another. Raises RecipeError."""
    if loop.compat and loop.style != "base":
        raise RecipeError("compat reads what a base model writes; set style = 'base', or leave compat out")
    if loop.min_words > loop.max_words:
        raise RecipeError(f"min_words {loop.min_words} is above max_words {loop.max_words}; nothing would pass")
    if loop.from_pool > loop.shown:
        raise RecipeError(f"from_pool {loop.from_pool} is above shown {loop.shown}; lower it")


def draw(
    seeds: Sequence[Sample], made: Sequence[Sample], count: int, from_pool: int, rng: random.Random
) -> list[Sample]:
    """`count` demonstrations in random order: up to `from_pool` of what was made, the rest seeds; where these do not
    suffice, more of what was made. None twice."""
    own = min(from_pool, len(made), count)
    given = min(count - own, len(seeds))
    demos = rng.sample(made, min(count - given, len(made))) + rng.sample(seeds, given)
    rng.shuffle(demos)
    return demos


def new(
    operation: str, at: tuple[int, int], demos: Sequence[Sample], prompt: Prompt, instruction: str, input: str = "",
    response: str | None = None, meta: Mapping[str, Any] | None = None,
) -> Sample:  # fmt: skip
    """A sample that descends from none, so its family is its own. `at`: a number drawn for the conversation, and the
    place in its reply."""
    lineage = Lineage(digest("new", *at), operation=operation, prompts=(prompt.ref,))
    told = {"demos": [demo.id for demo in demos], "item": at[1], **(meta or {})}
    return Sample("", instruction, lineage, input=input, response=response, meta=told)


def fault(loop: Any, instruction: str, demos: Sequence[Sample], by: str) -> Verdict | None:
    """Why an instruction is not worth going on with; a CJK character counts as a word. Where the loop names no
    language, that of a demonstration is wanted; the published scripts do not look."""
    words = text.count_words(instruction)
    if not instruction:
        return Verdict(False, "empty_instruction", by)
    if not loop.min_words <= words <= loop.max_words:
        return Verdict(False, "too_short" if words < loop.min_words else "too_long", by, words)
    spoken = [text.spoken_scripts(demo.instruction) for demo in demos if not loop.compat]
    wanted = text.scripts_of_language(loop.language) if loop.language else set[str]().union(*spoken)
    found = text.dominant_script(instruction)
    return Verdict(False, "wrong_script", by, note=found) if wanted and found and found not in wanted else None
