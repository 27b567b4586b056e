from __future__ import annotations

import random
from collections import Counter

import pytest

from gen.core import Lineage, Sample, digest
from gen.errors import InputError
from gen.export.split import amount, held_out


def family(root, n, text=""):
    return [Sample(f"{root}{i}", text or f"{root} number {i}", Lineage(root, round=i), response="x") for i in range(n)]


MANY = [s for i in range(2000) for s in family(f"r{i}", 1 + i % 4)]


def test_a_fraction_is_a_threshold_on_the_hash_of_the_root():
    test = held_out(MANY, 0.1)
    assert test == {r for r in {s.lineage.root for s in MANY} if int(digest("split", r), 16) < 0.1 * 2**64}
    assert 160 < len(test) < 240  # 200 expected, 13 the standard deviation
    share = sum(s.lineage.root in test for s in MANY) / len(MANY)
    assert 0.07 < share < 0.13


def test_more_rounds_and_more_seeds_move_no_family():
    some = MANY[: len(MANY) // 2]
    before, roots = held_out(some, 0.2), {s.lineage.root for s in some}
    assert held_out(MANY, 0.2) & roots == before
    assert held_out(random.Random(0).sample(MANY, len(MANY)), 0.2) == held_out(MANY, 0.2)


@pytest.mark.parametrize("wanted", [1, 7, 200, 1999])
def test_a_number_is_met_by_whole_families_and_never_exceeded(wanted):
    test = held_out(MANY, wanted)
    assert wanted - 3 <= sum(s.lineage.root in test for s in MANY) <= wanted
    assert test == held_out(reversed(MANY), wanted)


def test_families_that_share_a_prompt_go_together():
    """Also over a chain of three, in any order; a system text makes another prompt."""
    chain = [*family("a", 2), *family("b", 2), *family("c", 2)]
    chain += [Sample("x", "\"Say HELLO\"", Lineage("a")), Sample("y", "say  hello", Lineage("b")),
              Sample("z", "ｗｈｙ", Lineage("b")), Sample("w", "Why?", Lineage("c"))]  # fmt: skip
    other = [s for i in range(40) for s in family(f"o{i}", 1)]
    sides = Counter()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        for order in (chain + other, other + chain[::-1]):
            sides[len(held_out(order, share) & {"a", "b", "c"})] += 1
    assert set(sides) == {0, 3}
    apart = [Sample("", f"Hello {i}", Lineage(f"{said}{i}"), system=said) for i in range(20) for said in ("", "Be brief")]
    test = held_out(apart, 0.5)
    assert any((f"{i}" in test) != (f"Be brief{i}" in test) for i in range(20))


def test_a_split_with_an_empty_side_is_refused():
    for test in (0.000001, 0.999999, 1, 3):
        samples = family("only", 3) if test in (1, 3) else family("a", 2) + family("b", 2)
        with pytest.raises(InputError, match=r"nothing would be left for (test|train)"):
            held_out(samples, test)
    with pytest.raises(InputError, match="0 rows in 0 families"):
        held_out([], 0.5)


@pytest.mark.parametrize(("text", "value"), [("0.1", 0.1), ("200", 200), ("1", 1), (".5", 0.5)])
def test_an_amount_is_a_fraction_or_a_number(text, value):
    assert amount(text) == value
    assert type(amount(text)) is type(value)


@pytest.mark.parametrize("text", ["0", "1.5", "-3", "ten", "10%", "1.0", "nan", "inf"])
def test_other_amounts_are_refused(text):
    with pytest.raises(InputError, match=r"a fraction such as 0\.1"):
        amount(text)
