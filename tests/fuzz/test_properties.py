"""What is written is read again, for any text: tasks, chains, methods, rows, tables, recipes, conversations."""

import contextlib
import csv
import io
import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gen import fences, repeats, text
from gen import recipe as recipes
from gen.codec import clean, decode, encode
from gen.core import Completion
from gen.engines import wire
from gen.engines.reasoning import split_reasoning
from gen.errors import ParseError
from gen.loops import _chain, _method, _triples
from gen.prompts import parse_choice, parse_last, parse_sections
from gen.seeds import read_seeds
from gen.template import Bounded

some = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
ANY = st.text(st.characters(), max_size=60)
"""Half surrogates and NUL included."""
FULL = TEXT.filter(lambda said: bool(said.strip()))
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)  # fmt: skip


@some
@given(ANY)
def test_a_completion_survives_the_store(said):
    done = clean(Completion(said, note=said))
    assert decode(encode(done), type=Completion) == done


@some
@given(TEXT, TEXT, TEXT)
def test_tasks_are_read_as_they_are_shown(instruction, given, output):
    shown = _triples.render(instruction, given, output)
    [found] = _triples.read(f"Sure.\n{shown}\nDone.", cut=False)
    assert found == (instruction, given, output, "")


@some
@given(st.lists(st.tuples(TEXT, FULL), min_size=1, max_size=4))
def test_chains_are_read_as_they_are_written(pairs):
    assert _chain.parse(_chain.render(pairs)) == [(a.strip(), b.strip()) for a, b in pairs]


@some
@given(TEXT, TEXT)
def test_a_method_is_text_whatever_it_looks_like(before, after):
    """What Jinja would read is rendered as it stands."""
    template = Bounded(trim_blocks=True, lstrip_blocks=True).from_string(
        f"a{_method._raw(before)}b{_method._raw(after)}c"
    )
    said = template.render().replace("\r\n", "\n").replace("\r", "\n")
    assert said == f"a{before}b{after}c".replace("\r\n", "\n").replace("\r", "\n")


@some
@given(FULL)
def test_sections_are_read_back(body):
    if "<" not in body:
        assert parse_sections(f"x<a>\n{body}\n</a>y", ("a",)) == {"a": body.strip()}
        assert parse_last(f"<a>no</a> < A >{body.replace('*', '')}</a>", ("a",)) == {"a": body.replace("*", "").strip()}


@some
@given(ANY, st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_choice_is_one_of_them_or_none(said, choices):
    try:
        assert parse_choice(said, tuple(choices)) in choices
    except ParseError as error:
        assert error.reason == "reply_unparsed"


@some
@given(ANY)
def test_reasoning_is_split_off_once(said):
    split = split_reasoning(f"<think>{said.replace('<', '').replace('[', '')}</think>answer")
    assert (split.answer, split.open) == ("answer", False)
    assert split_reasoning(split.answer).answer == split.answer


@some
@given(st.dictionaries(st.sampled_from(["choices", "message", "usage", "error", "x"]), JSON, max_size=4))
def test_any_json_of_a_server_is_read_or_unreadable(payload):
    with contextlib.suppress(wire.Unreadable):
        wire.completion(payload)
    assert len(wire.complaint(json.dumps(payload).encode())) <= wire.LONGEST


@some
@given(st.lists(st.tuples(FULL, TEXT, JSON), min_size=1, max_size=4))
def test_rows_of_jsonl_and_json_are_the_same_seeds(tmp_path, rows):
    values = [{"instruction": told, "output": answer, "x": other} for told, answer, other in rows]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    (tmp_path / "b.json").write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
    one, two = (read_seeds([tmp_path / name]) for name in ("a.jsonl", "b.json"))
    assert [*one.samples] == [*two.samples]
    assert one.digest == two.digest
    assert {s.instruction for s in one.samples} == {told for told, _, _ in rows}


@some
@given(st.lists(st.tuples(FULL, TEXT), min_size=1, max_size=4), st.sampled_from([",", ";", "\t"]))
def test_what_a_spreadsheet_writes_is_read(tmp_path, rows, delimiter):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("instruction", "output"), *rows])
    (tmp_path / "a.csv").write_bytes(out.getvalue().encode())
    found = read_seeds([tmp_path / "a.csv"])
    assert {s.instruction for s in found.samples} == {told for told, _ in rows}
    assert not found.bad


@settings(some, max_examples=15)
@given(
    st.integers(0, 100),
    st.integers(0),
    st.lists(TEXT, max_size=2),
    st.floats(0, 2),
    st.dictionaries(st.sampled_from(["instruction", "input"]), TEXT, max_size=2),
)
def test_a_recipe_means_the_same_when_it_is_written_down(tmp_path, rounds, seed, seeds, heat, mapping):
    made = recipes.build(
        {"rounds": rounds, "seed": seed, "source": {"seeds": seeds, "map": mapping}, "evolve": {"temperature": heat}}
    )
    (tmp_path / "r.toml").write_text(recipes.to_toml(made), encoding="utf-8", newline="")
    again = recipes.build(recipes.tomllib.loads((tmp_path / "r.toml").read_bytes().decode()))
    assert recipes.table_of(again) == recipes.table_of(made)
    assert again.run_name("x") == made.run_name("x")


@some
@given(ANY)
def test_keys_of_duplicates_and_fences_hold_for_any_text(said):
    assert text.normalise(said) == text.normalise(f" {said.upper().lower()} ") or not said.isascii()
    assert len(fences.prose(said)) <= len(said) + 1
    assert 0 <= repeats.repetition(said * 9) <= 1


FEW = st.lists(st.sampled_from(["a", "b", "c7", "D", "the", "-", "甲", "ｆｕｌｌ", "İ", "\n", "x" * 50]), max_size=90).map(" ".join)
"""Texts of few words, which say much again."""


@some
@given(FEW | ANY, st.integers(0, 9), st.integers(0, 99))
def test_what_is_told_without_counting_is_what_counting_tells(said, fewest, more):
    assert text.has_words(said, fewest, fewest + more) == (fewest <= text.count_words(said) <= fewest + more)
    assert text.without_code(said) == text._FENCE.sub("\n", said)
    if said.isascii():
        assert text.rouge_tokens(said) == re.findall("[a-z0-9]+", said.lower())
        assert text.dominant_script(said) == next(iter(text.script_weights(said)), None)


@some
@given(FEW | ANY)
def test_repeated_n_grams_are_those_that_a_search_finds(said):
    tokens = text.rouge_tokens(said)
    n = 16 if 2 * len(text.cjk().findall(said)) > len(tokens) else 8
    grams = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
    again = {at + i for at, gram in enumerate(grams) if gram in grams[:at] for i in range(n)}
    assert repeats.repetition(said) == (len(again) / len(tokens) if len(tokens) >= 50 else 0.0)


@some
@given(st.sampled_from("ab!-甲"), st.integers(30, 80), FEW)
def test_a_run_of_one_letter_is_found_wherever_it_begins(letter, times, before):
    said = f"{before} {letter * times}."
    assert bool(text.pattern("run").search(said)) == (repeats.find_loop(said, [*"abcdefg"]) is not None)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=9,
)


@some
@given(st.dictionaries(st.text(max_size=3), ODD, max_size=4), st.booleans(), st.binary(max_size=3))
def test_bodies_are_read_as_the_standard_library_reads_them(told, ascii, more):
    body = json.dumps(told, ensure_ascii=ascii).encode("utf-8", "surrogatepass") + more
    try:
        expected = json.loads(body.decode("utf-8", "replace"))
    except ValueError:
        expected = None
    try:
        found = wire.decode(body)
    except wire.Unreadable:
        found = None
    assert repr(found) == repr(expected)
