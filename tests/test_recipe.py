"""A recipe is refused where it is not understood, and survives its own file."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from gen import recipe as recipes
from gen.errors import PromptError, RecipeError
from gen.sections import Budget

SHIPPED = sorted(Path(str(resources.files("gen.recipes"))).glob("*.toml"))

SCRIPTS = Path(__file__).parent / "scripts"

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
    "[model]\nthinking_budget = 100": r"\[model\]: thinking_budget: thinking is off; add --thinking on",
    "[budget]\ntarget = 0": "Expected `int` >= 1",
    "prompts = 'nowhere'": "--prompts nowhere: not a folder",
    "rounds = ": "not valid TOML",
    "[gate]\nfilters = ['length']\nlength = 3": r"\[gate.length\]: 3; expected a table of parameters",
    "[evolve.operations]\ndeepen = inf": "expected finite weights",
    "[gate]\nfilters = [':x']": "':x': cannot be imported",
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
        recipes.build({}),
        {"rounds": 5, "evolve": {"domain": "law", "operations": {"deepen": 2.0}}, "budget": {"target": 9},
         "gate": {"filters": ["exact", "rouge"], "rouge": {"threshold": 0.5}, "exact": {}}, "model": {"server": ["http://h"]}},
    )  # fmt: skip
    file = tmp_path / "recipe.toml"
    file.write_text(recipes.to_toml(recipe))
    again = recipes.read(file)
    assert again == recipe
    assert again.budget == Budget(target=9)
    assert again.gate[1].threshold == 0.5


def test_whole_numbers_do_where_a_float_is_meant(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("[evolve]\nslack = 2\ntemperature = 1\n[evolve.operations]\ndeepen = 2\n[budget]\nmax_time = 5\n")
    recipe = recipes.read(file)
    found = (recipe.params.slack, recipe.params.temperature, recipe.params.operations["deepen"], recipe.budget.max_time)
    assert [type(n) for n in found] == [float] * 4
    assert recipe.run_name("s") == recipes.with_values(recipe, {"evolve": {"slack": 2.0}}).run_name("s")


ODD = ['two "quotes"', "a\nline\tbreak", "back\\slash", "中文 😀", "'''", "\u2028\x7f", "#", ""]


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_odd_texts_survive_the_file(text, tmp_path):
    recipe = recipes.with_values(recipes.build({}), {"evolve": {"domain": text}, "source": {"map": {"instruction": text}}})
    (tmp_path / "r.toml").write_text(recipes.to_toml(recipe), encoding="utf-8", newline="")
    assert recipes.read(tmp_path / "r.toml") == recipe


def test_a_text_that_is_not_utf_8_is_refused_before_anything_is_written():
    with pytest.raises(RecipeError, match=r"\[evolve\]: domain = .*not UTF-8"):
        recipes.with_values(recipes.build({}), {"evolve": {"domain": "\udcff"}})


def test_a_filter_of_ones_own_survives_the_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom gen.catalog import component\nfrom gen.core import KEEP\n"
        "@component('loud', source='ours')\n@dataclass(frozen=True)\nclass Loud:\n"
        "    level: int = 3\n    '''How loud.'''\n    def check(self, sample): return KEEP\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "r.toml").write_text("[gate]\nfilters = ['mine:Loud', 'exact']\n[gate.'mine:Loud']\nlevel = 5\n")
    recipe = recipes.read(tmp_path / "r.toml")
    (tmp_path / "again.toml").write_text(recipes.to_toml(recipe))
    again = recipes.read(tmp_path / "again.toml")
    assert again.gate[0].level == 5
    assert again == recipe


def test_a_recipes_files_are_looked_for_beside_it_and_a_saved_one_is_read_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "words").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "mine.jsonl").write_text("{}")
    (tmp_path / "r.toml").write_text('prompts = "words"\n[source]\nseeds = ["mine.jsonl"]')
    monkeypatch.chdir(tmp_path / "words")
    recipe = recipes.read(Path("../r.toml"))
    assert Path(recipe.prompts).resolve() == tmp_path / "words"
    (tmp_path / "run/recipe.toml").write_text(recipes.to_toml(recipe, tmp_path / "run"))
    (tmp_path / "run/mine.jsonl").write_text("another file of that name")
    monkeypatch.chdir(tmp_path.parent)
    again = recipes.read(tmp_path / "run/recipe.toml")
    assert Path(again.prompts).resolve() == tmp_path / "words"
    assert Path(again.source.seeds[0]).resolve() == tmp_path / "mine.jsonl"


def test_only_deciding_keys_tell_runs_apart():
    one = recipes.build({})
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
    text = recipes.build({}).params.prompts.path("evolve/equal").read_text()
    (tmp_path / "evolve/equal.jinja").write_text(text + " Be strict.")
    one = recipes.build({})
    assert recipes.with_values(one, {"prompts": str(tmp_path)}).run_name("s") != one.run_name("s")


UNFIT = {
    "rhyme": ("purpose='p'\nrole='evolver'\ninputs=['mood']\nreply={form='sections', sections=['instruction']}\n---\n{{ mood }}", "cannot fill its input 'mood'"),
    "deepen": ("purpose='p'\nrole='evolver'\ninputs=['instruction']\n---\n{{ instruction }}", "its reply has no section 'instruction'"),
    "equal": ("purpose='p'\nrole='judge'\ninputs=['first']\nreply={form='choice', choices=['yes', 'no']}\n---\n{{ first }}", "its reply has no choice 'equal'"),
    "answer": ("purpose='p'\nrole='answerer'\ninputs=['task']\n---\n{{ task }}", "cannot fill its input 'task'"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_prompt_that_the_loop_cannot_use_is_refused_before_the_first_token(name, tmp_path):
    (tmp_path / "evolve").mkdir()
    (tmp_path / f"evolve/{name}.jinja").write_text("---\npaper='ours'\n" + UNFIT[name][0])
    changes = {"prompts": str(tmp_path), "evolve": {"operations": {"rhyme": 1.0}} if name == "rhyme" else {}}
    with pytest.raises(PromptError, match=f"evolve/{name}: .*{UNFIT[name][1]}"):
        recipes.with_values(recipes.build({}), changes)


def test_the_difference_of_two_recipes_is_shown_key_by_key():
    a, b = recipes.build({}), recipes.with_values(recipes.build({}), {"seed": 4, "evolve": {"slack": 2.0}})
    assert recipes.difference(a.deciding(), b.deciding()) == ["params.slack: 3.0 -> 2.0", "seed: 0 -> 4"]


def test_seeds_named_in_a_recipe_are_looked_for_beside_it(tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}")
    (tmp_path / "r.toml").write_text('[source]\nseeds = ["mine.jsonl", "elsewhere.jsonl"]')
    assert recipes.read(tmp_path / "r.toml").source.seeds == (str(tmp_path / "mine.jsonl"), "elsewhere.jsonl")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_opens_with_what_it_makes_and_runs_on_canned_replies(path, tmp_path, seeds, canned):
    """Replies come from tests/scripts/NAME.toml, or else from the fixture `write`; seeds where a recipe names none that
    ship, too."""
    head = path.read_text().splitlines()[:3]
    assert all(line.startswith("# ") for line in head), "three lines: what it makes, from which paper, the command"
    assert "arXiv" in "".join(head)
    assert "gen run" in "".join(head)
    recipe = recipes.read(path)
    report, rows = canned(recipe, tmp_path / "run", SCRIPTS / path.name)
    assert report.why in ("complete", "target")
    assert rows
    again, same = canned(recipes.read(tmp_path / "run" / "recipe.toml"), tmp_path / "run", SCRIPTS / path.name)
    assert again.why == "finished"
    assert same == rows


def test_recipes_are_shipped():
    assert SHIPPED


def test_the_budget_of_thinking_decides_where_there_is_thinking():
    def keys(**model):
        return recipes.build({"model": model}).deciding()

    assert "thinking_budget" not in keys()
    assert keys(thinking="on")["thinking_budget"] == 4096
    assert keys(thinking="on", thinking_budget=100)["thinking_budget"] == 100
    assert "thinking_budget" not in keys(thinking="default")
    assert keys(thinking="default", thinking_budget=100)["thinking_budget"] == 100


LONG = "x" * 50_000


@pytest.mark.parametrize("told", [
    f"{LONG} = 1", f"loop = '{LONG}'", f"loop = '{LONG}:A'", f"loop = '{LONG}.b:A'", f"loop = ['{LONG}']", f"evolve = '{LONG}'",
    f"[evolve]\n{LONG} = 1", f"[evolve]\nslack = '{LONG}'", f"gate = '{LONG}'", f"[gate]\nfilters = '{LONG}'",
    f"[gate]\nfilters = ['{LONG}']", f"[gate.{LONG}]", f"[gate]\nlength = '{LONG}'", f"stages = '{LONG}'",
    f"[[stages]]\nloop = 'evolve'\n{LONG} = 2", f"[model]\nname = ['{LONG}']",
])  # fmt: skip
def test_a_refusal_shows_the_beginning_of_what_is_endless(tmp_path, told):
    loop = "" if told.startswith(("loop", "stages", "[[stages")) else "loop = 'evolve'\n"
    (tmp_path / "r.toml").write_text(loop + told + "\n")
    with pytest.raises(RecipeError) as error:
        recipes.read(tmp_path / "r.toml")
    assert len(str(error.value)) < 3000 + len(str(tmp_path))
