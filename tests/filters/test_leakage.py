import pytest

from filters.rules.leakage import Leakage
from gen.core import Lineage, Sample


def sample(instruction, response="Done.", operation="constrain"):
    return Sample("s", instruction, Lineage("r", operation=operation), response=response)


@pytest.mark.parametrize(
    ("instruction", "response", "reason"),
    [
        ("Name two rivers.", "Rhine, Oder", ""),
        ("#Rewritten Prompt#: Name two rivers.", "Rhine, Oder", "prompt_leak"),
        ("Make the given prompt harder.", "Done.", "prompt_leak"),
        ("Name two rivers.\n</instruction>", "Rhine, Oder", "prompt_leak"),
        ("改写后的任务\uff1a说出两条河。", "长江、黄河", "prompt_leak"),
        ("说出两条河。", "长江、黄河", ""),
        ("Name two rivers.", "<instruction>\nName three rivers.\n</instruction>", "tag_leak"),
        ("Name two rivers.", "<task>Name three rivers.</task>", "tag_leak"),
        ("说出两条河。", "<instruction>\n说出三条河。\n</instruction>", "tag_leak"),
        ("Show a form.", '<form>\n<input type="text">\n</form>', ""),
        ("Give XML.", "<data>\n  <item>1</item>\n</data>", ""),
        ("Explain <input> in HTML.", "The given prompt of an <input> is its placeholder.", ""),
        ("Name two rivers.", None, ""),
    ],
)
def test_words_and_tags_of_our_prompts_are_leaks(instruction, response, reason):
    assert Leakage().check(sample(instruction, response)).reason == reason


def test_what_a_person_wrote_is_no_leak_unless_asked():
    seed = sample("Write a story from the given prompt.", operation="seed")
    assert Leakage().check(seed).keep
    assert Leakage(seeds=True).check(seed).note == "given prompt"
