from __future__ import annotations

import io
import json

import pytest

from gen.core import Lineage, Message, Sample
from gen.errors import InputError
from gen.export import Exported, atomic, dataset_row, export, line, write_dataset

SEED = Sample("s", "Add", Lineage("s"), input="1 2", response="3", meta={"license": "MIT", "path": "/home/ada"})
CHILD = Sample(
    "c", "写诗", Lineage("s", "s", 0, 2, "deepen", ("evolve/deepen@ab", "answer@cd")), response="秋天",
    system="Be brief", turns=(Message("user", "Hi"), Message("assistant", "Hello")),
)
OPEN = Sample("o", "Why?", Lineage("o"))
ROOT = {"root": "s", "parent": "", "round": 0, "operation": "seed", "prompts": ""}
DEEP = {"root": "s", "parent": "s", "round": 2, "operation": "deepen", "prompts": "evolve/deepen@ab answer@cd"}


def exported(sample, format):
    stream = io.StringIO()
    export([sample], format, stream)
    return json.loads(stream.getvalue())


def test_a_messages_row_is_the_conversation_and_its_lineage():
    assert exported(CHILD, "messages") == {
        "messages": [
            {"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "写诗"},
            {"role": "assistant", "content": "秋天"}],
        "meta": {"id": "c", **DEEP},
    }


@pytest.mark.parametrize(
    ("sample", "row"),
    [
        (SEED, {"instruction": "Add", "input": "1 2", "output": "3", "id": "s"}),
        (Sample("x", "Add", Lineage("x"), response="3", system="Be brief"),
         {"instruction": "Be brief\n\nAdd", "input": "", "output": "3", "id": "x"}),
    ],
)
def test_an_alpaca_row_says_its_system_text_before_the_instruction(sample, row):
    assert exported(sample, "alpaca") == row
    assert list(exported(sample, "alpaca")) == ["instruction", "input", "output", "id"]


def test_a_dataset_row_has_its_keys_in_order_and_nothing_of_the_users_meta():
    row = dataset_row(SEED)
    assert list(row) == ["id", "messages", "instruction", "input", "output", "meta"]
    assert row["messages"] == [{"role": "user", "content": "Add\n\n1 2"}, {"role": "assistant", "content": "3"}]
    assert row["meta"] == ROOT
    assert dataset_row(OPEN)["output"] is None


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


@pytest.mark.parametrize(
    ("format", "result"),
    [("messages", Exported(2, {"unanswered": 1})), ("alpaca", Exported(1, {"earlier_turns": 1, "unanswered": 1}))],
)
def test_what_a_format_cannot_say_is_left_out_and_counted(tmp_path, format, result):
    path = tmp_path / "out.jsonl"
    assert export([SEED, CHILD, OPEN], format, path) == result
    stream = io.StringIO()
    assert export(iter([SEED, CHILD, OPEN]), format, stream) == result
    assert path.read_text(encoding="utf-8") == stream.getvalue()
    assert stream.getvalue().count("\n") == result.rows


def test_an_unknown_format_is_refused_before_a_file_is_made(tmp_path):
    with pytest.raises(InputError, match="format 'alpacca': did you mean 'alpaca'"):
        export([SEED], "alpacca", tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_equal_samples_give_equal_bytes_and_the_bytes_are_these(tmp_path):
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        assert write_dataset(iter([SEED, CHILD]), path) == 2
    first, second = (p.read_bytes() for p in paths)
    assert first == second
    assert first.split(b"\n")[0].decode() == (
        '{"id": "s", "messages": [{"role": "user", "content": "Add\\n\\n1 2"}, {"role": "assistant", "content": "3"}], '
        '"instruction": "Add", "input": "1 2", "output": "3", '
        '"meta": {"root": "s", "parent": "", "round": 0, "operation": "seed", "prompts": ""}}')


def test_no_samples_make_an_empty_file(tmp_path):
    assert write_dataset([], tmp_path / "dataset.jsonl") == 0
    assert (tmp_path / "dataset.jsonl").read_bytes() == b""
    assert export([], "alpaca", tmp_path / "alpaca.jsonl") == Exported(0, {})


def test_an_error_halfway_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "dataset.jsonl"
    write_dataset([SEED], path)
    before = path.read_bytes()

    def broken():
        yield CHILD
        raise RuntimeError("the store went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_dataset(broken(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_not_there_before_it_is_whole(tmp_path):
    path = tmp_path / "dataset.jsonl"
    with atomic(path) as stream:
        stream.write("half")
        stream.flush()
        assert not path.exists()
    assert path.read_text() == "half"


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "far" / "real.jsonl")
    write_dataset([SEED], tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "far" / "real.jsonl").is_file()


@pytest.mark.parametrize(
    ("place", "message"), [("none/out.jsonl", "cannot be written .No such file"), (".", "not a regular file")]
)
def test_a_place_that_cannot_hold_a_file_is_refused(tmp_path, place, message):
    with pytest.raises(InputError, match=message):
        export([SEED], "messages", tmp_path / place)
