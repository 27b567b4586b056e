from __future__ import annotations

import json

import pytest

from gen.core import Lineage, Message, Sample, replace
from gen.export.rows import Form, Unfit, dataset_row, flipped, line, weights

SEED = Sample("s", "Add", Lineage("s"), input="1 2", response="3", meta={"license": "MIT", "path": "/home/ada"})
CHILD = Sample(
    "c", "写诗", Lineage("s", "s", 0, 2, "deepen", ("evolve/deepen@ab", "answer@cd"), ("m@12 (mit)", "n@34")),
    response="秋天", reasoning="Hm.", system="Be brief", turns=(Message("user", "Hi"), Message("assistant", "Hello")),
)
ROOT = {"root": "s", "origin": "", "parent": "", "round": 0, "operation": "seed", "prompts": "", "models": ""}
DEEP = {"root": "s", "origin": "", "parent": "s", "round": 2, "operation": "deepen", "prompts": "evolve/deepen@ab answer@cd",
        "models": "m@12 (mit); n@34"}
ASKED = [("system", "Be brief"), ("user", "Hi"), ("assistant", "Hello"), ("user", "写诗")]


def said(*turns, **more):
    return [{"role": role, "content": text, **more} for role, text in turns]


def test_a_messages_row_is_the_conversation_and_its_lineage():
    row = Form("messages").row(CHILD)
    assert row == {"messages": said(*ASKED, ("assistant", "秋天")), "meta": {"id": "c", **DEEP}}


def test_a_prompt_completion_row_is_cut_before_the_answer():
    row = Form("prompt-completion").row(CHILD)
    assert row == {"prompt": said(*ASKED), "completion": said(("assistant", "秋天")), "meta": {"id": "c", **DEEP}}
    assert Form("prompt-completion", plain=True).row(replace(SEED, system="Be brief")) == {
        "prompt": "Be brief\n\nAdd\n\n1 2", "completion": "3", "meta": {"id": "s", **ROOT}}


def test_a_sharegpt_row_names_the_speakers_in_its_own_words():
    conversation = [("system", "Be brief"), ("human", "Hi"), ("gpt", "Hello"), ("human", "写诗"), ("gpt", "秋天")]
    assert Form("sharegpt").row(CHILD) == {
        "conversations": [{"from": who, "value": text} for who, text in conversation], "id": "c", "models": DEEP["models"]}


def test_a_preference_row_has_two_answers_to_one_prompt():
    worse = replace(SEED, response="4")
    row = Form("preference").row(SEED, worse)
    assert row == {"prompt": said(("user", "Add\n\n1 2")), "chosen": said(("assistant", "3")),
                   "rejected": said(("assistant", "4")), "meta": {"id": "s", **ROOT}}
    plain = Form("preference", plain=True).row(SEED, worse)
    assert (plain["prompt"], plain["chosen"], plain["rejected"]) == ("Add\n\n1 2", "3", "4")


@pytest.mark.parametrize(
    ("sample", "row"),
    [
        (SEED, {"instruction": "Add", "input": "1 2", "output": "3", "id": "s", "models": ""}),
        (Sample("x", "Add", Lineage("x"), response="3", system="Be brief"),
         {"instruction": "Be brief\n\nAdd", "input": "", "output": "3", "id": "x", "models": ""}),
    ],
)
def test_an_alpaca_row_says_its_system_text_before_the_instruction(sample, row):
    assert Form("alpaca").row(sample) == row
    assert list(Form("alpaca").row(sample)) == ["instruction", "input", "output", "id", "models"]


THOUGHT = "<think>\nHm.\n</think>\n\n秋天"


def test_reasoning_is_a_field_of_the_answer_where_a_row_has_messages_and_each_message_has_the_same_keys():
    include = Form("messages", reasoning="include").row(CHILD)["messages"]
    assert include == [*said(*ASKED, reasoning_content=""), *said(("assistant", "秋天"), reasoning_content="Hm.")]
    row = Form("prompt-completion", reasoning="include").row(CHILD)
    assert row["prompt"] == said(*ASKED)
    assert row["completion"] == said(("assistant", "秋天"), reasoning_content="Hm.")
    assert Form("messages", reasoning="inline").row(CHILD)["messages"][-1] == {"role": "assistant", "content": THOUGHT}


@pytest.mark.parametrize("reasoning", ["include", "inline"])
def test_reasoning_goes_before_the_answer_where_a_row_is_text(reasoning):
    assert Form("sharegpt", reasoning=reasoning).row(CHILD)["conversations"][-1]["value"] == THOUGHT
    alone = replace(CHILD, turns=())
    assert Form("alpaca", reasoning=reasoning).row(alone)["output"] == THOUGHT
    assert Form("prompt-completion", True, reasoning).row(alone)["completion"] == THOUGHT
    assert Form("alpaca", reasoning=reasoning).row(SEED)["output"] == "3"  # nothing was thought


def test_what_a_form_cannot_say_is_named():
    with pytest.raises(Unfit, match="unanswered"):
        Form().row(replace(SEED, response=None))
    for form in (Form("alpaca"), Form("prompt-completion", plain=True)):
        with pytest.raises(Unfit, match="earlier_turns"):
            form.row(CHILD)


def test_a_dataset_row_has_its_keys_in_order_and_nothing_of_the_users_meta():
    row = dataset_row(SEED)
    assert list(row) == ["id", "messages", "instruction", "input", "output", "reasoning", "meta"]
    assert row["messages"] == [{"role": "user", "content": "Add\n\n1 2"}, {"role": "assistant", "content": "3"}]
    assert row["meta"] == ROOT
    assert dataset_row(replace(SEED, response=None))["output"] is None
    assert (dataset_row(CHILD)["reasoning"], dataset_row(CHILD)["meta"]) == ("Hm.", DEEP)


def test_who_wrote_a_row_is_told_by_what_it_was_made_with():
    assert weights(SEED) == "people (seeds as they were given)"
    assert weights(CHILD) == "m@12 (mit); n@34"
    assert weights(replace(CHILD, lineage=Lineage("s", "s", prompts=("answer@cd",)))) == "not recorded"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("中文 é 😀", '"中文 é 😀"'),
        ("a\u2028b\u2029c\x85d", '"a\\u2028b\\u2029c\\u0085d"'),
        ('quote " back \\ line \n tab \t \x0b\x0c\x1c nul \x00', None),
        ("half \ud83d", '"half \ufffd"'),
    ],
)
def test_a_line_is_one_line_of_utf8_json(text, written):
    made = line({"a": text})
    assert made.encode().decode() == made
    assert len(made.splitlines()) == 1
    assert json.loads(made) == {"a": text.replace("\ud83d", "\ufffd")}
    if written is not None:
        assert made == f'{{"a": {written}}}\n'


def test_a_flipped_row_teaches_to_ask_for_what_is_said():
    tagged = replace(SEED, system="Answer in the manner of an AI assistant.")
    row = Form("prompt-completion", flip=True).row(tagged)
    assert (row["prompt"], row["completion"]) == (said(("user", "3\n\n1 2")), said(("assistant", "Add")))
    assert Form("alpaca", flip=True).row(tagged) == {"instruction": "3", "input": "1 2", "output": "Add", "id": "s", "models": ""}
    thought = replace(SEED, reasoning="Hm.")
    assert "Hm." not in json.dumps(Form("messages", reasoning="inline", flip=True).row(thought))


def test_flipping_twice_gives_the_sample_back():
    for sample in (SEED, replace(SEED, input="", system="Be brief")):
        assert flipped(flipped(sample)) == sample
        assert flipped(sample) != sample


@pytest.mark.parametrize(
    ("sample", "reason"),
    [(replace(SEED, response=None), "unanswered"), (replace(SEED, instruction=""), "no_instruction"), (CHILD, "earlier_turns")],
)
def test_what_has_no_other_side_is_not_flipped(sample, reason):
    with pytest.raises(Unfit, match=reason):
        Form("messages", flip=True).row(sample)
