"""What ships: small enough, trained on the prompts as they are, good enough, with seeds of the world."""

import json
import re
from importlib import resources

import pytest

from gen.cli import main
from gen.errors import RecipeError
from gen.micro import bundled
from gen.micro.bundled import trained_prompts, weights
from gen.micro.corpus.mixture import NAMES
from gen.prompts import Prompts
from gen.world import VERSION, check, parse


def test_the_weights_are_small_and_whole():
    folders = [weights(checkpoint) for checkpoint in bundled.shipped()]
    for folder in folders:
        names = {p.name for p in folder.iterdir()}
        assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "manifest.json"} <= names
        config = json.loads((folder / "config.json").read_text())
        assert config["architectures"] == ["LlamaForCausalLM"]
        assert config["max_position_embeddings"] >= 1024
    assert sum(p.stat().st_size for folder in folders for p in folder.iterdir()) < 16 * 2**20


@pytest.mark.parametrize("checkpoint", bundled.shipped())
def test_the_model_was_trained_on_the_prompts_and_the_world_as_they_are_now(checkpoint):
    assert set(bundled.manifest(checkpoint)["prompts"]) == {Prompts().get(n).ref for n in NAMES}
    assert bundled.manifest(checkpoint)["world"] == VERSION


def test_a_prompt_edited_later_is_not_among_the_trained_ones(tmp_path):
    (tmp_path / "evolve").mkdir()
    text = Prompts().path("evolve/equal").read_text()
    (tmp_path / "evolve" / "equal.jinja").write_text(text.replace("Compare two tasks", "Weigh two tasks"))
    edited = Prompts(tmp_path)
    assert [n for n in NAMES if edited.get(n).ref not in trained_prompts()] == ["evolve/equal"]


@pytest.mark.parametrize(("name", "wording"), [("constrain", "add one more constraint"), ("_depth", "Rules:")])
def test_a_run_says_of_a_prompt_edited_later_that_the_model_was_not_trained_on_it(name, wording, tmp_path, capsys):
    text = Prompts().path("evolve/constrain").with_name(f"{name}.jinja").read_text()
    assert wording in text
    (tmp_path / "evolve").mkdir()
    (tmp_path / "evolve" / f"{name}.jinja").write_text(text.replace(wording, wording.upper()))
    run = ["evolve", "--limit", "1", "--rounds", "1", "--operations", "constrain=1", "--without", "semantic", "--quiet"]
    for more, said in (([], False), (["--prompts", str(tmp_path)], True)):
        assert main([*run, *more, "--out", str(tmp_path / f"run{len(more)}")]) == 0
        assert ("It was not trained on these prompts: evolve/constrain\n" in capsys.readouterr().err) is said


@pytest.mark.parametrize(("model", "servers", "name"), [
    ("", (), "micro"), ("micro", (), "micro"), ("micro-weak", (), "micro-weak"), ("./micro", (), ""), ("Micro", (), ""),
    ("", ("http://a",), ""), ("micro", ("http://a",), ""), ("Qwen/Qwen3-8B", (), "")])  # fmt: skip
def test_a_name_means_a_bundled_checkpoint_unless_it_is_said_to_a_server(model, servers, name):
    assert bundled.named(model, servers) == name


def test_the_weak_checkpoint_is_one_of_its_own_and_called_so(tmp_path, monkeypatch, capsys):
    (tmp_path / "frail").symlink_to(weights())
    monkeypatch.setitem(bundled.FOLDERS, "weak", str(tmp_path / "frail"))
    out = tmp_path / "run"
    assert main(["evolve", "--model", "micro-weak", "--limit", "1", "--rounds", "0", "--without", "semantic", "--quiet", "--out", str(out)]) == 0
    assert "Using the bundled `micro-weak`" in capsys.readouterr().err
    assert "| answerer | micro-weak |" in (out / "README.md").read_text()


def test_a_missing_checkpoint_is_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(bundled.FOLDERS, "weak", str(tmp_path))
    with pytest.raises(RecipeError, match="the weak checkpoint of the bundled model is missing"):
        weights("weak")


@pytest.mark.parametrize("checkpoint", bundled.shipped())
def test_the_manifest_names_no_machine_and_no_moment(checkpoint):
    text = (weights(checkpoint) / "manifest.json").read_text()
    assert not re.search(r'"/|\d\d:\d\d|hostname|/home|/work|/tmp', text)
    assert all(training["tokens"] > 0 for training in json.loads(text)["trainings"])


def test_the_seeds_are_tasks_of_every_family_a_third_of_them_unanswered():
    lines = (resources.files("gen") / "recipes" / "seeds.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    tasks = [parse(r["instruction"], r["input"]) for r in rows]
    assert len(rows) == 24 == len(set(lines))
    assert len({t.family for t in tasks}) >= 8
    assert 6 <= sum(not r["output"] for r in rows) <= 10
    assert all(check(t, r["output"]) for t, r in zip(tasks, rows, strict=True) if r["output"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_shipped_model_reaches_the_bar_on_held_out_tasks():
    from gen.micro.evaluate import bar, evaluate

    tables = evaluate(weights(), 40, parts=["evolving"])
    rewrites, answers = bar(tables)
    assert rewrites >= 0.5
    assert answers >= 0.5
    assert all(row.total >= 40 for rows in tables.values() for row in rows)
