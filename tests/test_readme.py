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
        assert f"`{name}`" in README or f"gen {name.replace('_', '-')}" in README, name


@pytest.mark.parametrize("command", EVOLVE)
def test_a_loops_command_is_understood(command, capsys):
    assert main([*shlex.split(command)[1:], "--print-recipe"]) == 0
    assert 'loop = "evolve"' in capsys.readouterr().out


def test_every_verb_of_the_readme_exists():
    verbs = {shlex.split(c)[1] for c in COMMANDS if c.startswith("gen ")}
    assert verbs <= {*VERBS, *(name.replace("_", "-") for _, name in catalog.names("loop"))}
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


CHINESE = (Path(__file__).parents[1] / "README.zh-CN.md").read_text()


def table(text, heading):
    """First and last cell of each row of the table whose head begins so."""
    lines = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [(cells[1].strip(), cells[-2].strip()) for cells in (line.split("|") for line in lines)]


def test_the_chinese_readme_keeps_in_step():
    """Same sections, same blocks but for their comments, same filters and defaults: a change there belongs here, too."""

    def bare(text):
        blocks = re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
        return [(kind, [re.sub(r"\s+# .*", "", line) for line in body.splitlines()]) for kind, body in blocks]

    for ours, theirs in zip(bare(README), bare(CHINESE), strict=True):
        assert theirs == ours, "README.zh-CN.md: bring this block in step with README.md"
    ours, theirs = table(README, "filter"), table(CHINESE, "过滤器")
    assert [name for name, _ in theirs] == [name for name, _ in ours]
    assert [default.replace("是", "yes") for _, default in theirs] == [default for _, default in ours]
    assert CHINESE.count("\n## ") == README.count("\n## ")
    assert len(table(CHINESE, "英文")) == len(table(README, "word"))
    assert len(table(CHINESE, "文件")) == len(table(README, "file"))
    assert "[中文](README.zh-CN.md)" in README
    assert "[English](README.md)" in CHINESE
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert set(links) - {"README.zh-CN.md"} == set(re.findall(r"\]\(([^)]+)\)", CHINESE)) - {"README.md"}


def test_what_the_readmes_name_in_code_is_the_same():
    """Flags, files and commands inside the text, in whatever order."""
    for ours in re.findall(r"`(--?[a-z][^`]*)`", README):
        assert f"`{ours}`" in CHINESE, ours
