"""Scoring in this process, with tokenizers of the three common kinds: equal to a plain computation."""

import asyncio
import math

import pytest
import tiny_models

from gen.core import Likelihood, Message, Scoring, replace
from gen.engines.likelihood import fault, fit, put_before, told
from gen.engines.local import Local
from gen.engines.reasoning import closing
from gen.engines.scripted import Scripted
from gen.errors import EngineError

QUESTION = (Message("user", "  Name three rivers of Africa. "),)
TALK = (Message("user", "Hi."), Message("assistant", "Hello there."), *QUESTION)
ANSWERS = ["The Nile, the Congo and the Niger.", " indented\n\n  and spaced  ", "长江是亚洲最长的河流。", "42", "é" * 40]


@pytest.fixture(scope="module", params=tiny_models.KINDS)
def model(request, tmp_path_factory):
    return request.param, tiny_models.build(request.param, tmp_path_factory.mktemp("models") / request.param)


def use(folder, work, **attributes):
    async def go():
        engine = Local(folder)
        for name, value in attributes.items():
            setattr(engine, name, value)
        await engine.open()
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(go())


def score(folder, *scorings, **attributes):
    return use(folder, lambda e: asyncio.gather(*map(e.score, scorings)), **attributes)


def plain(messages):
    return [{"role": m.role, "content": m.content} for m in messages]


def test_both_halves_equal_a_plain_computation_alone_and_in_a_batch(model):
    kind, folder = model
    asked = [Scoring(messages, answer) for answer in ANSWERS for messages in (QUESTION, TALK, ())]
    together = score(folder, *asked)
    alone = [one for scoring in asked for one in score(folder, scoring)]
    for scoring, a, b in zip(asked, together, alone, strict=True):
        cond, direct = tiny_models.losses(folder, kind, plain(scoring.messages or QUESTION), scoring.text)
        expected = cond if scoring.messages else direct
        assert a.logprobs == pytest.approx(expected, abs=1e-4)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
        assert a.skipped == (0 if scoring.messages or kind == "llama" else 1)
        assert (a.finish, a.truncated, a.source) == ("ok", False, "scored")


def test_bos_comes_once_and_the_end_token_never(model):
    kind, folder = model

    async def ids(engine):
        return engine._before(QUESTION), engine._before(()), engine.tokenizer

    before, bare, tokenizer = use(folder, ids)
    text = tokenizer.decode(before)
    assert bare == ([1] if kind == "llama" else [])
    assert before.count(1) == 1 if kind == "llama" else True
    ends = {
        "llama": "Africa. [/INST]", "gpt2": "Africa. \nassistant:", "qwen": "assistant\n<think>\n\n</think>\n\n",
        "thinker": "assistant\n<think>\n\n</think>\n\n",
    }  # fmt: skip
    assert text.endswith(ends[kind])


def test_no_white_space_of_an_answer_is_lost(model):
    _, folder = model
    padded, bare = score(folder, Scoring(QUESTION, "\n\n 42 \n"), Scoring(QUESTION, "42"))
    assert len(padded.logprobs) > len(bare.logprobs)


def test_of_what_does_not_fit_only_the_beginning_is_scored(model):
    kind, folder = model
    text = "Sort these words by length: pear, fig, banana. " * 40
    whole, cut = score(folder, replace(SHORT, text=text[:200]), Scoring(QUESTION, text))
    assert (whole.truncated, cut.truncated) == (False, True)
    assert cut.logprobs[:20] == pytest.approx(whole.logprobs[:20], abs=1e-4)

    async def lengths(engine):
        return len(engine._before(QUESTION)), len(engine._before(()))

    prompt, bos = use(folder, lengths)
    assert len(cut.logprobs) == tiny_models.LIMIT - prompt
    (direct,) = score(folder, Scoring((), text))
    assert len(direct.logprobs) + direct.skipped == tiny_models.LIMIT - bos
    capped = score(folder, Scoring(QUESTION, text), Scoring((), text), scoring_limit=prompt + 5)
    assert [len(c.logprobs) + c.skipped for c in capped] == [5, prompt + 5 - bos]
    (none,) = score(folder, Scoring(QUESTION, text), scoring_limit=prompt)
    assert (none.finish, none.note, none.logprobs) == ("overlong", f"limit {prompt}, prompt {prompt}", ())


SHORT = Scoring(QUESTION, "42")


def test_an_empty_text_has_no_tokens_and_what_a_template_refuses_is_told(model):
    kind, folder = model
    system = Scoring((Message("system", "Be brief."), *QUESTION), "42")
    empty, refused, broken = score(folder, replace(SHORT, text=""), system, replace(SHORT, text="\ud800"))
    assert empty == Likelihood()
    assert refused.finish == ("refused" if kind == "llama" else "ok")
    assert "only user and assistant" in refused.note or kind != "llama"
    assert broken.finish == "refused"


def test_thinking_is_off_for_scoring_whatever_the_engine_does(tmp_path):
    folder = tiny_models.build("qwen", tmp_path / "qwen")

    async def of(thinking):
        engine = Local(folder, thinking=thinking)
        await engine.open()
        found = await engine.score(SHORT)
        await engine.close()
        return found

    off, on, default = [asyncio.run(of(t)) for t in ("off", "on", "default")]
    assert off == on == default


def test_a_model_that_can_score_lacks_nothing(model):
    _, folder = model
    assert use(folder, lambda e: e.lacks_scoring()) == ""


def test_a_bare_text_of_one_token_has_nothing_to_tell_without_bos():
    assert fit([], [7], 10) == Likelihood(skipped=1)
    assert fit([], [7, 8], 1) == Likelihood(skipped=1, truncated=True)
    assert fit([], [7, 8, 9], 10) == ([7], [8, 9], 1, False)
    assert fit([1], [7, 8], 10) == ([1], [7, 8], 0, False)
    assert fit([1, 2], [7, 8], 3) == ([1, 2], [7], 0, True)


def test_what_is_not_finite_is_no_measure():
    for strange in (math.nan, -math.inf, -9999.0):
        found = told(fit([1], [7, 8], 10), [-1.0, strange])
        assert (found.finish, found.logprobs) == ("refused", ())
    assert told(fit([1], [7, 8], 10), [0.0, -0.5]).logprobs == (0.0, -0.5)


def test_special_tokens_before_and_behind_a_text():
    assert put_before([1, 7, 2], [7]) == [1]
    assert put_before([7], [7]) == []
    assert put_before([5, 6, 7, 8], [7, 8]) == [5, 6]
    with pytest.raises(ValueError, match="change the tokens"):
        put_before([1, 9], [7])


def test_a_fault_is_found():
    assert fault(Likelihood((-1.0, 0.0)), 2) == ""
    assert fault(Likelihood((-1.0,), skipped=1), 2) == ""
    assert fault(Likelihood((-1.0,)), 2) == "1 values for 2 tokens"
    assert "above 0, such as 3.5" in fault(Likelihood((-1.0, 3.5)), 2)
    assert fault(Likelihood(finish="overlong", note="limit 1"), 2) == "overlong: limit 1"


@pytest.mark.parametrize(
    ("tail", "end"),
    [
        ("<|im_start|>assistant\n", ""), ("assistant\n<think>\n\n</think>\n\n", ""), ("assistant\n<think>\n", "\n</think>\n\n"),
        ("<think>", "\n\n</think>\n\n"), ("[THINK]", "\n\n[/THINK]\n\n"), ("say <think> now", ""),
    ],
)  # fmt: skip
def test_an_open_reasoning_block_is_closed_as_templates_write_an_empty_one(tail, end):
    assert closing(tail) == end


def test_canned_replies_have_no_log_probabilities():
    engine = Scripted([{"reply": "yes"}])
    assert asyncio.run(engine.lacks_scoring()) == "canned replies have no log-probabilities"
    with pytest.raises(EngineError, match="no log-probabilities; score with a model"):
        asyncio.run(engine.score(SHORT))
