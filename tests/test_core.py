"""What all addresses rest on: the same JSON as the standard library writes, and values that change in a copy."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen.core import Lineage, Sample, canonical, encoding, replace

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4),
    max_leaves=12,
)
ENCODERS = [
    json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    json.JSONEncoder(ensure_ascii=False, allow_nan=False),
]


def told(encode, value):
    try:
        return encode(value)
    except ValueError as error:
        return str(error)


@given(VALUES)
def test_what_is_put_together_once_writes_what_the_library_writes(value):
    for encoder in ENCODERS:
        assert told(encoding(encoder), value) == told(encoder.encode, value)
    assert canonical(value) == ENCODERS[0].encode(value).encode("utf-8", "surrogatepass")


def test_what_json_cannot_say_is_refused_and_another_python_writes_the_same(monkeypatch):
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        encoding(ENCODERS[0])({"a": {1}})
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    assert encoding(ENCODERS[0])({"b": "é", "a": (1, 2.0)}) == '{"a":[1,2.0],"b":"é"}'


def test_a_copy_is_changed_and_the_value_is_not():
    sample = Sample("a", "Add", Lineage("a"))
    other = replace(sample, response="3", lineage=replace(sample.lineage, round=2))
    assert (other.response, other.lineage.round, other.id) == ("3", 2, "a")
    assert (sample.response, sample.lineage.round) == (None, 0)
    with pytest.raises(TypeError):
        replace(sample, answer="3")
    with pytest.raises(AttributeError):
        sample.response = "4"  # type: ignore[misc]

    @dataclasses.dataclass(frozen=True)
    class Other:
        a: int = 1

    assert replace(Other(), a=2) == Other(2)
