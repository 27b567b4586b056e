import pytest

from filters.rules.refusal import Refusal
from gen.core import Lineage, Sample


def sample(response):
    return Sample("s", "Write it.", Lineage("s"), response=response)


@pytest.mark.parametrize(
    ("response", "passage"),
    [
        ("I'm sorry, but I can't help with that.", "I'm sorry, but I can't help"),
        ("As an AI language model, I have no opinion.", "As an AI language model, I have no opinion"),
        ("I’m an AI, so I don’t have a city.", "I’m an AI, so I don’t have a city"),
        ("抱歉\uff0c我无法回答这个问题。", "抱歉\uff0c我无法回答"),
        ("作为一个人工智能语言模型\uff0c我没有感情。", "作为一个人工智能语言模型\uff0c我没有感情"),
    ],
)
def test_a_refusing_response_is_dropped_with_the_passage(response, passage):
    verdict = Refusal().check(sample(response))
    assert (verdict.keep, verdict.reason, verdict.by, verdict.note) == (False, "refusal", "refusal", passage)


@pytest.mark.parametrize(
    "response",
    [None, "", "Rhine", "I'm sorry for being late.", "对不起\uff0c我迟到了。", "Never say: I can't assist with that."],
)
def test_other_responses_are_kept(response):
    assert Refusal().check(sample(response)).keep


@pytest.mark.parametrize(
    ("response", "reason"),
    [("I'm sorry for being late.", "sorry_response"), ("Pick sorrel.", ""), ("sorry " + "word " * 79, "")],
)
def test_the_papers_rule_can_be_switched_on(response, reason):
    assert Refusal(sorry_words=80).check(sample(response)).reason == reason
