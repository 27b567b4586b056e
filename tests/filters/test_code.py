"""Programming tasks and answers that fail by what can be seen: fences, missing code, code that is none."""

import gzip
import json

import pytest

from filters.rules.code import Code
from gen.core import Lineage, Sample, replace
from gen.text import asks_for_code, find_solution

TASK = "Write a Python function that doubles a number."
GOOD = "Here:\n```python\ndef f(x):\n    return 2 * x\n```"
CODE = "def f(x):\n    y = x\n    return 2 * y"


def sample(response, instruction=TASK, operation="constrain", **more):
    return Sample("s", instruction, Lineage("r", operation=operation), response=response, **more)


CASES = [
    (TASK, GOOD, ""),
    (TASK, "It is easy.", "no_code"),
    (TASK, "def f(x):\n    return 2 * x", ""),
    (TASK, "def f(x):\nreturn 2 * x", "no_code"),
    (TASK, "```python\ndef f(x):\n    return 2 *", "truncated"),
    (TASK, "```python\ndef f(x):\nreturn 2 * x\n```", "syntax_error"),
    (TASK, "```\ndef f(x):\nreturn 2 * x\n```", "syntax_error"),
    (TASK, "```js\nfunction f(x) { return 2 x\n```", ""),
    (TASK, "```\nf x = 2 *\n```", ""),
    (TASK, "```python\nx = 1\n```\nor\n```py3\nx = = 1\n```", "syntax_error"),
    ("What is a list?", "A sequence.", ""),
    ("What does this print?\n```python\nprint(1)\n```", "1", ""),
    (f"{TASK}\n```python\n{CODE}\n```", f"```python\n{CODE}\n```", "solution_in_task"),
    (f"{TASK}\n```python\n{CODE}\n```", f"```python\n{CODE.replace('2 *', '3 *')}\n```", ""),
    (f"{TASK}\nSolution:\n```python\n{CODE}\n```", GOOD, "solution_in_task"),
    ("写一个把数字加倍的函数。", "很简单。", "no_code"),
    (TASK, "```python\nLIMIT = 20.\n# 20. even\n```\n20. Done.", ""),
]


@pytest.mark.parametrize(("task", "answer", "reason"), CASES)
def test_what_can_be_seen_of_code_decides(task, answer, reason):
    assert Code().check(sample(answer, task)).reason == reason


def test_what_a_person_answered_passes_unless_seeds_are_judged_and_what_a_model_answered_does_not():
    seed = sample("It is easy.", operation="seed")
    assert Code().check(seed).keep
    assert Code(seeds=True).check(seed).reason == "no_code"
    assert Code().check(replace(seed, lineage=replace(seed.lineage, prompts=("code/answer@1",)))).reason == "no_code"


def test_code_blocks_need_not_be_there_where_the_parameter_says_so():
    assert Code(block=False).check(sample("It is easy.")).keep


def test_an_example_of_two_lines_in_the_task_is_no_solution():
    assert Code().check(sample("```\nx = 1\ny = 2\n```", f"{TASK}\n```\nx = 1\ny = 2\n```")).keep


@pytest.mark.parametrize(
    ("task", "asks"),
    [(TASK, True), ("Implement a queue class in Java.", True), ("Write a SQL query that lists all users.", True),
     ("Generate HTML for a form.", True), ("Fix the bug in this code:\n```\nx\n```", True), ("实现一个排序函数。", True),
     ("Explain what this function does.", False), ("What is the output of the following code?", False),
     ("Name three uses of Python.", False), ("写一首诗。", False), ("What does this do?\n```\n# write a function\n```", False)],
)  # fmt: skip
def test_a_task_that_asks_for_code_is_known_by_its_words(task, asks):
    assert asks_for_code(task) is asks


def test_a_solution_is_announced_before_it_comes():
    assert find_solution("Add.\n\n**Solution:**\nreturn a + b or so") == "**Solution:"
    assert find_solution("Find the solution: x + 2 = 4.") is None
    assert find_solution("Add two numbers.\nAnswer:") is None


def test_hardly_a_real_task_holds_its_solution_and_most_ask_for_code(shared):
    rows = json.loads(gzip.decompress((shared / "code_alpaca/code_alpaca_2k.json.gz").read_bytes()))
    assert not [r for r in rows if find_solution(f"{r['instruction']}\n\n{r['input']}")]
    assert sum(asks_for_code(r["instruction"]) for r in rows) > 0.5 * len(rows)
    fenced = [sample(f"```\n{r['output']}\n```", r["instruction"], input=r["input"]) for r in rows]
    reasons = [Code().check(s).reason for s in fenced]
    assert reasons.count("") > 0.97 * len(rows)
    assert 20 < reasons.count("syntax_error") < 50
