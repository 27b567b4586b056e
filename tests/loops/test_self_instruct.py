"""Self-Instruct as dialogues: what is shown, what is asked, what becomes of every item."""

import json
import random

import pytest
from dialogue import hold, reasons

from filters.dedup.rouge import Rouge
from filters.rules.keywords import Keywords
from gen.core import Completion, Lineage, Sample, place
from gen.errors import InputError, PromptError, RecipeError
from gen.loops.instances import Instances
from gen.loops.self_instruct import SelfInstruct
from gen.prompts import Prompts


def task(id, instruction, **more):
    return Sample(id, instruction, Lineage(id), **more)


SEEDS = [task(f"s{i}", f"Explain the {word} law of old {word}:", response="It holds.") for i, word in enumerate(
    "amber birch cedar dune ember fjord grove heath inlet juniper".split())]  # fmt: skip
MADE = [task(f"m{i}", f"Translate the {word} poem into prose.") for i, word in enumerate(["knoll", "lagoon", "marsh"])]
THREE = "9. Name a tree that grows fast.\n10. Say in two words what dunes are.\n11. Compare an oak with an ash."


def draw(loop, reply=THREE, seeds=SEEDS, made=(), rng=0):
    """The question and what was grown."""
    [asked], grown = hold(loop.draw(seeds, made, random.Random(rng)), [reply])
    return asked, grown


@pytest.mark.parametrize("style", ["chat", "base"])
@pytest.mark.parametrize(("made", "from_pool"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_the_law_of_demonstrations(style, made, from_pool):
    """8 + 0, then 7 + 1, then 6 + 2 of eight; the new ones are numbered from 9."""
    for rng in range(20):
        asked, grown = draw(SelfInstruct(style=style), made=MADE[:made], rng=rng)
        text = asked.messages[-1].content
        shown = [line for line in text.splitlines() if line[:1].isdigit() and line[-1] == "."]
        shown = [line.split(". ", 1)[1] for line in shown if ". " in line]
        assert sum(line.startswith("Translate") for line in shown) == from_pool
        numbered = [line for line in text.splitlines() if line[:2] in [f"{n}." for n in range(1, 10)]]
        assert len(numbered) == (9 if style == "base" else 8)
        assert len(grown.candidates[0].sample.meta["demos"]) == 8 == len({*grown.candidates[0].sample.meta["demos"]})
    assert text.endswith("\n9." if style == "base" else "numbered from 9 to 15.")


def test_demonstrations_are_shuffled_one_line_each_and_without_a_trailing_colon():
    orders = {draw(SelfInstruct(), made=MADE, rng=rng)[0].messages[-1].content for rng in range(10)}
    assert len(orders) == 10
    text = draw(SelfInstruct(shown=1, from_pool=0), seeds=[task("s", "Sort\n these  words:")])[0].messages[-1].content
    assert "<tasks>\n1. Sort these words\n</tasks>" in text
    assert "numbered from 2 to 8." in text


def test_with_few_seeds_more_of_what_was_made_is_shown():
    _, grown = draw(SelfInstruct(shown=4, from_pool=1), seeds=SEEDS[:1], made=MADE)
    assert {*grown.candidates[0].sample.meta["demos"]} == {"s0", "m0", "m1", "m2"}


def test_a_question_for_chat_models():
    asked, _ = draw(SelfInstruct(asked=3, domain="forestry", language="English"))
    assert (asked.role, asked.step, asked.raw) == ("evolver", "new_instructions", False)
    text = asked.messages[-1].content
    assert "invent 3 more" in text
    assert "Stay within this domain: forestry." in text
    assert "Write in English." in text
    assert "numbered from 9 to 11." in text


def test_a_question_for_base_models_is_sent_raw_and_decoded_as_published():
    asked, _ = draw(SelfInstruct(style="base"), reply=" Name a tree that grows fast.")
    assert (asked.raw, asked.step) == (True, "new_instructions_base")
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.presence_penalty) == (0.7, 0.5, 2.0)
    asked, _ = draw(SelfInstruct(presence_penalty=0.5, temperature=0.1, max_new_tokens=9))
    assert (asked.sampling.presence_penalty, asked.sampling.temperature, asked.sampling.max_tokens) == (0.5, 0.1, 9)


def test_new_tasks_are_families_of_their_own_with_their_demonstrations():
    asked, grown = draw(SelfInstruct())
    first, second, _ = (place(c.sample, 0, 1, i) for i, c in enumerate(grown.candidates))
    assert first.instruction == "Name a tree that grows fast."
    assert first.response is None
    assert first.lineage.operation == "new"
    assert first.lineage.parent is None
    assert first.lineage.prompts == (asked.prompt,)
    assert first.lineage.root != second.lineage.root
    assert draw(SelfInstruct(), rng=1)[1].candidates[0].sample.lineage.root != first.lineage.root
    assert grown == draw(SelfInstruct())[1]
    assert grown.heirs == ()


def test_ten_seeds_three_items_near_copy_banned_word_good():
    """The gate of the first stage: of a near copy of a seed, a banned word and a good task one is left, and shown later."""
    reply = "9. Explain the amber law of the old amber.\n10. Draw a picture of a dune.\n11. Compare an oak with an ash."
    _, grown = draw(SelfInstruct(), reply)
    index, kept, found = Rouge().open(), [], []
    for seed in SEEDS:
        index.admit(seed)
    for i, candidate in enumerate(grown.candidates):
        sample = place(candidate.sample, 0, 1, i)
        failed = [v for v in (Keywords().check(sample), index.judge(sample)) if not v.keep]
        found.append(failed[0].reason if failed else "")
        kept += [] if failed else [sample]
    assert found == ["near_duplicate", "keyword", ""]
    asked, _ = draw(SelfInstruct(), made=kept)
    assert "Compare an oak with an ash." in asked.messages[-1].content


FORTY = "\n".join(f" Task {n} asks for tree {n}." if n == 9 else f"{n}. Task {n} asks for tree {n}." for n in range(9, 49))


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("compat", [False, True])
def test_at_most_seven_are_read_however_many_a_base_model_writes(compat, finish):
    _, grown = draw(SelfInstruct(style="base", compat=compat), Completion(FORTY, finish))
    assert reasons(grown) == [""] * 7 + ["surplus_tasks"]
    assert grown.candidates[6].sample.instruction == "Task 15 asks for tree 15."
    assert grown.candidates[7].failure.value == 33


def test_numbers_inside_a_task_stop_nothing():
    _, grown = draw(SelfInstruct(style="base"), " Say what happened in 2016. and why.\n10. Add 3 to 16. Then stop.")
    assert [c.sample.instruction for c in grown.candidates] == ["Say what happened in 2016. and why.", "Add 3 to 16. Then stop."]


def test_a_base_model_ends_at_an_empty_line():
    _, grown = draw(SelfInstruct(style="base"), Completion(" Name a tree that grows.\n\nReferences\n10. Abc def ghi jkl", "length"))
    assert reasons(grown) == [""]


FAILED = [
    (Completion("9. Name a tree that grows.\n10. Say wh", "length"), {}, ["", "task_truncated"]),
    (Completion("9. Name a tree that grows.\n10.", "length"), {}, [""]),
    (Completion(" Name a tree that grows.\n10. Say wh", "length"), {"style": "base", "compat": True}, ["list_truncated"]),
    (Completion("", "length"), {}, ["list_truncated"]),
    (Completion("", "refused"), {}, ["list_rejected"]),
    (Completion("", "overlong"), {}, ["overlong"]),
    (Completion("", "reasoning_truncated"), {}, ["reasoning_truncated"]),
    ("I'm sorry, but I can't help with that.", {}, ["list_refused"]),
    ("", {}, ["no_tasks"]),
    ("9. Add 3.\n10. Add these numbers now.", {}, ["too_short", ""]),
    ("9. Add " + "3 " * 150 + "\n10. Add " + "3 " * 149, {}, ["too_long", ""]),
    ("9. 写一首诗\n10. Name a tree that grows.", {}, ["wrong_script", ""]),
    ("9. 写一首诗\n10. Name a tree that grows.", {"language": "Chinese"}, ["", "wrong_script"]),
    (" 写一首诗\n10. Name a tree that grows.", {"style": "base", "compat": True}, ["", ""]),
]


@pytest.mark.parametrize(("reply", "parameters", "expected"), FAILED)
def test_every_failure_has_a_reason(reply, parameters, expected):
    assert reasons(draw(SelfInstruct(**parameters), reply)[1]) == expected


@pytest.mark.parametrize(
    ("capitals", "expected"), [("first", "Name the NASA probe."), ("flatten", "Name the nasa probe."), ("keep", "name the NASA probe.")]
)
def test_capitals(capitals, expected):
    _, grown = draw(SelfInstruct(capitals=capitals), "9. name the NASA probe.")
    assert grown.candidates[0].sample.instruction == expected


def test_classification_only_shows_such_seeds_and_marks_what_is_made():
    seeds = [*SEEDS, task("c", "Is the mail spam?", meta={"is_classification": True})]
    asked, grown = draw(SelfInstruct(classification_only=True), seeds=seeds)
    assert asked.step == "new_classification"
    assert "1. Is the mail spam?\n</tasks>" in asked.messages[-1].content
    assert grown.candidates[0].sample.meta["is_classification"] is True
    with pytest.raises(InputError, match="no seed with is_classification true"):
        draw(SelfInstruct(classification_only=True))


def test_batches_grow_with_what_is_kept_up_to_the_width():
    loop = SelfInstruct(prompts_per_batch=10)
    assert [loop.batch(175, made) for made in (0, 7, 8, 63, 64, 1000)] == [2, 2, 3, 9, 10, 10]


def test_two_stages_of_which_the_first_has_a_gate_of_its_own():
    loop = SelfInstruct(style="base", max_instances=3)
    first, second = loop.parts()
    assert first.loop == loop
    assert first.gate == ("leakage", "keywords", "exact", "rouge")
    assert (second.of, second.gate) == (0, None)
    assert second.loop == Instances("base", max_instances=3, seeds_too=False)


def test_seeds_are_in_the_pool_as_they_are():
    with pytest.raises(StopIteration) as stop:
        next(SelfInstruct().answer(SEEDS[0]))
    [candidate] = stop.value.value.candidates
    assert (candidate.sample, candidate.given, candidate.failure) == (SEEDS[0], True, None)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"compat": True}, "style = 'base'"), ({"min_words": 9, "max_words": 8}, "nothing would pass"), ({"shown": 1}, "from_pool 2")],
)
def test_parameters_that_exclude_one_another_are_refused(parameters, message):
    with pytest.raises(RecipeError, match=message):
        SelfInstruct(**parameters)


def test_a_prompt_of_ones_own_that_cannot_be_filled_is_refused(tmp_path):
    (tmp_path / "self_instruct").mkdir()
    text = Prompts().path("self_instruct/new_instructions").read_text()
    own = text.replace('"domain"]', '"domain", "mood"]').replace("- Say each", "- Be {{ mood }}. Say each")
    (tmp_path / "self_instruct/new_instructions.jinja").write_text(own)
    with pytest.raises(PromptError, match="cannot fill its input 'mood'"):
        SelfInstruct(prompts=Prompts(tmp_path)).asks()


def test_the_published_seeds_show_26_classification_tasks(shared):
    rows = [json.loads(line) for line in (shared / "self_instruct/seed_tasks.jsonl").read_text().splitlines()]
    seeds = [task(r["id"], r["instruction"], meta={"is_classification": r["is_classification"]}) for r in rows]
    shown = {id for rng in range(60) for id in
             draw(SelfInstruct(classification_only=True), seeds=seeds, rng=rng)[1].candidates[0].sample.meta["demos"]}  # fmt: skip
    assert len(shown) == 26
