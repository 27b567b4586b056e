"""`semantic` beyond `exact_to`: near the exact search, and the same on every machine."""

import msgspec
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from filters.dedup import _clusters as clusters
from filters.dedup import semantic as module
from filters.dedup.semantic import Semantic
from gen import recipe as recipes
from gen.core import Lineage, Sample


def sample(id, root=None):
    return Sample(id, "Name a river.", Lineage(root or id))


def vectors(rng, n, width, topics=40):
    """Directions around a few topics; a third of them lie near an earlier one, some of these on it."""
    topic_TD, rows_ND = rng.normal(size=(topics, width)), []
    for i in range(n):
        near = rows_ND[rng.integers(i)] if i and rng.random() < 1 / 3 else None
        spread = 0.9 if near is None else rng.choice([0, 0.2, 0.4, 0.6])
        rows_ND.append((topic_TD[rng.integers(topics)] if near is None else near) + spread * rng.normal(size=width))
    return [(row / np.linalg.norm(row)).astype("<f2").tobytes() for row in rows_ND]


def stream(rule, pairs, announced=None, index=None):
    """The index after a stream whose kept samples are admitted, and the verdicts."""
    index, verdicts = index or rule.open(), []
    for i, (new, x) in enumerate(pairs):
        if announced and i % announced == 0:
            index.expect(pairs[i : i + announced])
        verdicts.append(index.judge(new, x))
        if verdicts[-1].keep:
            index.admit(new, x)
    return index, verdicts


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 32)
    monkeypatch.setattr(module, "COMING", 10)


def families(rng, rows, roots):
    return [(sample(f"s{i}", f"r{rng.integers(roots)}"), x) for i, x in enumerate(rows)]


def test_with_all_clusters_probed_it_is_the_exact_search(small, monkeypatch):
    monkeypatch.setattr(clusters, "PROBES", 1000)
    rng = np.random.default_rng(1)
    pairs = families(rng, vectors(rng, 600, 48), 90)
    index, exact = stream(Semantic(exact_to=0), pairs, 7)
    assert index.clusters is None
    for announced in (None, 64):
        index, found = stream(Semantic(exact_to=50), pairs, announced)
        assert found == exact
        assert 2 * index.clusters.found_for > len(index.ids) >= index.clusters.found_for > 64
    assert 100 < sum(verdict.keep for verdict in exact) < 500


def test_it_begins_at_the_border_of_a_block_and_orders_anew_when_there_are_twice_as_many(small):
    rng, begun = np.random.default_rng(2), []
    index = Semantic(exact_to=70).open()
    for i, x in enumerate(vectors(rng, 400, 24)):
        index.admit(sample(f"s{i}"), x)
        if index.clusters and index.clusters.found_for not in begun:
            begun.append(index.clusters.found_for)
            assert begun[-1] == i + 1
            assert len(index.clusters.centroid_KD) == int((i + 1) ** 0.5)
        filed = index.clusters.count if index.clusters else 0
        assert filed + sum(block.used for block in index.blocks) == i + 1
    assert begun == [96, 192, 384]
    numbers = [n for block in index.clusters.blocks.values() for n in block.number_M[: block.used].tolist()]
    assert sorted(numbers) == list(range(384))


def test_nearly_all_that_is_near_is_found_and_nothing_that_is_not(small, monkeypatch):
    monkeypatch.setattr(clusters, "PROBES", 3)
    rng = np.random.default_rng(3)
    rows = vectors(rng, 2200, 64)
    exact, near = Semantic(exact_to=0).open(), Semantic(exact_to=100).open()
    for i, x in enumerate(rows[:1600]):
        exact.admit(sample(f"s{i}"), x)
        near.admit(sample(f"s{i}"), x)
    verdicts = [[index.judge(sample("new"), x) for x in rows[1600:]] for index in (exact, near)]
    dropped = [(a, b) for a, b in zip(*verdicts, strict=True) if not a.keep]
    assert 100 < len(dropped) < 500
    assert sum(not b.keep for _, b in dropped) >= 0.95 * len(dropped)
    assert sum(not verdict.keep for verdict in verdicts[1]) <= len(dropped)
    held = dict(zip([f"s{i}" for i in range(1600)], rows, strict=False))
    for x, a, b in zip(rows[1600:], *verdicts, strict=True):
        assert b.value <= a.value  # and is the true one of what it names
        u, v = (np.frombuffer(y, "<f2").astype("f8") for y in (x, held[b.nearest]))
        assert b.value == round(float(u @ v / np.sqrt((u @ u) * (v @ v))), 6) + 0.0
    assert verdicts[0] != verdicts[1], "nothing was left out: this test tells nothing of clusters"


def test_verdicts_depend_on_what_was_admitted_alone(monkeypatch):
    """Not on how much is announced, on threads, or on whether an earlier process admitted it."""
    monkeypatch.setattr(module, "BLOCK", 256)
    monkeypatch.setattr(clusters, "PROBES", 1)
    rng = np.random.default_rng(4)
    pairs = families(rng, vectors(rng, 1500, 384, topics=3), 700)
    rule = Semantic(threshold=0.85, exact_to=200)
    index, one_by_one = stream(rule, pairs)
    assert index.clusters.found_for == 512
    assert 100 < sum(verdict.keep for verdict in one_by_one) < 1400
    assert one_by_one != stream(Semantic(threshold=0.85, exact_to=0), pairs)[1], "clusters decided nothing here"
    for announced, threads in ((1, 1), (7, 4), (64, 2)):
        with threadpool_limits(threads):
            again, found = stream(rule, pairs, announced)
        assert found == one_by_one
        assert (again.clusters.centroid_KD == index.clusters.centroid_KD).all()
    half, first = rule.open(), 500
    for (old, x), verdict in zip(pairs[:first], one_by_one, strict=False):
        if verdict.keep:
            half.admit(old, x)
    assert half.clusters.found_for == 256
    assert stream(rule, pairs[first:], 64, half)[1] == one_by_one[first:]


def test_centroids_by_hand():
    """Four vectors to two centroids: the third is as near to both, and goes to the first; one centroid stays alone."""
    row_SD = np.array([[1, 0], [0.6, 0.8], [0, 1], [0, -1]]).astype("<f2").astype("f8")
    centroid_KD = np.array([[1, 0], [0, 1], [1, 0]], "f8")
    own_S = clusters.nearest(centroid_KD, row_SD)
    assert own_S.tolist() == [0, 1, 1, 0]
    moved_KD = clusters.moved(centroid_KD, row_SD, own_S)
    # (1, -1) / 2 and (0.6, 1.8) / 2, of length 1
    assert moved_KD.tolist() == pytest.approx(
        np.array([[0.5**0.5, -(0.5**0.5)], [0.1**0.5, 0.9**0.5], [1, 0]]), abs=5e-4
    )
    assert (moved_KD == moved_KD.astype("<f2")).all()
    opposite_SD = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert (clusters.moved(centroid_KD, opposite_SD, np.zeros(2, int)) == centroid_KD).all()


def test_the_nearest_is_exact_where_float32_cannot_tell():
    """Centroids that differ in the last bit of a small number, each of them twice."""
    rng = np.random.default_rng(7)
    [row_D] = (np.frombuffer(x, "<f2") for x in vectors(rng, 1, 384))
    near_KD = np.stack([row_D] * 30)
    near_KD.view("<u2")[np.arange(30), np.argsort(abs(row_D))[:30]] += 1
    centroid_KD = np.concatenate([near_KD, near_KD])[rng.permutation(60)].astype("f8")
    whole_KD = (centroid_KD * 2**24).astype("i8")
    rows_ND = np.stack([np.frombuffer(x, "<f2") for x in vectors(rng, 1000, 384)])
    like_NK = (rows_ND.astype("f8") * 2**24).astype("i8") @ whole_KD.T
    assert (clusters.nearest(centroid_KD, rows_ND) == like_NK.argmax(1)).all()
    like_in_float32_NK = rows_ND.astype("f4") @ centroid_KD.astype("f4").T
    assert (like_in_float32_NK.argmax(1) != like_NK.argmax(1)).any()


def test_centroids_are_the_same_in_whatever_order_their_sums_are_taken():
    rng = np.random.default_rng(6)
    row_SD = np.stack([np.frombuffer(x, "<f2") for x in vectors(rng, 5000, 96)]).astype("f8")
    centroid_KD, order_S = row_SD[:20], rng.permutation(5000)
    own_S = clusters.nearest(centroid_KD, row_SD)
    assert (clusters.nearest(centroid_KD[:, ::-1], row_SD[:, ::-1]) == own_S).all()
    moved_KD = clusters.moved(centroid_KD, row_SD, own_S)
    assert (clusters.moved(centroid_KD, row_SD[order_S], own_S[order_S]) == moved_KD).all()


def test_clusters_as_near_as_the_last_are_probed_too(monkeypatch):
    monkeypatch.setattr(clusters, "PROBES", 2)
    at = np.array([[1, 0], [0.6, 0.8], [0.6, -0.8], [-1, 0]])
    found = clusters.Clusters(at, 4)
    found.add(clusters.Vectors(at, np.ones(4), at.astype("f4"), 0), list("abcd"), np.arange(4), np.ones(4))
    probed = [(int(block.number_M[0]), n_Q.tolist()) for block, n_Q in found.probed(np.array([[1.0, 0], [-1, 0]]))]
    assert sorted(probed) == [(0, [0]), (1, [0, 1]), (2, [0, 1]), (3, [1])]


def test_a_run_that_began_before_there_were_clusters_is_the_same_run():
    """What was stored of its gate holds no `exact_to`."""
    known, changed = (
        msgspec.json.encode(recipes.build({"gate": {"filters": ["semantic"], **own}}).deciding())
        for own in ({}, {"semantic": {"exact_to": 4096}})
    )
    assert b'"gate":[["semantic",{"threshold":0.9,"column":"prompt"}]]' in known
    assert b'"exact_to":4096' in changed


def test_readers_are_told_where_not_all_were_compared():
    assert [bool(Semantic(exact_to=to).caveat(5000)) for to in (0, 4999, 5000)] == [False, True, False]
    assert "with all up to 4,999 kept samples" in Semantic(exact_to=4999).caveat(5000)
