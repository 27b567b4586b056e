"""Numbers without end, and digits of other scripts, in what models write: no score, and no error either."""

import pytest

from gen.errors import ParseError
from gen.loops import _chain, _listed, _notes, _trials
from gen.loops.curate import parse_score
from gen.prompts import parse_choice

LONG = "9" * 5000


@pytest.mark.parametrize("line", [f"4/{LONG}", f"{LONG}/5", LONG, f"4 of {LONG}", f"{LONG}.{LONG}"])
def test_a_score_without_end_is_none(line):
    with pytest.raises(ParseError):
        _notes.read_score(line, 5)
    assert _chain.read_critique(f"<comments>x</comments><score>{line}</score><verdict>y</verdict>")[2] is None


def test_other_numbers_without_end():
    assert parse_score(f"Score: {LONG}") is None
    assert parse_score(f"Score: 4/{LONG}") is None
    assert _trials.fault_of_feedback(f"case {LONG} fails", 3) == "analysis_unparsed"
    assert _listed.items(f"{LONG}. a\n1. b", 1) == ["b"]
    assert _chain.parse(f"a\n### Feedback {LONG}\nb") == [(f"a\n### Feedback {LONG}\nb", "")]
    assert _chain.parse(_chain.render([(f"a\n### Feedback {LONG}", "b")])) == [(f"a\n### Feedback {LONG}", "b")]


def test_digits_of_other_scripts_are_digits_or_none():
    assert _notes.read_score("٤/5", 5) == 4


def test_letters_that_only_look_alike_when_case_is_ignored():
    assert parse_choice("yeſ", ("yes", "no")) == "yes"
    assert parse_choice("Not equal, ſo no", ("so", "not equal")) == "not equal"
