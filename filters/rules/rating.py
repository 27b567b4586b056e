from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict


@component("rating", source="arXiv 2308.06259, section 2.3 (keep what is rated k or more)")
@dataclass(frozen=True, slots=True)
class Rating:
    """Drops answers that a judge rated too low (see the loop `curate`). It reads the rating that a sample carries and
    asks nothing; a sample without one is dropped as `unrated`, never taken for a low one."""

    min: Annotated[float, Meta(ge=0)] = 5.0
    """lowest rating that is kept: the paper's k, 4 or 5"""
    rule: Literal[">=", "=="] = ">="
    """keep ratings of at least `min`, or of exactly `min`"""
    name: str = ""
    """which rating, where a sample has several (curation_0, curation_1); empty: the last one"""

    def check(self, sample: Sample) -> Verdict:
        ratings = sample.meta.get("ratings")
        found = ratings if isinstance(ratings, Mapping) else {}
        name = self.name or max(found, key=_natural, default="")
        value = found.get(name)
        if not isinstance(value, int | float):
            return drop("rating", "unrated", f"no rating {name!r}" if name else "no rating")
        if value < self.min:
            return drop("rating", "low_rating", name, value)
        return KEEP if self.rule == ">=" or value == self.min else drop("rating", "high_rating", name, value)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that has curation_10 after curation_9."""
    return [(int(part), "") if part.isdecimal() and len(part) < 10 else (-1, part) for part in re.split(r"(\d+)", name)]
