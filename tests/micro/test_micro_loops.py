"""Ideal replies to the prompts of the other loops: each reads as its loop reads it, and says what the world's rules say."""

import ast
import json
import random
import re

import pytest

from gen.core import Completion
from gen.loops._failures import is_unchanged
from gen.loops._invert import copied
from gen.loops._method import SLOT, fault_of
from gen.loops._trials import fault_of_feedback
from gen.loops.alpaca import Alpaca
from gen.loops.curate import parse_score
from gen.loops.extract import locate
from gen.loops.refine import Refine
from gen.loops.self_instruct import SelfInstruct
from gen.loops.selfee import SelFee
from gen.micro.corpus.auto_evol import RULES, first_method
from gen.micro.corpus.drafts import Draft, right, task_of, wrong
from gen.micro.corpus.example import ask
from gen.micro.corpus.judging import SCORES, Case, reasons
from gen.micro.corpus.mixture import MAKERS, NEW
from gen.micro.corpus.refine import ASPECTS, LIMITS, review, shown, told_critique, verdict
from gen.micro.corpus.self_instruct import triple
from gen.micro.measure.rows import sample
from gen.prompts import Prompts, parse_choice, parse_last, parse_sections
from gen.text import count_words, find_pointer
from gen.world import TRANSFORMS, check, held_out, imagine, parse, solve

PROMPTS = Prompts()


def made(name, count=60, seed=0):
    rng = random.Random(seed)
    return [MAKERS[name](PROMPTS, rng) for _ in range(count)]


def asked(example):
    """What the last message says between its tags; the task as the world reads it."""
    body = example.messages[-1].content.rpartition("\n\nReply")[0]
    found = dict(re.findall(r"<(\w+)>\n(.*?)\n</\1>", body, re.DOTALL))
    found["world"] = parse(found.get("task", ""), found.get("data", ""))
    return found


def read(instruction, data=""):
    """The task in an instruction, a block of code left out."""
    return parse(re.sub(r"\n\n```.*?```", "", instruction, flags=re.DOTALL), data)


@pytest.mark.parametrize("name", NEW)
def test_every_reply_has_the_form_that_its_prompt_asks_for_and_no_instance_is_held_out(name):
    reply = PROMPTS.get(name).reply
    for example, tasks in made(name, 30):
        assert example.prompt == name
        if reply.form == "sections" and reply.last:
            parse_last(example.reply, reply.sections)
        elif reply.form == "sections":
            parse_sections(example.reply, reply.sections, reply.optional)
        elif reply.form == "choice":
            parse_choice(example.reply, reply.choices)
        assert not any(map(held_out, tasks))


def test_drafts_are_right_or_wrong_as_they_say_and_go_wrong_in_every_way():
    rng, faults = random.Random(0), []
    for _ in range(400):
        task = task_of(rng)
        draft = wrong(task, rng)
        assert check(task, right(task, rng).text)
        assert not check(task, draft.text), (task.text, draft)
        assert draft.missed in ("", *(c.text for c in task.clauses))
        assert bool(draft.missed) == (draft.fault == "demand")
        faults.append(draft.fault)
    assert {f: faults.count(f) > 20 for f in ("demand", "parts", "other")} == {"demand": True, "parts": True, "other": True}


@pytest.mark.parametrize("name", ["curate/assistant", "curate/additive"])
def test_scores_follow_the_checker_and_are_read_as_curation_reads_them(name):
    scores = []
    for example, (task,) in made(name, 200):
        response = parse_sections(example.messages[0].content.rpartition("</response>")[0].rpartition("<response>")[2].join(["<r>", "</r>"]), ("r",))["r"]
        scores.append(parse_score(example.reply))
        assert (scores[-1] == 5) == check(task, response)
    assert set(scores) == set(SCORES.values())
    assert 50 < scores.count(5) < 95


def test_a_bare_score_comes_after_what_the_judge_said_so_far():
    for example, _ in made("curate/score"):
        assert [m.role for m in example.messages] == ["user", "assistant", "user"]
        assert parse_score(example.reply) in SCORES.values()
        assert parse_score(example.messages[1].content) is None


def test_feedback_is_none_for_right_answers_alone_and_says_how_to_mend_the_others():
    said = []
    for example, (task,) in made("refine/feedback", 200):
        found, given = parse_sections(example.reply, ("change", "add"), ("scores",)), asked(example)
        fine = (found["change"], found["add"]) == ("none", "none")
        assert fine == check(given["world"], given["answer"])
        assert given["world"] == task
        if found["change"] != "none":
            assert check(task, found["change"].removeprefix("It should be: "))
        assert found["add"] in ("none", *(c.text for c in task.clauses))
        if "scores" in found:
            assert re.findall(r"^(\w+): [1-5]$", found["scores"], re.M) == [*ASPECTS]
            assert fine == ("1" not in found["scores"] and found["scores"].count("5") == 3)
        said.append(fine)
    assert 50 < sum(said) < 105


def test_rewrites_and_revisions_are_right_where_the_last_answer_was_wrong():
    for name in ("refine/rewrite", "selfee/revise", "selfee/revise_minimal"):
        told = []
        for example, (task,) in made(name):
            text = example.messages[-1].content
            shown = re.findall(r"<answer>\n(.*?)\n</answer>", text.rpartition("\n\nReply")[0], re.DOTALL)
            new = parse_sections(example.reply, ("answer",))["answer"]
            assert check(task, new)
            assert not check(task, shown[-1]) or new == shown[-1]
            told.append("<critique>\n" in text or "\nChange: " in text or "\nAdd: " in text)
            assert not told[-1] or not any(check(task, answer) for answer in shown)
        assert all(told) if name != "refine/rewrite" else 20 < sum(told) < 40


def test_a_fused_reply_has_an_answer_just_where_it_notes_something():
    for example, (task,) in made("refine/fused", 100):
        found = parse_sections(example.reply, ("change", "add"), ("answer",))
        shown = re.findall(r"<answer>\n(.*?)\n</answer>", example.messages[-1].content.rpartition("\n\nReply")[0], re.DOTALL)
        assert ((found["change"], found["add"]) == ("none", "none")) == check(task, shown[-1]) == ("answer" not in found)
        assert "answer" not in found or check(task, found["answer"])


@pytest.mark.parametrize("name", ["selfee/critique", "selfee/critique_gold"])
def test_critiques_demand_a_revision_of_wrong_answers_and_a_teacher_gives_nothing_away(name):
    for example, (task,) in made(name, 100):
        found, given = parse_sections(example.reply, ("comments", "score", "verdict")), asked(example)
        fine = check(task, given["answer"])
        assert (found["verdict"] == "Revision is not needed.") == fine == (int(found["score"]) >= 9)
        if name == "selfee/critique_gold":
            assert check(task, given["right"])
            assert given["right"] not in found["comments"] or len(given["right"]) < 4


def test_lists_of_tasks_go_on_with_the_numbers_and_stay_in_the_world():
    rng = random.Random(1)
    for name in ("self_instruct/new_instructions", "self_instruct/new_classification"):
        for example, _ in made(name, 30):
            shown = [line for line in example.messages[0].content.splitlines() if re.match(r"\d+\. ", line)]
            lines = [line.partition(". ") for line in example.reply.splitlines()]
            assert [int(n) for n, _, _ in lines] == [*range(len(shown) + 1, len(shown) + len(lines) + 1)]
            for *_, text in lines:
                assert imagine(text, rng), text


@pytest.mark.parametrize("name", ["self_instruct/instances_input_first", "self_instruct/instances_output_first"])
def test_instances_are_inputs_of_the_very_instruction_with_right_outputs(name):
    order = ["output", "input"] if name.endswith("output_first") else ["input", "output"]
    for example, tasks in made(name):
        text = asked(example)["task"]
        found = re.findall(r"<(input|output)>\n(.*?)\n</\1>", example.reply, re.DOTALL)
        kinds = [kind for kind, _ in found]
        instruction, _, data = text.partition("\n\n")
        if kinds == ["output"]:
            assert check(parse(instruction, data), found[0][1])
            continue
        assert kinds == order * len(tasks)
        for i in range(0, len(found), 2):
            pair = dict(found[i : i + 2])
            assert check(parse(instruction, pair["input"]), pair["output"])
        if order[0] == "output":
            assert {label for kind, label in found if kind == "output"} == {"Yes", "No"}


def test_alpaca_replies_are_json_whose_outputs_are_right():
    for example, _ in made("alpaca/triples", 30):
        for row in json.loads(example.reply)["tasks"]:
            assert check(parse(row["instruction"], row["input"]), row["output"])


def test_only_tasks_with_labels_are_classification():
    for example, (task,) in made("self_instruct/is_classification"):
        assert (example.reply == "Yes") == (task.family == "member")


def test_the_text_is_an_answer_to_the_inverted_instruction_and_is_not_given_away():
    for example, (task, *_) in made("backtranslate/invert", 100):
        text = re.findall(r"<text>\n(.*?)\n</text>", example.messages[0].content, re.DOTALL)[-1]
        found = parse_sections(example.reply, ("instruction",))["instruction"]
        assert parse(found) == task
        assert check(task, text)
        assert find_pointer(found, text) is None
        assert copied(found, text) <= 0.5 or task.family not in ("filter", "reverse", "double", "count", "sort", "name")


@pytest.mark.parametrize("name", ["extract/whole", "extract/sentence", "extract/keywords"])
def test_passages_are_copies_and_answers_and_what_belongs_to_the_page_is_none(name):
    empty = 0
    for example, tasks in made(name, 100):
        found, page = parse_sections(example.reply, ("passage",))["passage"], asked(example)["document"]
        empty += not found
        assert not found or locate(page, found, normalise=False)[1] == 1.0
        assert not found or all(any(check(t, part) for t in tasks) for part in found.split("\n\n"))
        assert "Home |" not in found
        assert "Posted by" not in found
        if name == "extract/keywords" and found:
            words = re.search(r"on these keywords: (.*)\.$", example.messages[0].content, re.M)[1].split(", ")
            assert all(word in found for word in words)
    assert (empty == 0) if name == "extract/whole" else (2 < empty < 25)


def test_programming_tasks_become_harder_and_erroneous_code_misleads():
    for name in ("code/constrain", "code/rare_requirement", "code/reason", "code/complexity"):
        for example, (old,) in made(name):
            new = parse(parse_sections(example.reply, ("instruction",))["instruction"], old.input)
            assert any(t.differs(old, new) for t in TRANSFORMS.values())
    for example, (task,) in made("code/erroneous_code"):
        found = parse_sections(example.reply, ("instruction",))["instruction"]
        assert read(found, task.input) == task
        [call] = ast.parse(re.search(r"```python\n(.*?)\n```", found, re.DOTALL)[1]).body
        assert not check(task, ast.literal_eval(call.value.args[0]))
    for example, (task,) in made("code/answer"):
        assert check(task, example.reply)
    assert {e.reply for e, _ in made("code/tests")} == {"<tests>\n</tests>"}


def test_a_method_is_carried_out_as_it_says():
    kept = 0
    for example, (task,) in made("auto_evol/apply", 120):
        new = parse_last(example.reply, ("instruction",))["instruction"]
        ruled = RULES["same"] in example.messages[0].content
        same = is_unchanged(task.instruction, new)
        assert same == (bool(task.input) and not ruled)
        assert same or any(t.differs(task, parse(new, task.input)) for t in TRANSFORMS.values())
        kept += same
    assert 5 < kept < 60


def test_an_analysis_names_cases_that_there_are_and_the_method_gets_a_rule_and_stays_one():
    for example, _ in made("auto_evol/analyse"):
        found = parse_sections(example.reply, ("failures",))["failures"]
        cases = len(re.findall(r"^Case \d+$", example.messages[0].content, re.M))
        assert fault_of_feedback(found, cases) == ("no_failures" if found == "none" else "")
    first, grown = first_method(PROMPTS), 0
    for example, _ in made("auto_evol/optimise"):
        new = parse_sections(example.reply, ("method",))["method"]
        assert fault_of(new, 400) == ("", "")
        assert new.count(SLOT) == 1
        assert count_words(new) >= count_words(first)
        grown += count_words(new) > count_words(re.search(r"<old>\n(.*?)\n</old>", example.messages[0].content, re.DOTALL)[1])
    assert grown > 40


def test_what_the_loops_send_is_what_was_learned():
    """The loops' own requests, where they do more than fill a prompt: the very texts of the examples."""
    task = parse("Count from 3 to 6.")
    seed = sample(task, "3, 4, 5")
    talk = Refine().answer(seed)
    [asked] = talk.send(None)
    assert asked.messages == ask(PROMPTS.get("refine/feedback"), instruction=task.instruction, answer="3, 4, 5", aspects=ASPECTS, scale=5)
    [asked] = talk.send([Completion(review(Case(task, Draft("3, 4, 5", "parts"), "3, 4, 5, 6")))])
    told = [{"answer": "3, 4, 5", "feedback": shown(Case(task, Draft("3, 4, 5", "parts"), "3, 4, 5, 6"))}]
    assert asked.messages == ask(PROMPTS.get("refine/rewrite"), instruction=task.instruction, versions=told)
    talk = SelFee().answer(seed)
    [asked] = talk.send(None)
    assert asked.messages == ask(PROMPTS.get("selfee/critique"), instruction=task.instruction, answer="3, 4, 5", **LIMITS["critique"])
    given = Case(task, Draft("3, 4, 5", "parts"), "3, 4, 5, 6")
    [asked] = talk.send([Completion(verdict(given, reasons(given)))])
    told = [{"answer": "3, 4, 5", "feedback": told_critique(given, hint=False)}]
    assert asked.messages == ask(PROMPTS.get("selfee/revise"), instruction=task.instruction, versions=told, **LIMITS["revise"])
    pool = [sample(t, solve(t)) for t in (task, parse("Write only the trees from this list: elm, cat."), parse("Is the word cat in this list: cat, dog?"))]
    [asked] = Alpaca(asked=4).draw(pool, (), random.Random(0)).send(None)
    lines = re.findall(r'^\{"instruction".*?\}', asked.messages[0].content, re.M)
    assert sorted(lines) == sorted(triple(t) for t in (task, parse(pool[1].instruction), parse(pool[2].instruction)))
    assert asked.messages == ask(PROMPTS.get("alpaca/triples"), tasks=lines, count=4)
    [asked] = SelfInstruct().draw(pool, (), random.Random(0)).send(None)
    tasks = re.findall(r"^\d\. (.*)$", asked.messages[0].content, re.M)
    assert asked.messages == ask(PROMPTS.get("self_instruct/new_instructions"), tasks=tasks, count=7)
