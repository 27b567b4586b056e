import pytest

from filters.rules.keywords import Keywords
from gen.core import Lineage, Sample


def check(instruction, rule=None, **more):
    verdict = (rule or Keywords()).check(Sample("s", instruction, Lineage("s"), **more))
    return verdict.reason, verdict.note


@pytest.mark.parametrize(
    ("instruction", "reason", "note"),
    [
        ("Describe the Image shown to the user.", "keyword", "image"),
        ("Explain what imagery means in poetry.", "", ""),
        ("Go to the nearest shop and report back.", "keyword", "go to"),
        ("Open the filesystem and list every entry.", "", ""),
        ("Compare the files.", "keyword", "files"),
        ("Write a program that adds two integers.", "prefix", "Write a program"),
        ("Write a Program that adds two integers.", "prefix", "Write a program"),
        ("Please write a program that adds integers.", "", ""),
        ('"Quoted" opening.', "punctuation", '"Quoted" opening.'),
        ("Élan vital should be explained simply.", "", ""),
        ("写一首关于秋天的诗", "", ""),
        ("", "", ""),
    ],
)
def test_instructions_that_a_text_model_cannot_follow_are_dropped(instruction, reason, note):
    assert check(instruction) == (reason, note)


def test_the_published_rule_on_the_first_character_is_for_english_only():
    rule = Keywords(non_ascii=True)
    assert check("Élan vital should be explained simply.", rule)[0] == "non_ascii"
    assert check("Explain élan vital simply.", rule)[0] == ""


def test_inputs_and_responses_are_not_looked_at():
    assert check("Sort these words.", input="map, image", response="Write a program")[0] == ""


def test_the_lists_are_parameters_and_chinese_words_are_found_inside_a_sentence():
    rule = Keywords(words=("图片", "C++"), prefixes=(), punctuation=False)
    assert check("请描述这张图片的内容。", rule) == ("keyword", "图片")
    assert check("Port it to C++ now.", rule) == ("keyword", "C++")
    assert check("Write a program that draws a map.", rule)[0] == check("...and then?", rule)[0] == ""
