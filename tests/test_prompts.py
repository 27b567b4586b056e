"""Prompts are data with a passport: valid, complete, and refused in words where they are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from gen.errors import ParseError, PromptError
from gen.prompts import Prompts, parse_choice, parse_last, parse_sections

SHIPPED = Prompts()
NAMES = list(SHIPPED.names())
SAMPLE = {
    "instruction": "Sort 3 1 2.", "input": "a,b\n1,2", "domain": "shops", "language": "French", "min_added": 10,
    "count": 3, "tasks": ["Name two trees.", '{"instruction": "Say hi.", "input": "", "output": "Hi."}'],
    "triples": [{"instruction": "Add.", "input": "2 and 5", "output": "7"}, {"instruction": "Bow.", "input": "", "output": "I bow."}],
    "max_added": 20, "response": "Sorted: 1 2 3.", "first": "Sort 3 1 2.", "second": "Sort 9 8 and say why.",
    "text": "Ash grows fast.", "document": "Ash grows fast. Oak does not.", "keywords": "ash, oak",
    "sentence": "Oak does not.", "examples": [{"text": "Elm trees are tall.", "instruction": "Say how tall elms are."}],
    "before": "Make it harder:", "after": "Reply in tags.", "method": "Make [[TASK]] harder.",
    "feedback": "Case 1: stage 1 asks for no more.", "max_words": 400, "cases": "Case 1\nStage 0: Sort.",
    "context": "user: Hi.", "answer": "1 2 3.", "aspects": ["correctness", "clarity"], "scale": 5, "threshold": 9, "gold": "1, 2, 3",
    "versions": [{"answer": "3 2 1.", "feedback": "Sort upwards."}, {"answer": "1 3 2.", "feedback": "Swap 3 and 2."}],
}  # fmt: skip


def texts(value):
    """What must be found of a value: itself, or, of lists and tables, everything in it."""
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in texts(v)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_prompt_has_a_valid_passport_and_renders(name):
    prompt = SHIPPED.get(name)
    assert "arXiv" in prompt.paper
    assert prompt.purpose
    [*system, user] = prompt.render(**{k: SAMPLE[k] for k in prompt.inputs})
    assert user.role == "user"
    said = user.content + "".join(m.content for m in system)
    assert all(t in said for k in prompt.inputs for t in texts(SAMPLE[k]))


@pytest.mark.parametrize("name", NAMES)
def test_optional_parts_leave_no_trace_when_they_are_empty(name):
    prompt = SHIPPED.get(name)
    optional = ("input", "domain", "language", "examples", "context")
    messages = prompt.render(**{k: "" if k in optional else SAMPLE[k] for k in prompt.inputs})
    assert len(messages) == 1
    assert "\n\n\n" not in messages[0].content
    assert "<data>" not in messages[0].content


def test_the_data_of_a_task_is_shown_to_the_evolver():
    text = SHIPPED.get("evolve/complicate").render(**{k: SAMPLE[k] for k in SHIPPED.get("evolve/complicate").inputs})
    assert "<data>\na,b\n1,2\n</data>" in text[0].content


def test_the_users_file_wins_and_has_another_hash(tmp_path):
    own = tmp_path / "evolve"
    own.mkdir()
    shipped = SHIPPED.path("evolve/equal").read_text()
    (own / "equal.jinja").write_text(shipped.replace("Compare two tasks", "Compare these two tasks"))
    mine = Prompts(tmp_path)
    assert "Compare these two" in mine.get("evolve/equal").render(first="a", second="b")[0].content
    assert mine.get("evolve/equal").hash != SHIPPED.get("evolve/equal").hash
    assert mine.get("evolve/answer").hash == SHIPPED.get("evolve/answer").hash


def test_the_hash_of_a_prompt_covers_the_frame_it_extends(tmp_path):
    (tmp_path / "evolve").mkdir()
    frame = SHIPPED.path("evolve/_depth").read_text()
    (tmp_path / "evolve/_depth.jinja").write_text(frame + "\nBe brief.")
    mine = Prompts(tmp_path)
    assert mine.get("evolve/deepen").hash != SHIPPED.get("evolve/deepen").hash
    assert mine.closure("evolve/deepen") == ["evolve/deepen", "evolve/_depth"]


def test_a_prompt_is_compiled_once_until_its_file_or_frame_says_otherwise(tmp_path):
    (tmp_path / "evolve").mkdir()
    (tmp_path / "evolve/_depth.jinja").write_text(SHIPPED.path("evolve/_depth").read_text())
    first = Prompts(tmp_path).get("evolve/deepen")
    assert Prompts(tmp_path).get("evolve/deepen") is first
    (tmp_path / "evolve/_depth.jinja").write_text(SHIPPED.path("evolve/_depth").read_text() + "\nBe brief.")
    second = Prompts(tmp_path).get("evolve/deepen")
    assert second.hash != first.hash
    (tmp_path / "evolve/deepen.jinja").write_text("no passport")
    with pytest.raises(PromptError, match="opens with no passport"):
        Prompts(tmp_path).get("evolve/deepen")


BAD = {
    "no passport": ("Say {{ x }}", "no passport"),
    "broken TOML": ("---\npaper = \n---\nSay {{ x }}", "not valid TOML"),
    "unknown key": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nrole_='a'\n---\n{{ x }}", "did you mean 'role'"),
    "missing key": ("---\npaper='ours'\nrole='judge'\ninputs=['x']\n---\n{{ x }}", "missing required field `purpose`"),
    "odd role": ("---\npaper='ours'\npurpose='p'\nrole='juge'\ninputs=['x']\n---\n{{ x }}", "did you mean 'judge'"),
    "undeclared": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\n---\n{{ x }} {{ y }}", r"uses \['x', 'y'\]"),
    "unused": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x', 'z']\n---\n{{ x }}", "make them equal"),
    "role list": ("---\npaper='ours'\npurpose='p'\nrole=['judge']\ninputs=['x']\n---\n{{ x }}", "role"),
    "inputs text": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs='x'\n---\n{{ x }}", "Expected `array`, got `str`"),
    "reply number": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nreply=3\n---\n{{ x }}", "reply"),
    "odd form": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nreply={form='jsn'}\n---\n{{ x }}", "did you mean 'json'"),
    "odd sections": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nreply={sections='a'}\n---\n{{ x }}", "sections"),
    "odd sampling": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nsampling={temperature='hot'}\n---\n{{ x }}", "temperature"),
    "unknown sampling": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nsampling={temprature=1}\n---\n{{ x }}", "did you mean 'temperature'"),
    "raw with system": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nraw=true\nsystem='Be brief.'\n---\n{{ x }}", "both raw and system"),
    "odd system": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\nsystem='{{ x }'\n---\n{{ x }}", "line 1 of the system text"),
    "syntax": ("---\npaper='ours'\npurpose='p'\nrole='judge'\ninputs=['x']\n---\n{{ x }\n", "line 1 of the template"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_prompt_is_refused_with_file_and_cause(case, tmp_path):
    text, message = BAD[case]
    (tmp_path / "bad.jinja").write_text(text)
    with pytest.raises(PromptError, match=message) as error:
        Prompts(tmp_path).get("bad")
    assert "bad.jinja" in str(error.value)


def test_a_template_cannot_reach_python():
    from jinja2.exceptions import SecurityError

    with pytest.raises(SecurityError):
        SHIPPED.environment.from_string("{{ ().__class__.__bases__[0].__subclasses__() }}").render()


def test_missing_and_unknown_values_are_refused():
    with pytest.raises(PromptError, match="missing or unknown: second"):
        SHIPPED.get("evolve/equal").render(first="a")


def test_an_unknown_prompt_is_answered_with_the_nearest():
    with pytest.raises(PromptError, match="did you mean 'evolve/deepen'"):
        SHIPPED.get("evolve/deeper")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<instruction>\nSort.\n</instruction>", {"instruction": "Sort."}),
        ("Sure!\n<instruction>Sort.</instruction>\nDone.", {"instruction": "Sort."}),
        ("<instruction>a</instruction><input>b</input>", {"instruction": "a", "input": "b"}),
        ("<instruction></instruction>", {"instruction": ""}),
        ("Sort.", None),
        ("<instruction>Sort.", None),
        ("<instruction>a</instruction><instruction>b</instruction>", None),
        ("</instruction>a<instruction>", None),
    ],
)
def test_sections_are_read_strictly(text, found):
    if found is None:
        with pytest.raises(ParseError):
            parse_sections(text, ("instruction",), ("input",))
    else:
        assert parse_sections(text, ("instruction",), ("input",)) == found


LAST = {
    "<plan>p</plan>\n<instruction>\nSort.\n</instruction>": "Sort.",
    "<instruction>draft</instruction> better: <instruction>Sort.</instruction>": "Sort.",
    "**<instruction>**\n Sort. \n**</instruction>** I hope it helps!": "Sort.",
    "< Instruction >Sort.< / INSTRUCTION >": "Sort.",
    "I put it into <instruction> tags: <instruction>Sort.</instruction>": "Sort.",
    "<instruction>**Sort** the **list**</instruction>": "**Sort** the **list**",
    "**<instruction>Sort.</instruction>**": "Sort.",
    "<instruction></instruction>": "",
    "<instruction>Sort.": None,
    "Sort.": None,
    "</instruction>Sort.<instruction>": None,
}


@pytest.mark.parametrize(("text", "found"), LAST.items())
def test_of_a_reply_in_steps_the_last_section_counts(text, found):
    if found is None:
        with pytest.raises(ParseError, match="expected <instruction>"):
            parse_last(text, ("instruction",))
    else:
        assert parse_last(text, ("instruction",)) == {"instruction": found}


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Equal", "equal"), ("Not equal.", "not equal"), ("They are not equal.", "not equal"), ("**EQUAL**", "equal"),
        ("Not Equal, though nearly equal", "not equal"), ("unequal", None), ("", None), ("yes", None),
    ],
)  # fmt: skip
def test_a_choice_is_the_first_of_the_words_and_never_a_part_of_one(text, choice):
    if choice is None:
        with pytest.raises(ParseError):
            parse_choice(text, ("equal", "not equal"))
    else:
        assert parse_choice(text, ("equal", "not equal")) == choice


def test_prompts_are_found_from_any_working_directory(tmp_path):
    code = "from gen.prompts import Prompts; print(len(list(Prompts().names())))"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) == len(NAMES)
