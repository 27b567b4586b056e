import pytest

from filters.rules.length import Length
from gen.core import Lineage, Sample
from gen.errors import RecipeError


def sample(instruction, response, input=""):
    return Sample("s", instruction, Lineage("s"), input=input, response=response)


@pytest.mark.parametrize(
    ("instruction", "input", "response", "reason", "words"),
    [
        ("Add 2 3", "", "5", "", None),
        ("Summarise", "a text", "words", "", None),
        ("Hi", "", "Hello", "instruction_too_short", 1),
        ("Add 2 3", "", "", "response_too_short", 0),
        ("Add 2 3", "word " * 8190, "5", "instruction_too_long", 8193),
        ("Add 2 3", "word " * 8189, "5", "", None),
        ("Say it", "", "word " * 8192, "", None),
        ("Say it", "", "word " * 8193, "response_too_long", 8193),
        ("Not answered yet", "", None, "", None),
        ("写诗", "", "好", "", None),
        ("写", "", "好", "instruction_too_short", 1),
        ("写诗", "", "字" * 8193, "response_too_long", 8193),
    ],
)
def test_default_bounds_keep_tiny_tasks_and_drop_what_no_context_holds(instruction, input, response, reason, words):
    verdict = Length().check(sample(instruction, response, input))
    assert (verdict.reason, verdict.value) == (reason, words)


@pytest.mark.parametrize(("count", "keep"), [(2, False), (3, True), (5, True), (6, False)])
def test_bounds_are_inclusive(count, keep):
    rule = Length(min_response_words=3, max_response_words=5)
    assert rule.check(sample("Say some words", "word " * count)).keep is keep
    assert rule.check(sample("说几个字", "字" * count)).keep is keep


def test_bounds_that_nothing_can_meet_are_refused():
    with pytest.raises(RecipeError, match="min_response_words 9 is above max_response_words 5"):
        Length(min_response_words=9, max_response_words=5)
