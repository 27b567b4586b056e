"""What the loops read of replies: exactly what the published scripts do with `compat`, and better without."""

import gzip
import json
import random
import time

import pytest

from filters.rules.keywords import WORDS, Keywords
from gen.core import Lineage, Sample
from gen.loops import _listed, _official, _pairs, _triples
from gen.loops._triples import Triple
from gen.loops.alpaca import BANNED
from gen.text import says_no_input

KINDS = ("new_instructions", "instances_generation", "instances_classification", "alpaca_batch")
DIFFERENT = {
    "capitalisation is flattened": "only the first letter is made a capital",
    "truncated by length drops everything": "only the last item is lost",
    "number without following space is not a split": "a number needs no space behind it",
    "punctuation and non ascii starts": "letters of other scripts may begin an instruction",
    "plain list": "Vienna and Budapest keep their capitals",
    "second input inside output is cut": "it begins another instance",
    "the word Example inside the text splits it": "headers stand on lines of their own",
    "skipped number drops every later one": "fields are found by their labels",
    "hash marks inside an output shift the numbering": "only a label begins a task",
    "no-input marker variants": "every spelling of it is none",
    "empty output is kept": "it is dropped",
}
"""The cases of which our own reading makes something else, and why."""


@pytest.fixture
def cases(shared):
    path = shared / "reference/self_instruct_alpaca_parse_cases.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 45
    return rows


def passes(instruction, words, *, non_ascii):
    sample = Sample("s", instruction, Lineage("s"))
    return 4 <= len(instruction.split()) <= 150 and Keywords(words, non_ascii=non_ascii).check(sample).keep


def cleaned(case, pairs):
    rows = [p for p in _pairs.clean(pairs, 100, random.Random(0)) if not p.reason]
    found = [{"instruction": case["instruction"], "input": p.input, "output": p.output} for p in rows]
    return sorted(found, key=lambda row: (row["input"], row["output"]))


def official(case):
    text, cut = case["text"] or "", case["finish_reason"] == "length"
    if case["kind"] == "new_instructions":
        found = [] if cut else _official.new_instructions(text)
        return [task for task in found if passes(task, WORDS, non_ascii=True)]
    if case["kind"] == "alpaca_batch":
        tasks = [t for t in _official.triples(text, 3, cut=cut) if passes(t.instruction, WORDS + BANNED, non_ascii=True)]
        return [{"instruction": t.instruction, "input": t.input, "output": t.output} for t in tasks]
    labels = case["kind"] == "instances_classification"
    return cleaned(case, _official.instances(text, cut=cut, is_classification=labels))


def ours(case):
    text, cut = case["text"] or "", case["finish_reason"] == "length"
    if case["kind"] == "new_instructions":
        items = [i[:1].upper() + i[1:] for i in _listed.items(f"9.{text}", 9)]
        return [i for i in (items[:-1] if cut else items) if passes(i, WORDS, non_ascii=False)]
    if case["kind"] == "alpaca_batch":
        tasks = [_triples.tidy(t) for t in _triples.read(text, cut=cut, shown=3)]
        good = [t for t in tasks if not t.reason and t.output and passes(t.instruction, WORDS + BANNED, non_ascii=False)]
        return [{"instruction": t.instruction, "input": t.input, "output": t.output} for t in good]
    labels = case["kind"] == "instances_classification"
    return cleaned(case, _pairs.read(text, cut=cut, is_classification=labels))


@pytest.mark.parametrize("kind", KINDS)
def test_compat_reads_exactly_as_the_published_scripts(cases, kind):
    for case in (c for c in cases if c["kind"] == kind):
        assert official(case) == case["expected"], case["name"]


def test_our_own_reading_differs_in_these_cases_and_in_no_other(cases):
    assert {c["name"] for c in cases if ours(c) != c["expected"]} == {*DIFFERENT}


def test_what_our_own_reading_makes_of_them(cases):
    found = {c["name"]: ours(c) for c in cases if c["name"] in DIFFERENT}
    assert found["capitalisation is flattened"][0] == "Translate the memo into French for NASA staff."
    assert found["truncated by length drops everything"] == ["Summarise the article in two lines."]
    assert found["number without following space is not a split"][1] == "Give an antonym for every word."
    assert found["punctuation and non ascii starts"] == [
        "Élan vital should be explained simply.", "¿Qué hora es en Madrid ahora?", "Überraschend short but valid looking text.",
    ]  # fmt: skip
    assert [row["output"] for row in found["second input inside output is cut"]] == ["1", "2"]
    assert found["the word Example inside the text splits it"][0]["input"] == "an Example sentence"
    assert [row["output"] for row in found["skipped number drops every later one"]] == ["run", "red, blue", "a, b, c, d"]
    assert [row["output"] for row in found["hash marks inside an output shift the numbering"]] == ["### Title\nbody", "red, blue"]
    assert {row["input"] for row in found["no-input marker variants"]} == {""}
    assert found["empty output is kept"] == []


LISTS = {
    "9. Name a tree.\n10. Sort 3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "Sure, here are 2:\n\n9. Name a tree.\n\n10. Sort 3 1 2.\n\nI hope that helps!": ["Name a tree.", "Sort 3 1 2."],
    "1. Name a tree.\n2. Sort 3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "8. The old one.\n9. Name a tree.\n10. Sort 3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "**9.** Name a tree.\n**10.** **Sort 3 1 2.**": ["Name a tree.", "Sort 3 1 2."],
    "9) Name a tree.\n10) Sort\n   3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "9. Name a tree.\n12. Sort 3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "9. Sort these:\n1. ash\n2. yew\n10. Name a tree.": ["Sort these: 1. ash 2. yew", "Name a tree."],
    "9. Is it more than\n3.5 metres?": ["Is it more than 3.5 metres?"],
    "- Name a tree.\n- Sort 3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "Here they are:\nName a tree.\nSort 3 1 2.": ["Name a tree.", "Sort 3 1 2."],
    "9. 写一首诗。\n10. 列出三条河。": ["写一首诗。", "列出三条河。"],
    "9. Name a tree.\n10.": ["Name a tree.", ""],
    "": [],
}


@pytest.mark.parametrize(("text", "items"), LISTS.items())
def test_lists_are_read_however_a_model_writes_them(text, items):
    assert _listed.items(text, 9) == items


PAIRS = {
    "<input>\na\n</input>\n<output>\nb\n</output>": [("a", "b", "")],
    "<input>a</input><output>b</output>\n<input>c</input> <output>d</output>": [("a", "b", ""), ("c", "d", "")],
    "Example 1\n<output>b</output>": [("", "b", "")],
    "<output>\nb\n</output>\n<input>\na\n</input>\n<output>\nd\n</output>\n<input>\nc\n</input>": [("a", "b", ""), ("c", "d", "")],
    "<output>\nThe tag <input> stands in a form.\n</output>": [("", "The tag <input> stands in a form.", "")],
    "<input>\nNo input.\n</input>\n<output>\nb\n</output>": [("", "b", "")],
    "<input>\na\n</input>\n<output>\nb": [("a", "b", "")],
    "<input>\na\n</input>": [("a", "", "")],
    "Input: a\nOutput: b\n\nInput: c\nOutput: d": [("a", "b", ""), ("c", "d", "")],
    "Example 1\nPerson: Ann\nOutput: b\nTask: Another one.\nOutput: x": [("Person: Ann", "b", "")],
    "Here you are.": [],
    "": [],
}  # fmt: skip


@pytest.mark.parametrize(("text", "pairs"), PAIRS.items())
def test_instances_are_read_from_tags_else_from_labels(text, pairs):
    assert _pairs.read(text, cut=False, is_classification=False) == pairs


def test_labels_come_first_where_a_task_classifies():
    tagged = "<output>\nyes\n</output>\n<input>\na\n</input>\n<output>\nno\n</output>"
    assert _pairs.read(tagged, cut=False, is_classification=True) == [("a", "yes", ""), ("", "no", "")]
    labelled = "Class label: yes\nInput: a\nb\nClass label: no"
    assert _pairs.read(labelled, cut=False, is_classification=True) == [("a\nb", "yes", ""), ("", "no", "")]


@pytest.mark.parametrize("cut", ["<input>\nc\n</input>\n<output>\nd", "<input>\nc", "<output>\nd\n</output>"])
def test_of_a_reply_that_was_cut_the_last_instance_is_lost(cut):
    pairs = _pairs.read(f"<input>\na\n</input>\n<output>\nb\n</output>\n{cut}", cut=True, is_classification=False)
    assert [p.reason for p in pairs] == ["", "instance_truncated"]


def clean(*pairs, most=5, seed=0):
    return [p.reason for p in _pairs.clean([_pairs.Pair(*p) for p in pairs], most, random.Random(seed))]


def test_every_rule_of_cleaning_has_a_reason():
    assert clean(("a", "b"), ("c", ""), ("d", "d"), ("e", "f:"), ("g：", "h"), ("a", "b")) == [
        "", "empty_output", "input_equals_output", "trailing_colon", "trailing_colon", "duplicate_instance",
    ]  # fmt: skip
    assert clean(("a", "b"), ("a", "c"), ("d", "e"), ("f", "")) == ["contradictory_instances"] * 3 + ["empty_output"]
    assert clean(("", "b"), ("", "c")) == ["", ""]
    assert clean(("a", "b"), ("a", "c", "instance_truncated")) == ["", "instance_truncated"]


def test_of_too_many_instances_some_are_drawn_by_the_seed():
    pairs = [(str(i), f"out {i}") for i in range(9)]
    drawn = [clean(*pairs, most=3, seed=s) for s in range(20)]
    assert all(reasons.count("") == 3 and reasons.count("surplus_instance") == 6 for reasons in drawn)
    assert len(set(map(tuple, drawn))) > 5
    assert drawn[4] == clean(*pairs, most=3, seed=4)


ODD = ["###", "###\n5. Instruction: x", "4. Output:", "{", "}", '{"instruction": "a", "output": "b"}', '{"tasks": []}', "\\d",
       "\n", "\t", '"', "'", "</output>", "<noinput>", "No input", "1.", " ", "é", "写", "\u2028", "```json\n", "]}", ","]  # fmt: skip


@pytest.mark.parametrize("seed", range(200))
def test_what_is_rendered_as_json_is_read_again_whatever_is_in_it(seed):
    rng = random.Random(seed)
    tasks = [Triple(*("".join(rng.choices(ODD, k=rng.randint(0, 6))) for _ in range(3))) for _ in range(rng.randint(1, 5))]
    rows = [_triples.render(*task[:3]) for task in tasks]
    whole, lines, fenced = '{"tasks": [\n' + ",\n".join(rows) + "\n]}", "\n".join(rows), "Sure!\n```json\n" + ",\n".join(rows) + "\n```"
    for reply in (whole, lines, fenced):
        assert _triples.read(reply, cut=False) == tasks
    end = rng.randrange(len(whole) - 4 - len(rows[-1]), len(whole) - 4)  # somewhere inside the last task
    kept, last = tasks[:-1], _triples.read(whole[:end], cut=True)
    assert [t for t in last if not t.reason] == kept
    assert [t.reason for t in last[len(kept) :]] in ([], ["task_truncated"])


def test_a_broken_task_of_json_costs_only_itself():
    good, odd = _triples.render("Add.", "1 2", "3"), '{"instruction": "Match.", "input": "\\d+", "output": "line\nline"}'
    reply = '{"tasks": [' + ", ".join([good, odd, '{"instruction": "Bad, "output": }', good]) + "]}"
    tasks = _triples.read(reply, cut=False)
    assert [t.reason for t in tasks] == ["", "", "task_unparsed", ""]
    assert (tasks[1].input, tasks[1].output) == (r"\d+", "line\nline")
    assert tasks[0] == tasks[3] == ("Add.", "1 2", "3", "")
    told = _triples.read('{"instruction": "Sum.", "input": [1, 2], "output": 3}{"instruction": "No output."}', cut=False)
    assert told == [("Sum.", "[1, 2]", "3", ""), ("No output.", "", "", "task_unparsed")]


def test_labelled_tasks_are_read_from_chat_replies_too():
    reply = "**1. Instruction:** Add.\n**Input:** 1 2\n**Output:** 3\n\n2. Instruction: Bow.\n2. Input: None\n2. Output: I bow.\n###"
    assert [_triples.tidy(t)[:3] for t in _triples.read(reply, cut=False)] == [("Add.", "1 2", "3"), ("Bow.", "", "I bow.")]
    assert [t.reason for t in _triples.read("1. Instruction: Add.\nInput: 1\nOutput: 1\n2. Instruction: Bo", cut=True)] == ["", "task_truncated"]


def test_the_literal_no_inputs_of_the_released_file_are_all_recognised(shared):
    with gzip.open(shared / "alpaca/alpaca_data.json.gz") as file:
        rows = json.load(file)
    found = [row["input"] for row in rows if row["input"] and says_no_input(row["input"])]
    assert len(found) >= 486
    assert max(map(len, found)) < 25


@pytest.mark.parametrize("text", ["<noinput>", "No input", "N/A", "None.", "[no input needed]", "(No Input Required)", "无", "无需输入", "no_input"])
def test_no_input_has_many_spellings(text):
    assert says_no_input(text)
    assert not says_no_input(f"{text} 5")
    assert not says_no_input("")


@pytest.mark.parametrize("text", ["\n", " ", "#\n", "<input>\n", "Output:\n", "9. \n", "1. Instruction: a\nOutput:\n\n", "\\", "*"])
def test_no_reply_takes_long_to_read(text):
    """10,000 times the same: a reading that looked at each pair of characters would take many seconds."""
    begun, reply = time.process_time(), text * 10_000
    _triples.read(reply, cut=True)
    _triples.read(f"{reply}x", cut=True, shown=3)
    _listed.items(f"{reply}x", 9)
    for labels in (True, False):
        _pairs.clean(_pairs.read(f"{reply}x", cut=True, is_classification=labels), 5, random.Random(0))
    assert time.process_time() - begun < 3
