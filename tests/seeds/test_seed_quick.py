"""The quick ways of reading a row come to what the thorough ones do."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen.core import Sample
from gen.seeds import files, samples
from gen.seeds.samples import COLUMNS, Shape

ODD = [
    b'{"a": NaN}', b"1e999", b"9" * 40, b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b'{"a": 1, "a": 2}', b'"x\ty"', b"01",
    b"-0", b"-0.0", b"1E5", b"5e-324", b"4.35, ", b"[1, 2] ", b" null\n", b'"\\u0000"', b"18446744073709551616", b"{", b"",
    b"9007199254740993.0", b"[" * 100_000, b'"\x7f"', b"nul", b"'a'", b'"\xed\xa0\x80"', b"\xef\xbb\xbf1",
]  # fmt: skip
NAMES = [*(name for names in COLUMNS.values() for name in names), "instances", "chosen", "id", "license", "n"]
TEXTS = st.text(max_size=5) | st.sampled_from(["No input", " ", "\0", "\ud800", "甲", "plain words"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(NAMES), inner, max_size=3),
)
ROWS = JSON | st.dictionaries(st.sampled_from(NAMES) | TEXTS, TEXTS | JSON, max_size=5)


@pytest.mark.parametrize("data", ODD)
def test_odd_json_is_read_as_json_reads_it(data: bytes) -> None:
    assert same(files._parse(data, 10**6), files._parse_odd(data))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=20) | st.lists(st.sampled_from(ODD), max_size=3).map(b",".join).map(lambda b: b"[" + b + b"]")
)
def test_any_bytes_are_read_as_json_reads_them(data: bytes) -> None:
    assert same(files._parse(data, 10**6), files._parse_odd(data))


@settings(max_examples=1000, deadline=None)
@given(ROWS, st.sampled_from(["last", "first", "all", 1, -1, 2]))
def test_a_row_of_usual_columns_is_read_as_any_other(row: Any, turn: Any) -> None:
    shape = Shape(turn=turn)
    lone = shape._lone(row)
    quick = outcome(shape, row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples.Shape, "_lone", lambda *_: None)
        assert outcome(shape, row) == quick
    assert lone is None or isinstance(row, dict)


def test_a_usual_row_goes_the_quick_way() -> None:
    assert Shape()._lone({"instruction": "a", "input": "b", "output": "c", "n": 1})
    for row in ("a", {"messages": []}, {"instruction": "a", "instances": []}, {"prompt": "a", "chosen": "b"}):
        assert Shape()._lone(row) is None


def outcome(shape: Shape, row: Any) -> list[Sample] | str:
    try:
        return [*shape.seeds(row)]
    except ValueError as error:
        return str(error)


def same(one: Any, other: Any) -> bool:
    """Whether two are the same value of the same types, or two refusals in the same words."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and repr(one) == repr(other)
