"""A hundred odd rewrites, labelled by hand before the parser read them: what it takes for the world's and what not."""

import json
from collections import Counter
from pathlib import Path

from gen.world import parse

ROWS = [json.loads(line) for line in (Path(__file__).parent / "odd_rewrites.jsonl").read_text().splitlines()]
PAGE = Path(__file__).parents[2] / "docs" / "world.md"
EXPLAINED = {
    "Count from 3 to 6. Begin and end the answer with a quotation mark. Begin and end the answer with a round bracket.":
        "The world holds demands on the whole answer to be met in any order, one around the other: either may be the "
        "outer one. Read strictly both cannot be."}
"""False accepts, and why they are what they are."""


def false(accepts):
    """The rows that the parser takes for the world's though they are not, or the other way round."""
    return [r for r in ROWS if (parse(r["instruction"], r["input"]) is not None) is accepts and r["in_world"] is not accepts]


def test_half_of_the_rewrites_are_of_the_world():
    assert Counter(r["in_world"] for r in ROWS) == {True: 50, False: 50}
    assert len({(r["instruction"], r["input"]) for r in ROWS}) == 100


def test_what_is_not_of_the_world_is_not_taken_for_it_but_for_what_is_explained():
    assert {r["instruction"] for r in false(True)} == set(EXPLAINED)


def test_blanks_and_line_ends_make_no_odds():
    kinds = {r["kind"] for r in false(False)}
    blanks = {"two blanks", "tab", "line end between sentences", "empty line between sentences", "line end inside a sentence", "blanks around",
              "blanks at the ends of lines", "lines end as on Windows", "empty lines between items", "indented items"}  # fmt: skip
    assert blanks <= {r["kind"] for r in ROWS}
    assert not kinds & blanks


def test_the_page_tells_how_often_the_parser_is_wrong():
    text = " ".join(PAGE.read_text().split())
    assert f"**{len(false(False))} of 50 false rejects** and **{len(false(True))} of 50 false accepts**" in text
    for reason in EXPLAINED.values():
        assert reason in text
