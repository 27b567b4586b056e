"""The page on the world says what the world is now."""

from pathlib import Path

from gen.world import FAMILIES, UNSEEN, VERSION, page
from gen.world.clauses import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "world.md").read_text()


def test_the_tables_are_those_of_the_world():
    assert page.filled(PAGE) == PAGE, "python -m gen.world.page docs/world.md"


def test_they_name_every_family_clause_level_and_word_and_the_version():
    assert [line for line in PAGE.splitlines() if line.startswith("| ---")] == ["| --- | --- | --- | --- |"] * 3 + ["| --- | --- |"]
    for name in FAMILIES:
        assert f"\n| {name}{' *' * (name in UNSEEN)} | " in PAGE
    for name, rule in RULES.items():
        assert f"\n| {name} | {rule.sort} | " in PAGE
    assert f'`gen.world.VERSION` is "{VERSION}"' in PAGE


def test_a_changed_table_is_written_anew_and_prose_is_left_alone():
    spoiled = PAGE.replace("| member | order |", "| member | disorder |")
    assert spoiled != PAGE
    assert page.filled(spoiled) == PAGE
    assert page.filled("no blocks") == "no blocks"
