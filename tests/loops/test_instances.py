"""Instances as dialogues: is it a classification task, what comes first, what is kept of the reply."""

import pytest
from dialogue import hold, reasons

from gen.core import Completion, Lineage, Sample
from gen.errors import PromptError, RecipeError
from gen.loops.instances import Instances
from gen.prompts import Prompts

TASK = Sample("t", "Say whether the word is a tree.", Lineage("t", operation="new", prompts=("p@1",)), meta={"demos": ["a"]})
TWO = "<input>\noak\n</input>\n<output>\nYes\n</output>\n<input>\npen\n</input>\n<output>\nNo\n</output>"


def answer(loop, *replies, seed=TASK):
    return hold(loop.answer(seed), replies)


def test_a_generation_task_gets_inputs_first():
    asked, grown = answer(Instances(), "No.", TWO)
    assert [(r.role, r.step) for r in asked] == [("judge", "is_classification"), ("answerer", "instances_input_first")]
    assert all("<task>\nSay whether the word is a tree.\n</task>" in r.messages[-1].content for r in asked)
    assert "Give 5 worked examples" in asked[1].messages[-1].content
    first, second = (c.sample for c in grown.candidates)
    assert (first.instruction, first.input, first.response) == ("Say whether the word is a tree.", "oak", "Yes")
    assert (second.input, second.response) == ("pen", "No")
    assert (first.lineage.root, first.lineage.parent, first.lineage.operation) == ("t", "t", "instances_input_first")
    assert first.lineage.prompts == ("p@1", asked[0].prompt, asked[1].prompt)
    assert first.meta == {"demos": ["a"], "is_classification": False}


def test_a_classification_task_gets_labels_first():
    reply = "<output>\nYes\n</output>\n<input>\noak\n</input>\n<output>\nNo\n</output>\n<input>\npen\n</input>"
    asked, grown = answer(Instances(max_instances=2), "Yes", reply)
    assert asked[1].step == "instances_output_first"
    assert "Give 2 worked examples" in asked[1].messages[-1].content
    assert [(c.sample.input, c.sample.response) for c in grown.candidates] == [("oak", "Yes"), ("pen", "No")]
    assert grown.candidates[0].sample.meta["is_classification"] is True


JUDGED = {"Yes": True, "yes": True, "YES": True, "No": False, "": False, "Perhaps": False, "The answer is yes.": True}
OPENING = {" Yes": True, " No\n\nTask: Is it?\nClassification? Yes": False, "": False, " Yes\n\nTask: x": True}
PUBLISHED = {" Yes": True, "YES ": True, "yes": True, "Yes.": False, "yEs": False, "": False}


@pytest.mark.parametrize(
    ("loop", "judged"),
    [(Instances(), JUDGED), (Instances("base"), OPENING), (Instances("base", compat=True), PUBLISHED)],
    ids=["chat", "base", "compat"],
)
def test_what_is_neither_yes_nor_no_counts_as_no(loop, judged):
    for said, labels in judged.items():
        asked, _ = answer(loop, said, "Class label: Yes\noak" if labels else "Output: Yes")
        assert ("output_first" in asked[1].step) is labels, said


def test_what_is_known_is_not_asked():
    known = Sample("t", "Sort.", Lineage("t"), meta={"is_classification": True})
    assert [r.step for r in answer(Instances(), TWO, seed=known)[0]] == ["instances_output_first"]
    assert [r.step for r in answer(Instances(order="input-first"), TWO, seed=known)[0]] == ["instances_input_first"]
    assert [p.name for p in Instances(order="output-first").asks()] == ["self_instruct/instances_output_first"]


def test_base_models_go_on_with_worked_tasks():
    asked, grown = answer(Instances("base"), " No\n\nTask: Next", "Example 1\nWord: oak\nOutput: Yes\n\nTask: Next\nOutput: x")
    assert all(r.raw and len(r.messages) == 1 for r in asked)
    assert asked[0].sampling.max_tokens == 3
    assert (asked[1].sampling.temperature, asked[1].sampling.presence_penalty) == (0.0, 1.5)
    assert asked[1].messages[0].content.endswith("\n\nTask: Say whether the word is a tree.")
    assert [(c.sample.input, c.sample.response) for c in grown.candidates] == [("Word: oak", "Yes")]


def test_a_seed_with_an_answer_passes_or_vanishes():
    seed = Sample("s", "Name a tree.", Lineage("s"), response="Oak")
    asked, grown = answer(Instances(), seed=seed)
    assert asked == []
    assert [(c.sample, c.given) for c in grown.candidates] == [(seed, True)]
    assert answer(Instances(seeds_too=False), seed=seed)[1].candidates == ()


def test_a_task_that_brings_its_input_keeps_it():
    seed = Sample("s", "Sort the words.", Lineage("s"), input="oak ash")
    asked, grown = answer(Instances(), "No", "<output>\nash oak\n</output>", seed=seed)
    assert "<task>\nSort the words.\n\noak ash\n</task>" in asked[1].messages[-1].content
    [candidate] = grown.candidates
    assert (candidate.sample.instruction, candidate.sample.input) == ("Sort the words.", "oak ash")


FAILED = [
    (Completion("<output>\nYes\n</output>\n<output>\nNo", "length"), ["", "instance_truncated"]),
    (Completion("So", "length"), ["instances_truncated"]),
    (Completion("", "refused"), ["instances_rejected"]),
    (Completion("", "overlong"), ["overlong"]),
    (Completion("", "reasoning_truncated"), ["reasoning_truncated"]),
    ("I'm sorry, but I can't help with that.", ["instances_refused"]),
    ("Trees are nice.", ["no_instances"]),
    ("<input>\na\n</input>\n<output>\n\n</output>", ["empty_output"]),
    ("<input>\na\n</input>\n<output>\na\n</output>", ["input_equals_output"]),
    ("<output>\nThe answer is:\n</output>", ["trailing_colon"]),
    (TWO + "\n<input>\noak\n</input>\n<output>\nNo\n</output>", ["contradictory_instances"] * 3),
    (TWO + "\n<input>\noak\n</input>\n<output>\nYes\n</output>", ["", "", "duplicate_instance"]),
]


@pytest.mark.parametrize(("reply", "expected"), FAILED)
def test_every_failure_is_a_candidate_with_a_reason_and_the_text(reply, expected):
    _, grown = answer(Instances(), "No", reply)
    assert reasons(grown) == expected
    assert all(c.sample.response is not None and c.sample.instruction == TASK.instruction for c in grown.candidates)


def test_of_too_many_instances_the_tasks_id_decides_which_stay():
    reply = "\n".join(f"<input>\n{i}\n</input>\n<output>\nout {i}\n</output>" for i in range(9))
    drawn = {}
    for id in "abcdefgh":
        _, grown = answer(Instances(max_instances=3), "No", reply, seed=Sample(id, "Count.", Lineage(id)))
        assert sorted(reasons(grown)) == [""] * 3 + ["surplus_instance"] * 6
        assert grown == answer(Instances(max_instances=3), "No", reply, seed=Sample(id, "Count.", Lineage(id)))[1]
        drawn[id] = tuple(reasons(grown))
    assert len({*drawn.values()}) > 3


def test_what_does_not_fit_together_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="style = 'base'"):
        Instances(compat=True)
    (tmp_path / "self_instruct").mkdir()
    text = Prompts().path("self_instruct/is_classification").read_text()
    (tmp_path / "self_instruct/is_classification.jinja").write_text(text.replace('["yes", "no"]', '["ja", "nein"]'))
    with pytest.raises(PromptError, match="no choices 'yes' and 'no'"):
        Instances(prompts=Prompts(tmp_path)).asks()
