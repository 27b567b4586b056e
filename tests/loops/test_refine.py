"""Self-Refine as dialogues: canned replies by role and step in, every question and the final sample out."""

from __future__ import annotations

import asyncio
import json
import random

import dialogue
import pytest

from gen.core import KEEP, Candidate, Completion, Lineage, Message, Sample, Verdict, replace
from gen.errors import ParseError, PromptError, RecipeError
from gen.loops._notes import read_scores
from gen.loops.refine import Refine
from gen.prompts import Prompts

SEED = Sample("s1", "Name three rivers.", Lineage("s1"), response="a")
BARE = replace(SEED, response=None)
ONE = {"aspects": ()}
"""No scores: the notes alone."""


def notes(change="none", add="none", scores=""):
    return f"<change>\n{change}\n</change>\n<add>\n{add}\n</add>" + (f"\n<scores>\n{scores}\n</scores>" if scores else "")


def rewrite(answer):
    return f"<answer>\n{answer}\n</answer>"


def scored(a, b=None, c=None, **fields):
    b, c = (a if b is None else b), (a if c is None else c)
    return notes(fields.get("change", "x"), scores=f"correctness: {a}\ncompleteness: {b}\nclarity: {c}")


def hold(loop, seed=SEED, replies=()):
    """The conversation with canned replies; returns the questions and the one candidate that is not dropped, or the
    one that is. What was paid for and came to nothing is dropped with the reason for which the rewriting ended."""
    asked, grown = dialogue.hold(loop.answer(seed), replies)
    assert not grown.heirs
    assert len({(r.step, r.attempt, r.messages) for r in asked}) == len(asked), "two questions would have one key"
    candidate, *failed = sorted(grown.candidates, key=lambda c: c.failure is not None)
    if not candidate.failure:
        ended = why(candidate) if why(candidate) not in ("stop_signal", "max_refines") else None
        assert [f.failure.reason for f in failed] == ([ended] if ended else [])
    return asked, candidate


def steps(asked):
    return [r.step for r in asked]


def why(candidate):
    return candidate.sample.meta["refine"]["stop_reason"]


def trace(candidate):
    return [(v["answer"], v["feedback"]) for v in candidate.sample.meta["refine"]["trace"]]


def test_1_a_stop_signal_ends_it():
    """D = "a", F = "add b", R = "ab", F = stop: four questions, and no rewrite after the stop."""
    asked, done = hold(Refine(**ONE, max_refines=4), BARE, ["a", notes(add="b"), rewrite("ab"), notes()])
    assert steps(asked) == ["draft", "feedback", "rewrite", "feedback"]
    assert [r.role for r in asked] == ["answerer", "judge", "answerer", "judge"]
    assert done.failure is None
    assert (done.sample.response, done.sample.meta["refine"]) == ("ab", {"stop_reason": "stop_signal", "rounds": 1})
    assert done.sample.meta["rejected"] == ["a"]
    lineage = done.sample.lineage
    assert (lineage.root, lineage.parent, lineage.operation) == ("s1", "s1", "refine")
    assert [p.split("@")[0] for p in lineage.prompts] == ["refine/draft", "refine/feedback", "refine/rewrite"]


@pytest.mark.parametrize("score_final", [False, True])
def test_2_the_cap_counts_rewrites_and_no_feedback_is_paid_for_that_nobody_reads(score_final):
    loop = Refine(max_refines=3, score_final=score_final, keep_trace=True)
    replies = ["y0", *(r for t in (1, 2, 3) for r in (scored(2), rewrite(f"y{t}"))), *([scored(3)] * score_final)]
    asked, done = hold(loop, BARE, replies)
    assert steps(asked).count("draft") == 1
    assert steps(asked).count("rewrite") == 3
    assert steps(asked).count("feedback") == 3 + score_final
    assert why(done) == "max_refines"
    assert [answer for answer, _ in trace(done)] == ["y0", "y1", "y2", "y3"]
    assert done.sample.response == "y3"
    assert done.sample.meta.get("ratings", {}).get("refine") == (3.0 if score_final else None)


def test_3_a_rewrite_sees_the_whole_history_or_the_last_version():
    replies = [notes("f0"), rewrite("y1"), notes("f1"), rewrite("y2"), notes()]
    asked, _ = hold(Refine(**ONE), replace(SEED, response="y0"), replies)
    said = asked[3].messages[-1].content
    places = [said.index(f"<{tag}>\n{body}\n</{tag}>") for tag, body in
              (("answer", "y0"), ("notes", "Change: f0"), ("answer", "y1"), ("notes", "Change: f1"))]  # fmt: skip
    assert places == sorted(places)
    asked, _ = hold(Refine(**ONE, history="last"), replace(SEED, response="y0"), replies)
    said = asked[3].messages[-1].content
    assert "y1" in said
    assert "f1" in said
    assert "y0" not in said
    assert "f0" not in said


@pytest.mark.parametrize(("select", "index"), [("best", 0), ("last", 2)])
def test_4_best_takes_the_first_of_the_best_and_last_the_last(select, index):
    """Totals 21, 10, 21 of 25, as in the official sample run."""
    aspects = ("a", "b", "c", "d", "e")

    def review(*numbers):
        return notes("x", scores="\n".join(f"{n}: {v}/5" for n, v in zip(aspects, numbers, strict=True)))

    loop = Refine(aspects=aspects, max_refines=2, select=select, score_final=True, stop=("fixed",))
    replies = [review(5, 4, 4, 4, 4), rewrite("y1"), review(2, 2, 2, 2, 2), rewrite("y2"), review(4, 4, 4, 4, 5)]
    asked, done = hold(loop, replace(SEED, response="y0"), replies)
    assert done.sample.response == f"y{index}"
    assert done.sample.meta["ratings"]["refine"] == 4.2
    assert done.sample.meta["refine"]["scores"]["a"] == (5 if select == "best" else 4)
    assert done.sample.meta["rejected"] == (["y1"] if select == "best" else ["y0", "y1"])
    assert (done.sample.id == "s1") == (select == "best")


def test_best_asks_for_the_score_of_the_last_version_by_itself():
    asked, done = hold(Refine(select="best", max_refines=1), replies=[scored(2), rewrite("b"), scored(4)])
    assert steps(asked) == ["feedback", "rewrite", "feedback"]
    assert (done.sample.response, done.sample.meta["rejected"]) == ("b", ["a"])


def test_a_version_that_was_scored_higher_is_not_called_rejected():
    loop = Refine(max_refines=2, score_final=True)
    _, done = hold(loop, replies=[scored(4), rewrite("b"), scored(2), rewrite("c"), scored(3)])
    assert (done.sample.response, done.sample.meta["rejected"]) == ("c", ["b"])


def test_5_fused_stops_by_its_critique_alone_and_returns_what_was_before():
    loop = Refine(fused=True, keep_trace=True)
    inside = notes("b is wrong") + rewrite("The answer needs no change, they say; none")
    asked, done = hold(loop, replies=[inside, notes("The answer needs no change.") + rewrite("never")])
    assert steps(asked) == ["fused", "fused"]
    assert {r.role for r in asked} == {"answerer"}
    assert done.sample.response == "The answer needs no change, they say; none"
    assert why(done) == "stop_signal"
    assert trace(done) == [("a", "Change: b is wrong"), (done.sample.response, "Change: The answer needs no change.")]
    asked, done = hold(loop, replies=[notes()])
    assert (done.sample.id, done.sample.response, why(done)) == ("s1", "a", "stop_signal")


def test_fused_without_an_answer_beside_its_notes_is_unreadable():
    asked, done = hold(Refine(fused=True, retries=1), replies=[notes("b"), notes("c")])
    assert len(asked) == 2
    assert (why(done), done.sample.response) == ("fused_unparsed", "a")


@pytest.mark.parametrize(
    ("fields", "stops"),
    [(("none", "None."), True), (("N/A", "无。"), True), (("None", "odd wording"), False), (("odd", "none"), False),
     (("", ""), True), (("none of the rivers is in Asia", "none"), False)],
)  # fmt: skip
def test_6_two_fields_stop_only_if_both_note_nothing(fields, stops):
    asked, done = hold(Refine(**ONE, max_refines=1), replies=[notes(*fields), *([] if stops else [rewrite("b")])])
    assert why(done) == ("stop_signal" if stops else "max_refines")
    if not stops:
        said = asked[1].messages[-1].content
        assert ("Change:" in said, "Add:" in said) == (fields[0].lower() != "none", fields[1] != "none")


def test_7_unreadable_feedback_is_asked_again_by_itself_then_the_last_good_answer_stays():
    loop = Refine(stop=("score",), retries=3)
    asked, done = hold(loop, BARE, ["a", "great!", "great!", scored("many"), notes("x")])
    assert steps(asked) == ["draft", *["feedback"] * 4]
    assert [r.attempt for r in asked] == [0, 0, 1, 2, 3]
    assert (done.sample.response, why(done), done.failure) == ("a", "feedback_unparsed", None)


def test_7b_scores_that_decide_nothing_may_be_missing():
    asked, done = hold(Refine(max_refines=1), replies=[notes("x"), rewrite("b")])
    assert "correctness: a whole number, 1 (useless) to 5 (perfect)" in asked[0].messages[-1].content
    assert done.sample.response == "b"


def test_8_a_rewrite_that_changes_nothing_ends_it():
    asked, done = hold(Refine(**ONE), replies=[notes("x"), rewrite(" a ")])
    assert (why(done), done.sample.id, done.sample.response) == ("unchanged", "s1", "a")
    assert "rejected" not in done.sample.meta
    asked, done = hold(Refine(**ONE), replies=[notes("x"), rewrite("b"), notes("y"), rewrite("a")])
    assert (why(done), done.sample.response) == ("unchanged", "b")


def test_8b_two_equal_candidates_are_two_rows_of_the_trace():
    loop = Refine(**ONE, max_refines=2, require_change=False, keep_trace=True)
    asked, done = hold(loop, replies=[notes("x"), rewrite("a"), notes("y"), rewrite("b")])
    assert trace(done) == [("a", "Change: x"), ("a", "Change: y"), ("b", "")]
    assert done.sample.meta["rejected"] == ["a"]
    _, done = hold(loop, replies=[notes("x"), rewrite("a"), notes("y"), rewrite("a")])
    assert (done.sample.id, why(done)) == ("s1", "max_refines")


@pytest.mark.parametrize("mode", ["generic", "none"])
def test_9_without_specific_feedback_no_judge_is_asked(mode):
    loop = Refine(feedback=mode, max_refines=2)
    asked, done = hold(loop, replies=[rewrite("b"), rewrite("c")])
    assert steps(asked) == ["rewrite", "rewrite"]
    assert [r.messages[-1].content.count("Something in this answer could be better.") for r in asked] == (
        [1, 2] if mode == "generic" else [0, 0]
    )
    assert ("<notes>" in asked[1].messages[-1].content) == (mode == "generic")
    assert done.sample.response == "c"
    assert [p.name for p in loop.asks()] == ["refine/draft", "refine/rewrite"]


FEEDBACK_ENDS = {
    Completion("<change>x", "length"): ("feedback_truncated", 3),
    Completion("", "reasoning_truncated"): ("reasoning_truncated", 1),
    Completion("", "overlong", note="limit 8"): ("overlong", 1),
    Completion("", "refused", note="bad"): ("feedback_rejected", 1),
    Completion("<change>x</change>"): ("feedback_unparsed", 3),
    Completion("<change>x</change><add>y</add><add>z</add>"): ("feedback_unparsed", 3),
}


@pytest.mark.parametrize(("reply", "expected"), FEEDBACK_ENDS.items())
def test_bad_feedback_leaves_the_answer_as_it_is_and_says_why(reply, expected):
    asked, done = hold(Refine(), replies=[reply] * expected[1])
    assert (why(done), len(asked)) == expected
    assert (done.sample.id, done.sample.response, done.failure) == ("s1", "a", None)


REWRITES = {
    Completion("<answer>b", "length"): ("rewrite_truncated", 1),
    Completion("", "reasoning_truncated"): ("reasoning_truncated", 1),
    Completion("", "overlong"): ("overlong", 1),
    Completion("", "refused"): ("rewrite_rejected", 1),
    Completion("Here you are: b"): ("rewrite_unparsed", 3),
    Completion("<answer>b</answer><answer>c</answer>"): ("rewrite_unparsed", 3),
    Completion("<answer></answer>"): ("rewrite_empty", 1),
    Completion("<answer>...</answer>"): ("rewrite_empty", 1),
    Completion("<answer>I'm sorry, but I can't help with that.</answer>"): ("rewrite_refused", 1),
    Completion("<answer>Rhine. As the revised answer says, Po.</answer>"): ("rewrite_leak", 1),
    Completion("<answer>Based on your feedback, Rhine and Po.</answer>"): ("rewrite_leak", 1),
    Completion("<answer>Sorry, Rhine and Po</answer>"): ("rewrite_leak", 1),
    Completion("<answer>Rhine\n<notes>\nPo\n</notes></answer>"): ("rewrite_leak", 1),
    Completion("<answer>a</answer>"): ("unchanged", 1),
}


@pytest.mark.parametrize(("reply", "expected"), REWRITES.items())
def test_a_bad_rewrite_never_replaces_a_good_answer(reply, expected):
    reason, times = expected
    asked, done = hold(Refine(), replies=[scored(3), *[reply] * times])
    assert (why(done), len(asked)) == (reason, 1 + times)
    assert (done.sample.id, done.sample.response, done.sample.meta["ratings"]["refine"]) == ("s1", "a", 3.0)
    assert "rejected" not in done.sample.meta
    # and not one from an earlier round, either
    times += reply.finish == "overlong"  # once more, without the oldest version
    _, done = hold(Refine(), replies=[scored(3), rewrite("good"), scored(4), *[reply] * times])
    assert (why(done), done.sample.response) == (reason, "good")


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("I apologize for the error. Rhine, Po.", "Rhine, Po."),
        ("Sure! Here is the revised list:\nRhine, Po.", "Rhine, Po."),
        ("Revised answer: Rhine, Po.", "Rhine, Po."),
        ("Rhine, Po. I hope this revision helps.", "Rhine, Po."),
        ("非常抱歉。莱茵河，波河。希望这次修改有帮助。", "莱茵河，波河。"),
    ],
)
def test_what_a_rewrite_says_of_itself_at_its_edges_is_taken_off(reply, answer):
    assert hold(Refine(**ONE, max_refines=1), replies=[notes("x"), rewrite(reply)])[1].sample.response == answer


def test_an_apology_that_the_task_asks_for_stays():
    seed = replace(SEED, instruction="Write a letter of apology to Ann.")
    letter = "I apologize for being late.\n\nBob"
    assert hold(Refine(**ONE, max_refines=1), seed, [notes("x"), rewrite(letter)])[1].sample.response == letter


def test_what_is_too_long_is_asked_again_without_the_oldest_version():
    too_long = Completion("", "overlong", note="limit 100")
    conversation = Refine(**ONE).answer(SEED)
    asked = [next(conversation)]
    for reply in (notes("f0"), rewrite("y1"), notes("f1"), rewrite("y2"), notes("f2"), too_long, too_long):
        asked.append(conversation.send([reply if isinstance(reply, Completion) else Completion(reply)]))
    three, two, one = (a[0].messages[-1].content for a in asked[-3:])
    assert ["f0" in three, "f1" in three, "f2" in three] == [True, True, True]
    assert ["f0" in two, "f1" in two, "f2" in two] == [False, True, True]
    assert ["f0" in one, "f1" in one, "f2" in one] == [False, False, True]
    with pytest.raises(StopIteration) as stop:
        conversation.send([too_long])
    done, _ = stop.value.value.candidates
    assert (why(done), done.sample.response) == ("overlong", "y2")


DRAFTS = {
    Completion("", "refused"): "answer_rejected",
    Completion("The Rh", "length"): "answer_truncated",
    Completion("", "reasoning_truncated"): "reasoning_truncated",
    Completion("", "overlong"): "overlong",
    Completion("I'm sorry, but I can't help with that."): "answer_refused",
    Completion("..."): "hollow_answer",
}


@pytest.mark.parametrize(("reply", "reason"), DRAFTS.items())
def test_a_draft_that_came_to_nothing_is_a_candidate_with_a_reason(reply, reason):
    asked, done = hold(Refine(seeds_too=False), BARE, [reply])
    assert (done.failure.reason, done.failure.by, done.failure.keep) == (reason, "refine", False)


def test_a_rewrite_that_came_to_nothing_can_be_looked_at():
    _, grown = dialogue.hold(Refine(**ONE).answer(SEED), [notes("x"), rewrite("As the revised answer says, b.")])
    kept, failed = grown.candidates
    assert (kept.sample.id, kept.failure) == ("s1", None)
    assert failed.failure == Verdict(False, "rewrite_leak", "refine", note="<answer> As the revised answer says, b. </answer>")
    assert (failed.sample.id, failed.sample.response) == ("", "As the revised answer says, b.")
    assert failed.sample.lineage.parent == "s1"


def test_a_draft_that_needs_no_change_is_the_answered_seed():
    _, done = hold(Refine(**ONE), BARE, ["a", notes()])
    assert (done.sample.id, done.sample.response, done.sample.lineage.operation) == ("s1", "a", "seed")
    assert [p.split("@")[0] for p in done.sample.lineage.prompts] == ["refine/draft"]


@pytest.mark.parametrize(
    ("loop", "replies", "reason"),
    [(Refine(seeds_too=False), [notes()], "no_change_needed"), (Refine(seeds_too=False), [scored(3), rewrite("a")], "unchanged"),
     (Refine(seeds_too=False), [scored(3), Completion("", "refused")], "rewrite_rejected"),
     (Refine(seeds_too=False, select="best", max_refines=1), [scored(3), rewrite("b"), scored(2)], "no_better")],
)  # fmt: skip
def test_without_seeds_what_got_no_better_is_dropped_with_a_reason(loop, replies, reason):
    _, done = hold(loop, replies=replies)
    assert (done.failure.reason, done.sample.id) == (reason, "")


def test_the_users_columns_survive_and_ratings_of_an_answer_that_went_do_not():
    meta = {"topic": "rivers", "rejected": "z", "ratings": {"old": 1}}
    _, done = hold(Refine(keep_trace=True), replace(SEED, meta=meta), [scored(2), rewrite("b"), scored(5, change="none")])
    assert done.sample.meta == {
        "topic": "rivers", "rejected": ["z", "a"],
        "ratings": {"refine": 5.0},
        "refine": {"stop_reason": "stop_signal", "rounds": 1, "scale": 5,
            "scores": {"correctness": 5.0, "completeness": 5.0, "clarity": 5.0}, "trace": [
            {"answer": "a", "feedback": "Change: x", "scores": {"correctness": 2.0, "completeness": 2.0, "clarity": 2.0}},
            {"answer": "b", "feedback": "", "scores": {"correctness": 5.0, "completeness": 5.0, "clarity": 5.0}}]},
    }  # fmt: skip
    assert json.loads(json.dumps(done.sample.meta)) == done.sample.meta
    _, done = hold(Refine(), replace(SEED, meta=meta), [scored(5, change="none")])
    assert done.sample.meta["ratings"] == {"old": 1, "refine": 5.0}
    assert done.sample.meta["rejected"] == "z"
    turns = [{"role": "assistant", "content": "z"}]
    _, done = hold(Refine(max_refines=1), replace(SEED, meta={"rejected": turns}), [notes("x"), rewrite("b")])
    assert done.sample.meta["rejected"] == turns


def test_what_was_said_before_the_task_is_shown_to_judge_and_writer():
    seed = replace(BARE, system="Be brief.", turns=(Message("user", "Hi"), Message("assistant", "Hello")), input="Asia")
    asked, done = hold(Refine(**ONE), seed, ["a", notes("x"), rewrite("b"), notes()])
    assert [(m.role, m.content) for m in asked[0].messages] == [
        ("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Name three rivers.\n\nAsia"),
    ]  # fmt: skip
    for request in asked[1:]:
        [message] = request.messages
        assert "<context>\nsystem: Be brief.\n\nuser: Hi\n\nassistant: Hello\n</context>" in message.content
        assert "<data>\nAsia\n</data>" in message.content
    assert (done.sample.system, done.sample.turns, done.sample.input) == (seed.system, seed.turns, "Asia")


def test_thoughts_stay_with_their_answer():
    replies = [notes("x"), Completion(rewrite("b"), reasoning="Hm."), Completion(notes(), reasoning="Fine.")]
    asked, done = hold(Refine(**ONE), replace(SEED, reasoning="Old."), replies)
    assert (done.sample.response, done.sample.reasoning) == ("b", "Hm.")
    assert "Hm." not in str(asked)
    assert hold(Refine(**ONE), replace(SEED, reasoning="Old."), [notes()])[1].sample.reasoning == "Old."


def test_language_and_sampling_reach_the_writer():
    loop = Refine(**ONE, language="French", temperature=0.1, max_new_tokens=9)
    asked, _ = hold(loop, BARE, ["a", notes("x"), rewrite("b"), notes()])
    assert asked[0].messages[0] == Message("system", "Answer in French.")
    assert "Write in French." in asked[2].messages[-1].content
    assert [(r.sampling.temperature, r.sampling.max_tokens) for r in asked[:3]] == [(0.1, 9), (0.7, 1024), (0.1, 9)]


SCORES = {
    "correctness: 4": 4, "Correctness: 4/5": 4, "**correctness**: 4 of 5": 4, "correctness - 4 out of 5": 4,
    "correctness: all 3 rivers are there, 4/5": 4, "correctness：4": 4, "correctness: 3.5": 3.5, "correctness:\n4": 4,
    "correctness: 4/5 (4/5)": 4, "correctness: 6": None, "correctness: 0": None, "correctness: -4": None,
    "correctness: 8/10": None, "correctness: 4-5": None, "correctness: names 2 of them, 3 short": None, "correctness:": None,
    "correctness: many": None, "": None, "incorrectness: 4": None, "correctness: 4th": None, "correctness: 4 or 5": None,
}  # fmt: skip


@pytest.mark.parametrize(("line", "score"), SCORES.items())
def test_a_score_is_read_or_refused_and_never_clamped(line, score):
    if score is None:
        with pytest.raises(ParseError):
            read_scores(line, ("correctness",), 5)
    else:
        assert read_scores(f"clarity: 1\n{line}\nstyle: 2", ("correctness",), 5) == {"correctness": score}


@pytest.mark.parametrize(
    ("parameters", "stops"),
    [({"stop": ("score",)}, False), ({"stop": ("score",), "stop_score": 4.0}, True), ({"stop": ("fixed",)}, False),
     ({"stop": ("phrase",), "phrases": ("FINE  as",)}, True), ({"stop": ("none",)}, False), ({"stop": ()}, False)],
)  # fmt: skip
def test_stop_rules_are_those_that_are_on(parameters, stops):
    review = scored(4, 4, 5, change="It is fine\nas it is.")
    _, done = hold(Refine(**parameters, max_refines=1), replies=[review, *([] if stops else [rewrite("b")])])
    assert why(done) == ("stop_signal" if stops else "max_refines")


def test_none_at_all_goes_on_where_rounds_are_fixed():
    asked, done = hold(Refine(**ONE, stop=("fixed",), max_refines=1), replies=[notes(), rewrite("b")])
    assert "<notes>" not in asked[1].messages[-1].content
    assert done.sample.response == "b"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"stop": ("phrases",)}, "did you mean 'phrase'"),
        ({"select": "best", "aspects": ()}, "need scores"),
        ({"stop": ("score",), "fused": True}, "fused off"),
        ({"score_final": True, "feedback": "none"}, "feedback = 'specific'"),
        ({"fused": True, "feedback": "generic"}, "fused with feedback = 'generic'"),
        ({"stop_score": 6.0}, "stop_score 6.0 is above the scale, 5"),
    ],
)
def test_parameters_that_contradict_themselves_are_refused(parameters, message):
    with pytest.raises(RecipeError, match=message):
        Refine(**parameters)


def test_a_file_of_the_users_may_have_other_fields(tmp_path):
    (tmp_path / "refine").mkdir()
    shipped = Prompts().path("refine/feedback").read_text()
    own = shipped.replace('sections = ["change", "add"]', 'sections = ["feedback"]')
    (tmp_path / "refine/feedback.jinja").write_text(own)
    loop = Refine(aspects=(), max_refines=1, prompts=Prompts(tmp_path))
    asked, done = hold(loop, replies=["<feedback>Add b.</feedback>", rewrite("ab")])
    assert "<notes>\nAdd b.\n</notes>" in asked[1].messages[-1].content
    (tmp_path / "refine/feedback.jinja").write_text(own.replace('sections = ["feedback"]', "sections = []"))
    with pytest.raises(PromptError, match="no section for the notes"):
        Refine(prompts=Prompts(tmp_path)).asks()
    (tmp_path / "refine/feedback.jinja").write_text(shipped.replace('optional = ["scores"]', ""))
    with pytest.raises(PromptError, match="no section 'scores'"):
        Refine(prompts=Prompts(tmp_path)).asks()


def test_the_prompts_of_a_run_are_those_that_it_can_ask():
    assert [p.name for p in Refine().asks()] == ["refine/draft", "refine/feedback", "refine/rewrite"]
    assert [p.name for p in Refine(fused=True).asks()] == ["refine/draft", "refine/fused"]


def test_whatever_the_model_says_the_books_balance():
    """Random replies, good and bad: calls = drafts + feedbacks + rewrites; the result is one of the versions; best has
    the best score; nothing raises."""
    bad = ["junk", Completion("", "overlong"), Completion("<answer>b", "length"), Completion("", "refused")]
    said = {
        "draft": ["a fine draft"],
        "feedback": [*bad, notes(), notes("x"), notes("x", "y"), scored(2), scored(4), scored(5, change="none")],
        "rewrite": [*bad, *map(rewrite, ("b", "c", "d", "a", "I'm sorry, but I can't help with that.", "", "My previous answer."))],
    }
    ends = set()
    for number in range(300):
        rng = random.Random(number)
        loop = Refine(select=rng.choice(["best", "last"]), max_refines=rng.randrange(4), retries=rng.randrange(3), keep_trace=True)
        conversation, asked = loop.answer(rng.choice([SEED, BARE])), []
        try:
            requests = next(conversation)
            while True:
                asked += requests
                reply = rng.choice(said[requests[0].step])
                requests = conversation.send([reply if isinstance(reply, Completion) else Completion(reply)])
        except StopIteration as stop:
            done, *_ = stop.value.candidates
        versions = done.sample.meta["refine"]["trace"]
        ends.add(why(done))
        assert len(versions) == 1 + done.sample.meta["refine"]["rounds"] <= 1 + loop.max_refines
        assert done.sample.response in [v["answer"] for v in versions]
        assert (done.sample.response != versions[0]["answer"]) == (done.sample.id == "")
        totals = [sum(v["scores"].values()) / 3 for v in versions if v["scores"]]
        if loop.select == "best" and totals:
            assert done.sample.meta["ratings"]["refine"] == max(totals)
        assert done.sample.response not in done.sample.meta.get("rejected", [])
    cut = {f"{what}_{how}" for what in ("feedback", "rewrite") for how in ("unparsed", "truncated", "rejected")}
    assert ends == cut | {"stop_signal", "max_refines", "unchanged", "overlong", "rewrite_refused", "rewrite_empty", "rewrite_leak"}


def test_10_one_that_fails_costs_the_others_nothing_and_all_is_repeatable(tmp_path, hold):
    """Drafted, reviewed and rewritten through the machine: the second of three is refused."""
    from gen.engines.scripted import Scripted

    def model(request):
        said = request.messages[-1].content
        if request.step == "feedback":
            return notes("say more") if "at length" not in said else notes()
        if request.step == "rewrite":
            return rewrite(f"A river at length, {request.seed}.")
        return Completion("", "refused", note="no") if "2" in said else f"A river, {request.seed}."

    seeds = [replace(BARE, id=f"s{n}", instruction=f"Name river {n}.", lineage=Lineage(f"s{n}")) for n in (1, 2, 3)]
    loop = {"loop": "refine", "rounds": 0, "refine": {}, "gate": {"filters": ["empty", "exact"]}}
    runs = [hold_run(hold, tmp_path / str(i), seeds, Scripted(model), width, loop) for i, width in ((0, 1), (1, 8))]
    (kept, dropped), again = runs
    assert [s.lineage.root for s in kept] == ["s1", "s3"]
    assert all(s.response.startswith("A river at length") and s.meta["rejected"] for s in kept)
    assert dropped == ["answer_rejected"]
    assert runs[0] == again


def hold_run(hold, folder, seeds, engine, width, changes):
    from gen.pool import Pool

    engine.width = width
    _, kept = hold(folder, seeds, engine=engine, **changes)
    with Pool.open(folder) as pool:
        return kept, [row.reason for row in pool.funnel(1) if row.reason]


def test_a_refined_sample_makes_preference_pairs(tmp_path):
    """gen export --format preference: the final answer against the draft."""
    from gen.core import place
    from gen.export.rows import Form
    from gen.export.write import Export, Order
    from gen.pool import GrownRow, Pool

    _, done = hold(Refine(**ONE), replies=[notes("x"), rewrite("ab"), notes("y"), rewrite("abc"), notes()])
    sample = place(done.sample, 0, 0, 0)
    with Pool.open(tmp_path / "run") as pool:
        asyncio.run(pool.commit_grown(GrownRow(0, 0, "000", SEED, (Candidate(sample),), (), 0, ())))
        pool.add_verdicts(1, [(sample.id, KEEP)])
        Export(pool, Order(Form("preference"))).to_file(tmp_path / "p.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [(r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in rows] == [("abc", "a"), ("abc", "ab")]
    assert all(r["prompt"] == [{"role": "user", "content": "Name three rivers."}] for r in rows)
