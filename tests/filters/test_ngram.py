"""Decontamination by words in a row, to the word."""

import json

import pytest

from filters.dedup.ngram import Ngram
from gen.core import Lineage, Message, Sample
from gen.text import rouge_tokens

ITEM = "Check if in given list of numbers, are any two numbers closer to each other than given threshold."
WORDS = ITEM.split()


def sample(id, instruction, response=None, **more):
    return Sample(id, instruction, Lineage(id), response=response, **more)


def index(*items, **parameters):
    found = Ngram(**parameters).open()
    for number, item in enumerate(items):
        found.admit(item if isinstance(item, Sample) else sample(f"against:test.jsonl:{number + 1}", item))
    return found


@pytest.mark.parametrize("n", [2, 10, 13])
@pytest.mark.parametrize("start", [0, 3])
def test_n_words_in_a_row_are_too_many_and_one_less_is_none(n, start):
    found = index(ITEM, n=n)
    shared = " ".join(WORDS[start : start + n])
    verdict = found.judge(sample("a", f"Write code: {shared} or else."))
    assert (verdict.keep, verdict.reason, verdict.value, verdict.nearest) == (False, "contaminated", n, "against:test.jsonl:1")
    assert found.judge(sample("b", f"Write code: {' '.join(WORDS[start : start + n - 1])} or else.")).keep
    broken = [*WORDS[start : start + n // 2], "really", *WORDS[start + n // 2 : start + n]]
    assert found.judge(sample("c", " ".join(broken))).keep or n == 2


def test_case_and_punctuation_are_folded_and_the_whole_run_is_told():
    text = f"«{ITEM.upper().replace(' ', ' -- ')}»"
    verdict = index(ITEM).judge(sample("a", text))
    assert verdict.value == len(WORDS) == 18
    assert verdict.note == " ".join(rouge_tokens(ITEM)[:10])


def test_tasks_turns_data_and_answers_are_compared_each_for_itself():
    found = index(sample("against:t:1", "What is asked", ITEM))
    assert not found.judge(sample("a", "Say it.", ITEM)).keep
    assert not found.judge(sample("a", "Say it.", input=ITEM)).keep
    assert not found.judge(sample("a", "Say it.", turns=(Message("user", ITEM), Message("assistant", "Yes.")))).keep
    half = " ".join(WORDS[:9]), " ".join(WORDS[9:])
    assert found.judge(sample("a", half[0], half[1])).keep
    assert index(sample("against:t:1", "What is asked", ITEM), column="prompt").judge(sample("a", ITEM)).keep
    assert index(sample("against:t:1", "What is asked", ITEM), column="response").judge(sample("a", "Say it.", ITEM)).reason


def test_what_was_kept_is_not_compared_and_short_items_are_left_to_others():
    found = index()
    found.admit(sample("0123456789abcdef", ITEM))
    assert found.judge(sample("a", ITEM)).keep
    assert index("Add two numbers.").judge(sample("a", "Add two numbers.")).keep


def test_chinese_counts_by_the_character():
    item = "检查列表中是否有两个数比给定的阈值更接近"
    assert not index(item).judge(sample("a", f"请{item[3:13]}吗")).keep
    assert index(item).judge(sample("a", f"请{item[3:12]}吗")).keep


def test_a_function_of_the_test_data_is_known_by_its_name():
    item = sample("against:t:7", "Complete it.", "```python\ndef has_close_elements(a, b): return main()\ndef main(): pass\n```\nfunction parseInts (x) {}")
    for task in ("Write has_close_elements(xs, t).", "Call parseInts twice."):
        verdict = index(item, functions=True).judge(sample("a", task))
        assert (verdict.reason, verdict.nearest, verdict.value) == ("contaminated", "against:t:7", None)
        assert index(item).judge(sample("a", task)).keep
    assert index(item, functions=True).judge(sample("a", "Write main() so that it has close elements.")).keep


def test_real_seeds_are_found_again_in_what_repeats_them(shared):
    rows = [json.loads(line) for line in (shared / "code_alpaca/seed_tasks.jsonl").read_text().splitlines()]
    texts = [f"{r['instruction']}\n\n{r['instances'][0]['input']}" for r in rows]
    long = [t for t in texts if len(rouge_tokens(t)) >= 10]
    found = index(*long)
    assert len(long) >= 10
    assert all(found.judge(sample("a", f"Please, do this: {t}")).reason for t in long)
    assert all(found.judge(sample("a", " ".join(reversed(t.split())))).keep for t in long)
