"""Counts of the inverted index are those of plain sets, whether a key is held as places or as a byte a member."""

from __future__ import annotations

import random

import pytest

from filters.dedup import _inverted
from filters.dedup._inverted import Inverted


@pytest.mark.parametrize("few", [0, 3, 50, 4096])
def test_counts_are_those_of_sets(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(_inverted, "FEW", few)
    rng, index, members = random.Random(few), Inverted(), list[set[int]]()
    for number in range(400):
        own = {int(rng.paretovariate(0.5)) for _ in range(rng.randint(0, 12))}
        assert index.add(own) == number
        members.append(own)
        asked = [*{int(rng.paretovariate(0.5)) for _ in range(8)}]
        assert index.shared(asked).tolist() == [len(member & {*asked}) for member in members]


def test_a_frequent_key_is_a_byte_a_member_and_a_rare_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inverted, "FEW", 2)
    index = Inverted()
    for number in range(100):
        index.add({"often", number // 2})
    assert [*index._dense] == ["often"]
    assert index.shared(["often"]).tolist() == [1] * 100


def test_a_count_beyond_a_byte_is_whole() -> None:
    index = Inverted()
    index.add(range(300))
    assert index.shared(range(1000)).tolist() == [300]


def test_an_empty_index_counts_nobody() -> None:
    assert Inverted().shared(["word"]).tolist() == []
