"""The README keeps its word: its commands are understood, its filter works, its tables are complete."""

import re
import shlex
from pathlib import Path

import pytest

from gen import catalog
from gen.cli import VERBS, main
from gen.core import Lineage, Sample

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.partition(" #")[0].strip() for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
EVOLVE = [c for c in COMMANDS if c.startswith("gen evolve")]


def test_every_loop_and_filter_is_in_the_readme():
    for _, name in catalog.names(*catalog.ROOMS):
        assert f"`{name}`" in README or f"gen {name}" in README, name


@pytest.mark.parametrize("command", EVOLVE)
def test_a_loops_command_is_understood(command, capsys):
    assert main([*shlex.split(command)[1:], "--print-recipe"]) == 0
    assert 'loop = "evolve"' in capsys.readouterr().out


def test_every_verb_of_the_readme_exists():
    verbs = {shlex.split(c)[1] for c in COMMANDS if c.startswith("gen ")}
    assert verbs <= {*VERBS, *(name for _, name in catalog.names("loop"))}
    assert {"show", "funnel", "regate", "export", "evolve"} <= verbs


def test_the_readmes_filter_works_as_it_stands(tmp_path, monkeypatch):
    [code] = [text for kind, text in BLOCKS if kind == "python"]
    (tmp_path / "question.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    question = catalog.load("question:Question", "rule")(max_marks=1)
    assert question.check(Sample("a", "Why?", Lineage("a"))).keep
    assert question.check(Sample("a", "Why? How?", Lineage("a"))).reason == "too_many_questions"
    [parameter] = catalog.parameters(type(question))
    assert (parameter.default, parameter.range) == (3, "at least 0")
    assert parameter.doc


def test_make_targets_of_the_readme_exist():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
