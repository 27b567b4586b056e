"""Two wordings of one prompt, from wherever they are; all else is the same on both sides."""

import pytest

from gen.errors import PromptError
from gen.prompts import Prompts
from gen.wordings import pair_of

SHIPPED = Prompts()


def put(folder, name, old="", new="", source=None):
    path = folder / f"{name}.jinja"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = SHIPPED.path(source or name).read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def pair(tmp_path, a, b, name="", base=None):
    return pair_of(str(a), str(b), name, base, tmp_path / "scratch")


def text_of(wording):
    values = {"instruction": "Sort.", "input": "", "domain": "", "language": "", "min_added": 1, "max_added": 2}
    return wording.prompt.render(**{k: values[k] for k in wording.prompt.inputs})[-1].content


def test_a_file_in_a_folder_of_prompts_says_what_it_is(tmp_path):
    mine = put(tmp_path / "mine", "evolve/deepen", "ask for more depth", "dig deeper")
    one, other = pair(tmp_path, "evolve/deepen", mine)
    assert (one.name, other.name, one.style) == ("evolve/deepen", "evolve/deepen", "general")
    assert "dig deeper" in text_of(other)
    assert "dig deeper" not in text_of(one)
    assert (one.label, other.label, other.shown) == ("A", "B", str(mine))


def test_a_loose_file_is_a_wording_of_the_other_or_of_what_is_said(tmp_path):
    loose = tmp_path / "loose.jinja"
    put(tmp_path / "mine", "evolve/deepen", "ask for more depth", "dig deeper").rename(loose)
    other = tmp_path / "other.jinja"
    other.write_text(loose.read_text().replace("dig deeper", "go on"))
    assert "dig deeper" in text_of(pair(tmp_path / "1", loose, "evolve/deepen")[0])
    one, two = pair(tmp_path / "2", loose, other, "evolve/deepen")
    assert ("dig deeper" in text_of(one), "go on" in text_of(two)) == (True, True)
    with pytest.raises(PromptError, match="which prompt"):
        pair(tmp_path / "3", loose, other)


def test_folders_are_compared_by_the_one_prompt_in_which_they_differ(tmp_path):
    put(tmp_path / "mine", "evolve/deepen", "ask for more depth", "dig deeper")
    put(tmp_path / "yours", "evolve/deepen", "ask for more depth", "go on")
    put(tmp_path / "yours", "evolve/reason")
    one, other = pair(tmp_path / "1", tmp_path / "mine", tmp_path / "yours")
    assert (one.name, "go on" in text_of(other)) == ("evolve/deepen", True)
    put(tmp_path / "yours", "evolve/reason", "few steps", "two steps")
    with pytest.raises(PromptError, match="these differ in evolve/deepen, evolve/reason; name one: --of NAME"):
        pair(tmp_path / "2", tmp_path / "mine", tmp_path / "yours")
    assert pair(tmp_path / "3", tmp_path / "mine", tmp_path / "yours", "evolve/reason")[1].name == "evolve/reason"
    assert pair(tmp_path / "4", "evolve/reason", tmp_path / "yours")[0].name == "evolve/reason"


def test_a_frame_of_its_own_belongs_to_a_wording(tmp_path):
    put(tmp_path / "mine", "evolve/_depth", "Rules:", "Rules to keep:")
    one, other = pair(tmp_path, "evolve/deepen", tmp_path / "mine")
    assert ("Rules to keep:" in text_of(one), "Rules to keep:" in text_of(other)) == (False, True)


def test_what_else_is_overridden_is_so_on_both_sides(tmp_path):
    put(tmp_path / "base", "evolve/equal", "Compare two tasks", "Weigh two tasks")
    mine = put(tmp_path / "mine", "evolve/deepen", "ask for more depth", "dig deeper")
    put(tmp_path / "mine", "evolve/equal", "Compare two tasks", "Never mind")
    for wording in pair(tmp_path, "evolve/deepen", mine, base=tmp_path / "base"):
        assert "Weigh two tasks" in wording.prompts.get("evolve/equal").render(first="a", second="b")[0].content


def test_two_operations_of_one_loop_may_be_compared(tmp_path):
    one, other = pair(tmp_path, "evolve/deepen", "evolve/reason")
    assert (one.name, other.name) == ("evolve/deepen", "evolve/reason")


MISTAKES = [
    ("evolve/deepen", "evolve/deepen", "the same wording of evolve/deepen"),
    ("evolve/deepen", "code/reason", "two prompts; expected two wordings of one"),
    ("evolve/deepen", "evolve/equal", "two prompts; expected two wordings of one"),
    ("evolve/deepen", "evolve/depen", "did you mean 'evolve/deepen'"),
    ("evolve/deepen", "nowhere/deepen.jinja", "no such file"),
]


@pytest.mark.parametrize(("a", "b", "message"), MISTAKES)
def test_what_cannot_be_compared_is_refused(tmp_path, a, b, message):
    with pytest.raises(PromptError, match=message):
        pair(tmp_path, a, b)


@pytest.mark.parametrize(("name", "style"), [("evolve/deepen", "general"), ("code/reason", "code"), ("evolve/equal", ""), ("refine/rewrite", "")])
def test_operations_are_told_from_other_prompts(tmp_path, name, style):
    text = SHIPPED.path(name).read_text()
    (tmp_path / "loose.jinja").write_text(text + "\nBe kind.\n")
    if "extends" in text:
        (tmp_path / "loose.jinja").write_text(text.replace("{% block way %}", "{% block way %}kindly ").replace("purpose =", "changed_ =", 0) + " ")
    one, _ = pair(tmp_path, name, tmp_path / "loose.jinja")
    assert one.style == style
