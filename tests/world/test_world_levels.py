"""How hard tasks are, by hand, and that levels get harder in every family."""

import itertools
import random
from collections import Counter

import pytest

from gen.world import FAMILIES, LEVELS, TUNING, UNSEEN, check, difficulty, families, graded, parse, solve


@pytest.mark.parametrize(("instruction", "input", "hard"), [
    ("Count from 3 to 6.", "", 2),
    ("Tom plans a small party at the lake. Count from 3 to 6.", "", 2),  # scenes do not count
    ("Count from 3 to 6. Separate the parts of the answer with a dash.", "", 4),
    ("Write only the tools from the list below. Then put the parts of the answer in reverse order. Also say on a new line how many items the list has.", "- saw\n- tea\n- axe", 7)])
def test_difficulty_is_one_an_item_and_two_a_clause(instruction, input, hard):
    assert difficulty(parse(instruction, input)) == hard


@pytest.mark.parametrize("family", families())
def test_each_level_is_harder_than_the_one_before(family):
    rng, means = random.Random(0), []
    for level in LEVELS:
        tasks = [graded(rng, level, family) for _ in range(60)]
        assert all(t.family == family and parse(t.instruction, t.input) == t and check(t, solve(t)) for t in tasks)
        assert {len(t.clauses) for t in tasks} == {1: {0}, 2: {0, 1}, 3: {1, 2}, 4: {3}}[level]
        assert not any(t.scenes for t in tasks)
        means.append(sum(map(difficulty, tasks)) / len(tasks))
    assert all(low + 0.5 < high for low, high in itertools.pairwise(means))


def test_levels_are_drawn_from_every_family_and_families_are_looked_at_or_held_out():
    drawn = Counter(graded(random.Random(i), 1).family for i in range(1500))
    assert set(drawn) == set(FAMILIES)
    assert {*TUNING, *UNSEEN} == set(FAMILIES)
    assert not set(TUNING) & set(UNSEEN)
    assert min(len(TUNING), len(UNSEEN)) > 10
