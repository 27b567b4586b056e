"""Evol-Instruct as dialogues: canned replies in, every question and the final sample out."""

import random
from collections import Counter

import pytest

from gen.core import Completion, Lineage, Message, Sample, Verdict, replace
from gen.errors import RecipeError
from gen.loops._method import as_prompt
from gen.loops.evolve import OPERATIONS, Evolve
from gen.prompts import Prompts

SEED = Sample("s1", "Name a river.", Lineage("s1"), response="The Rhine.")
ONLY = {name: {name: 1.0} for name in OPERATIONS}
REWRITE = "<instruction>\nName a river that flows through three countries, and say which ones.\n</instruction>"


def grow(loop, seed=SEED, replies=(), rng=0):
    """Hold the conversation with canned replies; returns the questions and what was grown."""
    conversation = loop.grow(seed, random.Random(rng))
    return _hold(conversation, replies)


def _hold(conversation, replies):
    asked, replies = [], list(replies)
    try:
        requests = next(conversation)
        while True:
            asked += requests
            answers = [_completion(replies.pop(0)) for _ in requests]
            requests = conversation.send(answers)
    except StopIteration as stop:
        assert not replies, f"{len(replies)} replies were not asked for"
        return asked, stop.value


def _completion(reply):
    return reply if isinstance(reply, Completion) else Completion(reply, completion_tokens=len(reply.split()))


def reason(grown):
    [candidate] = grown.candidates
    return candidate.failure.reason if candidate.failure else None


def test_a_good_evolution_asks_three_questions_and_its_child_is_the_heir():
    asked, grown = grow(Evolve(operations=ONLY["constrain"]), replies=[REWRITE, "Not equal", "The Danube: ..."])
    assert [(r.role, r.step) for r in asked] == [("evolver", "constrain"), ("judge", "equal"), ("answerer", "answer")]
    [candidate] = grown.candidates
    child = candidate.sample
    assert candidate.failure is None
    assert child.instruction == "Name a river that flows through three countries, and say which ones."
    assert child.response == "The Danube: ..."
    assert (child.lineage.root, child.lineage.parent, child.lineage.operation) == ("s1", "s1", "constrain")
    assert [p.split("@")[0] for p in child.lineage.prompts] == ["evolve/constrain", "evolve/answer"]
    assert grown.heirs == (child,)


def test_the_questions_say_what_they_must():
    asked, _ = grow(Evolve(operations=ONLY["deepen"]), replies=[REWRITE, "Not equal", "Yes."])
    rewrite, equal, answer = (r.messages[-1].content for r in asked)
    assert "<task>\nName a river.\n</task>" in rewrite
    assert "Add 10 to 20 words" in rewrite
    assert "<first>\nName a river.\n</first>" in equal
    assert "<second>\nName a river that flows through three countries" in equal
    assert answer == "Name a river that flows through three countries, and say which ones."
    assert (asked[0].sampling.temperature, asked[0].sampling.top_p) == (1.0, 0.9)
    assert asked[1].sampling.temperature == 0.0


@pytest.mark.parametrize("policy", ["parent", "stop"])
def test_a_failed_evolution_leaves_its_parent_or_nothing(policy):
    _, grown = grow(Evolve(operations=ONLY["reason"], on_failure=policy), replies=[REWRITE, "Equal"])
    assert reason(grown) == "no_gain"
    assert grown.heirs == ((SEED,) if policy == "parent" else ())


E1 = {"Equal": "no_gain", "Not Equal": None, "They are not equal.": None, "equal.": "no_gain", "": "judgement_unparsed",
      "Perhaps": "judgement_unparsed"}  # fmt: skip
E2 = {"Sorry, I cannot.": "sorry_answer", "sorry " + "word " * 78: "sorry_answer", "sorry " + "word " * 79: None,
      "Sorrel is a sour herb.": None, "抱歉，我不知道。": "sorry_answer"}  # fmt: skip
E3 = {"...": "hollow_answer", "the of and": "hollow_answer", "": "hollow_answer", "42": None, "的了。": "hollow_answer"}
E4 = {"Solve the #Rewritten Prompt# now please": "prompt_leak", "Given Prompt: sort the numbers 3 1": "prompt_leak",
      "Do the REWRITTEN PROMPT with care and love": "prompt_leak", "the new task": "prompt_leak",
      "请完成改写后的提示中的任务": "prompt_leak", "Write a prompt for a painter of rivers": None}  # fmt: skip


@pytest.mark.parametrize(("judgement", "expected"), E1.items())
def test_e1_equal_rewrites_are_dropped_and_unreadable_judgements_are_not_guessed(judgement, expected):
    replies = [REWRITE, judgement] + ([] if expected else ["An answer."])
    assert reason(grow(Evolve(operations=ONLY["constrain"]), replies=replies)[1]) == expected


def test_a_judge_that_could_not_speak_is_told_apart_from_one_that_mumbles():
    for reply, expected in ((Completion("", "reasoning_truncated"), "reasoning_truncated"), (Completion("", "refused"), "judgement_rejected")):
        assert reason(grow(Evolve(operations=ONLY["constrain"]), replies=[REWRITE, reply])[1]) == expected


def test_e1_the_published_rule_keeps_what_the_judge_did_not_say():
    loop = Evolve(operations=ONLY["constrain"], keep_unjudged=True)
    assert reason(grow(loop, replies=[REWRITE, "", "An answer."])[1]) is None


@pytest.mark.parametrize(("answer", "expected"), {**E2, **E3}.items())
def test_e2_e3_answers_that_refuse_or_say_nothing_are_dropped(answer, expected):
    assert reason(grow(Evolve(operations=ONLY["constrain"]), replies=[REWRITE, "Not equal", answer])[1]) == expected


@pytest.mark.parametrize(("text", "expected"), E4.items())
def test_e4_leaks_are_dropped_before_judge_and_answer_are_paid_for(text, expected):
    seed = Sample("s", "写一首诗" if "请" in text else "Sort.", Lineage("s"))
    replies = [f"<instruction>{text}</instruction>"] + ([] if expected else ["Not equal", "An answer."])
    assert reason(grow(Evolve(operations=ONLY["constrain"]), seed, replies)[1]) == expected


FAILED = {
    "Rewrite: name two rivers": "rewrite_unparsed",
    "<instruction>Name two": "rewrite_unparsed",
    "<instruction></instruction>": "empty_rewrite",
    "<instruction>name a river</instruction>": "unchanged",
    "<instruction>I'm sorry, but I can't help with that.</instruction>": "rewrite_refused",
    "<instruction>说出一条流经三个国家的河流的名字</instruction>": "wrong_script",
    f"<instruction>Name a river {'and another ' * 31}</instruction>": "too_long",
    Completion("<instruction>Name", "length"): "rewrite_truncated",
    Completion("", "reasoning_truncated", reasoning="Hm"): "reasoning_truncated",
    Completion("", "overlong", note="limit 8, prompt 9"): "overlong",
    Completion("", "refused", note="bad"): "rewrite_rejected",
}


@pytest.mark.parametrize(("reply", "expected"), FAILED.items())
def test_bad_rewrites_cost_one_question_and_say_why(reply, expected):
    asked, grown = grow(Evolve(operations=ONLY["constrain"]), replies=[reply])
    assert reason(grown) == expected
    assert len(asked) == 1
    assert grown.heirs == (SEED,)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [(Completion("The Rh", "length"), "answer_truncated"), (Completion("", "reasoning_truncated"), "reasoning_truncated")],
)
def test_cut_answers_are_dropped(reply, expected):
    assert reason(grow(Evolve(operations=ONLY["constrain"]), replies=[REWRITE, "Not equal", reply])[1]) == expected


def test_a_rule_that_is_off_does_not_drop():
    loop = Evolve(operations=ONLY["constrain"], rules=("leak",))
    asked, grown = grow(loop, replies=[REWRITE, "Sorry."])
    assert [r.step for r in asked] == ["constrain", "answer"]
    assert reason(grown) is None


def test_a_fenced_block_must_survive_an_in_depth_rewrite():
    seed = Sample("s", "What does this print?\n```python\nprint(1)\n```", Lineage("s"))
    kept = "<instruction>What does this print, and why?\n```python\nprint(1)\n```</instruction>"
    assert reason(grow(Evolve(operations=ONLY["reason"]), seed, [kept, "Not equal", "1"])[1]) is None
    assert reason(grow(Evolve(operations=ONLY["reason"]), seed, ["<instruction>What is printed, and why?</instruction>"])[1]) == "lost_data"


def test_data_is_carried_over_in_depth_and_shown_to_the_answerer():
    seed = Sample("s", "Which row is largest?", Lineage("s"), input="a,1\nb,2")
    asked, grown = grow(Evolve(operations=ONLY["deepen"]), seed, ["<instruction>Which row is largest, and by how much?</instruction>", "Not equal", "b"])
    assert grown.heirs[0].input == "a,1\nb,2"
    assert asked[2].messages[-1].content == "Which row is largest, and by how much?\n\na,1\nb,2"
    assert "a,1\nb,2" in asked[1].messages[-1].content


def test_complicated_data_must_hold_the_old_data():
    seed = Sample("s", "Which is largest?", Lineage("s"), input="ash, oak, elm, fir")
    kept = "<instruction>Which row is largest?</instruction><input>| ash | oak |\n| elm | yew |</input>"
    lost = "<instruction>Which row is largest?</instruction><input>| ash | 2 |\n| yew | 3 |</input>"
    assert reason(grow(Evolve(operations=ONLY["complicate"]), seed, [kept, "Not equal", "elm"])[1]) is None
    assert reason(grow(Evolve(operations=ONLY["complicate"]), seed, [lost])[1]) == "lost_data"


def test_complicate_replaces_the_data_and_breadth_may_bring_its_own():
    both = "<instruction>Which row of the table is cheapest?</instruction>\n<input>\n| a | 1 |\n| b | 2 |\n</input>"
    _, grown = grow(Evolve(operations=ONLY["complicate"]), replies=[both, "Not equal", "a"])
    assert grown.heirs[0].input == "| a | 1 |\n| b | 2 |"
    assert reason(grow(Evolve(operations=ONLY["complicate"]), replies=[REWRITE])[1]) == "rewrite_unparsed"
    seed = Sample("s", "Which row is largest?", Lineage("s"), input="a,1\nb,2")
    _, grown = grow(Evolve(operations=ONLY["breadth"]), seed, [REWRITE, "Not equal", "a"])
    assert grown.heirs[0].input == ""


def test_breadth_may_be_longer_than_the_cap():
    long = f"<instruction>Compare {'rivers and ' * 40} lakes</instruction>"
    assert reason(grow(Evolve(operations=ONLY["breadth"]), replies=[long, "Not equal", "Fine words."])[1]) is None


def test_domain_and_language_reach_the_evolver_and_the_answerer():
    loop = Evolve(operations=ONLY["constrain"], domain="hydrology", language="Chinese")
    rewrite = "<instruction>说出一条流经三个国家的河流，并写出这些国家的名字</instruction>"
    asked, grown = grow(loop, replies=[rewrite, "Not equal", "多瑙河。"])
    assert "Stay within this domain: hydrology." in asked[0].messages[-1].content
    assert "Write in Chinese." in asked[0].messages[-1].content
    assert asked[2].messages[0] == Message("system", "Answer in Chinese.")
    assert reason(grown) is None
    assert reason(grow(loop, replies=[REWRITE])[1]) == "wrong_script"


def test_chinese_seeds_are_measured_in_characters():
    seed = Sample("s", "写一首关于春天的诗。", Lineage("s"))
    fine = "<instruction>写一首关于春天的七言绝句，并在诗中提到燕子和桃花，最后一句要押韵。</instruction>"
    long = f"<instruction>写一首关于春天的诗{'，还要写一段很长的说明' * 7}</instruction>"
    assert reason(grow(Evolve(operations=ONLY["constrain"]), seed, [fine, "Not equal", "春风又绿江南岸。"])[1]) is None
    assert reason(grow(Evolve(operations=ONLY["constrain"]), seed, [long])[1]) == "too_long"
    assert reason(grow(Evolve(operations=ONLY["constrain"]), seed, [REWRITE])[1]) == "wrong_script"


def test_a_seed_with_an_answer_is_a_candidate_and_asks_nothing():
    asked, grown = _hold(Evolve().answer(SEED), [])
    assert not asked
    assert grown.candidates[0].sample == SEED
    assert grown.heirs == (SEED,)


def test_a_seed_without_an_answer_is_answered_and_evolves_even_if_that_fails():
    bare = Sample("s", "Name a river.", Lineage("s"), system="Be brief.", turns=(Message("user", "Hi"), Message("assistant", "Hello")))
    asked, grown = _hold(Evolve().answer(bare), ["The Rhine."])
    assert [m.content for m in asked[0].messages] == ["Be brief.", "Hi", "Hello", "Name a river."]
    assert grown.candidates[0].sample.response == "The Rhine."
    asked, grown = _hold(Evolve().answer(bare), ["Sorry, no."])
    assert reason(grown) == "sorry_answer"
    assert grown.heirs == (bare,)


def test_seeds_can_be_left_out_of_the_pool():
    assert _hold(Evolve(seeds_too=False).answer(SEED), [])[1].candidates == ()


def test_operations_are_drawn_with_seeded_weights():
    """6,000 draws: each of six within four sigma of 1,000; the same seed, the same sequence."""
    def draws(loop, n):
        first = (next(loop.grow(SEED, random.Random(i)))[0].step for i in range(n))
        return list(first)

    counts = Counter(draws(Evolve(), 6000))
    assert set(counts) == set(OPERATIONS)
    assert all(abs(c - 1000) < 4 * (6000 * (1 / 6) * (5 / 6)) ** 0.5 for c in counts.values()), counts
    weighted = Counter(draws(Evolve(operations={"deepen": 3.0, "breadth": 1.0, "reason": 0.0}), 2000))
    assert set(weighted) == {"deepen", "breadth"}
    assert 1400 < weighted["deepen"] < 1600
    assert draws(Evolve(), 20) == draws(Evolve(), 20)


def test_an_operation_is_a_file_and_needs_no_code(tmp_path):
    (tmp_path / "evolve").mkdir()
    text = Prompts().path("evolve/deepen").read_text().replace("ask for more depth", "let it rhyme, with more depth")
    (tmp_path / "evolve/rhyme.jinja").write_text(text)
    loop = Evolve(operations={"rhyme": 1.0}, prompts=Prompts(tmp_path))
    asked, grown = grow(loop, replies=[REWRITE, "Not equal", "The Rhine is fine."])
    assert "let it rhyme" in asked[0].messages[-1].content
    assert grown.heirs[0].lineage.operation == "rhyme"


def test_a_method_of_auto_evol_is_an_operation_whose_last_section_counts_and_which_keeps_the_data(tmp_path):
    (tmp_path / "evolve").mkdir()
    text = "Harder, {{ x }}:\n[[TASK]]\n<plan>p</plan> <instruction>i</instruction>"
    (tmp_path / "evolve/auto.jinja").write_text(as_prompt(text, {"temperature": 0.0}, changed="none"))
    loop = Evolve(operations={"auto": 1.0}, prompts=Prompts(tmp_path))
    assert "evolve/auto" in [p.name for p in loop.asks()]
    seed = replace(SEED, input="Rhine, Aare")
    steps = f"<plan>x</plan> <instruction>draft</instruction> better: **{REWRITE}**"
    asked, grown = grow(loop, seed, replies=[steps, "Not equal", "The Danube: ..."])
    assert asked[0].messages[-1].content.startswith("Harder, {{ x }}:\n\n<task>\nName a river.\n</task>")
    [candidate] = grown.candidates
    assert candidate.failure is None
    assert candidate.sample.instruction.startswith("Name a river that flows through three")
    assert candidate.sample.input == "Rhine, Aare"
    assert candidate.sample.lineage.operation == "auto"



@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rules": ("equl",)}, "did you mean 'equal'"),
        ({"operations": {}}, "expected finite weights >= 0"),
        ({"operations": {"deepen": 0.0}}, "one above 0"),
        ({"min_added": 30}, "min_added 30 is above max_added 20"),
    ],
)
def test_parameters_that_contradict_themselves_are_refused(parameters, message):
    with pytest.raises(RecipeError, match=message):
        Evolve(**parameters)


def test_failures_are_signed_by_the_loop():
    _, grown = grow(Evolve(operations=ONLY["constrain"]), replies=["no tags"])
    assert grown.candidates[0].failure == Verdict(False, "rewrite_unparsed", "evolve", note="expected one <instruction>...</instruction>, found 0 and 0")


def test_what_was_thought_stays_with_its_answer_and_in_no_later_question():
    thought = Completion("The Danube: ...", reasoning="A river, hm, perhaps in Austria.")
    _, first = grow(Evolve(operations=ONLY["deepen"]), replies=[REWRITE, "Not equal", thought])
    [child] = first.heirs
    assert (child.response, child.reasoning) == ("The Danube: ...", "A river, hm, perhaps in Austria.")
    assert "perhaps in Austria" not in str(child.messages)
    asked, second = grow(Evolve(operations=ONLY["breadth"]), child, [REWRITE.replace("three", "four"), "Not equal", "Yes."])
    assert "perhaps in Austria" not in str(asked)
    assert second.heirs[0].reasoning == ""
