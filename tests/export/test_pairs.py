from __future__ import annotations

import asyncio

import pytest

from gen.core import KEEP, Candidate, Lineage, Message, Sample, Verdict, replace
from gen.errors import UserError
from gen.export.pairs import ANSWER, pairs
from gen.export.rows import Form
from gen.export.write import Export, Order
from gen.pool import GrownRow, Pool


@pytest.fixture
def pool(tmp_path):
    with Pool.open(tmp_path / "run") as pool:
        yield pool


def fill(pool, *rows, run=1):
    """(sample, loop's failure or None, the gate's verdict or None) of one conversation each."""
    for i, (sample, failure, verdict) in enumerate(rows):
        grown = GrownRow(0, 0, f"{i:03}", sample, (Candidate(sample, failure),), (), 0, ())
        asyncio.run(pool.commit_grown(grown))
        if verdict:
            pool.add_verdicts(run, [(sample.id, verdict)])


def sample(id, response, instruction="Why?", root="r", **more):
    return Sample(id, instruction, Lineage(root), response=response, **more)


def drop(reason):
    return Verdict(False, reason, "f")


def found(pool, run=1):
    return [(chosen.id, chosen.response, worse.response) for chosen, worse in pairs(pool, run)]


def test_an_answer_dropped_for_itself_stands_against_the_kept_one_to_the_same_task(pool):
    fill(
        pool, (sample("a", "Because."), None, KEEP), (sample("b", "I cannot."), None, drop("refusal")),
        (sample("c", "Well, it"), drop("answer_truncated"), None), (sample("d", "So."), None, drop("near_duplicate")),
        (sample("e", "No.", "When?"), None, drop("refusal")), (sample("f", "No.", root="q"), None, drop("refusal")),
        (sample("g", "No.", system="Be brief"), None, drop("refusal")), (sample("h", None), drop("answer_truncated"), None),
    )  # fmt: skip
    assert found(pool) == [("a", "Because.", "I cannot."), ("a", "Because.", "Well, it")]


def test_only_the_verdicts_of_the_gate_run_count(pool):
    fill(pool, (sample("a", "Because."), None, KEEP), (sample("b", "Maybe."), None, drop("repetitive")))
    pool.add_verdicts(2, [("a", KEEP), ("b", drop("duplicate"))])
    assert found(pool, 1) == [("a", "Because.", "Maybe.")]
    assert found(pool, 2) == []


TURNS = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Bad."}]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"rejected": "Bad."}, [("a", "Good.", "Bad.")]),
        ({"rejected": ["Bad.", "Worse.", "Bad.", "Good.", ""]}, [("a", "Good.", "Bad."), ("a", "Good.", "Worse.")]),
        ({"rejected": TURNS}, [("a", "Good.", "Bad.")]),
        ({"rejected": [{"from": "gpt", "value": "Bad."}], "chosen": "Best."}, [("a", "Best.", "Bad.")]),
        ({"rejected": "Bad.", "chosen": [{"role": "assistant", "content": "Best."}]}, [("a", "Best.", "Bad.")]),
        ({"rejected": 3}, []), ({"rejected": [{"role": "user", "content": "Bad."}]}, []), ({"chosen": "Best."}, []),
    ],
)  # fmt: skip
def test_a_sample_may_carry_its_worse_answers(pool, meta, expected):
    fill(pool, (sample("a", "Good.", meta=meta, reasoning="Hm."), None, KEEP))
    assert found(pool) == expected
    for chosen, worse in pairs(pool, 1):
        assert chosen.reasoning == ("Hm." if chosen.response == "Good." else "")
        assert worse.reasoning == ""


def test_every_reason_of_the_table_is_one_that_something_gives():
    """And none speaks of the task alone."""
    from pathlib import Path

    root = Path(__file__).parents[2]
    code = "".join(p.read_text() for folder in ("filters", "gen/loops") for p in (root / folder).rglob("*.py"))
    for reason in ANSWER - {"response_too_short", "response_too_long", "answer_truncated"}:
        assert f'"{reason}"' in code
    assert 'f"{what}_too_{' in code
    assert 'f"{what}_truncated"' in code


def test_no_pair_is_said_and_no_file_is_made(pool, tmp_path):
    fill(pool, (sample("a", "Because."), None, KEEP))
    export = Export(pool, Order(Form("preference")))
    with pytest.raises(UserError, match="preference: 0 pairs"):
        export.to_file(tmp_path / "p.jsonl")
    assert not (tmp_path / "p.jsonl").exists()


def test_both_answers_of_a_pair_are_redacted_alike(pool, tmp_path):
    """One placeholder for one address, in the task, the chosen and the rejected answer."""
    turns = (Message("user", "I am ann@gmail.com"), Message("assistant", "Hi"))
    one = replace(sample("a", "ann@gmail.com", "Who am I?", turns=turns), meta={"rejected": "bob@gmail.com, ann@gmail.com"})
    fill(pool, (one, None, KEEP))
    tally = Export(pool, Order(Form("preference"), redact=True)).to_file(tmp_path / "p.jsonl")
    text = (tmp_path / "p.jsonl").read_text()
    assert '"chosen": [{"role": "assistant", "content": "[EMAIL_1]"}]' in text
    assert '"rejected": [{"role": "assistant", "content": "[EMAIL_2], [EMAIL_1]"}]' in text
    assert "gmail" not in text
    assert tally.redacted["EMAIL"] == 5


def test_rows_of_preference_datasets_are_seeds_that_carry_their_pair(pool, tmp_path):
    """Plain, with turns as answers, and with whole conversations (implicit prompts), as TRL names them."""
    import json

    from gen.seeds import read_seeds

    user, good, bad = ({"role": r, "content": t} for r, t in (("user", "Why?"), ("assistant", "Good."), ("assistant", "Bad.")))
    rows = [
        {"prompt": "Why?", "chosen": "Good.", "rejected": "Bad."},
        {"prompt": [user], "chosen": [good], "rejected": [bad]},
        {"prompt": "Why?", "chosen": [user, good], "rejected": [user, bad]},
        {"chosen": [user, good], "rejected": [user, bad]},
        {"prompt": "Why?", "chosen": [good], "rejected": [bad]},
    ]
    seeds = []
    for row in rows:
        (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
        [seed] = read_seeds([tmp_path / "pairs.jsonl"]).samples
        assert (seed.instruction, seed.response, seed.turns, list(seed.meta)) == ("Why?", "Good.", (), ["rejected"])
        seeds.append(replace(seed, id=f"s{len(seeds)}"))
    fill(pool, *((seed, None, KEEP) for seed in seeds))
    assert found(pool) == [(seed.id, "Good.", "Bad.") for seed in seeds]
