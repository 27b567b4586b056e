"""Every family and every clause rule against cases written by hand: what a text means, which answers are right, which
wrong; and texts that are not of the world."""

import tomllib
from pathlib import Path

import pytest

from gen.world import check, families, parse, solve
from gen.world.clauses import RULES

CASES = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())["case"]


def test_every_family_has_cases_in_its_sentence_and_with_data_below_and_every_rule_has_one():
    seen = {(case["family"], bool(case.get("input"))) for case in CASES if "family" in case}
    assert seen == {(name, below) for name in families() for below in (False, True)}
    assert {case["rule"] for case in CASES if "rule" in case} == set(RULES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.get("family") or case["rule"])
def test_right_answers_are_accepted_and_wrong_ones_are_not(case):
    task = parse(case["instruction"], case.get("input", ""))
    assert task is not None
    assert case.get("family", task.family) == task.family
    assert case.get("rule") in {None, *(c.rule for c in (*task.scenes, *task.clauses))}
    assert solve(task) == case["right"][0]
    assert len(set(case["wrong"])) >= 3
    assert [a for a in case["right"] if not check(task, a)] == []
    assert [a for a in case["wrong"] if check(task, a)] == []


STRANGE = [
    ("", ""), ("Hello!", ""), ("Count from 3 to 6", ""), ("Count from 6 to 3.", ""), ("Count from 3 to 99.", ""),
    ("Count from 3 to 6. Count from 3 to 6.", ""), ("Which word in this list belongs to the fruits: plum, pear?", ""),
    ("Which word in this list belongs to the planets: plum, cat?", ""), ("Which word in this list belongs to the fruits: plum, sofa?", ""),
    ("Write only the tools from the list below.", ""), ("Write only the tools from the list below.", "saw, axe"),
    ("Write only the tools from the list below.", "| row | item |\n| 1 | saw |\n| 2 | tea |"),
    ("Write only the tools from this list: saw, tea.", "- saw\n- tea"), ("Write only the tools from this list: saw, saw.", ""),
    ("Count from 3 to 6. Tom plans a small party at the lake.", ""), ("Put the words My answer and a colon in front.", ""),
    ("Then write all parts of the answer a second time. Count from 3 to 6.", ""), ("计数 {items} 🌍", "- 猫"), ("Count from {items}.", ""),
    ("Who has the saw in this list: Tom has the saw, Mia has the saw?", ""), ("Write each word of this list twice: saw, 3.", ""),
]


@pytest.mark.parametrize(("instruction", "data"), STRANGE)
def test_text_that_is_not_of_the_world_is_not_taken_for_it(instruction, data):
    assert parse(instruction, data) is None
