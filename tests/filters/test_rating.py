"""The bound on ratings: what it reads, where it lies, and what has none."""

from itertools import pairwise

import pytest

from filters.rules.rating import Rating
from gen.core import Lineage, Sample


def sample(**ratings):
    return Sample("s", "Name a tree.", Lineage("s"), response="Ash.", meta={"ratings": ratings} if ratings else {})


@pytest.mark.parametrize(
    ("parameters", "value", "reason"),
    [
        ({}, 5.0, ""), ({}, 4.5, "low_rating"), ({"min": 4.5}, 4.5, ""), ({"min": 4.0}, 4.5, ""), ({"min": 4.0}, 3, "low_rating"),
        ({"min": 4.0, "rule": "=="}, 4, ""), ({"min": 4.0, "rule": "=="}, 5, "high_rating"), ({"min": 4.0, "rule": "=="}, 3, "low_rating"),
    ],
)  # fmt: skip
def test_the_bound_is_inclusive(parameters, value, reason):
    verdict = Rating(**parameters).check(sample(curation=value))
    assert verdict.reason == reason
    assert verdict.keep == (not reason)
    assert verdict.value == (value if reason else None)


@pytest.mark.parametrize("meta", [{}, {"ratings": {}}, {"ratings": None}, {"ratings": "5"}, {"ratings": {"curation": "5"}}])
def test_what_was_not_rated_is_no_low_rating(meta):
    verdict = Rating(min=0.0).check(Sample("s", "Name a tree.", Lineage("s"), response="Ash.", meta=meta))
    assert (verdict.keep, verdict.reason) == (False, "unrated")


def test_of_several_ratings_the_last_or_the_named_one_counts():
    several = sample(curation_10=5, curation_2=1, curation_9=2)
    assert Rating().check(several).keep
    assert Rating(name="curation_2").check(several).value == 1
    missing = Rating(name="curation_3").check(several)
    assert (missing.reason, missing.note) == ("unrated", "no rating 'curation_3'")


def test_what_is_kept_shrinks_as_the_bound_rises():
    pool = [sample(curation=value) for value in (1, 2, 3, 4, 4, 4.5, 5, 5)]
    kept = [{i for i, s in enumerate(pool) if Rating(min=k).check(s).keep} for k in (1, 2, 3, 4, 4.5, 5)]
    assert all(later <= earlier for earlier, later in pairwise(kept))
    assert [len(k) for k in kept] == [8, 7, 6, 5, 3, 2]
