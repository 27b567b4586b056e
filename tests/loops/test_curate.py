"""Self-curation as dialogues: ratings, what is no rating, and what the bound keeps of them."""

import pytest
from dialogue import hold

from filters.rules.rating import Rating
from gen.core import Completion, Lineage, Message, Sample
from gen.errors import PromptError, RecipeError
from gen.loops.curate import Curate, parse_score, rated
from gen.prompts import Prompts

PAIR = Sample("p1", "What is tea?", Lineage("r1", "r1", operation="backtranslate"), response="A drink of leaves.", system="S")
LONG = "It says what tea is, in good order, " * 9


def rate(*replies, loop=None, pair=PAIR):
    asked, grown = hold((loop or Curate()).answer(pair), replies)
    [candidate] = grown.candidates
    assert grown.heirs == ()
    return asked, candidate


def test_a_pair_is_rated_and_passes_on_as_it_is():
    asked, candidate = rate("It is short and right.\nScore: 4")
    [question] = asked
    assert (question.role, question.step, question.sampling.temperature) == ("judge", "assistant", 0.0)
    text = question.messages[-1].content
    assert "<instruction>\nWhat is tea?\n</instruction>\n<response>\nA drink of leaves.\n</response>" in text
    sample = candidate.sample
    assert (sample.id, sample.lineage, sample.system, sample.response) == (PAIR.id, PAIR.lineage, "S", PAIR.response)
    assert sample.meta["ratings"] == {"curation": 4.0}
    told = sample.meta["judgements"]["curation"]
    assert (told["scores"], told["why"]) == ([4.0], "It is short and right.")
    assert told["rubric"].startswith("curate/assistant@")


SCORES = {
    "Score: 5": 5, "score: 5/5": 5, "Score: **4**.": 4, "I give Score: 2 at first... Score: 3": 3, "Score: 10": None,
    "Score: 4.5": None, "5": None, "**Score:** 4": 4, "__Score__: 4": 4, "Score (1-5): 4": 4, "Score: 5 out of 5.": 5,
    "Score: [4]": 4, "Score: <4>": 4, "Score: `4`": 4, "SCORE = 2": 2, "Final rating: 4": 4, "Score: 3.\n2 things": 3, "Score: 4, since": 4,
    "Score：3": 3, "评分：4分": 4, "Score: 4.0": 4, "Score: 4\n\nScore: N": 4,
    "Score: 1, 2, 3, 4 or 5": None, "Score: 4-5": None, "Score: 4 or 5": None, "Score: 4/10": None, "Score: 0": None,
    "Score: 6": None, "Score: -1": None, "Score: 91": None, "Score: 1986": None, "Score: N": None, "Score:": None, "": None,
    "Scores range from 1 to 5.": None, "I underscore 3 things": None, "Score: five": None, "First Score: 4, then Score: 11": None,
}  # fmt: skip


@pytest.mark.parametrize(("reply", "score"), SCORES.items())
def test_the_last_labelled_score_of_one_to_five_counts(reply, score):
    assert parse_score(reply) == score


def test_halves_count_only_where_they_are_allowed():
    assert parse_score("Score: 4.5", fractional=True) == parse_score("Score: 4,5", fractional=True) == 4.5
    assert parse_score("Score: 5.5", fractional=True) is None
    assert rate("Score: 4.5", loop=Curate(fractional=True))[1].sample.meta["ratings"] == {"curation": 4.5}


def test_four_pairs_two_bounds_and_what_could_not_be_read():
    """The first case of the notes: counts add up, and no score is neither kept nor counted as a low one."""
    replies = [["ok. Score: 5"], ["Score: 4"], ["bad\nScore: 1"], ["no idea", "no idea"]]
    candidates = [rate(*told)[1] for told in replies]
    assert [c.failure.reason if c.failure else None for c in candidates] == [None, None, None, "no_score"]
    assert "ratings" not in candidates[3].sample.meta
    rated = [c.sample for c in candidates if c.failure is None]
    assert [Rating(min=5.0).check(s).keep for s in rated] == [True, False, False]
    assert [Rating(min=4.0).check(s).keep for s in rated] == [True, True, False]


def test_several_judgements_are_asked_at_once_and_their_mean_counts():
    loop = Curate(judges=2)
    questions = next(loop.answer(PAIR))
    assert [(q.attempt, q.sampling.temperature) for q in questions] == [(0, 0.7), (1, 0.7)]
    sample = rate("Score: 5", "Score: 4", loop=loop)[1].sample
    assert sample.meta["ratings"] == {"curation": 4.5}
    assert Rating(min=4.5).check(sample).keep
    assert not Rating(min=5.0).check(sample).keep


def test_of_several_judgements_those_without_a_score_do_not_count():
    asked, candidate = rate("Score: 5", "no idea", "still none", loop=Curate(judges=2))
    assert [(q.step, q.attempt) for q in asked] == [("assistant", 0), ("assistant", 1), ("score", 1)]
    assert candidate.sample.meta["ratings"] == {"curation": 5.0}
    assert candidate.sample.meta["judgements"]["curation"]["scores"] == [5.0, None]


@pytest.mark.parametrize("first", ["no idea", Completion(f"{LONG} Score: 2 at first, but", "length")])
def test_a_judgement_without_a_last_word_is_asked_for_its_score_alone(first):
    asked, candidate = rate(first, "Score: 4")
    said = first if isinstance(first, str) else first.text
    assert [q.step for q in asked] == ["assistant", "score"]
    assert [m.role for m in asked[1].messages] == ["user", "assistant", "user"]
    assert asked[1].messages[:2] == (asked[0].messages[0], Message("assistant", said))
    assert asked[1].sampling.max_tokens == 16
    assert candidate.sample.meta["ratings"] == {"curation": 4.0}


def test_a_judge_that_thought_too_long_is_asked_once_more_in_one_message():
    asked, candidate = rate(Completion("", "reasoning_truncated"), "Score: 3")
    [message] = asked[1].messages
    assert message.content.startswith(asked[0].messages[0].content)
    assert message.content.endswith("Score: N")
    assert candidate.sample.meta["ratings"] == {"curation": 3.0}


FAILED = [
    (["no idea", "none"], "no_score"),
    (["Score: 10", "Score: 10"], "no_score"),
    ([Completion(LONG, "length"), Completion("I think that", "length")], "judgement_truncated"),
    ([Completion("", "reasoning_truncated"), Completion("", "reasoning_truncated")], "reasoning_truncated"),
    ([Completion("", "overlong", note="limit 8")], "overlong"),
    ([Completion("", "refused", note="bad")], "judgement_rejected"),
]


@pytest.mark.parametrize(("replies", "expected"), FAILED)
def test_what_was_not_rated_says_why_and_has_no_rating(replies, expected):
    candidate = rate(*replies)[1]
    assert (candidate.failure.reason, candidate.failure.by) == (expected, "curate")
    assert candidate.sample == PAIR


def test_without_asking_again_one_question_is_all():
    loop = Curate(ask_again=False)
    assert rate("no idea", loop=loop)[1].failure.reason == "no_score"
    assert rate(Completion("Score: 5", "length"), loop=loop)[1].failure.reason == "judgement_truncated"
    assert [p.name for p in loop.asks()] == ["curate/assistant"]


def test_what_has_no_answer_is_not_rated_and_what_is_spared_is_given():
    bare = Sample("s", "What is tea?", Lineage("s"))
    assert rate(pair=bare)[1].failure.reason == "unanswered"
    seed = Sample("s", "What is tea?", Lineage("s"), response="A drink.")
    asked, candidate = rate(pair=seed, loop=Curate(spare="seed"))
    assert (asked, candidate.given, candidate.sample) == ([], True, seed)
    assert rate("Score: 2", pair=seed)[1].sample.meta["ratings"] == {"curation": 2.0}


def test_the_judge_sees_data_and_the_conversation_before():
    turns = (Message("user", "Hi."), Message("assistant", "Hello."))
    pair = Sample("s", "Which is largest?", Lineage("s"), input="3 9 4", response="9", turns=turns)
    [question] = rate("Score: 5", pair=pair)[0]
    assert "User: Hi.\n\nAssistant: Hello.\n\nUser: Which is largest?" in question.messages[-1].content
    assert "<data>\n3 9 4\n</data>" in question.messages[-1].content


def test_ratings_of_earlier_passes_stay():
    once = rate("Score: 5", loop=Curate(called="curation_0"))[1].sample
    twice = rate("Score: 3", loop=Curate(called="curation_1"), pair=once)[1].sample
    assert twice.meta["ratings"] == {"curation_0": 5.0, "curation_1": 3.0}
    assert set(twice.meta["judgements"]) == {"curation_0", "curation_1"}


def test_a_rubric_is_a_file_and_needs_no_code(tmp_path):
    assert "The score is the number of those that are met" in rate("Score: 5", loop=Curate(rubric="additive"))[0][0].messages[0].content
    (tmp_path / "curate").mkdir()
    text = Prompts().path("curate/assistant").read_text()
    (tmp_path / "curate/strict.jinja").write_text(text.replace("The scores mean:", "Be strict:"))
    (tmp_path / "curate/odd.jinja").write_text(text.replace('"response"]', '"response", "mood"]') + "{{ mood }}")
    own = Prompts(tmp_path)
    assert "Be strict:" in rate("Score: 5", loop=Curate(rubric="strict", prompts=own))[0][0].messages[0].content
    with pytest.raises(PromptError, match="curate cannot fill its input 'mood'"):
        Curate(rubric="odd", prompts=own).asks()
    with pytest.raises(PromptError, match="did you mean 'curate/additive'"):
        Curate(rubric="aditive").asks()


def test_several_judgements_that_could_not_differ_are_refused():
    with pytest.raises(RecipeError, match="judges = 3 at temperature 0"):
        Curate(judges=3, temperature=0.0)


def test_a_column_of_the_user_that_is_called_ratings_does_no_harm():
    sample = Sample("s", "Name a river.", Lineage("s"), response="The Rhine.", meta={"ratings": "five stars", "judgements": 3})
    assert rated(sample, "curation", 4.0, {"why": "short"}).meta["ratings"] == {"curation": 4.0}
