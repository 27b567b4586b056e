"""Conversations: every shape in use, and which user turn becomes the seed."""

from __future__ import annotations

import json

import pytest

from gen.core import Message, seed_id
from gen.errors import InputError
from gen.seeds import read_seeds

TURNS = [("system", "Be brief"), ("user", "Hi"), ("assistant", "Hello"), ("user", "2+2?"), ("assistant", "4"),
         ("user", "Why?")]  # fmt: skip
OPENAI = [{"role": role, "content": text} for role, text in TURNS]
HISTORY = (Message("user", "Hi"), Message("assistant", "Hello"))


def read(folder, *rows, **options):
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_seeds([folder / "a.jsonl"], **options)


def one(folder, row, **options):
    [sample] = read(folder, row, **options).samples
    return sample


SAY = {"system": "system", "user": "human", "assistant": "gpt"}
SHAPES = {
    "openai": {"messages": OPENAI},
    "sharegpt": {"conversations": [{"from": SAY[role], "value": text} for role, text in TURNS]},
    "chatgpt": {"conversations": [{"from": role.replace("assistant", "chatgpt").upper(), "value": t} for role, t in TURNS]},
    "conversation": {"conversation": OPENAI},
    "parts": {"messages": [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in TURNS]},
    "columns": {"messages": {"role": [r for r, _ in TURNS], "content": [t for _, t in TURNS]}},
    "json": {"conversations": json.dumps(OPENAI)},
    "marked": {"conversation": "System: Be brief\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 2+2?\nAssistant: 4\nUser: Why?"},
    "headed": {"conversation": "### System: Be brief### Human: Hi### Assistant: Hello### Human: 2+2?### Assistant: 4### Human: Why?"},
    "extra keys": {"messages": [{**turn, "name": None, "tool_calls": None} for turn in OPENAI]},
}


@pytest.mark.parametrize("row", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_a_conversation_gives_the_same_seed(tmp_path, row):
    sample = one(tmp_path, {**row, "id": 7})
    assert (sample.system, sample.instruction, sample.response, sample.meta) == ("Be brief", "Why?", None, {"id": 7})
    assert sample.turns == (*HISTORY, Message("user", "2+2?"), Message("assistant", "4"))
    assert sample.id == one(tmp_path, SHAPES["openai"]).id


@pytest.mark.parametrize(
    ("turn", "asked", "answer", "before"),
    [("last", "Why?", None, 4), ("first", "Hi", "Hello", 0), (1, "Hi", "Hello", 0), (2, "2+2?", "4", 2),
     (3, "Why?", None, 4), (-1, "Why?", None, 4), (-2, "2+2?", "4", 2), (-3, "Hi", "Hello", 0)],
)  # fmt: skip
def test_the_turn_that_is_asked_for_evolves_and_what_follows_is_cut(tmp_path, turn, asked, answer, before):
    sample = one(tmp_path, SHAPES["openai"], turn=turn)
    assert (sample.instruction, sample.response, len(sample.turns)) == (asked, answer, before)
    assert sample.system == "Be brief"
    assert sample.id == sample.lineage.root == seed_id(asked, "", answer, (Message("system", "Be brief"), *sample.turns))


def test_all_turns_are_seeds_of_one_family(tmp_path):
    result = read(tmp_path, SHAPES["openai"], turn="all")
    assert [(s.instruction, s.response, len(s.turns)) for s in result.samples] == [
        ("Hi", "Hello", 0), ("2+2?", "4", 2), ("Why?", None, 4)]
    first = result.samples[0]
    assert {s.lineage.root for s in result.samples} == {first.id}
    assert [s.id for s in result.samples] == [one(tmp_path, SHAPES["openai"], turn=n).id for n in (1, 2, 3)]
    assert result.digest != read(tmp_path, *[{"messages": OPENAI[:n]} for n in (3, 5, 6)]).digest  # not one family


def test_conversations_that_begin_alike_share_what_they_share(tmp_path):
    other = [*OPENAI[:3], {"role": "user", "content": "3+3?"}]
    result = read(tmp_path, {"messages": OPENAI}, {"messages": other}, turn="all")
    assert [s.instruction for s in result.samples] == ["Hi", "2+2?", "Why?", "3+3?"]
    assert len({s.lineage.root for s in result.samples}) == 1
    assert [r.line for r in result.repeats] == [2]


@pytest.mark.parametrize("turn", [4, -4])
def test_a_conversation_without_that_turn_is_a_bad_row(tmp_path, turn):
    longer = [*OPENAI, {"role": "assistant", "content": "So"}, {"role": "user", "content": "Well"}]
    result = read(tmp_path, SHAPES["openai"], {"messages": longer}, turn=turn)
    assert len(result.samples) == 1
    assert str(result.bad[0]).endswith(f"a.jsonl, line 1: turn {turn} is asked for; user turns found: 3")


@pytest.mark.parametrize("turn", ["last", "first", "all", 1, -1])
def test_a_row_without_conversation_has_one_turn(tmp_path, turn):
    assert one(tmp_path, {"instruction": "a"}, turn=turn).instruction == "a"
    assert read(tmp_path, {"instruction": "a"}, {"messages": OPENAI}, turn=2).bad[0].line == 1


def test_our_own_split_of_the_last_turn_is_kept(tmp_path):
    row = {"messages": [*OPENAI[:-1], {"role": "user", "content": "Add\n\n1 2"}], "instruction": "Add", "input": "1 2"}
    assert [(s.instruction, s.input) for s in read(tmp_path, row, turn="all").samples][-1] == ("Add", "1 2")
    assert one(tmp_path, row, turn=1).input == ""


def test_messages_can_be_mapped(tmp_path):
    row = {"dialog": OPENAI, "instruction": "not this", "persona": "p"}
    sample = one(tmp_path, row, mapping={"messages": "dialog"}, turn=2)
    assert (sample.instruction, sample.system, sample.meta) == ("2+2?", "Be brief", {"persona": "p"})
    spoken = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "persona": "p"}
    sample = one(tmp_path, spoken, mapping={"messages": "chosen", "system": "persona"})
    assert (sample.instruction, sample.response, sample.system) == ("Hi", "Hello", "p")


def test_instruction_and_messages_are_not_mapped_together(tmp_path):
    with pytest.raises(InputError, match="or one for messages too; add `--map instruction=COLUMN`, or `--map messages"):
        read(tmp_path, {"a": "b", "c": []}, mapping={"instruction": "a", "messages": "c"})


def test_a_plain_conversation_beside_an_instruction_stays_in_meta(tmp_path):
    row = {"instruction": "Add", "conversation": "Human: a\nAssistant: b"}
    assert one(tmp_path, row).meta == {"conversation": "Human: a\nAssistant: b"}


CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
BAD = [
    ({"messages": [OPENAI[1], CALL]}, "is about a tool; only texts of system, user and assistant are read"),
    ({"conversations": [{"from": "function_call", "value": "{}"}]}, "is about a tool"),
    ({"conversations": [{"from": "observation", "value": "{}"}]}, "is about a tool"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
     "a part of type 'image_url' in a turn; only text is read, no images or sounds"),
    ({"messages": [{"role": "user", "content": [7]}]}, 'a part of a turn is 7; {"type": "text", "text": ...} is allowed'),
    ({"conversation": "Just a text"}, "a conversation is 'Just a text'; a list of turns is needed, or a text of `Human"),
    ({"conversation": "intro\nHuman: Hi"}, "a list of turns is needed"),
    ({"conversation": "[1, 2"}, "no valid JSON"),
    ({"conversation": {"role": "user"}}, "turns of no user"),
    ({"messages": "[{}]"}, "the turn {} needs a role"),
    ({"messages": [[]]}, "the turn [] needs a role"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_what_is_no_conversation_says_why(tmp_path, row, reason):
    [bad] = read(tmp_path, {"instruction": "a"}, row).bad
    assert reason in bad.reason
