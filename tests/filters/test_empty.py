import pytest

from filters.rules.empty import Empty
from gen.core import Lineage, Sample


def sample(instruction, response, input=""):
    return Sample("s", instruction, Lineage("s"), input=input, response=response)


@pytest.mark.parametrize(
    ("instruction", "response", "reason"),
    [
        ("Name a river.", "Rhine", ""),
        ("Is 7 prime?", "Yes", ""),
        ("Is 9 prime?", "No.", ""),
        ("Which preposition? He sits __ a chair.", "on", ""),
        ("6 x 7?", "42", ""),
        ("", "Rhine", "empty_instruction"),
        (" \n", "Rhine", "empty_instruction"),
        ("Name a river.", "", "empty_response"),
        ("Name a river.", "  \n", "empty_response"),
        ("Name a river.", "...", "hollow_response"),
        ("Name a river.", "the of and", "hollow_response"),
        ("说出一条河。", "长江", ""),
        ("7是质数吗?", "是", ""),
        ("说出一条河。", "。。。", "hollow_response"),
        ("说出一条河。", "的了", "hollow_response"),
        ("Not answered yet.", None, ""),
    ],
)
def test_what_says_nothing_is_dropped(instruction, response, reason):
    assert Empty().check(sample(instruction, response)).reason == reason


def test_an_instruction_may_be_all_data():
    assert Empty().check(sample("", "4", input="2 + 2")).keep
