"""Instructions on other items, and pages whose paragraphs answer tasks."""

import random

import pytest

from gen.world import another, check, draw, families, held_out, imagine, parse, solve
from gen.world.pages import page


@pytest.mark.parametrize("family", families())
def test_another_instance_has_the_same_words_and_other_items(family):
    rng, items = random.Random(0), set()
    for _ in range(20):
        task = draw(rng, family)
        new = another(task, rng)
        assert (new.family, new.args, new.phrasing, new.form) == (task.family, task.args, task.phrasing, task.form)
        assert parse(new.instruction, new.input) == new
        assert check(new, solve(new))
        items.add(new.items)
    assert len(items) > 10


@pytest.mark.parametrize("family", families())
def test_an_instruction_on_a_list_can_be_imagined_on_one(family):
    rng, listed = random.Random(1), 0
    for _ in range(40):
        task = draw(rng, family)
        found = imagine(task.instruction, rng)
        assert found is not None
        assert found.instruction == task.instruction
        assert found == task or found.form == "list"
        listed += found.form == "list"
    assert listed > 0


@pytest.mark.parametrize("text", ["", "Count the stars in the list below.", "Write the list below in reverse order. Be brief.", "Count from the first to the last number in the sky."])
def test_what_is_not_of_the_world_cannot_be_imagined(text):
    assert imagine(text, random.Random(0)) is None


@pytest.mark.parametrize("held", [False, True])
def test_the_paragraphs_of_a_page_answer_tasks_that_do_not_give_them_away(held):
    rng = random.Random(2)
    for _ in range(60):
        found = page(rng, 2, held)
        assert found.body in found.text
        assert len(found.paragraphs) == 2
        assert found.text.endswith(found.end)
        for paragraph, task in zip(found.paragraphs, found.tasks, strict=True):
            assert check(task, paragraph)
            assert held_out(task) == held
            assert task.form == "inline"
            assert paragraph.rstrip(".") not in task.instruction
    assert page(random.Random(5), 3) == page(random.Random(5), 3)
