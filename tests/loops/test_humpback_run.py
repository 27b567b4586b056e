"""Instruction backtranslation as whole runs on canned replies: passes of curation, bounds that move, nothing that is kept."""

import json
import re

import pytest

from gen.cli import main
from gen.pool import Pool

WORDS = "amber birch cedar dune ember fjord grove heath inlet juniper knoll lagoon".split()
SCRIPT = """
[[rule]]
step = "invert"
contains = "amber"
reply = "<instruction>Tell what is known of amber trees.</instruction>"
[[rule]]
step = "invert"
contains = "birch"
reply = "<instruction>Tell what is known of birch trees.</instruction>"
[[rule]]
step = "invert"
contains = "cedar"
reply = "<instruction>Tell what is known of cedar trees.</instruction>"
[[rule]]
step = "invert"
contains = "dune"
reply = "<instruction>Sum up the passage above.</instruction>"
[[rule]]
step = "score"
reply = "none"
"""
JUDGE = """
[[rule]]
contains = "of {}"
reply = "So it is.\\nScore: {}"
"""
FIRST, SECOND = {"amber": 5, "birch": 3, "cedar": 5}, {"amber": 3, "birch": 5, "cedar": 5}
PLAIN = ("--without", "semantic", "--quiet", "--retries", "0", "--out", "run", "--evolver", "script:write.toml")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with four documents of one piece, a pair of a person's, a writer and two judges."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    for word in WORDS[:4]:
        said = " ".join(f"A {word} tree has {n} branches on side {i}." for i, n in enumerate(range(20, 50)))
        (tmp_path / f"docs/{word}.md").write_text(f"# The {word}\n\n{said}\n")
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"instruction": "Name a tree.", "output": "Ash."}) + "\n")
    (tmp_path / "write.toml").write_text(SCRIPT)
    for name, scores in (("one", FIRST), ("two", SECOND), ("harsh", dict.fromkeys(FIRST, 1)), ("mute", {})):
        rules = "".join(JUDGE.format(word, score) for word, score in scores.items())
        (tmp_path / f"{name}.toml").write_text(rules + '[[rule]]\nreply = "no idea"\n')
    return tmp_path


def run(*flags, judge="one"):
    return main(["backtranslate", "docs", *PLAIN, "--model", "script:write.toml", "--judge", f"script:{judge}.toml", *flags])


def kept(place):
    rows = [json.loads(line) for line in (place / "run/dataset.jsonl").read_text().splitlines()]
    return [re.findall("|".join(WORDS), row["instruction"]) for row in rows], rows


def funnel(place):
    with Pool.open(place / "run", readonly=True) as pool:
        return {(row.stage, row.reason): row.count for row in pool.whole_funnel()}


def test_texts_become_pairs_and_the_best_are_kept(place):
    assert run() == 0
    found, rows = kept(place)
    assert found == [["amber"], ["cedar"]]
    assert funnel(place) == {(0, ""): 3, (0, "prompt_leak"): 1, (1, ""): 2, (1, "low_rating"): 1}
    for (word,), row in zip(found, rows, strict=True):
        text = (place / f"docs/{word}.md").read_text()
        assert row["output"] in text
        assert row["messages"][0] == {"role": "system", "content": "Answer from what people have written on the web."}
        assert row["meta"]["models"].count("scripted@") == 1, "who wrote; a judge makes nothing"


def test_another_pass_rates_all_pairs_anew_and_asks_for_nothing_again(place, capsys):
    assert run() == 0
    assert run("--iterations", "2", "--judge-of", "", "script:two.toml", "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["asked"], report["replayed"]) == (3, 0)
    assert kept(place)[0] == [["birch"], ["cedar"]]
    with Pool.open(place / "run", readonly=True) as pool:
        stages = {stage: list(pool.kept(1, stage)) for stage in (0, 1, 2)}
    assert [len(samples) for samples in stages.values()] == [3, 2, 2]
    assert [s.meta["ratings"] for s in stages[1]] == [{"curation_0": 5.0}] * 2
    assert [s.meta["ratings"] for s in stages[2]] == [{"curation_1": 5.0}] * 2
    texts = {s.id: s.instruction for s in stages[0]}
    assert all(texts[s.id] == s.instruction for s in (*stages[1], *stages[2]))


def test_the_bound_moves_and_nobody_is_asked(place, capsys):
    assert run() == 0
    assert run("--iterations", "2", "--judge-of", "", "script:two.toml") == 0
    for bound, words in ((3.0, WORDS[:3]), (5.0, WORDS[1:3]), (4.0, WORDS[1:3])):
        (place / "new.toml").write_text(f"[gate.rating]\nmin = {bound}\n")
        assert main(["regate", "run", "--recipe", "new.toml"]) == 0
        assert kept(place)[0] == [[word] for word in words]
    assert run("--iterations", "2", "--judge-of", "", "script:two.toml", "--rating.min", "4") == 0
    assert "already finished" in capsys.readouterr().out


def test_demonstrations_come_first_unrated_and_with_a_tag_of_their_own(place):
    assert run("--demos", "pairs.jsonl", "--demos-too") == 0
    rows = kept(place)[1]
    assert [row["instruction"] for row in rows[:1]] == ["Name a tree."]
    assert len(rows) == 3
    assert rows[0]["messages"][0]["content"] == "Answer in the manner of an AI assistant."
    assert rows[0]["meta"]["models"] == ""
    assert run("--demos", "pairs.jsonl", "--demos-too", "--no-tags", "--out", "bare") == 0
    assert '"system"' not in (place / "bare/dataset.jsonl").read_text()


@pytest.mark.parametrize(("judge", "reason"), [("harsh", "low_rating"), ("mute", "no_score")])
def test_where_nothing_is_good_enough_the_run_ends_and_says_so(place, capsys, judge, reason):
    assert run(judge=judge) == 0
    assert kept(place)[0] == []
    assert funnel(place)[1, reason] == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "complete: 0 samples kept" in told
    assert f"stage 2: nothing was kept of 3 candidates: stage 2: 100% {reason}:" in told


def test_what_is_shown_of_a_pair_names_its_place_and_its_rating(place, capsys):
    assert run() == 0
    assert main(["show", "run", kept(place)[1][0]["id"]]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "rated 5 (curation_0): So it is." in told
    assert "amber.md, characters" in told


def test_ratings_of_any_dataset(place):
    (place / "mine.jsonl").write_text("".join(json.dumps({"instruction": f"Tell of {w}.", "output": "It is."}) + "\n" for w in FIRST))
    assert main(["curate", "mine.jsonl", "--model", "script:one.toml", "--without", "semantic", "--quiet", "--out", "run"]) == 0
    assert kept(place)[0] == [["amber"], ["cedar"]]
    assert all(row["meta"]["operation"] == "seed" for row in kept(place)[1])
