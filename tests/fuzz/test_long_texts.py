"""A million characters of the same few signs. Each of these once took hours, since what reads them went through all that
follows again and again; the time limit of a test tells such a reader from one that goes through a text once."""

import json
import sys
from pathlib import Path

import pytest

from gen.blocks import blocks
from gen.prompts import parse_sections
from gen.seeds import read_seeds

sys.path.insert(0, str(Path(__file__).parent))
import stretch

N = 1_000_000
HARD = {
    "text.is_prose": "~" * N, "text.lost_fences": "~" * N, "text.find_leak": "#" * N, "text.find_solution": "\n" * N,
    "verb_noun": "Write " + "." * N + "x", "sentences": "a" + "!" * N + "x", "blocks": "#" + " " * N + "x", "windows": "# " + "[" * N,
    "fences.blocks": "```a\nx```\n" * (N // 10), "fences.prose": "~~~md\nx~~~\n" * (N // 12), "overflow": "9" * N, "presentable": "a" * N,
    "sections": "<instruction>" * (N // 13), "instruction": "<instruction>" * (N // 13), "critique": "<score>" * (N // 7),
    "triples": "*" * N, "triples.base": "1" + " " * N, "pairs": "Example" + " " * N + "x", "labels": "Class label" + "\t" * N,
    "rating": "score" + " " * N, "official": "Output" + " " * N, "redact": "-----BEGIN PRIVATE KEY-----" * (N // 27),
}  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HARD)
def test_a_long_text_is_gone_through_once(name):
    try:
        stretch.READERS[name](HARD[name])
    except Exception as error:
        assert type(error).__name__ == "ParseError"


@pytest.mark.timeout(120)
def test_headings_without_end():
    for title in ("{#" * (N // 2), "[a](" * (N // 4), "#" * N, "` " * (N // 2)):
        assert all(len(block.title) <= 1000 for block in blocks(f"# {title}\n\ntext"))


@pytest.mark.timeout(120)
def test_a_table_of_very_many_columns(tmp_path):
    names = ["instruction", *(f"c{n}" for n in range(150_000))]
    (tmp_path / "a.csv").write_text(f"{','.join(names)}\n{','.join('x' for _ in names)}\n")
    assert read_seeds([tmp_path / "a.csv"]).samples[0].instruction == "x"


@pytest.mark.timeout(120)
def test_one_object_of_very_many_names(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"instruction": "x", **{f"c{n}": n for n in range(100_000)}}))
    assert len(read_seeds([tmp_path / "a.json"]).samples) == 1


def test_a_section_is_found_among_many_words():
    assert parse_sections("x" * N + "<a>b</a>", ("a",)) == {"a": "b"}
