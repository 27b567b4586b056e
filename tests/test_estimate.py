"""What a run will cost: counted by hand, compared with what the run then cost, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import serving

from gen import estimate as module
from gen import recipe as recipes
from gen.cli import main
from gen.core import Lineage, Sample
from gen.estimate import Asked, Probe, Range, total
from gen.pool import Pool

SCRIPT = """
[[rule]]
step = "complicate"
reply = "no tags"
[[rule]]
role = "evolver"
reply = ["<instruction>\\nName three rivers, and say for each where it ends, and why.\\n</instruction>",
         "<instruction>\\nExplain in two sentences why rivers bend, with one example.\\n</instruction>", "no tags at all"]
[[rule]]
role = "judge"
reply = ["Not equal", "Not equal", "Equal"]
[[rule]]
reply = ["A plain answer.", "Another answer, which is a little longer than the first one."]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "script.toml").write_text(SCRIPT)
    rows = [{"instruction": f"Name river number {i}.", "output": "" if i % 2 else "The Rhine."} for i in range(40)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seeds(answered: int, unanswered: int) -> list[Sample]:
    given = ["Yes."] * answered + [None] * unanswered
    return [Sample(f"s{i}", "Why?", Lineage(f"s{i}"), response=r) for i, r in enumerate(given)]


def test_a_trial_is_counted_up_as_by_hand() -> None:
    answer, rewrite = Asked("answerer", 1, 10, 20), Asked("evolver", 1, 100, 30)
    probe = Probe(4, opening=5.0, conversations=6, seconds=2.0, tokens_per_second=50.0, base=1000, bytes=100.0)
    probe.grown = {False: [[answer], [answer]], True: [[rewrite], [rewrite, answer]]}
    probe.kept, probe.row_bytes, probe.measured = {False: [1, 1], True: [0, 1]}, 200.0, 0.5
    found = total(probe, recipes.build({"rounds": 3}), seeds(6, 4))
    # 4 seeds to answer, 10 seeds x 3 rounds, of which half are answered
    assert found.asked == (Asked("answerer", 4 + 15, 40 + 150, 80 + 300), Asked("evolver", 30, 3000, 900))
    assert (found.conversations, found.kept, found.measured, found.prompt_tokens) == (40, 10 + 15, 20, 3190)
    # evolutions generate 30 or 50 tokens: standard error of their mean 10, of 30 of them 300
    assert found.generated_tokens == Range(1280 - 600, 1280, (1280 + 600) * 1.2)
    assert found.seconds == pytest.approx((5 + 680 / 50 / 1.2, 5 + 1280 / 50, 5 + 2256 / 50 * 1.3))
    assert found.bytes.likely == 1000 + 40 * 100 + 25 * 200 * 1.5


@pytest.mark.parametrize(("budget", "said", "share"), [
    ({"max_tokens": 640}, "--max-tokens ends the run after 50%", 0.5),
    ({"target": 5}, "--target ends the run after 20%", 0.2),
    ({"max_time": 0.1, "target": 24}, "--max-time ends the run after 23%", 6 / 25.6),
    ({"max_tokens": 99999}, "", 1.0),
])  # fmt: skip
def test_a_budget_ends_the_run_earlier(budget: dict[str, Any], said: str, share: float) -> None:
    probe = Probe(4, conversations=6, seconds=2.0, tokens_per_second=50.0)
    answer, rewrite = Asked("answerer", 1, 10, 20), Asked("evolver", 1, 100, 40)
    probe.grown = {False: [[answer]], True: [[rewrite]]}
    probe.kept = {False: [1], True: [0, 1]}
    found = total(probe, recipes.build({"rounds": 3, "budget": budget}), seeds(6, 4))
    assert found.generated_tokens.likely == pytest.approx(1280 * share)
    assert found.asked[1].calls == pytest.approx(30 * share)
    assert any(line.startswith(said) for line in found.assumed)
    assert (found.assumed[0].startswith("--")) is bool(said)


def actual(folder: Path) -> dict[str, list[float]]:
    """[calls, prompt tokens, generated tokens] by role."""
    sums: dict[str, list[float]] = {}
    with Pool.open(folder, readonly=True) as pool:
        for row in pool.all_grown():
            for question, reply in pool.asked(row.asked):
                old = sums.setdefault(question.role, [0, 0, 0])
                sums[question.role] = [old[0] + 1, old[1] + reply.prompt_tokens, old[2] + reply.completion_tokens]
    return sums


def test_what_is_estimated_is_about_what_the_run_then_takes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--rounds", "2"]
    assert main(["estimate", *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not list((place / "tmp").iterdir())
    assert not (place / "runs").exists()
    assert main(["evolve", *flags, "--out", "run", "--quiet", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    low, likely, high = found["generated_tokens"]
    assert low <= report["tokens"] <= high
    assert low < likely < high
    truth = actual(place / "run")
    for row in found["asked"]:
        assert row["calls"] == pytest.approx(truth[row["role"]][0], rel=0.35)
        assert row["prompt_tokens"] == pytest.approx(truth[row["role"]][1], rel=0.35)
    size = sum((place / "run" / name).stat().st_size for name in ("pool.db", "dataset.jsonl", "dataset.parquet"))
    assert found["bytes"][0] / 2 <= size <= found["bytes"][2] * 2
    assert (found["seeds"], found["rounds"], found["conversations"]) == (40, 2, 120)


def test_the_command_takes_flags_of_a_loop_or_a_recipe_and_says_what_it_assumed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", "script:script.toml", "--without", "semantic"]
    assert main(["evolve", "seeds.jsonl", *model, "--rounds", "1", "--print-recipe"]) == 0
    (place / "mine.toml").write_text(capsys.readouterr().out)
    for command in (["evolve", "seeds.jsonl", *model, "--rounds", "1"], ["mine.toml"], ["--recipe", "mine.toml"]):
        assert main(["estimate", *command]) == 0
        told = capsys.readouterr().out
        assert "40 seeds, 1 round: about 80 conversations" in told
        assert "tokens  about" in told
        assert "nothing of it is left" in told
        assert "- every lineage goes on to the last round" in told


def test_an_engine_that_is_too_slow_is_said_to_be(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving.serve(delay=3000) as server:
        command = ["estimate", "seeds.jsonl", "--server", server.url, "--rounds", "1", "--seconds", "0.2", "--limit", "4"]
        assert main(command) == 2
    assert "4 seeds did not come through one round in 2 s" in capsys.readouterr().err


def test_a_trial_of_a_slow_engine_is_cut_and_a_few_seeds_go_to_their_end(place: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "ENOUGH", 5)
    recipe = recipes.build({"rounds": 2, "model": {"server": ["x"]}})
    with serving.serve(delay=150, slots=4) as server:
        recipe = recipes.with_values(recipe, {"model": {"server": [server.url]}})
        found = module.estimate(recipe, _material(place), lambda _: None, seconds=1.0)
    assert found.probe["conversations"] == 10
    assert {row.role for row in found.asked} == {"answerer", "evolver", "judge"}
    # 4 replies at once, 150 ms each, of a dozen tokens or two
    assert 100 < found.probe["tokens_per_second"] < 1200


def _material(place: Path) -> Any:
    from gen.material import read_material

    return read_material(recipes.build({"source": {"seeds": [str(place / "seeds.jsonl")]}}))
