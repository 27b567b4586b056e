"""Alpaca as dialogues: three whole tasks are shown, up to twenty come back, each with its own fate."""

import json
import random

import pytest
from dialogue import hold, reasons

from gen.core import Completion, Lineage, Sample
from gen.errors import InputError, RecipeError
from gen.loops.alpaca import Alpaca


def task(id, instruction="Add the numbers.", input="1 2", response="3"):
    return Sample(id, instruction, Lineage(id), input=input, response=response)


SEEDS = [task(f"s{i}", f"Add {i} to the numbers.", f"{i} 2") for i in range(9)]
MADE = [task(f"m{i}", f"Take {i} from the numbers.", f"{i} 2") for i in range(4)]
GOOD = {"instruction": "Name two tall trees.", "input": "", "output": "oak, ash"}


def draw(loop, reply="", seeds=SEEDS, made=(), rng=0):
    """The question and what was grown."""
    [asked], grown = hold(loop.draw(seeds, made, random.Random(rng)), [reply])
    return asked, grown


def tasks(*rows):
    return json.dumps({"tasks": [GOOD | row for row in rows]})


def test_three_seeds_are_shown_as_json_and_the_same_form_is_asked_for():
    asked, grown = draw(Alpaca(asked=2, domain="shops", language="English"), tasks({}, {"input": "big ones"}), made=MADE)
    assert (asked.role, asked.step, asked.raw) == ("evolver", "triples", False)
    text = asked.messages[-1].content
    shown = json.loads(text[text.index('{"tasks"') : text.index("]}") + 2])["tasks"]
    assert len(shown) == 3
    assert all(row["instruction"].startswith("Add") for row in shown)
    assert "Write 2 new tasks" in text
    assert "Stay within this domain: shops." in text
    assert asked.schema["properties"]["tasks"]["type"] == "array"
    first, second = (c.sample for c in grown.candidates)
    assert (first.instruction, first.input, first.response) == ("Name two tall trees.", "", "oak, ash")
    assert second.input == "big ones"
    assert len({*first.meta["demos"]}) == 3
    assert [c.sample.meta["item"] for c in grown.candidates] == [0, 1]
    assert first.lineage.root != second.lineage.root


def test_for_base_models_the_list_is_gone_on_with():
    asked, grown = draw(Alpaca(style="base"), " Name two tall trees.\n4. Input:\n<noinput>\n4. Output:\noak, ash\n###\n5. Instruction:")
    assert asked.raw
    assert asked.schema is None
    assert asked.messages[0].content.endswith("###\n4. Instruction:")
    assert asked.messages[0].content.count("\n###\n") == 4
    assert reasons(grown) == ["", "task_unparsed"]
    assert grown.candidates[0].sample.response == "oak, ash"


def test_what_was_made_is_shown_only_on_demand():
    for rng in range(20):
        asked, _ = draw(Alpaca(from_pool=2), made=MADE, rng=rng)
        assert asked.messages[-1].content.count("Take") == 2
    assert [Alpaca(prompts_per_batch=9).batch(9, made) for made in (0, 8, 500)] == [2, 3, 9]


def test_twenty_items_of_which_some_break_each_rule():
    rows = [{"instruction": f"Name {i} trees of the forest."} for i in range(20)]
    rows[3] |= {"instruction": "Describe the flowchart to me."}
    rows[5] |= {"output": " "}
    rows[7] |= {"instruction": "Name one."}
    rows[8] |= {"instruction": "Name " + "one " * 150}
    rows[9] |= {"instruction": ""}
    rows[11] |= {"input": "<NoInput>", "output": "### Title\nbody"}
    rows[13] |= {"instruction": "请写一首关于秋天的诗"}
    rows[15] |= {"instruction": 5}
    _, grown = draw(Alpaca(), tasks(*rows))
    expected = {3: "keyword", 5: "empty_output", 7: "too_short", 8: "too_long", 9: "empty_instruction", 13: "wrong_script", 15: "task_unparsed"}
    assert reasons(grown) == [expected.get(i, "") for i in range(20)]
    assert (grown.candidates[11].sample.input, grown.candidates[11].sample.response) == ("", "### Title\nbody")


FAILED = [
    (Completion(tasks({}, {})[:-20], "length"), {}, ["", "task_truncated"]),
    (Completion(" Name two tall trees.\n4. Output:\noak\n5. Instruction: Na", "length"), {"style": "base"}, ["", "task_truncated"]),
    (Completion("", "length"), {}, ["list_truncated"]),
    (Completion("", "refused"), {}, ["list_rejected"]),
    (Completion("", "overlong"), {}, ["overlong"]),
    (Completion("", "reasoning_truncated"), {}, ["reasoning_truncated"]),
    ("I'm sorry, but I can't help with that.", {}, ["list_refused"]),
    ("Trees are nice.", {}, ["no_tasks"]),
    (tasks({}, {}, {}), {"asked": 1}, ["", "surplus_tasks"]),
]


@pytest.mark.parametrize(("reply", "parameters", "expected"), FAILED)
def test_every_failure_has_a_reason(reply, parameters, expected):
    assert reasons(draw(Alpaca(**parameters), reply)[1]) == expected


def test_compat_loses_what_the_published_parser_loses():
    reply = " Draft a short readme header.\n4. Input:\n<noinput>\n4. Output:\n### Title\n###\n5. Instruction: Give two colours now.\n5. Input:\nNone\n5. Output:\nred\n"
    _, grown = draw(Alpaca(style="base", compat=True), reply)
    assert [(c.sample.response, c.failure) for c in grown.candidates] == [("", None)]
    _, grown = draw(Alpaca(style="base"), reply)
    assert [(c.sample.input, c.sample.response) for c in grown.candidates] == [("", "### Title"), ("", "red")]


def test_seeds_without_an_answer_have_nothing_to_show():
    bare = task("b", response=None)
    asked, _ = draw(Alpaca(), seeds=[bare, SEEDS[0]])
    assert asked.messages[-1].content.count('"instruction"') == 1
    with pytest.raises(InputError, match="no seed has an answer"):
        draw(Alpaca(), seeds=[bare])
    for seed, expected in ((bare, "unanswered_seed"), (SEEDS[0], None)):
        with pytest.raises(StopIteration) as stop:
            next(Alpaca().answer(seed))
        [candidate] = stop.value.value.candidates
        assert (candidate.failure.reason if candidate.failure else None, candidate.given) == (expected, expected is None)


def test_parameters_that_exclude_one_another_are_refused():
    with pytest.raises(RecipeError, match="style = 'base'"):
        Alpaca(compat=True)
    with pytest.raises(RecipeError, match="from_pool 4 is above shown 3"):
        Alpaca(from_pool=4)
