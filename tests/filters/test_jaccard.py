"""`jaccard` against a plain comparison of all n-grams with all, on texts made by hand, at random and published."""

import gzip
import json
import random
from fractions import Fraction
from itertools import pairwise

import pytest

from filters.dedup import _grams
from filters.dedup import jaccard as module
from filters.dedup.jaccard import Jaccard
from gen.core import Lineage, Message, Sample
from gen.gate import NOTHING, Gate
from gen.text import rouge_tokens, spaced_tokens


def sample(id, instruction, root=None, **more):
    return Sample(id, instruction, Lineage(root or id), **more)


def judge(rule, old, new):
    index = rule.open()
    index.admit(sample("old", old))
    return index.judge(sample("new", new))


def grams(rule, one):
    words = rouge_tokens(rule.compared(one))
    n = min(rule.n, len(words))
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} if words else set()


def plain(rule, samples):
    """(value, nearest) of each, or (None, None), by comparing with each that was kept before, in whole numbers."""
    kept, found = [], []
    for new in samples:
        own, best = grams(rule, new), (Fraction(0), None)
        for old, theirs in kept:
            if old.lineage.root != new.lineage.root and own | theirs:
                like = Fraction(len(own & theirs), len(own | theirs))
                best = (like, old.id) if like > best[0] else best
        near = float(best[0]) >= rule.threshold
        found.append((float(best[0]), best[1]) if near else (None, None))
        if not near:
            kept.append((new, own))
    return found


def go(rule, samples, batch=0):
    """The same by the filter, and its index; announced in batches, if told so."""
    index, found = rule.open(), []
    for at, new in enumerate(samples):
        if batch and at % batch == 0:
            index.expect(samples[at : at + batch])
        verdict = index.judge(new)
        found.append((verdict.value, verdict.nearest))
        assert verdict.reason == ("" if verdict.keep else "near_duplicate")
        if verdict.keep:
            index.admit(new)
    return found, index


def test_by_hand():
    """Of the pairs of words of "a b c d e f" (5) and "a b c d e x" (5), four are in both and six in either."""
    verdict = judge(Jaccard(n=2, threshold=0.6), "a b c d e f", "A b, c d e; x!")
    assert (verdict.keep, verdict.reason, verdict.value, verdict.nearest) == (False, "near_duplicate", 4 / 6, "old")
    verdict = judge(Jaccard(n=2, threshold=0.7), "a b c d e f", "a b c d e x")
    assert (verdict.keep, verdict.value, verdict.nearest) == (True, None, None)
    assert judge(Jaccard(n=1, threshold=5 / 7), "a b c d e f", "a b c d e x").value == 5 / 7
    assert judge(Jaccard(n=2), "a b a b a b", "b a b a").value == 1.0, "said twice is one n-gram"
    assert judge(Jaccard(n=2), "a b", "b a").keep


def test_at_the_threshold_is_dropped_and_just_below_is_kept():
    shared, words = [f"w{i}" for i in range(7)], [f"x{i}" for i in range(9)]
    at = judge(Jaccard(n=1), " ".join(shared + words[:2]), " ".join([*shared, words[2]]))
    assert at.value == 0.7
    assert judge(Jaccard(n=1), " ".join(shared + words[:2]), " ".join(shared + words[2:4])).keep


@pytest.mark.parametrize(
    ("old", "new", "keep"),
    [
        ("Yes, of course.", "yes of COURSE", False),
        ("Yes, of course.", "of course, yes", True),
        ("", "", True),
        ("...", "...", True),
        ("写一首关于春天的诗", "写一首关于春天的诗！", False),
        ("写一首关于春天的诗", "写一首关于秋天的诗", True),
        ("one two three four five", "one two three four", True),
    ],
)
def test_short_empty_and_chinese_texts(old, new, keep):
    assert judge(Jaccard(), old, new).keep is keep


def test_a_family_is_never_compared_with_itself():
    text, index = "Name two rivers of Europe and say where they rise.", Jaccard().open()
    index.admit(sample("seed", text))
    assert index.judge(sample("grown", text, root="seed")).keep
    index.admit(sample("grown", text, root="seed"))
    copy = index.judge(sample("copy", text))
    assert (copy.keep, copy.nearest, copy.value) == (False, "seed", 1.0)
    index.admit(sample("against:test.jsonl:7", text))
    assert index.judge(sample("third", text, root="seed")).nearest == "against:test.jsonl:7"


@pytest.mark.parametrize(("column", "keep"), [("all", True), ("prompt", False), ("response", True)])
def test_the_column_decides_what_is_compared(column, keep):
    turns = (Message("user", "Tell me of the rivers of Europe."), Message("assistant", "Which of them?"))
    asked = {"instruction": "The two largest ones, please.", "input": "Not the Volga.", "turns": turns}
    index = Jaccard(column=column).open()
    index.admit(Sample("old", lineage=Lineage("old"), response="Danube and Dnieper, I should say.", **asked))
    assert index.judge(Sample("new", lineage=Lineage("new"), response="It is hard to tell.", **asked)).keep is keep


def variants(rng, count, words, length):
    """Texts of which many are changed copies of others, some in the same family."""
    samples = []
    for i in range(count):
        text = rng.choices(words, k=rng.randint(0, length))
        if samples and rng.random() < 0.6:
            text = rng.choice(samples).instruction.split()
            for _ in range(rng.randint(0, 1 + len(text) // 8)):
                at = rng.randint(0, len(text))
                text[at : at + rng.randint(0, 1)] = rng.choices(words, k=rng.randint(0, 2))
        samples.append(sample(f"s{i}", " ".join(text), root=f"r{rng.randrange(count // 2)}"))
    return samples


@pytest.mark.parametrize("many", [1, 2, 16])
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.95, 1.0])
def test_every_verdict_is_that_of_a_plain_comparison(many, n, threshold, monkeypatch):
    monkeypatch.setattr(module, "MANY", many)
    dropped = moved = 0
    for seed in range(4):
        rng = random.Random(f"{seed} {n} {threshold}")
        samples = variants(rng, 150, [f"w{i}" for i in range(rng.choice((12, 60, 400)))], rng.choice((6, 30, 120)))
        rule = Jaccard(threshold=threshold, n=n)
        found, index = go(rule, samples)
        assert found == plain(rule, samples)
        dropped, moved = dropped + sum(value is not None for value, _ in found), moved + len(index.moved)
    assert 20 < dropped < 580
    assert moved > 5 or many == 16


def test_a_text_is_listed_under_its_first_n_grams_and_no_others(monkeypatch):
    """What exactness rests on, after any number of moves."""
    monkeypatch.setattr(module, "MANY", 2)
    _, index = go(Jaccard(n=1, threshold=0.5), variants(random.Random(3), 300, "abcdefghijklmnopqrstuvw", 30))
    listed = {}
    for gram, numbers in index.lists.items():
        for number in numbers if isinstance(numbers, list) else [numbers]:
            listed.setdefault(number, []).append(gram)
    assert max(index.moved.values()) >= 2
    for number, own in enumerate(index.sets):
        assert sorted(listed[number]) == sorted(index._rarest(own))


def test_lists_stay_short_whatever_the_texts_repeat():
    """Half of every text is the same, and new when it comes for the first time."""
    rng, index = random.Random(5), Jaccard().open()
    frame = " ".join(f"zorb{i}" for i in range(60))
    for i in range(600):
        one = sample(f"s{i}", f"{frame} {' '.join(rng.choices('abcdefghij', k=60))}")
        assert index.judge(one).keep
        index.admit(one)
    lengths = sorted(len(x) if isinstance(x, list) else 1 for x in index.lists.values())
    assert lengths[-1] <= 4 * module.MANY
    assert len(index.moved) > 25


def test_what_was_only_judged_changes_nothing_and_a_resumed_index_says_the_same():
    samples = variants(random.Random(8), 400, [f"w{i}" for i in range(40)], 40)
    found, whole = go(Jaccard(), samples)
    again = Jaccard().open()
    for one, (value, _) in list(zip(samples, found, strict=True))[:300]:
        if value is None:
            again.admit(one)
    for one in samples[300:]:
        verdict = again.judge(one)
        assert (verdict.value, verdict.nearest) == found[int(one.id[1:])]
        if verdict.keep:
            again.admit(one)
    assert (again.lists, again.moved, again.sets) == (whole.lists, whole.moved, whole.sets)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_hashes_are_those_of_the_formula(n):
    """Of several texts in one go, one of them empty, one shorter than n, one in Chinese."""

    def polynomial(values):
        return sum(value * pow(_grams.BASE, k, 2**64) for k, value in enumerate(values)) % 2**64

    def word(token):
        mixed = polynomial(token.encode())
        mixed = (mixed ^ mixed >> 32) * _grams.MIX % 2**64
        return mixed ^ mixed >> 29

    texts = [" ".join(f"w{i % 7}" for i in range(40)), "", "Only two!", "写一首 «诗», naïve", "...", "x " * 9]
    hash_G, starts = _grams.sorted_grams([spaced_tokens(text) for text in texts], n)
    for text, (start, end) in zip(texts, pairwise(starts), strict=True):
        words = [word(token) for token in rouge_tokens(text)]
        grams = [words[i : i + n] for i in range(max(len(words) - n + 1, min(1, len(words))))]
        assert hash_G[start:end].tolist() == sorted({polynomial(gram) >> _grams.SPARE for gram in grams})
    assert (starts[0], end) == (0, len(hash_G))


@pytest.mark.parametrize("batch", [1, 3, 64, 1000])
@pytest.mark.parametrize("part", [1, 500, 1 << 18])
def test_what_is_announced_is_judged_alike(batch, part, monkeypatch):
    monkeypatch.setattr(module, "PART", part)
    monkeypatch.setattr(module, "MANY", 4)
    samples = variants(random.Random(7), 400, [f"w{i}" for i in range(40)], 60)
    (found, whole), (again, index) = go(Jaccard(n=2), samples), go(Jaccard(n=2), samples, batch)
    assert again == found
    assert (index.lists, index.moved, index.sets) == (whole.lists, whole.moved, whole.sets)


def test_what_comes_unannounced_or_otherwise_than_announced_is_judged_by_its_own_text():
    index = Jaccard(n=1).open()
    index.admit(sample("old", "one two three"))
    index.expect([sample("a", "one two three"), sample("b", "four five six")])
    assert not index.judge(sample("c", "one two three")).keep
    assert index.judge(sample("a", "seven eight nine")).keep, "another text under an announced id"
    assert index.judge(sample("b", "four five six")).keep
    index.expect([])
    assert not index.judge(sample("b", "one three two")).keep


@pytest.mark.parametrize("source", ["pep_sections", "tldr_pages_en"])
def test_published_texts_are_kept_and_dropped_as_by_plain_comparison(shared, source):
    with gzip.open(shared / f"corpus/{source}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["text"] for line in file][:500]
    samples = [sample(f"s{i}", text) for i, text in enumerate(rows)]
    rule = Jaccard(n=3, threshold=0.5)
    found, _ = go(rule, samples)
    assert found == plain(rule, samples)
    assert any(value for value, _ in found)


def test_the_gate_takes_it_for_a_filter_of_texts():
    gate = Gate([Jaccard()])
    coming = (
        (sample("a", "Name three rivers of Europe, please."), True),
        (sample("b", "Name three rivers of Europe please"), False),
    )
    gate.expect((one, NOTHING) for one, _ in coming)
    assert [*gate.indexes["jaccard"].expected] == ["a", "b"]
    for one, keep in coming:
        assert gate.judge(one).keep is keep
        gate.admit(one)
    assert not gate.encoded
