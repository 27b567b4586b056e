"""Real constraint chains, English and Chinese: each level adds one demand to the level before, as an in-depth
rewrite does. The default gate must let them live."""

import json
from collections import Counter
from pathlib import Path

import pytest

from filters.dedup.exact import Exact
from filters.dedup.rouge import Rouge
from filters.rules.empty import Empty
from filters.rules.leakage import Leakage
from filters.rules.length import Length
from filters.rules.refusal import Refusal
from filters.rules.repetition import Repetition
from filters.rules.script import Script
from filters.rules.truncation import Truncation
from gen.core import Lineage, Sample, replace

ROOT = Path(__file__).parents[2].resolve() / "../shared/data/followbench"
PLAIN = {"en": "Here is an answer that meets every one of these demands.", "zh": "这是一个满足所有这些要求的回答。"}
RULES = (Empty(), Length(), Refusal(), Leakage(), Repetition(), Truncation(), Script())

pytestmark = pytest.mark.skipif(not ROOT.exists(), reason=f"needs the shared data folder {ROOT}")


def chains(language):
    """Every row as a sample: one example is a family, its lowest level the seed."""
    for path in sorted((ROOT / language).glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            family, level = f"{path.stem.removesuffix('_constraints')}/{row['example_id']}", int(row["level"])
            lineage = Lineage(family, round=level, operation="constrain" if level else "seed")
            template = "{" in row["target"]
            response = row.get("answer") if template else row["target"]
            yield Sample(f"{family}/{level}", row["instruction"], lineage, response=response or PLAIN[language])


def first_drop(verdicts):
    return next((verdict for verdict in verdicts if not verdict.keep), None)


def gate(samples, *dedups):
    """(sample, the verdict that drops it or None), admitting what is kept."""
    indices = [dedup.open() for dedup in dedups]
    for sample in samples:
        drop = first_drop(rule.check(sample) for rule in RULES)
        drop = drop or first_drop(index.judge(sample) for index in indices)
        if drop is None:
            for index in indices:
                index.admit(sample)
        yield sample, drop


@pytest.mark.parametrize(
    ("language", "rows", "reasons"),
    [
        # 17 and 15 seeds are the empty string in the file. One seed stands in two files. Five levels each of
        # content/19 and content/20 have as target six event records that differ in one word: 0.68 and 0.71 of
        # it is repeated, and whoever wants such answers raises `max_share`.
        ("en", 944, {"empty_instruction": 17, "duplicate": 1, "repetitive": 10}),
        ("zh", 908, {"empty_instruction": 15, "duplicate": 1}),
    ],
)
def test_constraint_chains_survive_the_default_gate(language, rows, reasons):
    judged = list(gate(chains(language), Exact()))
    dropped = {sample.id: verdict for sample, verdict in judged if verdict}
    assert len(judged) == rows
    assert Counter(verdict.reason for verdict in dropped.values()) == reasons
    assert all(sample.instruction == "" for sample, v in judged if v and v.reason == "empty_instruction")
    assert dropped["situation/17/0"].nearest == "format/2/0"
    repetitive = {sample.lineage.root for sample, v in judged if v and v.reason == "repetitive"}
    assert repetitive <= {"content/19", "content/20"}


def near_duplicates(samples):
    """(sample, verdict) of those that novelty drops."""
    index = Rouge().open()
    for sample in samples:
        verdict = index.judge(sample)
        if verdict.keep:
            index.admit(sample)
        else:
            yield sample, verdict


@pytest.mark.parametrize(
    ("language", "rows", "strangers", "alone"),
    # Strangers: one seed that stands in two files, restaurants to be described after one pattern, a macOS and a
    # Linux terminal to be played, two film lists.
    [("en", 727, 14, 373), ("zh", 693, 8, 340)],
)
def test_novelty_leaves_chains_alone_since_it_never_compares_within_a_family(language, rows, strangers, alone):
    samples = [s for s in chains(language) if s.instruction and not s.lineage.root.startswith("example/")]
    family = {s.id: s.lineage.root for s in samples}
    dropped = list(near_duplicates(samples))
    assert all(family[v.nearest] != s.lineage.root for s, v in dropped)
    orphans = [replace(s, lineage=replace(s.lineage, root=s.id)) for s in samples]
    assert (len(samples), len(dropped), len(list(near_duplicates(orphans)))) == (rows, strangers, alone)
