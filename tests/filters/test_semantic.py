"""`semantic` against a plain search in float64, on vectors made by hand and at random."""

import asyncio
import math

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from filters.dedup import semantic as module
from filters.dedup.semantic import Semantic
from gen.core import Lineage, Message, Sample


def sample(id, root=None, **more):
    return Sample(id, "Name a river.", Lineage(root or id), **more)


def vector(*numbers):
    """The unit vector in this direction, as an embedder gives it."""
    values = np.array(numbers, "f8")
    return (values / np.linalg.norm(values)).astype("<f2").tobytes()


def floats(vector):
    return np.frombuffer(vector, "<f2").astype("f8")


def at_angle(degrees):
    return vector(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0, 0)


def plain(kept, new, x):
    """(value, id of the first that reaches it) by comparing with one after the other, in whole multiples of 2^-48."""
    best = (None, None)
    for old, y in kept:
        if old.lineage.root != new.lineage.root:
            a, b = ((floats(z) * 2**24).astype("i8") for z in (x, y))
            dot, aa, bb = (int(p @ q) / 2**48 for p, q in ((a, b), (a, a), (b, b)))
            cosine = dot / math.sqrt(aa * bb)
            if best[0] is None or cosine > best[0]:
                best = (cosine, old.id)
    return best


def go(rule, samples, vectors, block=None):
    """Verdicts in order, what is kept being admitted; `block` samples are announced at a time."""
    index, verdicts, pairs = rule.open(), [], list(zip(samples, vectors, strict=True))
    for i, (new, x) in enumerate(pairs):
        if block and i % block == 0:
            index.expect(pairs[i : i + block])
        verdicts.append(index.judge(new, x))
        if verdicts[-1].keep:
            index.admit(new, x)
    return verdicts


def test_by_hand():
    index = Semantic(threshold=0.9).open()
    assert index.judge(sample("a"), at_angle(0)) == module.Verdict(True, by="semantic")
    index.admit(sample("a"), at_angle(0))
    near = index.judge(sample("b"), at_angle(20))
    assert (near.keep, near.reason, near.by, near.nearest) == (False, "near_duplicate", "semantic", "a")
    assert near.value == pytest.approx(math.cos(math.radians(20)), abs=5e-4)
    far = index.judge(sample("c"), at_angle(90))
    assert (far.keep, far.reason, far.nearest) == (True, "", "a")
    assert far.value == pytest.approx(0, abs=5e-4)
    assert index.judge(sample("d"), at_angle(180)).value == -1.0


def test_the_same_vector_is_exactly_one_and_at_the_threshold_is_kept():
    index = Semantic(threshold=1.0).open()
    x = vector(*range(1, 385))
    index.admit(sample("a"), x)
    assert index.judge(sample("b"), x) == module.Verdict(True, by="semantic", value=1.0, nearest="a")


def test_a_family_is_never_compared_with_itself():
    index = Semantic().open()
    index.admit(sample("seed"), at_angle(0))
    assert index.judge(sample("grown", "seed"), at_angle(0)) == module.Verdict(True, by="semantic")
    index.admit(sample("far"), at_angle(60))
    grown = index.judge(sample("grown", "seed"), at_angle(1))
    assert (grown.keep, grown.nearest) == (True, "far")
    assert not index.judge(sample("other"), at_angle(1)).keep


def test_the_first_of_equals_is_the_nearest():
    index = Semantic().open()
    for name, degrees in (("far", 50), ("first", 3), ("second", 3), ("mirrored", -3)):
        index.admit(sample(name), at_angle(degrees))
    assert index.judge(sample("new"), at_angle(0)).nearest == "first"


def test_without_a_vector_nothing_is_compared_and_nothing_admitted():
    index = Semantic().open()
    index.admit(sample("a"), b"")
    assert index.judge(sample("b"), at_angle(0)).value is None
    index.admit(sample("b"), at_angle(0))
    verdict = index.judge(sample("c"), b"")
    assert (verdict.keep, verdict.value) == (True, None)
    index.expect([(sample("d"), b""), (sample("e"), at_angle(1))])
    assert index.judge(sample("e"), at_angle(1)).nearest == "b"


def test_vectors_of_another_encoder_are_refused():
    index = Semantic().open()
    index.admit(sample("a"), at_angle(0))
    with pytest.raises(ValueError, match="a vector of 4 bytes among vectors of 8; expected one encoder for all"):
        index.judge(sample("b"), vector(1, 0))
    for numbers in ([0, 0, 0, 0], [3, 0, 0, 0], [math.nan, 0, 0, 0]):
        with pytest.raises(ValueError, match="length is not 1"):
            index.judge(sample("b"), np.array(numbers, "<f2").tobytes())


@pytest.mark.parametrize(
    ("column", "text"),
    [("prompt", "Add them.\n\n1 2\n\nYes?\n\nHello"), ("instruction", "Add them."), ("response", "3")],
)
def test_the_column_is_what_is_embedded(column, text):
    turns = (Message("user", "Hello"), Message("assistant", "Yes?"))
    whole = Sample("a", "Add them.", Lineage("a"), input="1 2", response="3", turns=turns)
    assert Semantic(column=column).text(whole) == text
    assert Semantic(column="response").text(sample("b")) == ""


def clustered(rng, n, width, spread):
    """Directions around a few centres, some of them equal."""
    centres = rng.normal(size=(12, width))
    noise = rng.choice(spread, size=(n, 1)) * rng.normal(size=(n, width))
    return [vector(*row) for row in centres[rng.integers(12, size=n)] + noise]


@pytest.mark.parametrize("width", [3, 64, 384])
def test_every_verdict_is_that_of_a_plain_search_however_the_work_is_cut(width, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 32)
    monkeypatch.setattr(module, "COMING", 10)
    rng = np.random.default_rng(width)
    vectors = clustered(rng, 260, width, [0, 0.02, 0.4, 1.0])
    samples = [sample(f"s{i}", f"r{rng.integers(60)}") for i in range(len(vectors))]
    kept, expected = [], []
    for new, x in zip(samples, vectors, strict=True):
        value, nearest = plain(kept, new, x)
        expected.append((None if value is None else round(value, 6), nearest))
        if value is None or round(value, 6) <= 0.9:
            kept.append((new, x))
    assert 20 < len(kept) < 220
    whole = go(Semantic(), samples, vectors)
    assert [(v.value, v.nearest) for v in whole] == expected
    for block in (1, 7, 33, 260):
        assert go(Semantic(), samples, vectors, block) == whole


@pytest.mark.parametrize("energy", [0.3, 0.9, 1.0])
def test_directions_decide_nothing_even_where_later_vectors_have_others(energy, monkeypatch):
    """The first block lies in 6 of 48 dimensions, what follows is everywhere; near pairs in both."""
    monkeypatch.setattr(module, "BLOCK", 32)
    monkeypatch.setattr(module, "ENERGY", energy)
    rng, vectors = np.random.default_rng(9), []
    for i in range(200):
        row = np.zeros(48)
        row[: 6 if i < 40 else 48] = rng.normal(size=6 if i < 40 else 48)
        vectors.append(vector(*row) if i % 5 else vector(*(floats(vectors[i // 2]) + 0.02 * row) if i else row))
    samples, index, widths = [sample(f"s{i}") for i in range(200)], Semantic(threshold=1.0).open(), set()
    for i, (new, x) in enumerate(zip(samples, vectors, strict=True)):
        value, nearest = plain(list(zip(samples[:i], vectors[:i], strict=True)), new, x)
        verdict = index.judge(new, x)
        assert (verdict.value, verdict.nearest) == (None if value is None else round(value, 6), nearest)
        index.admit(new, x)
        widths.add(0 if index.basis_DE is None else index.basis_DE.shape[1])
    assert max(widths) < 48 or energy == 1
    assert energy != 0.9 or min(widths - {0}) <= 6 < max(widths)


def test_values_are_sklearns():
    rng = np.random.default_rng(5)
    vectors = clustered(rng, 60, 384, [0.5])
    index = Semantic().open()
    for i, x in enumerate(vectors[:50]):
        index.admit(sample(f"s{i}"), x)
    theirs_NM = cosine_similarity(*(np.stack([floats(v) for v in part]) for part in (vectors[50:], vectors[:50])))
    for x, row in zip(vectors[50:], theirs_NM, strict=True):
        verdict = index.judge(sample("new"), x)
        assert verdict.value == pytest.approx(row.max(), abs=6e-7)
        assert verdict.nearest == f"s{row.argmax()}"


def at_cosine(rng, centre, cosine):
    """A random direction whose cosine with `centre` is this, up to the rounding to float16."""
    away = rng.normal(size=len(centre))
    away -= away @ centre * centre
    return vector(*(cosine * centre + math.sqrt(1 - cosine**2) * away / np.linalg.norm(away)))


def test_what_float32_cannot_tell_apart_is_decided_in_float64():
    rng = np.random.default_rng(3)
    centre = floats(vector(*rng.normal(size=384)))
    centre /= np.linalg.norm(centre)
    new, x = sample("new"), vector(*centre)
    old = [(sample(f"s{i}"), at_cosine(rng, centre, 0.9)) for i in range(400)]
    cosines = [plain([pair], new, x)[0] for pair in old]
    assert max(cosines) - min(cosines) < 1e-4
    assert sum(abs(cosine - 0.9) < 1e-5 for cosine in cosines) > 50
    for (alone, y), cosine in zip(old, cosines, strict=True):
        index = Semantic(threshold=0.9).open()
        index.admit(alone, y)
        assert index.judge(new, x).keep == (round(cosine, 6) <= 0.9)
    index = Semantic(threshold=0.9).open()
    for count, pair in enumerate(old, 1):
        index.admit(*pair)
        verdict = index.judge(new, x)
        best = max(cosines[:count])
        assert (verdict.value, verdict.nearest) == (round(best, 6), old[cosines.index(best)][0].id)


def test_sums_of_products_are_exact_in_any_order():
    """What the float64 comparison rests on, for the largest sums there are: unit vectors of few and of many numbers."""
    rng = np.random.default_rng(8)
    for width in (1, 2, 384, 4096):
        x, y = floats(vector(*rng.normal(size=width))), floats(vector(*rng.normal(size=width) ** 3))
        sums = {float(sum((x * y)[rng.permutation(width)].tolist())) for _ in range(20)}
        assert sums == {math.fsum(x * y)} == {float(x @ y)}


SAME = """
Name three rivers of Europe. | List three European rivers.
Write a short poem about winter. | Compose a brief poem on the subject of winter.
What is the capital of Australia? | Tell me which city is the capital of Australia.
How do vaccines work? | Explain how vaccines work.
Write a Python function that reverses a string. | Implement a function in Python to reverse a string.
Summarize the plot of Romeo and Juliet. | Provide a summary of the plot of Romeo and Juliet.
Create a weekly meal plan for a vegetarian. | Make a vegetarian meal plan for one week.
Give an example of a metaphor. | Provide one metaphor as an example.
"""
OTHER = """
Name three rivers of Europe. | Name three mountains of Europe.
Write a short poem about winter. | Write a short poem about summer.
What is the capital of Australia? | What is the capital of Austria?
How do vaccines work? | How do antibiotics work?
Write a Python function that reverses a string. | Write a Java function that reverses a string.
Summarize the plot of Romeo and Juliet. | Summarize the plot of Hamlet.
Create a weekly meal plan for a vegetarian. | Create a weekly meal plan for a diabetic.
What caused the First World War? | What caused the Second World War?
Translate 'good morning' into French. | Translate 'good morning' into Spanish.
"""


@pytest.fixture(scope="module")
def embedded():
    """Vectors of the bundled encoder by text."""
    from gen.engines.embedder import open_embedder

    texts = sorted({text for line in (SAME + OTHER).strip().splitlines() for text in line.split(" | ")} - {""})

    async def run():
        embedder = open_embedder(device="cpu")
        await embedder.open()
        try:
            return dict(zip(texts, await asyncio.gather(*map(embedder.embed, texts)), strict=True))
        finally:
            await embedder.close()

    return asyncio.run(run())


@pytest.mark.parametrize(("pairs", "keep"), [(SAME, False), (OTHER, True)], ids=["same", "other"])
def test_the_bundled_encoder_tells_another_wording_from_another_task(pairs, keep, embedded):
    for line in pairs.strip().splitlines():
        old, new = line.split(" | ")
        index = Semantic().open()
        index.admit(sample("old"), embedded[old])
        verdict = index.judge(sample("new"), embedded[new])
        assert (verdict.keep, verdict.nearest) == (keep, "old"), f"{line}: {verdict.value}"
        assert index.judge(sample("grown", "old"), embedded[new]).keep
