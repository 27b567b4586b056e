import pytest

from filters.dedup.exact import Exact
from gen.core import Lineage, Message, Sample


def sample(id, instruction, root="r", **more):
    return Sample(id, instruction, Lineage(root), **more)


@pytest.mark.parametrize(
    ("instruction", "keep"),
    [
        ("Name two rivers.", False),
        ("  name TWO\nrivers", False),
        ("Name three rivers.", True),
        ("说出两条河。", False),
        ("“说出两条河”", False),
        ("说出三条河。", True),
    ],
)
@pytest.mark.parametrize("root", ["r", "other"])
def test_what_was_asked_before_is_dropped_within_a_family_too(instruction, keep, root):
    index = Exact().open()
    index.admit(sample("en", "Name two rivers."))
    index.admit(sample("zh", "说出两条河。"))
    verdict = index.judge(sample("new", instruction, root))
    assert verdict.keep is keep
    if not keep:
        assert (verdict.reason, verdict.by) == ("duplicate", "exact")
        assert verdict.nearest == ("en" if instruction.strip().isascii() else "zh")


@pytest.mark.parametrize(
    "more",
    [{"input": "in Asia"}, {"system": "Be brief."}, {"turns": (Message("user", "Hi"), Message("assistant", "Hello"))}],
)
def test_input_system_and_earlier_turns_are_part_of_what_is_asked(more):
    index = Exact().open()
    index.admit(sample("a", "Name two rivers."))
    assert index.judge(sample("b", "Name two rivers.", **more)).keep
    index.admit(sample("b", "Name two rivers.", **more))
    assert index.judge(sample("c", "NAME two rivers.", **more)).nearest == "b"


def test_the_nearest_is_the_first_admitted_and_judging_changes_nothing():
    index = Exact().open()
    assert index.judge(sample("a", "Name two rivers.")).keep
    assert index.judge(sample("a", "Name two rivers.")).keep
    index.admit(sample("a", "Name two rivers."))
    index.admit(sample("b", "Name two rivers."))
    assert index.judge(sample("c", "Name two rivers.")).nearest == "a"


def test_a_row_of_against_is_named_by_file_and_line():
    index = Exact().open()
    index.admit(sample("against:test.jsonl:7", "Name two rivers.", root="against:test.jsonl:7"))
    assert index.judge(sample("a", "Name two rivers.")).nearest == "against:test.jsonl:7"
