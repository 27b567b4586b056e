"""Measures of diversity: by hand, against scikit-learn and nltk, and against drawing for real."""

import gzip
import itertools
import json
import math
import random
from collections import Counter

import numpy as np
import pytest
from nltk.util import ngrams as nltk_ngrams
from sklearn.neighbors import NearestNeighbors

from gen.collapse import LEAST, Row, clustered, expected_distinct, measure, neighbour_distance, ngrams, occupancy, unit
from gen.core import Lineage, Sample


def sample(i, instruction, response="Yes.", round=0):
    return Sample(f"{i}", instruction, Lineage(f"{i}", round=round), response=response)


def vectors(n, seed=0, width=16):
    rows = np.random.default_rng(seed).normal(size=(n, width))
    return [row.astype("<f2").tobytes() for row in rows / np.linalg.norm(rows, axis=1, keepdims=True)]


def test_distinct_n_by_hand():
    """"a b a" three times over twenty samples: 3 kinds among 60 words, 2 pairs of words among 40."""
    rows = [Row(sample(i, "blue sky blue")) for i in range(LEAST)]
    [found] = measure([rows])
    assert found["distinct_1"].value == pytest.approx(2 / 60, abs=1e-6)
    assert found["distinct_2"].value == pytest.approx(2 / 40, abs=1e-6)
    assert found["distinct_3"].value == pytest.approx(1 / 20, abs=1e-6)


def test_ngrams_are_nltks():
    text = "the quick brown fox and the quick red fox"
    for n in (1, 2, 3, 9, 10):
        assert ngrams(text, n) == list(nltk_ngrams(text.split(), n))


def test_chinese_is_counted_by_characters():
    assert ngrams("用Python写诗", 2) == [("用", "python"), ("python", "写"), ("写", "诗")]


def test_expected_distinct_is_the_mean_over_all_draws():
    kinds = "aaabbc"
    for size in range(7):
        draws = [len(set(draw)) for draw in itertools.combinations(kinds, size)]
        assert expected_distinct(Counter(kinds).values(), size) == pytest.approx(sum(draws) / len(draws))
    with pytest.raises(ValueError, match="a draw of 7 from 6"):
        expected_distinct([3, 2, 1], 7)


def test_distance_by_hand():
    """Three vectors at 0, 60 and 90 degrees: nearest neighbours at 60, 30 and 30."""
    rows = [np.array([math.cos(a), math.sin(a)]) for a in np.radians([0, 60, 90])]
    given = [row.astype("<f2").tobytes() for row in rows]
    near = [1 - math.cos(math.radians(a)) for a in (60, 30, 30)]
    assert neighbour_distance(given, 3) == pytest.approx(sum(near) / 3, abs=1e-3)
    two = [1 - math.cos(math.radians(a)) for a in (60, 90, 30)]
    assert neighbour_distance(given, 2) == pytest.approx(sum(two) / 3, abs=1e-3), "the mean over all pairs"


def test_distance_is_sklearns():
    given = vectors(60)
    distance, _ = NearestNeighbors(n_neighbors=2, metric="cosine").fit(unit(given)).kneighbors()
    assert neighbour_distance(given, 60) == pytest.approx(distance[:, 0].mean(), rel=1e-9)


def test_distance_of_a_draw_is_what_drawing_gives():
    given, rng = vectors(40), random.Random(0)
    drawn = []
    for _ in range(3000):
        some = rng.sample(given, 12)
        drawn.append(neighbour_distance(some, 12))
    assert neighbour_distance(given, 12) == pytest.approx(np.mean(drawn), rel=0.01)


def test_distance_of_copies_is_nothing():
    assert neighbour_distance(vectors(1) * 20, 20) == pytest.approx(0, abs=1e-9)


def test_occupancy_by_hand():
    assert occupancy([10, 10, 10, 10], 40, 4) == pytest.approx(1)
    assert occupancy([40], 40, 4) == pytest.approx(0.25)
    assert occupancy([20, 20], 40, 4) == pytest.approx(0.5)
    half = math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4)) / 4
    assert occupancy([30, 10, 0, 0], 40, 4) == pytest.approx(half)


def test_occupancy_of_a_draw_is_the_mean_entropy_over_all_draws():
    kinds, size = "aaabbc", 4

    def entropy(draw):
        return -sum(n / size * math.log(n / size) for n in Counter(draw).values())

    draws = [entropy(draw) for draw in itertools.combinations(kinds, size)]
    assert occupancy([3, 2, 1], size, 5) == pytest.approx(math.exp(sum(draws) / len(draws)) / 5)


def test_clusters_are_those_of_the_first_round():
    rng = np.random.default_rng(3)
    centres = np.eye(4)
    first = [centres[i % 4] + rng.normal(size=4) / 50 for i in range(100)]
    later = [centres[0] + rng.normal(size=4) / 50 for _ in range(100)]
    as_vectors = [[(row / np.linalg.norm(row)).astype("<f2").tobytes() for row in rows] for rows in (first, later)]
    a, b = clustered(as_vectors, 4)
    assert sorted(Counter(a).values()) == [25, 25, 25, 25]
    assert len({*b}) == 1
    assert clustered(as_vectors, 4) == [a, b], "the same every time"


def test_verb_noun_by_hand():
    """Ten write a story, ten explain an idiom: two pairs among twenty."""
    tasks = ["Write a story about rain.", "Explain this idiom."] * 10
    [found] = measure([[Row(sample(i, task)) for i, task in enumerate(tasks)]])
    assert found["verb_noun"].value == pytest.approx(2 / 20)


def test_lengths_by_hand():
    rows = [Row(sample(i, "one two three" if i % 2 else "one", "a b c d" if i < 10 else None)) for i in range(20)]
    [found] = measure([rows])
    assert found["task_words"].value == 2
    assert found["answer_words"].value == 4


def test_what_cannot_be_measured_is_none_with_a_reason():
    chinese = [Row(sample(i, "写一首关于春天的诗。", None)) for i in range(30)]
    few = [Row(sample(i, "Write a poem.")) for i in range(3)]
    found = measure([chinese, few])
    assert {s.note for s in found[1].values()} == {f"3 kept, at least {LEAST} are needed"}
    notes = {name: s.note for name, s in found[0].items() if s.value is None}
    assert notes.keys() == {"occupancy", "distance", "verb_noun", "answer_words"}
    assert notes["distance"] == "no vectors: `semantic` measured none of these"
    assert "English" in notes["verb_noun"]
    assert notes["answer_words"] == "no answers yet"
    some = [Row(sample(i, "Sing."), vector) for i, vector in enumerate(vectors(30))]
    found = measure([some])[0]
    assert found["occupancy"].note == "30 vectors, at least 100 are needed"
    assert found["verb_noun"].note == f"0 tasks have a verb and its noun, at least {LEAST} are needed"
    assert found["distance"].value is not None
    assert measure([]) == []


def test_sizes_do_not_matter(shared):
    """Rounds of unequal size from one set have nearly the same values, which the plain ones have not."""
    with gzip.open(shared / "alpaca/alpaca_data.json.gz") as file:
        rows = random.Random(1).sample(json.load(file), 800)
    tasks = [Row(sample(i, r["instruction"], r["output"])) for i, r in enumerate(rows)]
    many, some, few = measure([tasks[:500], tasks[500:700], tasks[700:]])
    for name in ("distinct_1", "distinct_2", "distinct_3", "verb_noun"):
        assert some[name].value == pytest.approx(many[name].value, rel=0.07)
        assert few[name].value == pytest.approx(many[name].value, rel=0.07)
    plain = [measure([part])[0]["distinct_1"].value for part in (tasks[:500], tasks[700:])]
    assert plain[0] < 0.75 * plain[1]
