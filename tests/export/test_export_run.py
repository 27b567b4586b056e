"""A run's exports, from the pool to what `datasets` reads back."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from gen.card import CardFacts
from gen.cli import main
from gen.core import KEEP, Candidate, Lineage, Message, Sample
from gen.errors import UserError
from gen.export import write
from gen.export.caution import cautions, told_of
from gen.export.rows import Form
from gen.export.write import Export, Order, Tally
from gen.pool import GrownRow, Pool

FACTS = CardFacts(
    "run", 0, [("mine.jsonl", 2, "ab", "apache-2.0")], [("answerer", "micro", "12", "apache-2.0")], [("evolve", "x")], (), (),
    (), {}, "gen evolve", "", licences=("apache-2.0",),
)  # fmt: skip
MADE = Lineage("r0", "s", 0, 1, "deepen", ("p@1",), ("micro@12 (apache-2.0)",))
ODD = [
    Sample("mail", "Write to ann@gmail.com", Lineage("r1"), response="Done."),
    Sample("no", "How?", MADE, response="I'm sorry, but I can't help with that."),
    Sample("turns", "And?", MADE, response="More.", turns=(Message("user", "Hi"), Message("assistant", "Yes?"))),
    Sample("open", "Unanswered?", MADE),
]


def samples(n):
    return [Sample(f"s{i}", f"Question {i}?", Lineage(f"r{i % 40}", round=i // 40), response=f"Answer {i}.") for i in range(n)]


@pytest.fixture
def folder(tmp_path):
    """A run folder with 60 plain samples of 40 families and four odd ones, and its card."""
    import msgspec

    place = tmp_path / "run"
    with Pool.open(place) as pool:
        for i, sample in enumerate([*samples(60), *ODD]):
            asyncio.run(pool.commit_grown(GrownRow(0, 0, f"{i:03}", sample, (Candidate(sample),), (), 0, ())))
            pool.add_verdicts(1, [(sample.id, KEEP)])
        pool.set_state("card", msgspec.to_builtins(FACTS))
    return place


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def load(folder, **more):
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(folder.parent / "cache"), **more)


def test_a_folder_is_a_dataset_repository_and_no_family_is_on_both_sides(folder, tmp_path):
    for name in "ab":
        assert main(["export", str(folder), "--to", str(tmp_path / name), "--test", "0.3"]) == 0
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert list(first) == ["README.md", "data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"]
    assert {k: v for k, v in first.items() if k != "README.md"} == {k: v for k, v in second.items() if k != "README.md"}
    data = load(tmp_path / "a")
    assert set(data) == {"train", "test"}
    roots = {split: {meta["root"] for meta in data[split]["meta"]} for split in data}
    assert not roots["train"] & roots["test"]
    assert len(data["train"]) + len(data["test"]) == 63
    assert sorted(m["id"] for split in data.values() for m in split["meta"]) == sorted(
        s.id for s in [*samples(60), *ODD] if s.response)


def test_shards_are_numbered_and_hold_every_row_in_order(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "SHARD", 3000)
    with Pool.open(folder, readonly=True) as pool:
        Export(pool, Order()).to_folder(tmp_path / "a", lambda tally: "---\n---\n")
    names = [name for name in tree(tmp_path / "a") if name.startswith("data/")]
    assert names == [f"data/train-{i:05}-of-{len(names):05}.parquet" for i in range(len(names))]
    assert len(names) > 2
    ids = [meta["id"] for meta in load(tmp_path / "a", split="train")["meta"]]
    assert ids == [s.id for s in [*samples(60), *ODD] if s.response]


@pytest.mark.parametrize("format", ["messages", "prompt-completion", "alpaca", "sharegpt"])
def test_each_form_loads_from_json_and_parquet_alike(folder, tmp_path, format):
    from datasets import load_dataset

    files = [tmp_path / f"a{kind}" for kind in (".jsonl", ".json.gz", ".parquet")]
    for file in files:
        assert main(["export", str(folder), "--format", format, "--to", str(file)]) == 0
    loaded = [
        load_dataset("parquet" if f.suffix == ".parquet" else "json", data_files=str(f), split="train", cache_dir=str(tmp_path / "c"))
        for f in files
    ]
    assert loaded[0].to_list() == loaded[1].to_list() == loaded[2].to_list()
    assert len(loaded[0]) == (62 if format == "alpaca" else 63)


def test_counts_are_told(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--format", "alpaca", "--redact", "--to", str(tmp_path / "a.jsonl"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(tmp_path / "a.jsonl"), "rows": {"train": 62}, "skipped": {"earlier_turns": 1, "unanswered": 1},
                    "redacted": {"EMAIL": 1}}  # fmt: skip
    assert main(["export", str(folder), "--to", str(tmp_path / "b")]) == 0
    said = capsys.readouterr().out
    assert "63 rows in" in said
    assert "1 left out: unanswered" in said
    assert "warning: EMAIL in rows: 1, such as mail" in said
    assert "warning: answers that refuse: 1, such as no" in said
    assert main(["export", str(folder), "--to", str(tmp_path / "b"), "--redact"]) == 0
    assert "EMAIL in rows" not in capsys.readouterr().out
    page = (tmp_path / "b/README.md").read_text()
    assert "Personal content and secrets were replaced by their shape: EMAIL 1." in page
    assert "| people (seeds as they were given) | 61 |" in page
    assert "| micro@12 (apache-2.0) | 2 |" in page


def test_to_nothing_is_standard_output(folder, capsys):
    assert main(["export", str(folder), "--format", "sharegpt"]) == 0
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert rows[0]["conversations"][0] == {"from": "human", "value": "Question 0?"}
    assert len(rows) == 63


MISTAKES = {
    ("--to", "a.csv"): "no such kind of file is written; allowed: .jsonl.gz",
    ("--to", "a.jsonl", "--test", "0.1"): "one file has no splits; name a folder, such as --to a",
    ("--test", "0.1"): "one file has no splits; name a folder, such as --to dataset",
    ("--to", "a", "--push"): "--push: only with --to hub:ORG/NAME, found --to a",
    ("--yes",): "--yes: only with --to hub:ORG/NAME, found --to nothing",
    ("--plain", "--to", "a.jsonl"): "--plain: messages has one form only",
    ("--format", "preference", "--to", "a.jsonl"): "preference: 0 pairs",
    ("--format", "preference", "--to", "a"): "preference: 0 pairs",
    ("--to", "hub:data"): "expected hub:ORG/NAME",
    ("--to", "hub:my org/data"): "--to hub:my org/data",
    ("--to", "run"): "holds other things than an export",
    ("--to", "a", "--test", "7e9"): "expected a fraction such as 0.1",
    ("--to", "no/where/a.jsonl"): "cannot be written",
}


@pytest.mark.parametrize("args", MISTAKES, ids=" ".join)
def test_a_mistake_gets_a_message_and_makes_no_file(folder, tmp_path, monkeypatch, capsys, args):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "run", *args]) == 2
    assert MISTAKES[args] in " ".join(capsys.readouterr().err.split())
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_run_without_a_card_makes_files_but_no_repository(folder, tmp_path, capsys):
    with Pool.open(folder) as pool:
        pool.set_state("card", None)
    assert main(["export", str(folder), "--to", str(tmp_path / "a.jsonl")]) == 0
    assert main(["export", str(folder), "--to", str(tmp_path / "a")]) == 2
    assert "this run has no card yet" in capsys.readouterr().err


def test_nothing_kept_is_no_repository(tmp_path):
    with Pool.open(tmp_path / "run") as pool:
        with pytest.raises(UserError, match="no row to export"):
            Export(pool, Order()).to_folder(tmp_path / "a", lambda tally: "")
        assert Export(pool, Order()).to_stream(sys.stdout).rows.total() == 0
    assert not (tmp_path / "a").exists()


def test_what_should_be_known_before_a_dataset_leaves_is_said():
    from dataclasses import replace

    assert cautions(FACTS, Tally()) == []
    facts = replace(
        FACTS, licences=("", "cc-by-nc-4.0"), closed=[("judge", "gpt-4o", "OpenAI")],
        models=[("evolver", "L", "1", "llama3.1"), ("judge", "L", "1", "llama3.1"), ("answerer", "served", "2", None)],
    )
    assert cautions(facts, Tally(found={"refusal": (2, ["a", "b"]), "IBAN": (1, ["c"])})) == [
        "gpt-4o is a closed model of OpenAI: its terms may forbid this", "seeds without a stated licence",
        "seeds under cc-by-nc-4.0: no commercial use",
        "L (llama3.1): a model that is distributed and was trained on outputs must be named Llama..., with `Built with Llama`",
        "served (licence unknown): unknown: check", "answers that refuse: 2, such as a, b", "IBAN in rows: 1, such as c"]


def test_the_card_of_an_export_tells_its_form():
    told = told_of(FACTS, Order(Form("preference", True, "inline")), Tally())
    assert told.columns == ("prompt", "chosen", "rejected")
    assert told.trainer == "DPOTrainer"
    assert told.notes[0] == "The rows are in the form `preference` as plain texts."
    assert "thought" in told.notes[1]
    assert told_of(FACTS, Order(Form("sharegpt")), Tally()).trainer == ""


def test_flipped_rows_are_counted_like_others_and_preference_has_none(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--flip", "--format", "prompt-completion", "--plain", "--to", str(tmp_path / "f.jsonl"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["skipped"] == {"earlier_turns": 1, "unanswered": 1}
    rows = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert len(rows) == told["rows"]["train"] == 62
    assert (rows[0]["prompt"], rows[0]["completion"]) == ("Answer 0.", "Question 0?")
    assert main(["export", str(folder), "--flip", "--format", "preference"]) == 2
    assert "--flip: preference has two answers" in capsys.readouterr().err
