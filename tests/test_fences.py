"""Code in texts: where blocks begin and end, what language they are in, whether Python parses; nothing is run."""

import gzip
import json

import pytest

from gen.fences import LONGEST, Block, blocks, guess, prose, python_error, python_of

TWO = "First:\n```python\nx = 1\n```\nthen\n```js\nlet y;\n```\nDone."
CASES = {
    "two": (TWO, [("python", "x = 1", True), ("js", "let y;", True)]),
    "none": ("Use `x` and ``y``.", []),
    "never closed": ("```py\nx = 1\n", [("python", "x = 1", False)]),
    "second never closed": ("```py\nx\n```\n```sql\nSELECT", [("python", "x", True), ("sql", "SELECT", False)]),
    "longer fence holds shorter ones": ("````text\n```py\nx\n```\n````", [("text", "```py\nx\n```", True)]),
    "backticks inside a line": ("```\na ``` b\n```", [("", "a ``` b", True)]),
    "markdown in markdown": ("```markdown\n# A\n```py\nx\n```\n```\nend", [("markdown", "# A\n```py\nx\n```", True)]),
    "tildes": ("~~~python\nx\n~~~", [("python", "x", True)]),
    "tildes hold backticks": ("~~~\n```\nx\n~~~", [("", "```\nx", True)]),
    "closed by more": ("```py\nx\n`````", [("python", "x", True)]),
    "not closed by fewer": ("````py\nx\n```", [("python", "x\n```", False)]),
    "not closed by the other": ("```py\nx\n~~~", [("python", "x\n~~~", False)]),
    "closed at the end of a line": ("```py\nprint(1)```\nDone.", [("python", "print(1)", True)]),
    "in a list": ("1. Do\n   ```py\n   x = 1\n   ```", [("python", "   x = 1", True)]),
    "in a quote": ("> ```\n> x\n> ```", [("", "> x", True)]),
    "inline code is no fence": ("```x``` is it", []),
    "empty": ("```\n```", [("", "", True)]),
}


@pytest.mark.parametrize("case", CASES)
def test_blocks_begin_and_end_where_markdown_says(case):
    text, expected = CASES[case]
    assert blocks(text) == [Block(*e) for e in expected]


@pytest.mark.parametrize("tag", ["python", "Python", "py", "PY3", "python3", "{.python}", "python title=a.py", " python ", "ipython", "python,run"])
def test_a_tag_is_read_in_all_its_variants(tag):
    assert blocks(f"```{tag}\nx\n```")[0].language == "python"


@pytest.mark.parametrize("tag", ["c++", "c#", "objective-c", "javascript", "python2", "pycon"])
def test_other_tags_stay_what_they_are(tag):
    assert blocks(f"```{tag}\nx\n```")[0].language == tag


@pytest.mark.parametrize(
    ("code", "language"),
    [("def f():\n    pass", "python"), ("import os\nprint(os.name)", "python"), ("from a.b import c", "python"),
     ("class A:\n    x = 1", "python"), ("x = 1", ""), ("ls -la", ""), ("def f\n  1\nend", ""), ("import java.util.List;", ""),
     ("class A {\n}", ""), (">>> import os\n>>> os.name", ""), ("#include <a>\nclass A:", ""), ("SELECT 1", "")],
)  # fmt: skip
def test_untagged_code_is_python_only_where_it_looks_like_nothing_else(code, language):
    assert guess(Block("", code, True)) == language
    assert guess(Block("rust", code, True)) == "rust"


@pytest.mark.parametrize(
    ("code", "error"),
    [("x = 1", ""), ("", ""), ("x = (1", "line 1"), ("print 'x'", "line 1"), ("def f():\nreturn 1", "line 2"),
     ("    x = 1\n    y = 2", ""), ("%matplotlib inline\n!pip install x\nx = 1", ""), (">>> 1 +\n", ""), ("return 1", ""),
     ('"\\d"', ""), ("x = '\x00'", "null bytes"), ("-" * 190_000 + "1", "nested too deeply"), ("(" * 5000, "too many nested"),
     ("(" * (LONGEST + 1), "")],
)  # fmt: skip
def test_python_is_parsed_and_never_run(code, error):
    assert error in python_error(code)
    assert bool(error) == bool(python_error(code))


def test_the_python_of_an_answer():
    assert python_of(TWO) == ["x = 1"]
    assert python_of("```\ndef f(): pass\n```\n```bash\nls\n```") == ["def f(): pass"]
    assert python_of("import os\nprint(os.name)") == ["import os\nprint(os.name)"]
    assert python_of("You import os and then print it.\nimport os") == []
    assert python_of("It is 4.") == []


def test_prose_is_what_no_block_holds():
    assert prose(TWO) == "First:\nthen\nDone."
    assert prose("```py\nx") == ""
    assert prose("a\nb") == "a\nb"


def test_real_answers_in_fences_come_out_as_they_were(shared):
    rows = json.loads(gzip.decompress((shared / "code_alpaca/code_alpaca_2k.json.gz").read_bytes()))
    for row in rows:
        code = row["output"].strip("\n")
        assert blocks(f"Here:\n```\n{code}\n```\nIt works.") == [Block("", "\n".join(code.splitlines()), True)]
    python = [r["output"] for r in rows if guess(Block("", r["output"], True)) == "python"]
    broken = [code for code in python if python_error(code)]
    assert len(python) > 500
    assert 0.03 < len(broken) / len(python) < 0.1, "lost indentation, prose before code, Python 2"
