

import pytest

from filters.rules.script import Script
from gen.core import Lineage, Message, Sample, replace
from gen.errors import RecipeError

ENGLISH = "The river rises in the mountains and flows north to the sea."
CHINESE = "这条河发源于山区\uff0c向北流入大海。"
RUSSIAN = "Река берёт начало в горах и течёт на север."


def sample(instruction, response, input="", system=""):
    return Sample("s", instruction, Lineage("s"), input=input, response=response, system=system)


@pytest.mark.parametrize(
    ("instruction", "response", "reason"),
    [
        ("Describe the river.", ENGLISH, ""),
        ("描述这条河。", CHINESE, ""),
        ("描述这条河。", ENGLISH, "wrong_script"),
        ("Describe the river.", CHINESE, "wrong_script"),
        ("Describe the river.", RUSSIAN, "wrong_script"),
        ("Опиши реку.", ENGLISH, "wrong_script"),
        ("川を説明してください。", "この川は山から流れて海に注ぎます。", ""),
        ("描述这条河。", "この川は山から流れて海に注ぎます。", "wrong_script"),
        ("描述这条河。", None, ""),
    ],
)
def test_a_response_keeps_to_the_script_of_its_task(instruction, response, reason):
    assert Script().check(sample(instruction, response)).reason == reason


@pytest.mark.parametrize(
    ("instruction", "input", "response"),
    [
        ("Translate into Chinese.", ENGLISH, CHINESE),
        ("翻译成英文。", CHINESE, ENGLISH),
        ("把这句话译成俄语。", CHINESE, RUSSIAN),
        ("Übersetze den Satz.", ENGLISH, CHINESE),
        ("How would a person in Moscow say it in Russian?", "", RUSSIAN),
        ("Summarise the text.", CHINESE, CHINESE),
        ("总结下面的文章: " + ENGLISH * 9, "", CHINESE),
    ],
)
def test_translations_and_tasks_about_other_languages_are_kept(instruction, input, response):
    assert Script().check(sample(instruction, response, input)).keep


@pytest.mark.parametrize(
    ("instruction", "response"),
    [
        ("用Python写一个函数。", "def area(r):\n    return 3.14 * r * r\n\nprint(area(2), area(3), area(4))"),
        ("用Python写一个函数。", f"```python\n# {ENGLISH}\nprint(1)\n```"),
        ("计算 6 x 7。", "42"),
        ("谁写了《哈姆雷特》?", "William Shakespeare"),
        ("写一个查询。", "SELECT name FROM rivers WHERE length > 100 ORDER BY name;"),
        ("What is the kanji for water?", "水"),
    ],
)
def test_code_numbers_and_names_have_no_script_to_miss(instruction, response):
    assert Script().check(sample(instruction, response)).keep


def test_an_earlier_turn_may_have_named_the_language():
    turns = (Message("user", "请用英语介绍长江。"), Message("assistant", "It flows."))
    assert not Script().check(sample("再详细一点。", ENGLISH)).keep
    assert Script().check(replace(sample("再详细一点。", ENGLISH), turns=turns)).keep


def test_a_system_prompt_may_name_the_language():
    assert Script().check(sample("Describe the river.", CHINESE, system="Answer in Chinese.")).keep


@pytest.mark.parametrize(
    ("instruction", "response", "note"),
    [
        ("描述这条河。", CHINESE, ""),
        ("用Python写一个函数。", "print(1)", ""),
        ("42 + 1 = ?", "43", ""),
        ("把它翻译成英文。", ENGLISH, ""),
        ("Describe the river.", CHINESE, "instruction in latin, expected han"),
        ("描述这条河。", ENGLISH, "response in latin, expected han"),
    ],
)
@pytest.mark.parametrize("language", ["Chinese", "zh", "中文", "han"])
def test_an_expected_language_binds_both(language, instruction, response, note):
    assert Script(expect=language).check(sample(instruction, response)).note == note


def test_an_unknown_language_is_refused_before_the_run():
    with pytest.raises(RecipeError, match="'Klingon' is no language known here"):
        Script(expect="Klingon")
