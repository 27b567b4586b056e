"""Every component is found by its file's name, says where it comes from, and has a test."""

from pathlib import Path

import pytest

from gen import catalog
from gen.errors import RecipeError

ROOT = Path(__file__).parents[1]
COMPONENTS = list(catalog.names(*catalog.ROOMS))
HOMES = {"loop": "loops", "rule": "filters", "score": "filters", "dedup": "filters", "select": "filters"}


def test_the_shipped_components_are_found():
    assert {"evolve", "length", "refusal", "exact", "rouge"} <= {name for _, name in COMPONENTS}


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_a_component_is_called_like_its_file_and_names_its_source(kind, name):
    cls = catalog.load(name, kind)
    assert cls.passport.name == name
    assert "arXiv" in cls.passport.source or "ours" in cls.passport.source
    assert catalog.name_of(cls()) == name


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_a_component_has_a_test(kind, name):
    assert (ROOT / "tests" / HOMES[kind] / f"test_{name}.py").is_file()


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_parameter_is_documented_where_it_is_declared(kind, name):
    for parameter in catalog.parameters(catalog.load(name, kind)):
        assert parameter.doc, f"{name}.{parameter.name}: a line of text under the field is its help"


def test_a_missing_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match=r"no rule is called 'lenght': did you mean 'length'\?"):
        catalog.load("lenght", "rule")


def test_a_file_that_fails_to_import_is_not_called_missing(tmp_path, monkeypatch):
    import filters.rules

    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.setattr(filters.rules, "__path__", [*filters.rules.__path__, str(tmp_path)])
    with pytest.raises(RecipeError, match=r"'broken' exists .* but failed to import: No module named 'nothing_of_this"):
        catalog.load("broken", "rule")


def test_a_file_that_is_no_python_is_the_users_mistake(tmp_path, monkeypatch):
    import filters.rules

    (tmp_path / "crooked.py").write_text("class\n")
    monkeypatch.setattr(filters.rules, "__path__", [*filters.rules.__path__, str(tmp_path)])
    with pytest.raises(RecipeError, match=r"'crooked' exists .* but failed to import: invalid syntax"):
        catalog.load("crooked", "rule")
    with pytest.raises(RecipeError, match="':x': cannot be imported"):
        catalog.load(":x", "rule")


def test_a_third_party_component_is_named_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom gen.catalog import component\nfrom gen.core import KEEP\n"
        "@component('loud', source='ours')\n@dataclass(frozen=True)\nclass Loud:\n"
        "    level: int = 3\n    '''How loud.'''\n    def check(self, sample): return KEEP\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert catalog.load("mine:Loud", "rule")().level == 3
    with pytest.raises(RecipeError, match=r"'mine:Quiet': cannot be imported"):
        catalog.load("mine:Quiet", "rule")
