"""`--operations NAME=WEIGHT ...` is a whole table, `--operations.NAME WEIGHT` one weight of the table that there is."""

import pytest

from gen.commands.run import OUTPUT, parse
from gen.errors import PromptError, RecipeError


def operations(*args):
    recipe, _ = parse("evolve", args, "gen evolve", [OUTPUT])
    return dict(recipe.params.operations), recipe.source.seeds


def test_a_whole_table_replaces_the_weights():
    assert operations("--operations", "deepen=2", "breadth=.5", "seeds.jsonl") == ({"deepen": 2.0, "breadth": 0.5}, ("seeds.jsonl",))
    assert operations("a.jsonl", "--operations", "deepen=1", "--rounds", "2") == ({"deepen": 1.0}, ("a.jsonl",))


def test_one_weight_changes_the_table_that_there_is():
    assert operations("--operations", "deepen=1", "reason=1", "--operations.deepen", "3")[0] == {"deepen": 3.0, "reason": 1.0}
    assert len(operations("--operations.deepen", "3")[0]) == 6


def test_a_table_of_a_recipe_is_replaced_too(tmp_path):
    (tmp_path / "mine.toml").write_text('loop = "evolve"\n[evolve]\nslack = 2.0\n[evolve.operations]\ndeepen = 1.0\n')
    recipe, _ = parse("evolve", ["--recipe", str(tmp_path / "mine.toml"), "--operations", "reason=1"], "gen evolve", [OUTPUT])
    assert (dict(recipe.params.operations), recipe.params.slack) == ({"reason": 1.0}, 2.0)


@pytest.mark.parametrize("given", [(), ("deepen=much",), ("deepen",)])
def test_a_table_without_weights_is_refused(given):
    with pytest.raises(RecipeError, match="--operations: expected NAME=WEIGHT"):
        operations("--operations", *given)


def test_an_operation_that_is_no_file_is_refused_with_the_nearest():
    with pytest.raises(PromptError, match="did you mean 'evolve/deepen'"):
        operations("--operations", "depen=1")
