"""The bandit: shares by hand, what it learns, what it never forgets."""

import math
import random

import pytest

from gen.bandit import FLOOR, PRIOR, TEMPERATURE, Bandit


def test_before_anything_is_known_the_given_weights_hold():
    found = Bandit({"deepen": 3.0, "breadth": 1.0, "off": 0.0}).weights("law")
    assert found == pytest.approx({"deepen": 0.75, "breadth": 0.25, "off": 0.0})


def test_shares_by_hand():
    bandit = Bandit({"a": 1.0, "b": 1.0})
    for kept in (True, True, True, False):
        bandit.update("law", "a", kept)
    bandit.update("law", "b", False)
    a, b = (3 + PRIOR * 4 / 6) / (4 + PRIOR), (0 + PRIOR * 1 / 3) / (1 + PRIOR)
    assert bandit.rate("law", "a") == pytest.approx(a)
    assert bandit.rate("law", "b") == pytest.approx(b)
    pull = {"a": math.exp(a / TEMPERATURE), "b": math.exp(b / TEMPERATURE)}
    share = FLOOR / 2 + (1 - FLOOR) * pull["a"] / sum(pull.values())
    assert bandit.weights("law") == pytest.approx({"a": share, "b": 1 - share})


def test_a_domain_that_was_never_seen_begins_with_what_others_taught():
    bandit = Bandit({"a": 1.0, "b": 1.0})
    for _ in range(50):
        bandit.update("law", "a", True)
        bandit.update("law", "b", False)
    assert bandit.rate("medicine", "a") == pytest.approx(51 / 52)
    for _ in range(100):
        bandit.update("medicine", "a", False)
        bandit.update("medicine", "b", True)
    assert bandit.weights("medicine")["b"] > 0.7
    assert bandit.weights("law")["a"] > 0.7, "each domain has its own"


def learn(rates, blocks, size=64, seed=0):
    """Draws by its shares, block after block, told of block b before block b + 2 is drawn."""
    bandit, rng, late, drawn = Bandit(dict.fromkeys(rates, 1.0)), random.Random(seed), [], []
    for _ in range(blocks):
        shares = bandit.weights("")
        names = rng.choices(list(shares), list(shares.values()), k=size)
        for name, kept in late:
            bandit.update("", name, kept)
        late = [(name, rng.random() < rates[name]) for name in names]
        drawn.append(names)
    return drawn


@pytest.mark.parametrize("seed", range(5))
def test_of_nine_in_ten_and_one_in_ten_three_quarters_of_the_draws_go_to_the_better(seed):
    drawn = learn({"good": 0.9, "bad": 0.1}, 30, seed=seed)
    assert 0.35 < drawn[0].count("good") / 64 < 0.65
    late = [name for block in drawn[4:] for name in block]
    assert late.count("good") / len(late) > 0.75


def test_operations_that_pass_nearly_alike_are_drawn_nearly_alike():
    late = [name for block in learn({"a": 0.95, "b": 0.9}, 100)[50:] for name in block]
    assert 0.45 < late.count("a") / len(late) < 0.65


def test_no_operation_dies():
    bandit = Bandit({"good": 1.0, **{f"bad{i}": 1.0 for i in range(5)}})
    for _ in range(10_000):
        bandit.update("", "good", True)
        for i in range(5):
            bandit.update("", f"bad{i}", False)
    assert min(bandit.weights("").values()) >= FLOOR / 6
    assert sum(bandit.weights("").values()) == pytest.approx(1)


def test_the_order_of_arrival_does_not_matter():
    told = [(d, o, k) for d in ("x", "y") for o in ("a", "b", "c") for k in (True, False, False)] * 3
    shares = []
    for seed in range(4):
        random.Random(seed).shuffle(told)
        bandit = Bandit({"c": 1.0, "b": 2.0, "a": 0.5})
        for one in told:
            bandit.update(*one)
        shares.append((bandit.weights("x"), bandit.weights("y")))
    assert all(s == shares[0] for s in shares)


def test_what_is_no_choice_teaches_nothing():
    bandit = Bandit({"a": 1.0})
    bandit.update("", "failed", False)
    assert not bandit.tried
