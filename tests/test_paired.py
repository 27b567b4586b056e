"""What twenty tasks can show, and what they cannot."""

import random

import pytest

from gen.paired import difference, interval, sign_test


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 5, 1.0), (3, 7, 352 / 1024), (0, 5, 2 / 32), (0, 6, 2 / 64), (1, 9, 22 / 1024)],
)
def test_the_sign_test_is_exact(a, b, p):
    """Of 3 to 7: twice (1 + 10 + 45 + 120) of 1024."""
    assert sign_test(a, b) == sign_test(b, a) == pytest.approx(p)


def test_the_sign_test_equals_the_reference():
    stats = pytest.importorskip("scipy.stats")
    for n in (1, 4, 17, 50, 1500):
        for a in {0, 1, n // 3, n // 2}:
            assert sign_test(a, n - a) == pytest.approx(stats.binomtest(a, n).pvalue, abs=1e-12)


def test_a_difference_counts_the_things_on_which_each_is_ahead():
    found = difference([0, 1, 1, 0, 1], [1, 1, 1, 1, 0])
    assert (found.mean, found.a_better, found.b_better, found.equal) == (pytest.approx(0.2), 1, 2, 2)
    assert (found.p, found.shown) == (1.0, False)
    assert found.low < 0 < found.high


def test_a_clear_difference_is_shown():
    found = difference([0.0] * 6 + [1.0] * 4, [1.0] * 10)
    assert (found.mean, found.b_better, found.p, found.shown) == (pytest.approx(0.6), 6, 2 / 64, True)
    assert found.low > 0


def test_equal_ways_differ_by_nothing():
    found = difference([1.0, 0.0], [1.0, 0.0])
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_interval_is_repeatable_and_as_wide_as_it_should_be():
    """Means of 100 fair coins lie within 0.5 +- 1.96 * 0.05."""
    rng = random.Random(1)
    coins = [float(rng.random() < 0.5) for _ in range(100)]
    low, high = interval(coins)
    assert (low, high) == interval(coins)
    assert high - low == pytest.approx(2 * 1.96 * 0.05, abs=0.03)


def test_about_nineteen_of_twenty_intervals_hold_the_truth():
    """Of 40 values each; percentiles of few values are known to be a little too narrow."""
    rng = random.Random(1)
    found = [interval([rng.gauss(0.3, 1) for _ in range(40)], seed=i) for i in range(150)]
    assert 0.9 <= sum(low <= 0.3 <= high for low, high in found) / 150 <= 0.99


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="zip"):
        difference([1.0], [1.0, 0.0])
