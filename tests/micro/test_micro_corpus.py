"""The training examples: asked through the real prompt files, answered as the world's rules say."""

import itertools
import random

import pytest

from gen.core import Message
from gen.micro.corpus.evolve import OPERATIONS, applied, grown, pair
from gen.micro.corpus.example import DEFAULTS, ask
from gen.micro.corpus.mixture import EVOLVE, MAKERS, NAMES, NEW, SAME, STAGES, example, examples
from gen.prompts import Prompts, parse_choice, parse_sections
from gen.world import TRANSFORMS, check, equal, families, held_out, parse

PROMPTS = Prompts()


def test_every_prompt_occurs_and_no_instance_of_any_example_is_held_out():
    made = list(itertools.islice(examples(PROMPTS, random.Random(0)), 800))
    assert {e.prompt for e in made} == set(EVOLVE)
    for e in made:
        text = e.messages[-1].content
        if e.prompt == "evolve/answer":
            tasks = [read(text)]
        elif e.prompt == "evolve/equal":
            parts = parse_sections(text, ("first", "second"))
            tasks = [read(parts["first"]), read(parts["second"])]
        else:
            parts = parse_sections(text.split("Reply with")[0].rpartition("\n\n<task>")[2].join(["<task>", ""]), ("task",), ("data",))
            new = parse_sections(e.reply, ("instruction",), ("input",))
            kept = "" if e.prompt == "evolve/breadth" else parts.get("data", "")
            tasks = [parse(parts["task"], parts.get("data", "")), parse(new["instruction"], new.get("input", kept))]
        assert None not in tasks, text
        assert not any(map(held_out, tasks))


def read(text):
    instruction, _, data = text.partition("\n\n")
    return parse(instruction, data)


def test_the_ideal_reply_to_each_operation_differs_as_the_operation_demands():
    rng = random.Random(1)
    for name in OPERATIONS:
        for _ in range(40):
            made, (old, new) = example(PROMPTS, name, rng)
            sections = PROMPTS.get(name).reply
            found = parse_sections(made.reply, sections.sections, sections.optional)
            assert parse(found["instruction"], found.get("input", "" if name == "evolve/breadth" else old.input)) == new
            assert any(TRANSFORMS[t].differs(old, new) for t in OPERATIONS[name])


def test_ideal_answers_are_right_and_verdicts_true_and_balanced():
    rng, verdicts = random.Random(2), []
    for _ in range(200):
        made, (task,) = example(PROMPTS, "evolve/answer", rng)
        assert made.messages == (Message("user", task.text),)
        assert check(task, made.reply)
        made, (first, second) = example(PROMPTS, "evolve/equal", rng)
        verdicts.append(parse_choice(made.reply, PROMPTS.get("evolve/equal").reply.choices) == "equal")
        assert verdicts[-1] == equal(first, second)
    assert 70 < sum(verdicts) < 130
    assert any(first.text != second.text and equal(first, second) for first, second in (pair(rng) for _ in range(40)))


def test_an_operation_without_room_falls_back_to_the_nearest_one():
    rng = random.Random(3)
    task = grown(rng, 0, "pick")
    names = []
    for _ in range(7):
        name, task = applied("evolve/constrain", task, rng)
        names.append(name)
    assert names == ["add_demand"] * 3 + ["ask_also"] * 2 + ["add_step"] * 2
    assert applied("evolve/constrain", task, rng) is None


def test_from_the_last_stage_on_every_prompt_of_the_mixture_is_learned_and_each_is_one_for_chats():
    made = list(itertools.islice(examples(PROMPTS, random.Random(0), STAGES[-1].start), 4000))
    assert {e.prompt for e in made} == {*EVOLVE, *NEW}
    assert set(NEW) | {"refine/draft", "selfee/answer"} == {*MAKERS, *SAME}
    assert 0.43 < sum(e.prompt in EVOLVE for e in made) / len(made) < 0.53
    chats = {n for n in PROMPTS.names() if not PROMPTS.get(n).raw}
    assert set(NAMES) <= chats  # a prompt that comes later is strange to the model until it is taught


@pytest.mark.parametrize("name", SAME)
def test_prompts_that_send_the_task_as_it_is_need_no_examples_of_their_own(name):
    for data in ("", "- cat"):
        assert ask(PROMPTS.get(name), instruction="Count.", input=data) == ask(PROMPTS.get(SAME[name]), instruction="Count.", input=data)


@pytest.mark.parametrize("name", EVOLVE)
def test_prompts_are_asked_with_the_loops_own_defaults(name):
    inputs = PROMPTS.get(name).inputs
    values = {n: "Count from 3 to 6." if n != "input" else "" for n in inputs if n not in DEFAULTS}
    assert ask(PROMPTS.get(name), **values) == PROMPTS.get(name).render(**{**{k: v for k, v in DEFAULTS.items() if k in inputs}, **values})


def test_all_families_are_grown():
    rng = random.Random(4)
    assert {grown(rng, 1).family for _ in range(400)} == set(families())
