"""A recipe is refused where it is not understood, and survives its own file."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from gen import recipe as recipes
from gen.errors import RecipeError
from gen.recipe import Budget

SHIPPED = sorted(Path(str(resources.files("gen.recipes"))).glob("*.toml"))

BAD = {
    "rouns = 3": "key 'rouns' is not understood here; did you mean 'rounds'",
    "rounds = -1": r"rounds = -1: Expected `int` >= 0.*allowed: 0..100",
    "rounds = true": "Expected `int`, got `bool`",
    "rounds = '3'": "Expected `int`, got `str`",
    "loop = 'evolv'": "did you mean 'evolve'",
    "evolve = 3": "key 'evolve' is not understood here; expected a table",
    "[evolve]\nslak = 2.0": r"\[evolve\]: unknown key 'slak'; did you mean 'slack'",
    "[evolve]\nslack = 0.5": r"slack = 0.5: Expected `float` >= 1",
    "[evolve.operations]\ndeeper = 1.0": "no prompt is called 'evolve/deeper': did you mean 'evolve/deepen'",
    "[evolve]\non_failure = 'retry'": r"Invalid enum value 'retry'; allowed: parent | stop",
    "[gate]\nfilters = ['lenght']": "did you mean 'length'",
    "[gate]\nfilters = 'length'": "expected a list of filter names",
    "[gate]\nfilters = ['exact', 'exact']": "'exact' is named twice",
    "[gate]\nfilters = ['exact']\n[gate.rouge]\nthreshold = 0.5": r"\[gate.rouge\]: this filter is not in the gate",
    "[gate.length]\nmax_word = 3": "unknown key 'max_word'",
    "[model]\nserver = 'http://x'": "Expected `array`",
    "[budget]\ntarget = 0": "Expected `int` >= 1",
    "prompts = 'nowhere'": "--prompts nowhere: not a folder",
    "rounds = ": "not valid TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_understood_is_refused_with_where_and_what(text, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(RecipeError.__mro__[1], match=BAD[text]) as error:
        recipes.read(file)
    assert "bad.toml" in str(error.value) or "prompt" in str(error.value)


def test_a_recipe_survives_its_own_file(tmp_path):
    recipe = recipes.with_values(
        recipes.default(),
        {"rounds": 5, "evolve": {"domain": "law", "operations": {"deepen": 2.0}}, "budget": {"target": 9},
         "gate": {"filters": ["exact", "rouge"], "rouge": {"threshold": 0.5}, "exact": {}}, "model": {"server": ["http://h"]}},
    )  # fmt: skip
    file = tmp_path / "recipe.toml"
    file.write_text(recipes.to_toml(recipe))
    again = recipes.read(file)
    assert again == recipe
    assert again.budget == Budget(target=9)
    assert again.gate[1].threshold == 0.5


def test_only_deciding_keys_tell_runs_apart():
    one = recipes.default()
    same = [
        recipes.with_values(one, {"rounds": 9}),
        recipes.with_values(one, {"budget": {"target": 5}}),
        recipes.with_values(one, {"model": {"width": 5, "batch_size": 2, "patience": 1.0}}),
    ]
    other = [
        recipes.with_values(one, {"seed": 1}),
        recipes.with_values(one, {"evolve": {"domain": "law"}}),
        recipes.with_values(one, {"gate": {"length": {"max_response_words": 99}}}),
        recipes.with_values(one, {"model": {"name": "m"}}),
        recipes.with_values(one, {"source": {"limit": 3}}),
    ]
    assert {r.run_name("seeds") for r in same} == {one.run_name("seeds")}
    assert len({r.run_name("seeds") for r in [one, *other]}) == 1 + len(other)
    assert one.run_name("seeds") != one.run_name("other seeds")
    urls = [replace(one, model=replace(one.model, server=(u,))).run_name("s") for u in ("http://a", "http://b")]
    assert urls[0] == urls[1], "where a server stands is no deciding key"


def test_another_wording_of_a_prompt_is_another_run(tmp_path):
    (tmp_path / "evolve").mkdir()
    text = recipes.default().params.prompts.path("evolve/equal").read_text()
    (tmp_path / "evolve/equal.jinja").write_text(text + " Be strict.")
    one = recipes.default()
    assert recipes.with_values(one, {"prompts": str(tmp_path)}).run_name("s") != one.run_name("s")


def test_the_difference_of_two_recipes_is_shown_key_by_key():
    a, b = recipes.default(), recipes.with_values(recipes.default(), {"seed": 4, "evolve": {"slack": 2.0}})
    assert recipes.difference(a.deciding(), b.deciding()) == ["params.slack: 3.0 -> 2.0", "seed: 0 -> 4"]


def test_seeds_named_in_a_recipe_are_looked_for_beside_it(tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}")
    (tmp_path / "r.toml").write_text('[source]\nseeds = ["mine.jsonl", "elsewhere.jsonl"]')
    assert recipes.read(tmp_path / "r.toml").source.seeds == (str(tmp_path / "mine.jsonl"), "elsewhere.jsonl")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_opens_with_what_it_makes_and_runs_on_canned_replies(path, tmp_path, seeds, hold, write):
    head = path.read_text().splitlines()[:3]
    assert all(line.startswith("# ") for line in head), "three lines: what it makes, from which paper, the command"
    assert "arXiv" in head[1]
    assert "gen run" in head[2]
    recipe = recipes.read(path)
    changes = {k: v for k, v in recipes.table_of(recipe).items() if k not in ("source", "model")}
    run, kept = hold(tmp_path / "run", seeds, **changes)
    assert run.why in ("complete", "target")
    assert kept


def test_recipes_are_shipped():
    assert SHIPPED
