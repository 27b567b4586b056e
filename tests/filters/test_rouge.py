import gzip
import hashlib
import json
import random
import sys
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from filters.dedup.rouge import Rouge
from gen.core import Lineage, Sample

PAIRS = Path(__file__).parents[2].resolve() / "../shared/data/reference/rouge_l_pairs.jsonl"
OFFICIAL = RougeScorer(["rougeL"])


def sample(id, instruction, root=None, **more):
    return Sample(id, instruction, Lineage(root or id), **more)


def judge(rule, old, new):
    index = rule.open()
    index.admit(sample("old", old))
    return index.judge(sample("new", new))


@pytest.mark.skipif(not PAIRS.exists(), reason=f"needs the shared data file {PAIRS}")
def test_799_recorded_pairs_are_equal_to_the_bit_and_so_are_the_decisions():
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 799
    for row in rows:
        official = OFFICIAL.score(row["a"], row["b"])["rougeL"].fmeasure
        modes = ["ascii", "unicode"] if (row["a"] + row["b"]).isascii() else ["ascii"]
        for mode in modes:
            loose = judge(Rouge(tokens=mode), row["a"], row["b"])
            strict = judge(Rouge(tokens=mode, strict=True), row["a"], row["b"])
            assert loose.value == strict.value == row["fmeasure"] == official, row
            assert (loose.keep, strict.keep) == (official <= 0.7, official < 0.7), row


def test_at_the_threshold_only_strict_drops():
    old, new = "a b c d e f g x y z", "a b c d e f g p q r"
    assert OFFICIAL.score(old, new)["rougeL"].fmeasure == 0.7
    assert judge(Rouge(), old, new).keep
    assert judge(Rouge(strict=True), old, new).reason == "near_duplicate"


@pytest.mark.parametrize(
    ("tokens", "old", "new", "value"),
    [
        ("unicode", "写一首关于春天的诗", "写一首关于秋天的诗", 8 / 9),
        ("unicode", "写一首关于春天的诗", "明日会议几点", 0.0),
        ("unicode", "用 Python 写", "用Python写", 1.0),
        ("ascii", "写一首关于春天的诗", "写一首关于春天的诗", 0.0),
        ("unicode", "", "", 0.0),
        ("unicode", "...", "...", 0.0),
    ],
)
def test_chinese_is_compared_by_character(tokens, old, new, value):
    verdict = judge(Rouge(tokens=tokens), old, new)
    assert verdict.value == pytest.approx(value)
    assert verdict.nearest == ("old" if value else None)


def test_a_family_is_never_compared_with_itself():
    index = Rouge().open()
    index.admit(sample("seed", "Name two rivers of Europe."))
    index.admit(sample("far", "Name two large cities of Asia."))
    grown = index.judge(sample("grown", "Name two rivers of Europe and say where they rise.", root="seed"))
    assert grown.keep
    assert grown.nearest == "far"
    assert not index.judge(sample("copy", "Name two rivers of Europe.")).keep


def test_a_row_of_against_is_a_family_of_its_own():
    index = Rouge().open()
    index.admit(sample("against:test.jsonl:7", "Name two rivers of Europe."))
    verdict = index.judge(sample("grown", "Name two rivers of Europe!", root="seed"))
    assert (verdict.keep, verdict.nearest, verdict.value) == (False, "against:test.jsonl:7", 1.0)


@pytest.mark.parametrize(("column", "keep"), [("instruction", False), ("prompt", True)])
def test_the_column_decides_whether_the_input_counts(column, keep):
    index = Rouge(column=column).open()
    index.admit(sample("a", "Add the numbers.", input="1 2 3 4 5 6 7"))
    assert index.judge(sample("b", "Add the numbers.", input="a b c d e f g")).keep is keep


def test_value_and_nearest_are_those_of_a_plain_search_over_the_pool():
    rng = random.Random(7)
    texts = [" ".join(rng.choices("abcdefgh", k=rng.randint(0, 12))) for _ in range(300)]
    index = Rouge(threshold=0.9).open()
    pool = []
    for number, text in enumerate(texts):
        new = sample(f"s{number}", text, root=f"r{number % 7}")
        others = [old for old in pool if old.lineage != new.lineage]
        scores = [(OFFICIAL.score(old.instruction, text)["rougeL"].fmeasure, old.id) for old in others]
        best = max((f for f, _ in scores), default=0.0)
        nearest = next((id for f, id in scores if f == best > 0), None)
        verdict = index.judge(new)
        assert (verdict.value, verdict.nearest) == (best, nearest)
        if verdict.keep:
            index.admit(new)
            pool.append(new)
    assert 50 < len(pool) < 300


def test_more_tokens_than_code_points_change_no_value():
    texts = ["Name two rivers of Europe.", "Name two large rivers of Asia.", "Give an old word for a horse."]
    few, many = Rouge().open(), Rouge().open()
    many.alphabet.update((f"x{n}", n) for n in range(sys.maxunicode - 4))
    for number, text in enumerate(texts):
        new = sample(f"s{number}", text)
        assert few.judge(new) == many.judge(new)
        few.admit(new)
        many.admit(new)
    assert {type(text) for text in many.texts} == {str, list}


@pytest.mark.slow
@pytest.mark.parametrize("row", range(4))
def test_ten_thousand_published_instructions_are_kept_and_dropped_as_recorded(shared, row):
    """The 175 seeds of Self-Instruct, then Alpaca's instructions in order; what is kept joins the pool at once."""
    recorded = json.loads((shared / "reference/rouge_l_replay_alpaca.json").read_text())["first_10000"][row]
    with gzip.open(shared / "alpaca/alpaca_data.json.gz") as file:
        tasks = [task["instruction"] for task in json.load(file)[:10_000]]
    seeds = [json.loads(line) for line in (shared / "self_instruct/seed_tasks.jsonl").read_text().splitlines()]
    index, kept, dropped = Rouge(threshold=float(recorded["rule"][-3:]), tokens="ascii").open(), [], []
    for i, seed in enumerate(seeds):
        index.admit(sample(f"seed {i}", seed["instruction"]))
    for i, task in enumerate(tasks):
        verdict = index.judge(sample(f"candidate {i}", task))
        if verdict.keep:
            index.admit(sample(f"candidate {i}", task))
            kept.append(i)
        else:
            dropped.append({"index": i, "similarity": verdict.value, "nearest": verdict.nearest})
    assert len(kept) == recorded["kept"]
    assert hashlib.sha256(",".join(map(str, kept)).encode()).hexdigest() == recorded["sha256_of_kept_indices"]
    known = [d | {"nearest": f"{d['nearest']['pool']} {d['nearest']['index']}"} for d in recorded["first_dropped"]]
    assert dropped[: len(known)] == known
