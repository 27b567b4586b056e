"""Is a loop running dry? Diversity of what was kept, round by round, in the field's own measures:

- distinct-n (arXiv 1510.03055): distinct n-grams of the tasks, as a share of all their n-grams; none crosses a task.
- occupancy: over how many topics of the first round the tasks lie: effective number of clusters (exp of the entropy,
  Hill number of order 1) as a share of all clusters. Clusters are those of k-means on the unit vectors of the first
  round alone: where later rounds have a say, their near copies become clusters, and occupancy *rises* as they collapse.
- distance: mean cosine distance of a task to the nearest other one.
- verb_noun: distinct pairs of verb and object, as a share of all pairs (arXiv 2212.10560, figure 3; `gen.verb_noun`).
- task_words, answer_words: mean length.

All but the lengths change with the number of samples alone. So every round is measured at the size of the smallest one:
each value is what a random draw of that size is expected to have, exactly (rarefaction, doi 10.2307/1934145), not by
drawing. What cannot be measured is None with a reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from gen.core import Sample, Score, Vector
from gen.text import count_words, dominant_script, rouge_tokens
from gen.verb_noun import pair

T = TypeVar("T")
LEAST = 20
"""Samples that a measure needs."""
PER_CLUSTER, LEAST_CLUSTERED, MOST_CLUSTERS = 25, 100, 20
"""Vectors a cluster: with fewer, k-means fits the first round so closely that any other looks poorer."""
DIVERSITY = ("distinct_1", "distinct_2", "distinct_3", "occupancy", "distance", "verb_noun")
LENGTHS = ("task_words", "answer_words")


class Row(NamedTuple):
    """A kept sample and its vector: None where it has none to compare."""

    sample: Sample
    vector: Vector | None = None
    answer_words: int | None = None
    """Where the answer is not held: how long it is."""


def measure(rounds: Sequence[Sequence[Row]]) -> list[dict[str, Score]]:
    """Every measure of every round, comparable among them. A round with fewer than LEAST samples has none, and the
    others are compared without it."""
    found: list[dict[str, Score]] = [{} for _ in rounds]
    fit = [i for i, rows in enumerate(rounds) if len(rows) >= LEAST]
    whole = [rounds[i] for i in fit]
    parts = (_distinct(whole, 1), _distinct(whole, 2), _distinct(whole, 3), _occupancy(whole),
             _distance(whole), _verb_noun(whole), *(_length(whole, name) for name in LENGTHS))  # fmt: skip
    for name, scores in zip((*DIVERSITY, *LENGTHS), parts, strict=True):
        for i, rows in enumerate(rounds):
            few = Score(name, None, f"{len(rows)} kept, at least {LEAST} are needed")
            found[i][name] = scores[fit.index(i)] if i in fit else few
    return found


def _each(name: str, found: Sequence[T], lack: Callable[[T], str], value: Callable[[T], float]) -> list[Score]:
    """A score of each, rounded so that it is the same on other machines, or why there is none."""
    return [Score(name, None, why) if (why := lack(v)) else Score(name, round(value(v), 6)) for v in found]


def _smallest(sizes: Iterable[int], least: int) -> int:
    """The size at which rounds are compared: that of the smallest one that is large enough; 0 where none is."""
    return min((size for size in sizes if size >= least), default=0)


def expected_distinct(counts: Iterable[int], size: int) -> float:
    """Distinct kinds that a draw of `size` without replacement is expected to show, of kinds that occur so often."""
    kinds = Counter(counts)
    total, log = sum(n * times for n, times in kinds.items()), math.lgamma
    if not 0 <= size <= total:
        raise ValueError(f"a draw of {size} from {total}")
    missed = 0.0
    for n, times in kinds.items():
        if (rest := total - n) >= size:  # C(rest, size) / C(total, size): none of the kind is drawn
            missed += times * math.exp(log(rest + 1) - log(rest - size + 1) - log(total + 1) + log(total - size + 1))
    return kinds.total() - missed


def _distinct(rounds: Sequence[Sequence[Row]], n: int) -> list[Score]:
    grams = [Counter(gram for row in rows for gram in ngrams(row.sample.prompt, n)) for rows in rounds]
    size = _smallest((found.total() for found in grams), LEAST)

    def lack(found: Counter[tuple[str, ...]]) -> str:
        return "" if found.total() >= LEAST else f"{found.total()} {n}-grams, at least {LEAST} are needed"

    return _each(f"distinct_{n}", grams, lack, lambda found: expected_distinct(found.values(), size) / size)


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Runs of n tokens: words of any script, one token per han or kana character."""
    tokens = rouge_tokens(text)
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


class _Orders(NamedTuple):
    pairs: Counter[tuple[str, str]]
    latin: int
    """Tasks in a script that may be English."""
    tasks: int


def _verb_noun(rounds: Sequence[Sequence[Row]]) -> list[Score]:
    found = []
    for rows in rounds:
        tasks = [row.sample.instruction for row in rows if dominant_script(row.sample.instruction) == "latin"]
        found.append(_Orders(Counter(p for task in tasks if (p := pair(task))), len(tasks), len(rows)))
    size = _smallest((orders.pairs.total() for orders in found), LEAST)

    def lack(orders: _Orders) -> str:
        if 2 * orders.latin < orders.tasks:
            return "most tasks are not English: verbs and nouns are found in English alone"
        few = f"{orders.pairs.total()} tasks have a verb and its noun, at least {LEAST} are needed"
        return "" if orders.pairs.total() >= LEAST else few

    return _each("verb_noun", found, lack, lambda orders: expected_distinct(orders.pairs.values(), size) / size)


def _length(rounds: Sequence[Sequence[Row]], name: str) -> list[Score]:
    words = [[n for row in rows if (n := _words(row, name)) is not None] for rows in rounds]
    return _each(name, words, lambda w: "" if w else "no answers yet", lambda w: sum(w) / len(w))


def _words(row: Row, name: str) -> int | None:
    if name == "task_words":
        return count_words(row.sample.prompt)
    return row.answer_words if row.sample.response is None else count_words(row.sample.response)


def _distance(rounds: Sequence[Sequence[Row]]) -> list[Score]:
    vectors = [[row.vector for row in rows if row.vector] for rows in rounds]
    size = _smallest(map(len, vectors), LEAST)
    return _each("distance", vectors, lambda v: _few(len(v), LEAST), lambda v: neighbour_distance(v, size))


def _occupancy(rounds: Sequence[Sequence[Row]]) -> list[Score]:
    vectors = [[row.vector for row in rows if row.vector] for rows in rounds]
    size = _smallest(map(len, vectors), LEAST_CLUSTERED)
    clusters = max(2, min(MOST_CLUSTERS, size // PER_CLUSTER))
    found = iter(clustered([v for v in vectors if size and len(v) >= size], clusters))
    labels = [next(found) if size and len(v) >= size else [] for v in vectors]

    def lack(both: tuple[list[Vector], list[int]]) -> str:
        return _few(len(both[0]), LEAST_CLUSTERED)

    return _each("occupancy", list(zip(vectors, labels, strict=True)), lack,
                 lambda both: occupancy(Counter(both[1]).values(), size, clusters))  # fmt: skip


def _few(found: int, least: int) -> str:
    if not found:
        return "no vectors: `semantic` measured none of these"
    return "" if found >= least else f"{found} vectors, at least {least} are needed"


def unit(vectors: Sequence[Vector]) -> Any:
    """Unit vectors in float64, (N, D)."""
    import numpy as np

    rows_ND = np.frombuffer(b"".join(vectors), "<f2").reshape(len(vectors), -1).astype("f8")
    return rows_ND / np.linalg.norm(rows_ND, axis=1, keepdims=True)


def neighbour_distance(vectors: Sequence[Vector], size: int) -> float:
    """Mean cosine distance to the nearest other vector, 0 to 2, as a draw of `size` >= 2 is expected to have it: the
    j-th nearest of N - 1 others is the nearest one drawn with the probability C(N-1-j, size-2) / C(N-1, size-1)."""
    import numpy as np

    rows_ND = unit(vectors)
    n = len(rows_ND)
    distance_NN = 1 - rows_ND @ rows_ND.T
    np.fill_diagonal(distance_NN, np.inf)
    distance_NN.sort(axis=1)
    chance_J = np.zeros(n - 1)
    chance_J[0] = (size - 1) / (n - 1)
    for j in range(1, n - size + 1):
        chance_J[j] = chance_J[j - 1] * (n - size - j + 1) / (n - 1 - j)
    return float(max((distance_NN[:, : n - 1] @ chance_J).mean(), 0.0))


def clustered(rounds: Sequence[Sequence[Vector]], clusters: int) -> list[list[int]]:
    """The cluster of each vector, by those that the first round has."""
    if not rounds:
        return []
    from sklearn.cluster import KMeans  # seconds and 150 MB: not where there is nothing to cluster
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums of several threads differ in their last bits from call to call
        means = KMeans(clusters, n_init=10, random_state=0).fit(unit(rounds[0]))
        return [means.predict(unit(found)).tolist() for found in rounds]


def occupancy(counts: Iterable[int], size: int, clusters: int) -> float:
    """exp of the entropy that a draw of `size` from clusters of these counts is expected to have, over the number of
    clusters: 1 / clusters where all lie in one, 1 where they are even."""
    counts = [n for n in counts if n]
    total, log, entropy = sum(counts), math.lgamma, 0.0
    base = log(total + 1) - log(size + 1) - log(total - size + 1)
    for n in counts:
        for j in range(max(1, size - (total - n)), min(n, size) + 1):  # j of the draw lie here: hypergeometric
            rest, left = total - n, size - j
            ways = log(n + 1) - log(j + 1) - log(n - j + 1) + log(rest + 1) - log(left + 1) - log(rest - left + 1)
            entropy -= math.exp(ways - base) * j / size * math.log(j / size)
    return math.exp(entropy) / clusters
