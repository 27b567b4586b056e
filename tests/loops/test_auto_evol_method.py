"""Methods are data: checked, put around a task, written as a prompt file that renders to the same; and when an evolution
has failed (the table of F)."""

import random

import pytest

from gen.loops._failures import EXTENDED, PUBLISHED, FailureRule, failures, is_unchanged
from gen.loops._method import around, as_prompt, fault_of, method_id, tidy
from gen.prompts import Prompts

GOOD = "Make this harder.\n\n[[TASK]]\n\nReply so:\n<plan>\np\n</plan>\n<instruction>\nthe new task\n</instruction>"
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 99}
F = [  # answer, tolerant, strict, tolerant by the extended list
    ("Understood. Anything else?", ["stagnant"], ["stagnant"], ["stagnant"]),
    ("understood?", ["stagnant"], [], ["stagnant"]),
    ("Thank you! What now?", ["stagnant"], ["stagnant"], ["stagnant"]),
    ("Sure! Which API?", ["unqualified"], ["unqualified"], ["unqualified"]),
    ("Sure, here it is.", [], [], []),
    ("Surely you mean 5?", [], ["unqualified"], []),
    ("Please provide the list.", ["lost_information"], [], ["lost_information"]),
    ("So please provide it", ["lost_information"], ["lost_information"], ["lost_information"]),
    ("Great! Do you want more?", [], [], ["stagnant"]),
    ("Whatever is it?", [], [], []),
    ("What is it?", [], [], ["stagnant"]),
    ('"Sure, which one?" ', [], [], []),
    ('Sure, do you mean "this one?" \n', ["unqualified"], [], ["unqualified"]),
    ("Sure? Please provide a file. Which?", ["unqualified", "lost_information"], ["unqualified"],
     ["unqualified", "lost_information"]),
    ("", [], [], []),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "tolerant", "strict", "extended"), F)
def test_the_failure_function_is_the_published_one_and_forgives_case_and_closing_quotes(
    answer, tolerant, strict, extended
):
    assert failures(answer, PUBLISHED) == tolerant
    assert failures(answer, PUBLISHED, strict=True) == strict
    assert failures(answer, EXTENDED) == extended


def test_all_conditions_of_a_rule_must_hold_and_one_phrase_of_each_is_enough():
    rule = FailureRule("r", ("A", "B"), ("!",), ("x", "y"))
    assert [rule.holds(t) for t in ("a y !", "b x!", "a !", "a x", "c x!")] == [True, True, False, False, False]


UNCHANGED = [
    ("Sort 3 1 2.", "sort 3  1 2", True),
    ("Sort 3 1 2.", "Sort 3 1 2 and say why.", False),
    ("Sort 3 1 2.", "Sort 3 1 2 4.", False),
    ("word " * 100, "word " * 103, True),
    ("word " * 100, "word " * 104, False),
    ("one two three four five six seven eight nine ten", "one two three four five six seven eight nine", False),
    ("one two three four five six seven eight nine ten", "one two three four five six seven eight nine ten so", True),
    ("排序这些数", "排序这些数。", True),
    ("", "", True),
]


@pytest.mark.parametrize(("old", "new", "same"), UNCHANGED)
def test_a_task_that_hardly_changed_is_told_by_the_words_that_differ(old, new, same):
    """Of 19 words in both texts, 1 in 20 is none; of 21, one may differ; never more than 3."""
    assert is_unchanged(old, new) == same


FAULTS = {
    GOOD: "",
    GOOD.replace("[[TASK]]", ""): "no_slot",
    GOOD.replace("[[TASK]]", "[[TASK]] [[TASK]]"): "no_slot",
    GOOD.replace("instruction>", "task>"): "no_label",
    GOOD + "\n<notes>\nn\n</notes>": "no_label",
    "Make [[TASK]] harder.": "no_label",
    GOOD.replace("harder", "harder " * 300): "method_too_long",
}


@pytest.mark.parametrize(("method", "fault"), FAULTS.items(), ids=range(len(FAULTS)))
def test_a_method_has_one_slot_ends_in_the_label_and_is_not_too_long(method, fault):
    assert fault_of(method, 300)[0] == fault


def test_the_first_method_is_a_method():
    first = tidy(Prompts().get("auto_evol/initial").render()[0].content)
    assert fault_of(first, 400) == ("", "")
    assert [first.index(tag) for tag in ("<ways>", "<plan>", "<draft>", "<instruction>")] == sorted(
        first.index(tag) for tag in ("<ways>", "<plan>", "<draft>", "<instruction>")
    )


def both(folder, method, **values):
    """What the written prompt says, and what is sent while methods are compared."""
    (folder / "evolve").mkdir(parents=True, exist_ok=True)
    (folder / "evolve/auto.jinja").write_text(as_prompt(method, SAMPLING, changed='a "b" \\ c'), encoding="utf-8")
    prompts = Prompts(folder)
    return (
        prompts.get("evolve/auto").render(**values),
        prompts.get("auto_evol/apply").render(**around(method), **values),
        prompts.get("evolve/auto"),
    )


TASK = {"instruction": "Sort {{ y }} 3 1 2.", "input": "{% set z %}", "domain": "", "language": "French"}


def test_a_written_method_holds_no_template(tmp_path):
    method = GOOD.replace("Make", "{{ x }} {% endraw %} {{ 7 * 7 }} {%- endraw -%} {% include 'evolve/answer' %} Make")
    written, sent, prompt = both(tmp_path, method, **TASK)
    assert written == sent
    assert "{{ x }} {% endraw %} {{ 7 * 7 }} {%- endraw -%} {% include 'evolve/answer' %} Make" in written[0].content
    assert "Sort {{ y }} 3 1 2." in written[0].content
    assert prompt.inputs == ("instruction", "input", "domain", "language")
    assert (prompt.reply.sections, prompt.reply.last) == (("instruction",), True)
    assert prompt.sampling.max_tokens == 99


PIECES = ["{{ x }}", "{% endraw %}", "{%- endraw -%}", "{%+ endraw +%}", "{% raw %}", "{%\nendraw %}", "    {% endraw %}\n",
          "\n", "  ", "{# c #}", "#}", "{%", "%}", "{{", "}}", "{", "word", "'", '"', "\\", "\n---\n", "é", "{% endblock %}"]  # fmt: skip


def test_whatever_a_model_writes_renders_as_it_is(tmp_path):
    rng = random.Random(0)
    for number in range(100):
        some = ("".join(rng.choice(PIECES) for _ in range(rng.randrange(12))) for _ in range(2))
        method = tidy("A {}\n[[TASK]]\n{} <instruction>x</instruction>".replace("{}", next(some), 1).replace("{}", next(some), 1))
        written, sent, _ = both(tmp_path / str(number), method, **TASK)
        assert written == sent
        assert around(method)["before"] in written[0].content
        assert around(method)["after"] in written[0].content


def test_a_method_is_known_by_its_text():
    assert tidy("a \r\nb\n\n") == "a\nb"
    assert method_id("a") != method_id("b")
    assert len(method_id("a")) == 12
