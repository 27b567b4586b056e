"""IFD by hand: the cases of both papers, what has no value, and the threshold."""

import itertools
import math

import pytest

from filters.scores.ifd import Difficulty, Ifd
from gen.core import Likelihood, Lineage, Message, Sample, Score
from gen.errors import RecipeError


def likelihood(*losses, skipped=0, **rest):
    """Of tokens with these negative log-likelihoods; `skipped` first ones have no value."""
    return Likelihood(tuple(-loss for loss in losses[skipped:]), skipped=skipped, **rest)


def sample(response="Blue.", **rest):
    return Sample("a", "Name a colour.", Lineage("a"), response=response, **rest)


def drive(measurement, *halves):
    """What a measurement comes to, and what it asked."""
    try:
        asked = next(measurement)
        measurement.send(list(halves))
    except StopIteration as stop:
        return stop.value, locals().get("asked", [])
    raise AssertionError("it asks once")


COND, DIRECT = (0.5, 0.7, 0.3), (1.5, 1.0, 0.5)


@pytest.mark.parametrize(
    ("form", "cond", "direct", "skipped", "value"),
    [
        ("loss", COND, DIRECT, 0, 0.5),
        ("ppl", COND, DIRECT, 0, math.exp(-0.5)),  # 0.6065
        ("loss", COND, DIRECT, 1, 0.5 / 0.75),
        ("ppl", COND, DIRECT, 1, math.exp(-0.25)),  # 0.7788: no start token, so the direct mean is over two
        ("loss", (3.0,), (3.5,), 0, 3.0 / 3.5),
        ("loss", (2.2,), (2.0,), 0, 1.1),
        ("ppl", (2.2,), (2.0,), 0, math.exp(0.2)),  # 1.2214
        ("loss", (0.601,), (6.593,), 0, 0.601 / 6.593),  # the paper's own example, printed as 0.091
    ],
)
def test_the_published_forms_on_cases_done_by_hand(form, cond, direct, skipped, value):
    found = Ifd(form=form).compare(likelihood(*cond), likelihood(*direct, skipped=skipped))
    assert found.ifd == pytest.approx(value, abs=1e-12)
    assert found.status == "ok"
    assert (found.n_tokens_cond, found.n_tokens_direct) == (len(cond), len(direct) - skipped)
    assert found.s_cond == pytest.approx(sum(cond) / len(cond))


def test_the_two_forms_agree_on_what_is_above_one_and_disagree_on_the_order_below():
    def of(form, cond, direct):
        return Ifd(form=form).compare(likelihood(cond), likelihood(direct)).ifd

    b, e = (3.0, 3.5), (0.5, 0.65)
    assert of("loss", *b) > of("loss", *e)
    assert of("ppl", *b) < of("ppl", *e)
    for cond, direct in itertools.product((0.2, 1.0, 2.2, 5.0), repeat=2):
        assert (of("loss", cond, direct) > 1) == (of("ppl", cond, direct) > 1)


@pytest.mark.parametrize("form", ["loss", "ppl"])
def test_a_model_that_ignores_the_instruction_gives_one(form):
    same = likelihood(1.7, 0.2, 4.4)
    uniform = likelihood(*[math.log(1000)] * 3)
    assert Ifd(form=form).compare(same, same).ifd == 1
    assert Ifd(form=form).compare(uniform, likelihood(*[math.log(1000)] * 3, skipped=1)).ifd == pytest.approx(1)


def test_when_the_answer_is_cut_both_means_are_over_the_beginning_that_both_have():
    whole, cut = likelihood(1, 2, 3, 4, 5), likelihood(1, 1, 1, truncated=True)
    found = Ifd().compare(cut, whole)
    assert (found.s_cond, found.s_direct, found.truncated) == (1, 2, True)
    assert (found.n_tokens_cond, found.n_tokens_direct) == (3, 3)
    without_bos = Ifd().compare(cut, likelihood(9, 2, 4, 8, skipped=1))
    assert (without_bos.s_direct, without_bos.n_tokens_cond, without_bos.n_tokens_direct) == (3, 3, 2)


OVERLONG, REFUSED = Likelihood(finish="overlong"), Likelihood(finish="refused", note="no system turn")


@pytest.mark.parametrize(
    ("cond", "direct", "status"),
    [
        (OVERLONG, likelihood(1, 2), "too_long"),
        (likelihood(1, 2), REFUSED, "refused"),
        (OVERLONG, REFUSED, "refused"),
        (likelihood(1), likelihood(1, skipped=1), "no_answer_tokens"),  # a bare answer of one token
        (Likelihood(), Likelihood(skipped=1), "no_answer_tokens"),
        (likelihood(1, 2), likelihood(0, 0), "nan"),
        (likelihood(math.nan, 2), likelihood(1, 2), "nan"),
        (likelihood(1, 2), likelihood(1, math.inf), "nan"),
    ],
)
def test_what_cannot_be_measured_says_why_and_never_a_number(cond, direct, status):
    score, _ = drive(Ifd().score(sample()), cond, direct)
    assert score == Score("ifd", None, status)
    verdict = Ifd(unscored="drop").judge(score)
    assert (verdict.keep, verdict.reason, verdict.by) == (False, status, "ifd")
    assert Ifd().judge(score).keep == (status == "no_answer_tokens"), "one-token answers are honest answers"
    assert Ifd(unscored="keep").judge(score).keep


def test_perplexities_too_far_apart_for_a_number_are_no_number():
    assert Ifd(form="ppl").compare(likelihood(800), likelihood(1)).status == "nan"


@pytest.mark.parametrize("response", [None, "", " \n"])
def test_nothing_is_asked_about_an_empty_answer(response):
    found, asked = drive(Ifd().measure(sample(response)))
    assert (found, asked) == (Difficulty("empty_answer"), [])


def test_both_halves_are_asked_at_once_and_earlier_turns_are_instruction():
    turns = (Message("user", "Hi."), Message("assistant", "Hello."))
    asked = next(Ifd().score(sample(system="Be brief.", turns=turns, input="of the sky")))
    said = [(m.role, m.content) for m in asked[0].messages]
    assert said == [("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), ("user", "Name a colour.\n\nof the sky")]
    assert asked[1].messages == ()
    assert [a.text for a in asked] == ["Blue.", "Blue."]
    marker = next(Ifd(direct="marker").score(sample(system="Be brief.")))
    assert marker[1].messages == (Message("user", ""),)


def test_the_border_is_kept_unless_it_is_exclusive():
    def judge(value, **params):
        return Ifd(**params).judge(Score("ifd", value)).reason

    assert [judge(v) for v in (0.2, 1.0, 1.0001)] == ["", "", "misaligned"]
    assert [judge(v, inclusive=False) for v in (0.999, 1.0)] == ["", "misaligned"]
    assert [judge(v, min=0.3, max=0.9) for v in (0.29, 0.3, 0.9, 0.91)] == ["too_easy", "", "", "misaligned"]
    assert Ifd().judge(Score("ifd", 1.5)).value == 1.5


def test_bounds_that_nothing_can_pass_are_refused():
    with pytest.raises(RecipeError, match="min 2 is above max 1"):
        Ifd(min=2.0)
