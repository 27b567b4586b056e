import pytest

from filters.rules.repetition import Repetition
from gen.core import Lineage, Sample

WORDS = " ".join(f"w{i}" for i in range(30))
HAN = "".join(chr(0x4E00 + i) for i in range(30))


def sample(instruction, response, input=""):
    return Sample("s", instruction, Lineage("s"), input=input, response=response)


@pytest.mark.parametrize(
    ("instruction", "response", "reason"),
    [
        ("Tell a joke.", "Why? " + "ha " * 30, "repetitive"),
        ("Tell a joke.", "ha ha ha", ""),
        ("Tell a joke.", f"{WORDS} {WORDS}", ""),
        ("Tell a joke.", f"{WORDS} {WORDS} {WORDS} end", "repetitive"),
        ("Draw a line.", "-" * 200, ""),
        ("List zeros.", "[" + "0, " * 40 + "0]", ""),
        ("Scream.", "a" * 60, "repetitive"),
        ("Write " * 30, "No.", "repetitive"),
        ("Tell a joke.", None, ""),
        ("讲个笑话。", "哈" * 30, "repetitive"),
        ("讲个笑话。", "哈哈哈", ""),
        ("讲个笑话。", HAN * 3 + "完", "repetitive"),
        ("讲个笑话。", HAN * 2, ""),
        ("写一首诗" * 8, "不。", "repetitive"),
    ],
)
def test_degenerate_texts_are_dropped(instruction, response, reason):
    assert Repetition().check(sample(instruction, response)).reason == reason


def test_a_task_may_repeat_the_form_of_its_examples():
    examples = "\n".join(f"Does this search talk about the virus in plain words? query {i} Bot: No" for i in range(9))
    assert Repetition().check(sample(examples, "No")).keep
    assert not Repetition().check(sample("Give examples.", examples)).keep


def test_the_value_is_the_share():
    assert Repetition().check(sample("Tell a joke.", f"{WORDS} {WORDS} {WORDS} end")).value == pytest.approx(60 / 91)
