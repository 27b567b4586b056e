"""SelFee as dialogues: canned replies in, every question, the chain and the final sample out."""

from __future__ import annotations

import json
import random

import dialogue
import pytest

from gen.core import Completion, Lineage, Message, Sample, replace
from gen.errors import ParseError
from gen.loops._chain import gives_away, parse, read_critique, read_verdict, render
from gen.loops.selfee import SelFee

SEED = Sample("s1", "What is six times seven?", Lineage("s1"), response="a1")
BARE = replace(SEED, response=None)
GOOD, WEAK = "good. 10/10. Revision is not needed.", "weak. 5/10. Revision is needed."


def critique(comments="weak", score="5", verdict="Revision is needed."):
    return f"<comments>\n{comments}\n</comments>\n<score>\n{score}\n</score>\n<verdict>\n{verdict}\n</verdict>"


def answer(body):
    return f"<answer>\n{body}\n</answer>"


def hold(loop, seed=SEED, replies=()):
    """The conversation; returns the questions and the candidates, the one that is not dropped first."""
    asked, grown = dialogue.hold(loop.answer(seed), replies)
    assert not grown.heirs
    assert len({(r.step, r.attempt, r.messages) for r in asked}) == len(asked), "two questions would have one key"
    return asked, sorted(grown.candidates, key=lambda c: c.failure is not None)


def steps(asked):
    return [r.step for r in asked]


def record(candidate):
    return candidate.sample.meta["selfee"]


def test_1_answer_critique_revision_critique():
    replies = ["a1", WEAK, answer("a2"), GOOD]
    asked, [done] = hold(SelFee(), BARE, replies)
    assert [(r.role, r.step) for r in asked] == [
        ("answerer", "answer"), ("judge", "critique"), ("answerer", "revise"), ("judge", "critique"),
    ]  # fmt: skip
    chain = record(done)
    assert (chain["iteration"], chain["truncated"], chain["stop_reason"], chain["status"]) == (2, False, "verdict_ok", "complete")
    assert [(o["text"], o["feedback"], o["verdict"], o["score"]) for o in chain["outputs"]] == [
        ("a1", WEAK, "needed", 5.0), ("a2", GOOD, "not_needed", 10.0),
    ]  # fmt: skip
    assert (done.sample.response, done.sample.meta["rejected"], done.sample.meta["ratings"]) == ("a2", ["a1"], {"selfee": 10.0})
    assert (done.sample.lineage.parent, done.sample.lineage.operation) == ("s1", "selfee")
    _, [done] = hold(SelFee(train_on="chain"), BARE, replies)
    assert done.sample.response == f"a1\n\n### Feedback 1\n{WEAK}\n\n### Revision 1\na2\n\n### Feedback 2\n{GOOD}"
    assert parse(done.sample.response) == [("a1", WEAK), ("a2", GOOD)]
    assert "rejected" not in done.sample.meta


def test_1b_the_parts_of_a_tagged_critique_are_one_text_of_the_chain():
    asked, [done] = hold(SelFee(), replies=[critique(), answer("a2"), critique("fine", "9", "Revision is not needed.")])
    assert [o["feedback"] for o in record(done)["outputs"]] == [
        "weak\nScore: 5/10. Revision is needed.", "fine\nScore: 9/10. Revision is not needed.",
    ]  # fmt: skip
    assert "<answer>\na1\n</answer>\n<critique>\nweak\nScore: 5/10. Revision is needed.\n</critique>" in asked[1].messages[-1].content
    assert "Use at most 500 words." in asked[1].messages[-1].content
    assert "In fewer than 100 words" in asked[0].messages[-1].content
    assert "below 9 must be" in asked[0].messages[-1].content


def test_2_a_first_answer_that_is_good_is_the_chain():
    asked, [done] = hold(SelFee(), BARE, ["a1", GOOD])
    assert steps(asked) == ["answer", "critique"]
    assert (done.sample.id, done.sample.response, record(done)["iteration"]) == ("s1", "a1", 1)
    assert [p.split("@")[0] for p in done.sample.lineage.prompts] == ["selfee/answer"]
    _, [done] = hold(SelFee(seeds_too=False), replies=[GOOD])
    assert done.failure.reason == "no_change_needed"
    _, [done] = hold(SelFee(train_on="chain"), replies=[GOOD])
    assert (done.sample.id, done.sample.response) == ("", f"a1\n\n### Feedback 1\n{GOOD}")


def test_3_five_answers_at_most():
    replies = [r for n in range(2, 6) for r in (WEAK, answer(f"a{n}"))] + [WEAK]
    asked, [done] = hold(SelFee(), replies=replies)
    assert (steps(asked).count("revise"), steps(asked).count("critique")) == (4, 5)
    chain = record(done)
    assert (chain["iteration"], chain["truncated"], chain["stop_reason"], chain["status"]) == (5, True, "max_answers", "truncated")
    assert (done.sample.response, done.sample.meta["rejected"]) == ("a5", ["a1", "a2", "a3", "a4"])
    _, [done] = hold(SelFee(max_answers=1, train_on="chain"), replies=[WEAK])
    assert record(done)["truncated"]


def test_4_a_remark_is_no_verdict_but_the_published_rule_takes_it_for_one():
    said = "There is no need for jargon. Revision is needed."
    asked, [done] = hold(SelFee(), replies=[said, answer("a2"), GOOD])
    assert done.sample.response == "a2"
    asked, [done] = hold(SelFee(verdict="official"), replies=[said])
    assert (len(asked), record(done)["stop_reason"]) == (1, "verdict_ok")


VERDICTS = {
    "Revision is needed.": True, "Revision is not needed.": False, "No revision is needed.": False, "no revision needed": False,
    "There is no need for jargon. Revision is needed.": True, "Revision isn't needed": False, "Revisions are needed": True,
    "Revision is needed. On second thought, no revision is needed.": False, "No revision is needed? No: revision is needed.": True,
    "There is no need for a revision.": False, "The answer does not need to be revised.": False, "The answer needs a revision": True,
    "It should be revised.": True, "无需修改。": False, "需要修改。": True, "不需要再修改": False, "Revision\nis not\nneeded": False,
    "This is fine.": None, "": None, "Needed? Hard to say.": None, "REVISION IS NEEDED": True,
}  # fmt: skip


@pytest.mark.parametrize(("said", "revise"), VERDICTS.items())
def test_5_negations_come_first_and_the_last_verdict_counts(said, revise):
    assert read_verdict(said) is revise
    assert read_critique(critique(verdict=said))[3] is (None if said.count("evision is needed") > 1 or "?" in said else revise)


OFFICIAL = {"No critique.": False, "No revision is needed": False, "no need for the import": False, "It is NOT NEEDED": False,
            "Revision is needed": True, "": True, "Fine.": True}  # fmt: skip


@pytest.mark.parametrize(("said", "revise"), OFFICIAL.items())
def test_5b_the_published_rule_is_four_phrases_anywhere(said, revise):
    assert read_verdict(said, official=True) is revise


def test_5c_a_copied_form_is_no_verdict():
    said = critique(verdict="Revision is needed. / Revision is not needed.")
    assert read_critique(said)[3] is None
    _, [done, failed] = hold(SelFee(), replies=[said, said])
    assert record(done)["stop_reason"] == failed.failure.reason == "verdict_missing"


@pytest.mark.parametrize("cut", [Completion("weak, it lacks", "length"), Completion("Revision is needed. More", "length"), Completion("weak")])
def test_6_a_missing_verdict_is_asked_for_once_more_and_never_taken_for_one(cut):
    asked, [done, failed] = hold(SelFee(), replies=[cut, cut])
    assert [r.attempt for r in asked] == [0, 1]
    assert (record(done)["stop_reason"], record(done)["status"], done.sample.id) == ("verdict_missing", "partial", "s1")
    assert (failed.failure.reason, failed.failure.by) == ("verdict_missing", "selfee")
    assert record(done)["outputs"] == [{"text": "a1", "feedback": "", "verdict": None, "score": None}]
    asked, [done] = hold(SelFee(), replies=[cut, GOOD])
    assert record(done)["stop_reason"] == "verdict_ok"
    asked, _ = hold(SelFee(on_missing="stop"), replies=[cut])
    assert len(asked) == 1
    asked, [done] = hold(SelFee(on_missing="revise"), replies=[cut, answer("a2"), GOOD])
    assert done.sample.response == "a2"
    asked, [done] = hold(SelFee(verdict="official"), replies=[cut, answer("a2"), GOOD])
    assert done.sample.response == "a2"


@pytest.mark.parametrize(
    ("source", "reply", "revises", "conflict"),
    [("phrase", critique(score="4", verdict="Revision is not needed."), False, True),
     ("score", critique(score="4", verdict="Revision is not needed."), True, True),
     ("both", critique(score="4", verdict="Revision is not needed."), False, True),
     ("both", critique(score="4", verdict="?"), True, False), ("both", critique(score="9/10", verdict="?"), False, False),
     ("score", critique(score="9", verdict="Revision is needed."), False, True), ("phrase", critique(score="8.9"), True, False)],
)  # fmt: skip
def test_score_or_verdict_decides_and_a_conflict_is_marked(source, reply, revises, conflict):
    _, [done] = hold(SelFee(verdict_source=source, max_answers=1), replies=[reply])
    [link] = record(done)["outputs"]
    assert (link["verdict"], link.get("conflict", False)) == ("needed" if revises else "not_needed", conflict)


def test_7_apologies_and_talk_of_the_revision_are_taken_off():
    said = "I apologize for the error. New text. I hope this revision helps."
    _, [done] = hold(SelFee(), replies=[WEAK, answer(said), GOOD])
    assert done.sample.response == "New text."


@pytest.mark.parametrize("reply", ["N/A", answer("N/A"), " n/a. "])
def test_7b_not_applicable_closes_the_chain(reply):
    _, [done, failed] = hold(SelFee(), replies=[WEAK, reply])
    chain = record(done)
    assert (chain["stop_reason"], chain["status"], chain["iteration"]) == ("na_revision", "partial", 1)
    assert (done.sample.id, done.sample.response, failed.failure.reason) == ("s1", "a1", "na_revision")
    _, dropped = hold(SelFee(train_on="chain"), replies=[WEAK, reply])
    assert [c.failure.reason for c in dropped] == ["na_revision"]
    _, [done, _] = hold(SelFee(train_on="chain", keep_partial=True), replies=[WEAK, reply])
    assert parse(done.sample.response) == [("a1", WEAK)]


def test_7c_na_inside_an_answer_ends_it_by_the_published_rule_alone():
    reply = answer("Write N/A in the table.")
    assert hold(SelFee(), replies=[WEAK, reply, GOOD])[1][0].sample.response == "Write N/A in the table."
    assert record(hold(SelFee(verdict="official"), replies=[WEAK, reply])[1][0])["stop_reason"] == "na_revision"


REVISIONS = {
    Completion("<answer>b", "length"): ("revision_truncated", 1), Completion("", "reasoning_truncated"): ("reasoning_truncated", 1),
    Completion("", "overlong"): ("overlong", 1), Completion("", "refused"): ("revision_rejected", 1), Completion("b"): ("revision_unparsed", 2),
    Completion(answer("")): ("revision_empty", 1), Completion(answer("I'm sorry, but I can't help with that.")): ("revision_refused", 1),
    Completion(answer("As my previous answer said, b")): ("revision_leak", 1), Completion(answer("a1")): ("unchanged", 1),
    Completion(answer("word " * 1001)): ("revision_too_long", 1),
}  # fmt: skip


@pytest.mark.parametrize(("reply", "expected"), REVISIONS.items())
def test_a_revision_that_came_to_nothing_ends_the_chain_before_it(reply, expected):
    asked, [done, failed] = hold(SelFee(), replies=[WEAK, *[reply] * expected[1]])
    assert (record(done)["stop_reason"], len(asked) - 1) == expected
    assert (done.sample.id, done.sample.response, failed.failure.reason) == ("s1", "a1", expected[0])


CRITIQUES = {Completion("", "refused"): "critique_rejected", Completion("", "overlong"): "overlong",
             Completion("", "reasoning_truncated"): "reasoning_truncated"}  # fmt: skip


@pytest.mark.parametrize(("reply", "reason"), CRITIQUES.items())
def test_a_critique_that_the_engine_refused_ends_the_chain(reply, reason):
    _, [done, failed] = hold(SelFee(), replies=[WEAK, answer("a2"), reply])
    assert (record(done)["stop_reason"], done.sample.response, failed.failure.reason) == (reason, "a2", reason)


DRAFTS = {Completion("", "refused"): "answer_rejected", Completion("a", "length"): "answer_truncated", Completion("..."): "hollow_answer",
          Completion("I'm sorry, but I can't help with that."): "answer_refused"}  # fmt: skip


@pytest.mark.parametrize(("reply", "reason"), DRAFTS.items())
def test_an_answer_that_came_to_nothing_is_dropped_with_a_reason(reply, reason):
    _, [done] = hold(SelFee(), BARE, [reply])
    assert (done.failure.reason, done.failure.by) == (reason, "selfee")


GOLD = replace(BARE, instruction="Add the primes.", meta={"right": 42})


def test_8_a_teacher_who_gives_the_answer_away_is_asked_again_and_the_student_never_sees_it():
    leak, hint = critique("No, the answer is 42."), critique("You forgot the 2.")
    loop = SelFee(gold="right")
    asked, [done] = hold(loop, GOLD, ["41", leak, hint, answer("42"), critique("Yes, 42.", "10", "Revision is not needed.")])
    assert steps(asked) == ["answer", "critique_gold", "critique_gold", "revise_minimal", "critique_gold"]
    assert [r.attempt for r in asked] == [0, 0, 1, 0, 2]
    for request in asked:
        said = "\n".join(m.content for m in request.messages)
        assert ("42" in said) == (request.step == "critique_gold")
        assert "500 words" not in said
    assert (done.sample.response, done.sample.meta["right"]) == ("42", 42)
    assert [p.name for p in loop.asks()] == [f"selfee/{s}" for s in ("answer", "critique", "revise", "critique_gold", "revise_minimal")]
    _, [done, failed] = hold(loop, GOLD, ["41", leak, leak])
    assert (record(done)["stop_reason"], failed.failure.reason, done.sample.response) == ("gold_leak", "gold_leak", "41")


def test_8b_where_a_sample_has_no_right_answer_the_critic_is_no_teacher():
    asked, _ = hold(SelFee(gold="right"), replies=[GOOD])
    assert steps(asked) == ["critique"]


def test_8c_the_samples_own_answer_can_be_the_right_one():
    seed = replace(SEED, response="6 * 7 = 42\n#### 42")
    hint = critique("Check the product; the answer is 42, no doubt.")
    asked, [done, failed] = hold(SelFee(gold="response"), seed, ["It is 41.", hint, hint])
    assert steps(asked) == ["answer", "critique_gold", "critique_gold"]
    assert failed.failure.reason == "gold_leak"
    assert (done.sample.response, done.sample.id, record(done)["gold"]) == ("It is 41.", "", seed.response)


GIVEN = [
    ("The answer is 42.", "42", [], True), ("The answer is 42.", "42", ["So it is 42."], False), ("It is 142, 42.5 and 1,42.", "42", [], False),
    ("Think of line 42.", "42", [], True), ("option B is best", "B", [], False), ("The correct answer is B.", "B", [], True), ("No, look again.", "no", [], False),
    ("The answer is no.", "no", [], True), ("Paris comes to mind", "paris", [], True), ("Think of the Parisian mayor", "Paris", [], False),
    ("What of PARIS?", "Paris", ["Is it Paris or Rome?"], False), ("答案是四十二。", "四十二", [], True), ("想想四十二这个数", "四十二", [], False),
    ("Sum to 42", "3 * 14\n#### 42", [], True), ("Anything", "", [], False), ("It must be 3/4", "3/4", [], True),
]  # fmt: skip


@pytest.mark.parametrize(("comments", "gold", "known", "leak"), GIVEN)
def test_what_gives_the_right_answer_away(comments, gold, known, leak):
    assert gives_away(comments, gold, known) is leak


def test_a_score_is_no_right_answer_given_away():
    assert not gives_away(read_critique(critique("Weak.", "4"))[0], "4", [])
    assert not gives_away(read_critique("Weak. 4/10. Revision is needed.")[0], "4", [])


@pytest.mark.parametrize(("reset", "seen"), [(2, [["a1"], ["a1", "a2"], ["a3"], ["a4"]]), (0, [["a1"], ["a2"], ["a3"], ["a4"]])])
def test_later_revisions_see_the_last_answer_only(reset, seen):
    replies = [r for n in range(2, 6) for r in (WEAK, answer(f"a{n}"))] + [WEAK]
    asked, _ = hold(SelFee(reset_after=reset), replies=replies)
    shown = [[a for a in ("a1", "a2", "a3", "a4") if f"<answer>\n{a}\n" in r.messages[-1].content] for r in asked if r.step == "revise"]
    assert shown == seen


def test_a_student_sees_all_answers_and_what_is_too_long_is_asked_without_the_oldest():
    replies = ["b1", WEAK, answer("b2"), WEAK, answer("b3"), WEAK, Completion("", "overlong"), answer("b4"), GOOD]
    asked, [done] = hold(SelFee(gold="right"), GOLD, replies)
    last, again = [r.messages[-1].content for r in asked if r.step == "revise_minimal"][-2:]
    assert [f"<answer>\n{a}\n" in last for a in ("b1", "b2", "b3")] == [True, True, True]
    assert [f"<answer>\n{a}\n" in again for a in ("b1", "b2", "b3")] == [False, True, True]
    assert done.sample.response == "b4"


def test_what_was_said_before_and_the_language_reach_everybody():
    seed = replace(BARE, system="Be brief.", turns=(Message("user", "Hi"), Message("assistant", "Hello")), input="6, 7")
    asked, [done] = hold(SelFee(language="French", temperature=0.2), seed, ["a1", WEAK, answer("a2"), GOOD])
    assert [m.content for m in asked[0].messages] == ["Answer in French.", "Be brief.", "Hi", "Hello", "What is six times seven?\n\n6, 7"]
    assert all("user: Hi" in r.messages[-1].content and "<data>\n6, 7\n</data>" in r.messages[-1].content for r in asked[1:])
    assert "Write in French." in asked[2].messages[-1].content
    assert [r.sampling.temperature for r in asked] == [0.2, 1.0, 0.2, 1.0]
    assert (done.sample.input, done.sample.system, done.sample.turns) == (seed.input, seed.system, seed.turns)


def test_the_users_columns_survive():
    seed = replace(SEED, meta={"topic": "sums", "ratings": {"old": 1}})
    _, [done] = hold(SelFee(), seed, [WEAK, answer("a2"), GOOD])
    assert {k: done.sample.meta[k] for k in ("topic", "ratings", "rejected")} == {"topic": "sums", "ratings": {"selfee": 10.0}, "rejected": ["a1"]}
    assert json.loads(json.dumps(done.sample.meta)) == done.sample.meta


PIECES = ["a", "", "### Feedback 1", "### Revision 1\nx", "\\### Feedback 2", "\\\\### Revision 3 ", "## Feedback 1", "x\n\n\ny", "### Feedback", "\\", "\\x",
          " ### Feedback 1", "### Feedback 12 \nz", "春天", "\x0b### Feedback 1", "a\r\n### Revision 2\r\nb"]  # fmt: skip


def test_a_rendered_chain_is_parsed_to_the_same_list_whatever_is_in_it():
    for number in range(5000):
        rng = random.Random(number)
        pairs = [tuple("\n".join(rng.choices(PIECES, k=rng.randint(1, 4))).strip() for _ in "af") for _ in range(rng.randint(1, 5))]
        assert parse(render(pairs)) == pairs


@pytest.mark.parametrize("text", ["### Revision 1\na", "a\n### Feedback 2\nb", "a\n### Feedback 1\nb\n### Feedback 2\nc", "a\n### Feedback 1\nb\n### Revision 2\nc"])
def test_a_chain_whose_headers_are_out_of_order_is_refused(text):
    with pytest.raises(ParseError, match="expected '### "):
        parse(text)


def test_whatever_the_model_says_the_books_balance():
    """Random replies: outputs = 1 + revisions; all but the last critique ask for a revision; truncated if and only if
    the chain is full and still to be revised; the chain can be parsed back."""
    critiques = [WEAK, WEAK, GOOD, critique(), critique(verdict="?"), Completion("weak", "length"), Completion("", "refused"), Completion("", "overlong")]
    said = {"answer": ["a1"], "critique": critiques,
            "revise": [*map(answer, "bcdefgh"), answer("a1"), "N/A", "junk", Completion("", "refused"), Completion("", "overlong")]}  # fmt: skip
    ends = set()
    for number in range(300):
        rng = random.Random(number)
        loop = SelFee(train_on="chain", keep_partial=True, max_answers=rng.randint(1, 5), retries=rng.randrange(3))
        conversation = loop.answer(rng.choice([SEED, BARE]))
        try:
            requests = next(conversation)
            while True:
                reply = rng.choice(said[requests[0].step])
                requests = conversation.send([reply if isinstance(reply, Completion) else Completion(reply)])
        except StopIteration as stop:
            [done, *failed] = stop.value.candidates
        chain = record(done)
        outputs = chain["outputs"]
        ends.add(chain["stop_reason"])
        assert 1 <= len(outputs) == chain["iteration"] <= loop.max_answers
        assert all(o["verdict"] == "needed" for o in outputs[:-1])
        assert chain["truncated"] == (chain["stop_reason"] == "max_answers") == (chain["status"] == "truncated")
        assert (chain["status"] == "complete") == (outputs[-1]["verdict"] == "not_needed") == (chain["stop_reason"] == "verdict_ok")
        assert len(failed) == (chain["status"] == "partial")
        assert parse(done.sample.response) == [(o["text"], o["feedback"]) for o in outputs]
    assert ends == {"verdict_ok", "max_answers", "verdict_missing", "critique_rejected", "overlong", "revision_rejected", "revision_unparsed",
                    "na_revision", "unchanged"}  # fmt: skip


@pytest.mark.parametrize("loop", ["selfee", "refine"])
def test_every_parameter_is_a_flag_of_its_own(loop, capsys):
    from gen.cli import main

    assert main([loop, "--help"]) == 0
    said = capsys.readouterr().out
    assert all(flag in said for flag in ("--retries", "--seeds-too", "--train-on" if loop == "selfee" else "--max-refines"))
