"""Every loop runs to its end with the bundled model: in this process, and on a real vLLM server."""

import json
from importlib import resources
from pathlib import Path

import pytest
import tomli_w

from gen import recipe as recipes
from gen.cli import main
from gen.pool import Pool
from gen.world import check, parse

FOLDER = Path(str(resources.files("gen.recipes"))) / "micro"
RECIPES = sorted(FOLDER.glob("*.toml"))
LEAST = {"self_instruct": 12, "alpaca": 12, "instances": 15, "code": 30, "backtranslate": 3, "extract": 2, "curate": 4}
"""Samples that are kept at least, of 24 seeds or a target of 12; else half of the seeds."""


def run(path, folder, **model):
    """Give the command of a recipe, with another model; returns the rows of its dataset."""
    table = recipes.load(path) | ({"model": model} if model else {})
    copy = folder / f"{path.stem}.toml"
    copy.write_text(tomli_w.dumps(table))
    assert main(["run", str(copy), "--out", str(folder / "run"), "--quiet", "--json"]) == 0
    return [json.loads(line) for line in (folder / "run" / "dataset.jsonl").read_text().splitlines()]


def test_every_loop_has_a_recipe_for_the_bundled_model():
    from gen import catalog

    loops = {name for _, name in catalog.names("loop")}
    assert {recipes.read(path).loop for path in RECIPES} == loops, "`evolve` is there as code evolution"


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_loop_runs_on_the_bundled_model(path, tmp_path):
    rows = run(path, tmp_path)
    assert len(rows) >= LEAST.get(path.stem, 12)
    ours = [parse(row["instruction"], row["input"]) for row in rows]
    assert sum(task is not None for task in ours) * 2 > len(rows), "most of what is kept belongs to its world"


@pytest.mark.slow
def test_curation_raises_the_share_of_right_answers(tmp_path):
    rows = run(FOLDER / "curate.toml", tmp_path)
    drafts = [json.loads(line) for line in (FOLDER / "drafts.jsonl").read_text().splitlines()]
    assert sum(row["right"] for row in drafts) * 2 == len(drafts), "every second answer is right"
    right = sum(check(parse(row["instruction"], row["input"]), row["output"]) for row in rows)
    assert right > 0.6 * len(rows)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_loop_runs_on_a_real_vllm(path, tmp_path, vllm_server):
    rows = run(path, tmp_path, server=[vllm_server.url], width=32)
    assert len(rows) >= LEAST.get(path.stem, 12)
    with Pool.open(tmp_path / "run", readonly=True) as pool:
        assert pool.state("kinds") == ["server"]
        assert pool.journal_count() > 3


def test_three_loops_in_one_run_on_a_real_vllm(tmp_path, vllm_server):
    rows = run(FOLDER.parent / "chain.toml", tmp_path, server=[vllm_server.url], width=32)
    assert len(rows) >= 20
    with Pool.open(tmp_path / "run", readonly=True) as pool:
        assert {row.stage for row in pool.whole_funnel()} == {0, 1, 2, 3}


def test_an_evolving_method_is_improved_and_used_on_a_real_vllm(tmp_path, monkeypatch, vllm_server):
    monkeypatch.chdir(tmp_path)
    at = ["--server", vllm_server.url, "--quiet"]
    few = ["--dev", "8", "--batch", "4", "--candidates", "2", "--steps", "1"]
    assert main(["auto-evol", *few, "--out", "method", *at]) == 0
    assert (tmp_path / "method/prompts/evolve/auto.jinja").exists()
    used = ["--prompts", "method/prompts", "--operations", "auto=1", "--rounds", "1", "--limit", "8"]
    assert main(["evolve", *used, "--without", "semantic", "ifd", "--out", "run", *at]) == 0
    assert (tmp_path / "run/dataset.jsonl").read_text().count("\n") >= 8
