"""Laws that hold for every task: text and task are the same thing, ideal answers are right, transforms differ."""

import random
from dataclasses import replace

import pytest

from gen.world import FAMILIES, TRANSFORMS, check, draw, equal, families, held_out, key, parse, solve
from gen.world.clauses import RULES

OTHERS = ("add_demand", "ask_also", "make_specific", "add_step", "give_data", "sibling")


def chains(count, seed=0):
    """Tasks of every family after 0 to 5 transforms, each with the transform that made it."""
    rng = random.Random(seed)
    for i in range(count):
        task = draw(rng, families()[i % len(FAMILIES)])
        yield None, None, task
        for _ in range(rng.randint(0, 5)):
            name = rng.choice(OTHERS)
            new = TRANSFORMS[name].apply(task, rng)
            if new is not None:
                yield name, task, new
                task = new


def test_parse_is_the_inverse_of_rendering_and_solutions_are_right():
    total = 0
    for _, _, task in chains(1500):
        assert parse(task.instruction, task.input) == task
        assert parse(f"\n {task.instruction} \n", task.input + "\n") == task
        assert check(task, solve(task))
        total += 1
    assert total > 4000


def test_every_phrasing_of_every_family_and_clause_occurs():
    bases, clauses = set(), set()
    for _, _, task in chains(14000, seed=1):
        bases.add((task.family, task.phrasing, task.form))
        clauses |= {(c.rule, c.phrasing) for c in (*task.scenes, *task.clauses)}
    assert {(n, i, form) for n in FAMILIES for i in range(len(FAMILIES[n].phrasings)) for form in ("inline", "list", "table")} == bases
    assert {(n, i) for n, r in RULES.items() for i in range(len(r.phrasings))} == clauses


def test_a_transform_makes_what_its_own_test_and_no_other_test_recognises():
    seen = set()
    for name, old, new in chains(800, seed=2):
        if name:
            seen.add(name)
            assert {n for n, t in TRANSFORMS.items() if t.differs(old, new)} == {name}
            assert not equal(old, new)
            assert not TRANSFORMS[name].differs(new, old) or name == "sibling"
    assert seen == set(TRANSFORMS)


def test_a_transform_adds_between_four_and_twenty_words():
    for name, old, new in chains(600, seed=3):
        if name in ("add_demand", "ask_also", "make_specific", "add_step"):
            assert 4 <= len(new.text.split()) - len(old.text.split()) <= 20, new.text


def test_unchanged_and_only_reworded_tasks_differ_in_no_way():
    for _, _, task in chains(300, seed=4):
        other = replace(task, phrasing=3 - task.phrasing, clauses=tuple(replace(c, phrasing=1 - c.phrasing) for c in task.clauses))
        assert equal(task, other)
        assert not any(t.differs(task, new) for t in TRANSFORMS.values() for new in (task, other))


def test_a_transform_that_also_changes_something_else_is_not_recognised():
    rng = random.Random(5)
    for name, old, new in chains(600, seed=5):
        if name in ("add_demand", "ask_also", "make_specific", "add_step") and len(old.items) > 2:
            assert not TRANSFORMS[name].differs(old, replace(new, items=new.items[::-1]))
            if (other := TRANSFORMS["make_specific"].apply(old, rng)) is not None and name != "make_specific":
                assert not TRANSFORMS[name].differs(other, new)


def mutations(answer):
    """Near misses of an answer."""
    parts = answer.split(", ")
    yield from ("", answer + " x", "x " + answer, answer + answer, answer + "\n" + answer, answer[:-1] or "x", answer + ", 1")
    if len(parts) > 1:
        yield from (", ".join(parts[:-1]), ", ".join(parts[1:]), ",".join(parts), " and ".join(parts))


def test_near_misses_of_the_ideal_answer_are_wrong():
    for _, _, task in chains(400, seed=6):
        ideal = solve(task)
        right = {ideal, ideal.replace('", "', '","')}  # JSON may do without blanks
        assert [m for m in mutations(ideal) if m.strip() not in right and check(task, m)] == [], (task, ideal)


def test_an_answer_to_another_task_is_right_only_by_coincidence():
    tasks = [t for _, _, t in chains(300, seed=7)]
    wrong = sum(not check(a, solve(b)) for a, b in zip(tasks, tasks[7:], strict=False))
    assert wrong > 0.9 * (len(tasks) - 7)


def test_levels_lengthen_the_list_and_rare_draws_hold_rare_words():
    rng = random.Random(8)
    mean = [sum(len(draw(rng, "filter", level).items) for _ in range(50)) / 50 for level in (1, 2, 3)]
    assert mean == sorted(mean)
    assert mean[2] > mean[0] + 1


def test_one_instance_in_eight_is_held_out_whatever_its_wording_and_clauses():
    tasks = [draw(random.Random(i)) for i in range(2000)]
    assert 0.09 < sum(map(held_out, tasks)) / len(tasks) < 0.16
    for i, task in enumerate(tasks[:200]):
        harder = TRANSFORMS["add_demand"].apply(replace(task, phrasing=3 - task.phrasing), random.Random(i))
        assert key(task) == key(harder)


@pytest.mark.parametrize("name", OTHERS)
def test_the_same_randomness_makes_the_same_task(name):
    made = [TRANSFORMS[name].apply(draw(random.Random(3), "filter"), random.Random(4)) for _ in range(2)]
    assert made[0] == made[1] is not None


def test_a_sentence_longer_than_any_task_is_none():
    task = draw(random.Random(0))
    assert parse(task.instruction, task.input) == task
    assert parse(f"{task.instruction[:-1]}{' plum' * 1000}.", task.input) is None
