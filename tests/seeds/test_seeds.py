from __future__ import annotations

import codecs
import gzip
import json
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from gen.core import Lineage, Message, Sample, replace, seed_id
from gen.errors import InputError
from gen.export.write import write_dataset
from gen.seeds import BadRow, Noted, read_against, read_seeds

DATA = (Path(__file__).parents[2] / "../shared/data").resolve()
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data sets are not at {DATA}")
ASK = {"instruction": "Sort 3 1 2"}


def jsonl(folder, *rows, name="seeds.jsonl"):
    """A file of rows: bytes as they are, all else as JSON."""
    lines = [r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in rows]
    (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return folder / name


def only(folder, row, **options):
    (sample,) = read_seeds([jsonl(folder, row)], **options).samples
    return sample


def fields(sample):
    return sample.instruction, sample.input, sample.response


@pytest.mark.parametrize(
    ("row", "expected", "meta"),
    [
        ({"instruction": "Add", "input": "1 2", "output": "3"}, ("Add", "1 2", "3"), {}),
        ({"instruction": "Add", "input": "", "output": ""}, ("Add", "", None), {}),
        ({"instruction": "Add", "output": None, "license": "MIT"}, ("Add", "", None), {"license": "MIT"}),
        ({"instruction": "Sum up", "context": "A long text", "response": "Short", "category": "summary"},
         ("Sum up", "A long text", "Short"), {"category": "summary"}),
        ({"prompt": "Hi", "completion": "Hello"}, ("Hi", "", "Hello"), {}),
        ({"prompt": "Hi", "response": "Hello", "n": 1}, ("Hi", "", "Hello"), {"n": 1}),
        ({"question": "2+2?", "answer": "4"}, ("2+2?", "", "4"), {}),
        ({"prompt": "Hi"}, ("Hi", "", None), {}),
        ({"text": "写一首关于秋天的诗"}, ("写一首关于秋天的诗", "", None), {}),
        ("把下面的句子翻译成英文", ("把下面的句子翻译成英文", "", None), {}),
        ({"instruction": "翻译", "input": "你好,世界", "output": "Hello, world"},
         ("翻译", "你好,世界", "Hello, world"), {}),
        ({"id": "seed_task_0", "name": "n", "instruction": "Add", "is_classification": False,
          "instances": [{"input": "1 2", "output": "3"}]},
         ("Add", "1 2", "3"), {"id": "seed_task_0", "name": "n", "is_classification": False}),
        ({"instruction": "Add", "instances": [{"input": "1", "output": "1"}, {"input": "2", "output": "2"}]},
         ("Add", "1", "1"), {"instances": [{"input": "2", "output": "2"}]}),
        ({"instruction": "Add", "instances": []}, ("Add", "", None), {"instances": []}),
        ({"instruction": "C's \\u0000 and \\\\"}, ("C's \\u0000 and \\\\", "", None), {}),
        ({"instruction": "  keep\nblanks "}, ("  keep\nblanks ", "", None), {}),
    ],
)
def test_each_known_shape_becomes_a_seed(tmp_path, row, expected, meta):
    sample = only(tmp_path, row)
    assert fields(sample) == expected
    assert sample.meta == meta
    assert sample.id == sample.lineage.root == seed_id(*expected)
    assert (sample.lineage.parent, sample.lineage.round, sample.lineage.operation) == (None, 0, "seed")


def turn(role, content):
    return {"role": role, "content": content}


def test_last_user_turn_is_the_instruction_and_earlier_turns_stay(tmp_path):
    sample = only(tmp_path, {"messages": [
        turn("system", "Be brief"), turn("user", "Hi"), turn("assistant", "Hello"), turn("user", "2+2?"),
        turn("assistant", "4")], "source": "x"})
    assert fields(sample) == ("2+2?", "", "4")
    assert (sample.system, sample.turns) == ("Be brief", (Message("user", "Hi"), Message("assistant", "Hello")))
    assert sample.meta == {"source": "x"}


def test_sharegpt_roles_are_read_and_an_open_question_has_no_response(tmp_path):
    row = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"},
                             {"from": "human", "value": "再见"}], "system": "Be kind"}
    sample = only(tmp_path, row)
    assert fields(sample) == ("再见", "", None)
    assert (sample.system, len(sample.turns), sample.meta) == ("Be kind", 2, {})


def test_seeds_that_differ_in_their_system_text_alone_are_different_families(tmp_path):
    rows = [{"messages": [turn("system", s), turn("user", "Hi")]} for s in ("Be brief", "Be long")]
    result = read_seeds([jsonl(tmp_path, *rows)])
    assert len({s.id for s in result.samples}) == 2


def test_our_own_dataset_can_be_the_seeds_of_another_run(tmp_path):
    turns = (Message("user", "Hi"), Message("assistant", "Hello"))
    sample = Sample("a", "Add", Lineage("r"), input="1 2", response="3", system="Be brief", turns=turns)
    write_dataset(iter([sample, replace(sample, response=None)]), tmp_path)
    first, second = read_seeds([tmp_path / "dataset.jsonl"], strict=True).samples
    assert (*fields(first), first.system, first.turns) == ("Add", "1 2", "3", "Be brief", turns)
    assert (first.meta["id"], first.meta["meta"]["root"]) == ("a", "r")
    assert fields(second) == ("Add", "1 2", None)


@pytest.mark.parametrize("said", ["<noinput>", "No input", "no input.", "N/A", "none", "\"<noinput>\"", "\\<noinput\\>",
                                  "< noinput >", "(No Input)", "No input required.", "<noinput", " \n"])
def test_inputs_that_say_that_there_is_none_are_empty(tmp_path, said):
    assert only(tmp_path, {"instruction": "Add", "input": said, "output": "x"}).input == ""


@pytest.mark.parametrize("said", ["Na", "none of the above", "0", "[]", "没有", "The input is N/A"])
def test_other_short_inputs_stay(tmp_path, said):
    assert only(tmp_path, {"instruction": "Add", "input": said, "output": "x"}).input == said


BAD = [
    (b'{"instruction": "a\xff"}', 'not UTF-8 or half of a surrogate pair after \'{"instruction": "a\''),
    (b'{"instruction": "a"', "not valid JSON"),
    (b"not json", "not valid JSON"),
    (b'{"instruction": "a\x00"}', "NUL character"),
    (b'{"instruction": "a\\u0000"}', "NUL character"),
    (b'{"instruction": "a\\ud800"}', "half of a surrogate pair"),
    (b'{"instruction": "a", "note": ["b", {"c\\udfff": 1}]}', "half of a surrogate pair"),
    (b'{"instruction": "a", "score": NaN}', "not JSON compliant"),
    (b'{"instruction": "a", "score": 1e999}', "not JSON compliant"),
    (b"[" * 100_000 + b"]" * 100_000, "maximum recursion depth"),
    (b'{"instruction": "a", "n": ' + b"9" * 5000 + b"}", "4300 digits"),
    (b"7", "the row is 7; an object or a text is needed"),
    (b"null", "the row is None"),
    (b"[1, 2]", "the row is [1, 2]"),
    ({"instruction": 7}, "'instruction' is 7; a text is needed"),
    ({"instruction": True}, "'instruction' is True"),
    ({"instruction": ["a"]}, "'instruction' is ['a']"),
    ({"instruction": {"text": "a"}}, "'instruction' is {'text': 'a'}"),
    ({"instruction": None}, "'instruction' is empty"),
    ({"instruction": " \n"}, "'instruction' is empty"),
    ({"instruction": "a", "input": {"b": 1}}, "'input' is {'b': 1}"),
    ({"instruction": "a", "output": 4}, "'output' is 4"),
    ({"Instruction": "a", "n": 1}, "columns found: Instruction, n"),
    ({}, "columns found: none"),
    ({f"{n}": 1 for n in range(30)}, "columns found: 0, 1, 2,"),
    ({"instruction": "a", "instances": "b"}, "'instances' is 'b'; [{"),
    ({"instruction": "a", "instances": [1]}, "'instances' is [1]; [{"),
    ({"messages": []}, "turns of no user; user and assistant take turns"),
    ({"messages": [turn("system", "a")]}, "turns of no user; user and assistant take turns"),
    ({"messages": ["a"]}, "the turn 'a' needs a role"),
    ({"messages": [turn("tool", "a")]}, "the turn {'role': 'tool', 'content': 'a'} is about a tool; only texts of"),
    ({"messages": [turn("nobody", "a")]}, "'nobody', 'content': 'a'} needs a role (system, developer, user,"),
    ({"messages": [turn("user", None)]}, "'content': None} needs"),
    ({"messages": [turn("user", [{"type": "text"}])]}, "a part of type 'text' in a turn; only text is read"),
    ({"messages": [turn("assistant", "a")]}, "turns of no user"),
    ({"messages": [turn("user", "a"), turn("user", "b")]}, "turns of user, user;"),
    ({"messages": [turn("user", "a"), turn("system", "b")]}, "turns of user, system;"),
    ({"messages": [turn("user", "a"), turn("assistant", ""), turn("user", "b")]}, "a turn is empty"),
    ({"messages": [turn("user", " ")]}, "a turn is empty"),
    ({"messages": [turn("user", "a\0b")]}, "NUL character"),
    ({"conversations": [turn("user", "a\0b"), turn("assistant", "b"), turn("user", "c")]}, "NUL character"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_bad_rows_are_data_that_say_what_was_found(tmp_path, row, reason):
    path = jsonl(tmp_path, ASK, b"", row, {"instruction": "b"})
    result = read_seeds([path])
    assert [s.instruction for s in result.samples] == ["Sort 3 1 2", "b"]
    (bad,) = result.bad
    assert (bad.file, bad.line) == (str(path), 3)
    assert reason in bad.reason
    with pytest.raises(InputError, match=r"seeds.jsonl, line 3: "):
        read_seeds([path], strict=True)


def test_in_a_json_list_a_bad_element_costs_itself_alone(tmp_path):
    path = tmp_path / "seeds.json"
    rows = [b'"a"', b'{"instruction": "b\xff"}', b'{"instruction": "c\x00"}', b"3", b'{"instruction": "d"}']
    path.write_bytes(b"[" + b",\n".join(rows) + b"]")
    result = read_seeds([path])
    assert [s.instruction for s in result.samples] == ["a", "d"]
    assert [b.line for b in result.bad] == [2, 3, 4]
    assert str(result.bad[0]).startswith(f"{path}, element 2: a NUL character, a byte that is not UTF-8")


DOCUMENTS = [
    ("list.json", [ASK, {"instruction": "b"}]),
    ("data.json", {"version": 1, "authors": ["x"], "data": [ASK, {"instruction": "b"}]}),
    ("list.jsonl", [ASK, {"instruction": "b"}]),
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "value"), DOCUMENTS)
def test_a_json_document_is_read_by_its_shape(tmp_path, name, value, indent, packed):
    path = tmp_path / (name + ".gz" * packed)
    text = json.dumps(value, indent=indent).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    assert [s.instruction for s in read_seeds([path]).samples] == ["Sort 3 1 2", "b"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson", "A.JSONL", "a.jsonl.gz", "a.json.gz"])
def test_a_row_a_line_is_read_whatever_the_name(tmp_path, name):
    path = jsonl(tmp_path, ASK, {"instruction": "b"}, name=name)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_seeds([path]).samples) == 2


@pytest.mark.parametrize("name", ["one.json", "one.jsonl"])
@pytest.mark.parametrize("row", [ASK, {"messages": [turn("user", "Sort 3 1 2")]}, "Sort 3 1 2"])
def test_a_single_row_is_no_document(tmp_path, name, row):
    assert [s.instruction for s in read_seeds([jsonl(tmp_path, row, name=name)]).samples] == ["Sort 3 1 2"]


@pytest.mark.parametrize("broken", [b"[1, 2", b"{", b"x" * 200, b"[" * 100_000 + b"]" * 100_000, b"[1]"])
def test_a_broken_first_line_of_jsonl_costs_itself_alone(tmp_path, broken):
    result = read_seeds([jsonl(tmp_path, broken, ASK)], max_line=150)
    assert ([b.line for b in result.bad], len(result.samples)) == ([1], 1)


@pytest.mark.parametrize("first", ["[\n", '[{"instruction": "a"},\n', "[{\n"])
def test_a_list_over_many_lines_is_a_document_even_if_called_jsonl(tmp_path, first):
    rest = '"instruction": "b"}]' if first == "[{\n" else '{"instruction": "b"}\n]'
    (tmp_path / "a.jsonl").write_text(first + rest)
    assert read_seeds([tmp_path / "a.jsonl"]).samples[-1].instruction == "b"


def test_gzip_is_known_by_its_content(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(b'{"instruction": "a"}'))
    assert len(read_seeds([tmp_path / "a.jsonl"]).samples) == 1


def test_byte_order_mark_crlf_and_blank_lines_are_nothing_to_complain_of(tmp_path):
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(codecs.BOM_UTF8 + '{"instruction": "甲"}\r\n\r\n{"instruction": "乙"}\r\n'.encode())
    result = read_seeds([path])
    assert [s.instruction for s in result.samples] == ["甲", "乙"]
    assert result.bad == []


def test_exact_duplicates_are_left_out_and_say_what_they_repeat(tmp_path):
    first = jsonl(tmp_path, ASK, {"instruction": "b"}, {**ASK, "id": 9}, name="a.jsonl")
    second = jsonl(tmp_path, {"prompt": "b"}, {"prompt": "c"}, name="b.jsonl")
    result = read_seeds([first, second])
    assert [s.instruction for s in result.samples] == ["Sort 3 1 2", "b", "c"]
    assert len(result.repeats) == 2
    assert [str(r) for r in result.repeats] == [
        f"{first}, line 3: the same as {first}, line 1", f"{second}, line 1: the same as {first}, line 2"]


def test_a_file_named_twice_repeats_itself(tmp_path):
    path = jsonl(tmp_path, ASK, {"instruction": "b"})
    result = read_seeds([path, path])
    assert (len(result.samples), len(result.repeats)) == (2, 2)


def test_digest_depends_on_content_and_order_never_on_paths_or_bad_rows(tmp_path):
    (tmp_path / "else").mkdir()
    rows = [ASK, {"instruction": "乙", "is_classification": True}]
    base = read_seeds([jsonl(tmp_path, *rows)]).digest
    assert read_seeds([jsonl(tmp_path / "else", b"broken", *rows, ASK, name="x.json.jsonl")]).digest == base
    assert read_seeds([jsonl(tmp_path, *reversed(rows))]).digest != base
    assert read_seeds([jsonl(tmp_path, ASK, {"instruction": "乙", "is_classification": False})]).digest != base


def test_limit_counts_accepted_seeds(tmp_path):
    path = jsonl(tmp_path, b"broken", ASK, ASK, {"instruction": "b"}, {"instruction": "c"})
    assert [s.instruction for s in read_seeds([path], limit=2).samples] == ["Sort 3 1 2", "b"]


def test_a_mapping_names_columns_and_the_rest_is_meta(tmp_path):
    row = {"Q": "Add", "data": "1 2", "A": "3", "persona": "Be brief", "output": "not this", "n": 1}
    names = {"instruction": "Q", "input": "data", "response": "A", "system": "persona"}
    sample = only(tmp_path, row, mapping=names)
    assert (*fields(sample), sample.system) == ("Add", "1 2", "3", "Be brief")
    assert sample.meta == {"output": "not this", "n": 1}


def test_a_row_without_the_mapped_column_is_bad(tmp_path):
    result = read_seeds([jsonl(tmp_path, {"Q": "Add"}, {"R": "Sub"}, "text")], mapping={"instruction": "Q"})
    assert [b.reason for b in result.bad] == [
        "no column Q; columns found: R", "no column Q; columns found: instruction"]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"instrution": "Q"}, "unknown field 'instrution'; did you mean 'instruction'"),
        ({"instruction": "Questoin"}, "no such column; did you mean 'Question'. .allowed: Answer, Question"),
        ({"instruction": "Question", "input": "x"}, "--map input=x: no such column"),
        ({"response": "Answer"}, "add `--map instruction=COLUMN`"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_with_the_columns_found(tmp_path, mapping, message):
    with pytest.raises(InputError, match=message):
        read_seeds([jsonl(tmp_path, {"Question": "a", "Answer": "b"})], mapping=mapping)


def written(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name
    return make


def missing(folder):
    jsonl(folder, ASK, name="seed_tasks.jsonl")
    return folder / "seed_task.jsonl"


def fifo(folder):
    os.mkfifo(folder / "pipe.jsonl")
    return folder / "pipe.jsonl"


ROWS = b'{"instruction": "a"}\n' * 1000
REFUSED = [
    (missing, "no such file; did you mean 'seed_tasks.jsonl'"),
    (lambda folder: folder / "nowhere" / "a.jsonl", r"no such file; \(allowed: none\)"),
    (fifo, r"a pipe or device; \(allowed: none\)"),
    (written("a.jsonl", b""), "empty"),
    (written("a.jsonl", b" \n\r\n"), "empty"),
    (written("a.jsonl.gz", gzip.compress(b"")), "empty"),
    (written("a.json", b"[]"), "no row is a seed .it has no rows at all."),
    (written("a.jsonl", b'{"x": 1}\n{"y": 2}\n'), "no row is a seed .line 1: .* found: x.; see"),
    (written("a.txt", b"a"), r"'.txt' is not read"),
    (written("a.jsonl.gz", gzip.compress(ROWS)[:-20]), "damaged .gz"),
    (written("a.jsonl.gz", b"plain"), "damaged .gz"),
    (written("a.json.gz", gzip.compress(ROWS, mtime=0)[:12] + b"\xff" * 40), "damaged .gz"),
    (written("a.jsonl", '{"instruction": "a"}'.encode("utf-16")), "UTF-16.*iconv"),
    (written("a.jsonl", '{"instruction": "a"}'.encode("utf-16-le")), "UTF-16.*iconv"),
    (written("a.json", b'[{"instruction": "a"},\n]'), "not valid JSON .*line 2 column 1.*its name ends in .jsonl"),
    (written("a.json", b'{"a": ' + b"[" * 100_000), "maximum recursion depth"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_files_that_cannot_be_read_are_refused_with_advice(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_seeds([path])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_list_of_any_size_is_read_an_element_at_a_time(tmp_path, packed):
    path = tmp_path / f"a.json{'.gz' * packed}"
    with (gzip.open if packed else open)(path, "wb") as file:
        file.write(b"[")
        for n in range(20_000):
            file.write(b"," * bool(n) + json.dumps({"instruction": f"{n} {'x' * 500}"}).encode())
        file.write(b"]")
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_against([path])) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_an_element_beyond_the_limit_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(b'["a", "' + b"x" * 300_000 + b'"]')
    with pytest.raises(InputError, match=r"a.json: not valid JSON .*more than 1,000 characters in one element: line 1"):
        read_seeds([tmp_path / "a.json"], max_line=1000)


def test_no_files_are_refused():
    with pytest.raises(InputError, match="no seeds were named"):
        read_seeds([])


@pytest.mark.parametrize("place", [".", "in"])
def test_a_file_without_permission_is_refused(place):
    nobody = 65534
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / place
        folder.mkdir(exist_ok=True)
        path = jsonl(folder, ASK)
        path.chmod(0)
        folder.chmod(0o755 if place == "." else 0)
        Path(name).chmod(0o755)
        before = os.geteuid()
        if before == 0:
            os.seteuid(nobody)
        try:
            with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); check"):
                read_seeds([path])
        finally:
            if before == 0:
                os.seteuid(before)
            folder.chmod(0o755)


def test_a_line_of_100_megabytes_is_skipped_without_being_held(tmp_path):
    path = tmp_path / "seeds.jsonl"
    with path.open("wb") as file:
        file.write(b'{"instruction": "a"}\n')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'\n{"instruction": "b"}\n')
    tracemalloc.start()
    try:
        result = read_seeds([path], max_line=1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [s.instruction for s in result.samples] == ["a", "b"]
    (bad,) = result.bad
    assert isinstance(bad, BadRow)
    assert str(bad).startswith(f"{path}, line 2: more than 1,000,000 bytes in one piece")
    assert peak < 10_000_000


def test_a_line_of_exactly_the_limit_is_read(tmp_path):
    path = jsonl(tmp_path, ASK, {"instruction": "b" * 100})
    longest = len('{"instruction": ""}') + 100
    assert len(read_seeds([path], max_line=longest).samples) == 2
    assert len(read_seeds([path], max_line=longest - 1).bad) == 1


def test_rows_are_streamed(tmp_path):
    path = jsonl(tmp_path, *[{"instruction": "x" * 1000, "n": n} for n in range(5000)])
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_against([path])) == 5000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_against_rows_are_named_by_file_and_line_and_keep_their_duplicates(tmp_path):
    (tmp_path / "b").mkdir()
    first, second = jsonl(tmp_path, ASK, b"broken", ASK), jsonl(tmp_path / "b", ASK)
    bad = Noted()
    samples = list(read_against([first, second], bad=bad))
    ids = ["against:seeds.jsonl:1", "against:seeds.jsonl:3", "against:seeds.jsonl:1"]
    assert [s.id for s in samples] == [s.lineage.root for s in samples] == ids
    assert [b.line for b in bad] == [2]
    with pytest.raises(InputError, match="no such file"):
        next(read_against([first, tmp_path / "none.jsonl"]))


def test_a_row_nested_too_deep_is_a_bad_row(tmp_path):
    deep = {"instruction": "a", "m": json.loads("[" * 300 + "]" * 300)}
    result = read_seeds([jsonl(tmp_path, ASK, deep)])
    assert len(result.samples) == 1
    assert "nested more than 100 deep" in str(result.bad[0])


@real
@pytest.mark.parametrize(
    ("name", "seeds", "inputs", "unanswered"),
    [
        ("self_instruct/seed_tasks.jsonl", 175, 125, 0),
        ("code_alpaca/seed_tasks.jsonl", 21, 10, 0),
        ("code_alpaca/code_alpaca_2k.json.gz", 2017, 1005, 2),
        ("gsm8k/test.jsonl", 1319, 0, 0),
        ("magpie/example_instructions_5res_armorm.json", 5, 0, 5),
    ],
)
def test_published_seed_files_are_read_whole(name, seeds, inputs, unanswered):
    result = read_seeds([DATA / name], strict=True)
    assert (len(result.samples), len(result.repeats)) == (seeds, 0)
    assert sum(bool(s.input) for s in result.samples) == inputs
    assert sum(s.response is None for s in result.samples) == unanswered


@real
def test_all_of_alpaca_streams_with_its_no_inputs_emptied():
    count = inputs = unanswered = 0
    for sample in read_against([DATA / "alpaca/alpaca_data.json.gz"]):
        count, inputs, unanswered = count + 1, inputs + bool(sample.input), unanswered + (sample.response is None)
    assert (count, unanswered) == (52_002, 28)
    assert inputs == 20_012


@real
def test_chinese_rows_with_empty_instructions_are_bad_and_the_rest_is_read():
    result = read_seeds([DATA / "followbench/zh/content_constraints.json"])
    assert (len(result.samples), len(result.bad)) == (123, 15)


@real
def test_a_foreign_shape_is_refused_with_its_columns_and_read_with_a_mapping():
    path = DATA / "wizardlm/WizardLM_testset.jsonl"
    with pytest.raises(InputError, match="columns found: idx, Skill, Difficulty, Instruction"):
        read_seeds([path])
    assert len(read_seeds([path], mapping={"instruction": "Instruction"}).samples) == 218


def test_the_id_of_a_row_is_remembered_by_its_whole_family(tmp_path):
    from gen.core import child
    from gen.export.rows import meta

    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "mine-7", "instruction": "Name a river."}\n{"id": 8, "instruction": "Name a sea."}\n'
                    '{"instruction": "Name a lake."}\n')
    seeds = read_seeds([path]).samples
    assert [s.lineage.origin for s in seeds] == ["mine-7", "8", ""]
    assert meta(child(seeds[0], "deepen", "Name two rivers."))["origin"] == "mine-7"
