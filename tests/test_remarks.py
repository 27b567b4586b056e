"""What a rewrite says of itself, row by row."""

import time

import pytest

from gen import remarks

REMARKS = [
    ("I apologize for the error. New text. I hope this revision helps.", "New text."),
    ("Sure! Here's an improved version of the poem:\n\nRoses are red.", "Roses are red."),
    ("Here is the revised list:\nRhine. Po.\n\nThe revised answer now includes two rivers.", "Rhine. Po."),
    ("**Revised answer:**\n42", "42"),
    ("Better version: 42", "42"),
    ("Based on the reviewer's notes, here is the answer:\n42", "42"),
    ("I'm sorry. Sorry again. 42", "42"),
    ("以下是修改后的答案：\n春天。希望这次修改有帮助。", "春天。"),
    ("非常抱歉。答案是四。", "答案是四。"),
    ("Sorry, 42.", "Sorry, 42."),
    ("Here are some tips on how to become a better speaker:\n1. Practise.", "Here are some tips on how to become a better speaker:\n1. Practise."),
    ("Rhine. As the revised answer says, Po.", "Rhine. As the revised answer says, Po."),
    ("This version of the tool is new. I hope for rain.", "This version of the tool is new. I hope for rain."),
    ("St. Jude's hopes that care is improved.", "St. Jude's hopes that care is improved."),
    ("  42\n", "42"), ("", ""), ("Sorry.", "Sorry."),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "bare"), REMARKS)
def test_what_a_rewrite_says_of_itself_is_taken_off_its_edges(answer, bare):
    assert remarks.strip_remarks(answer) == bare
    assert remarks.strip_remarks(bare) == bare


REMARKED = [
    ("Sorry, 42.", "Sorry, 42."), ("Rhine. As the revised answer says, Po.", "revised answer"), ("As in my previous answer, 42", "my previous answer"),
    ("Based on your feedback, it is 42.", "Based on your feedback"), ("42\n</answer>", "</answer>"), ("根据您的反馈，答案是四。", "根据您的反馈"),
    ("Ask for feedback, then revise your plan.", None), ("The previous version of Python had none.", None), ("42", None), ("", None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "remark"), REMARKED)
def test_what_a_rewrite_says_of_itself_elsewhere_is_found(answer, remark):
    assert remarks.find_remark(answer) == remark
    assert remarks.find_remark(answer, f"Somebody said sorry, and: {answer}") is None


def test_an_apology_that_the_task_speaks_of_is_its_subject():
    letter = "I apologize for being late. Ann"
    assert remarks.strip_remarks(letter) == "Ann"
    for task in ("Write an apology to Bob.", "给鲍勃写一封道歉信。"):
        assert remarks.strip_remarks(letter, task) == letter
        assert remarks.find_remark(letter, task) is None


def test_remarks_are_looked_for_in_linear_time():
    begin = time.perf_counter()
    for long in ("word " * 40000, "Here is " * 20000, "a. " * 40000, "这" * 60000, "I hope " * 30000, "x\n" * 50000):
        remarks.strip_remarks(long)
        remarks.find_remark(long)
    assert time.perf_counter() - begin < 10
