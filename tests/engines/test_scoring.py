"""Scoring over HTTP: a server of recorded shapes for what goes wrong, real vLLM for what must be equal."""

import asyncio
import json
import math

import pytest
import serving
import tiny_models
import vllm_serving
from fake_vllm import LIMIT, Fake, opened, tokens

from filters.scores.ifd import Ifd
from gen.core import Lineage, Message, Request, Sample, Sampling, Scoring
from gen.engines.local import Local
from gen.engines.scoring import WIDTH
from gen.engines.server import Server
from gen.errors import EngineError, Unavailable
from gen.micro.bundled import weights

QUESTION = (Message("user", "Name a river."),)


def ask(fake, *scorings, **attributes):
    async def go():
        async with opened(fake) as engine:
            lacks = await engine.lacks_scoring()
            return lacks, [] if lacks else await asyncio.gather(*map(engine.score, scorings))

    return asyncio.run(go())


def expected(text):
    return tuple(-ord(c) / 100 for c in text)


def sent(fake):
    return [body["prompt"] for name, body in fake.asked if name == "completions"]


def test_the_template_once_the_text_as_it_is_no_end_token():
    fake = Fake()
    lacks, (cond, bare, empty) = ask(fake, Scoring(QUESTION, " Nile.\n"), Scoring((), " Nile.\n"), Scoring(QUESTION, ""))
    assert lacks == ""
    assert [cond.logprobs, bare.logprobs, empty.logprobs] == [expected(" Nile.\n")] * 2 + [()]
    assert (cond.skipped, bare.skipped, cond.truncated, cond.finish) == (0, 0, False, "ok")
    assert sorted(sent(fake)[-2:], key=len) == [[1, *tokens(said)] for said in (" Nile.\n", "u:Name a river.\na: Nile.\n")]


def test_without_bos_a_bare_text_is_scored_from_its_second_token():
    fake = Fake(bos=())
    _, (bare, one) = ask(fake, Scoring((), "Nile."), Scoring((), "N"))
    assert (bare.logprobs, bare.skipped) == (expected("ile."), 1)
    assert (one.logprobs, one.skipped) == ((), 1)


def test_a_block_that_the_template_opens_is_closed_before_the_text():
    fake = Fake(bos=(), think="<think>\n")
    lacks, (cond,) = ask(fake, Scoring((Message("user", "x"),), "N"))
    assert (lacks, cond.logprobs) == ("", expected("N"))
    assert sent(fake)[-1] == tokens("u:x\na:<think>\n\n</think>\n\nN")


def test_what_does_not_fit_is_cut_or_overlong():
    lacks, (cut, none, bare) = ask(
        Fake(), Scoring(QUESTION, "abcdefghij" * 9), Scoring((Message("user", "x" * 80),), "a"), Scoring((), "a" * 99)
    )
    assert (len(cut.logprobs), cut.truncated) == (LIMIT - 1 - len(".u:Name a river.na:"), True)
    assert (none.finish, none.note) == ("overlong", f"limit {LIMIT - 1}, prompt 86")
    assert (len(bare.logprobs), bare.truncated) == (LIMIT - 2, True)


def test_what_the_template_refuses_is_told_without_paths():
    _, (refused,) = ask(Fake(), Scoring((Message("system", "x"), *QUESTION), "a"))
    assert (refused.finish, refused.note) == ("refused", "400: no system turn in <path>")


def test_an_impossible_token_is_no_measure():
    def clamp(reply):
        rows = reply["choices"][0]["prompt_logprobs"]
        for row in rows[1:]:
            for told in row.values():
                told["logprob"] = -9999.0 if told["decoded_token"] == "~" else told["logprob"]
        return reply

    _, (found, fine) = ask(Fake(completions=clamp), Scoring(QUESTION, "a~"), Scoring(QUESTION, "a"))
    assert (found.finish, found.note) == ("refused", "a log-probability of -9999: no finite number")
    assert fine.finish == "ok"


def test_scorings_in_flight_are_capped():
    fake = Fake()
    _, found = ask(fake, *(Scoring((), f"text {i}") for i in range(40)))
    assert len(found) == 40
    assert 4 < fake.most <= WIDTH


def test_trouble_passes_and_is_asked_again():
    left = [3]

    async def go():
        fake = Fake()
        async with opened(fake) as engine:
            assert await engine.lacks_scoring() == ""

            def fail(reply):
                left[0] -= 1
                return reply if left[0] < 0 else {"choices": []}

            fake.changes["completions"] = fail
            return await engine.score(Scoring((), "Nile."))

    assert asyncio.run(go()).logprobs == expected("Nile.")
    assert left[0] == -1


SILENT = "gives no log-probabilities of a given text, as vLLM does by /tokenize and prompt_logprobs"


@pytest.mark.parametrize(
    "fake",
    [
        Fake(tokenize=404, detokenize=404, completions=404),  # Ollama, LM Studio
        Fake(tokenize=lambda reply: {"tokens": []}),  # llama.cpp: knows `content`, not `prompt`
        Fake(tokenize=lambda reply: {"detail": "messages"}),  # SGLang: renders no conversation
        Fake(tokenize=400),
        Fake(completions=lambda reply: {"choices": [{"text": "", "logprobs": None}]}),  # knows no prompt_logprobs
        Fake(completions=lambda reply: {"choices": [{"prompt_logprobs": [None, {"7": {"logprob": -1}}]}]}),
        Fake(completions=500),  # breaks at it
        Fake(completions=405),
    ],
)  # fmt: skip
def test_servers_that_cannot_score_are_found_out(fake):
    lacks, _ = ask(fake)
    assert SILENT in lacks
    assert lacks.startswith("127.0.0.1:")


def change_values(change):
    def changed(reply):
        for row in reply["choices"][0]["prompt_logprobs"][1:]:
            for told in row.values():
                told["logprob"] = change(told["logprob"])
        return reply

    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: -v, "its log-probabilities are none"),
        (lambda v: math.log(1.2), "its log-probabilities are none"),
        (lambda v: v - 9999.0, ""),
    ],
)
def test_values_that_cannot_be_log_probabilities_are_found_out(change, said):
    lacks, _ = ask(Fake(completions=change_values(change)))
    assert said in lacks
    assert bool(said) == bool(lacks)


def test_a_server_that_is_gone_is_no_verdict_on_what_it_can_do():
    async def go():
        fake = Fake()
        async with opened(fake) as engine:
            fake.changes |= dict.fromkeys(("tokenize", "models"), 500)
            await engine.lacks_scoring()

    with pytest.raises(Unavailable):
        asyncio.run(go())


def test_a_closed_engine_says_so():
    engine = Server(["http://127.0.0.1:9"])
    with pytest.raises(EngineError, match="open"):
        asyncio.run(engine.score(Scoring((), "a")))


# -- the reply's own likelihood --------------------------------------------------------------------


def request(**rest):
    return Request("answerer", QUESTION, Sampling(0.7, 0.9, 16), "answer", seed=rest.pop("seed", 3))


def reply(fake, **options):
    async def go():
        async with opened(fake, **options) as engine:
            assert await engine.lacks_scoring() == ""
            engine.tells_likelihood = True
            return await engine.complete(request())

    return asyncio.run(go())


def test_a_reply_tells_its_own_likelihood_where_the_tokens_are_those_of_scoring():
    done = reply(Fake())
    assert done.text == "Nile."
    assert done.likelihood.logprobs == expected("Nile.")
    assert (done.likelihood.source, done.likelihood.skipped) == ("generated", 0)


def chat_of(**changes):
    def changed(payload):
        choice = payload["choices"][0]
        if len(choice["token_ids"]) > 1:  # not the probe
            for name, change in changes.items():
                where = payload if name in payload else choice
                where[name] = change(where[name])
        return payload

    return changed


@pytest.mark.parametrize(
    "fake",
    [
        Fake(chat=chat_of(prompt_token_ids=lambda ids: ids[1:])),
        Fake(chat=chat_of(token_ids=lambda ids: [*ids[:2], 999, *ids[3:]])),
        Fake(chat=chat_of(token_ids=lambda ids: None)),
        Fake(chat=chat_of(logprobs=lambda told: None)),
        Fake(chat=chat_of(finish_reason=lambda why: "length")),
        Fake(chat=chat_of(message=lambda m: {"content": "Nile.", "reasoning": "hm"})),
        Fake(chat=chat_of(message=lambda m: {"content": "Nil"})),
        Fake(chat=chat_of(message=lambda m: {"content": ""})),
    ],
)  # fmt: skip
def test_whatever_differs_tells_nothing(fake):
    assert reply(fake).likelihood is None


def test_values_after_temperature_or_nucleus_are_not_taken():
    def processed(payload):
        for one in payload["choices"][0]["logprobs"]["content"]:
            one["logprob"], one["top_logprobs"] = 0.0, [{"logprob": 0.0}, {"logprob": -9999.0}]
        return payload

    assert reply(Fake(chat=processed)).likelihood is None


def test_nothing_is_told_unless_it_is_wanted():
    async def go():
        fake = Fake()
        async with opened(fake) as engine:
            await engine.lacks_scoring()
            fake.asked.clear()
            return await engine.complete(request()), fake.asked

    done, asked = asyncio.run(go())
    assert done.likelihood is None
    assert len(asked) == 1
    assert not {"logprobs", "return_token_ids"} & set(asked[0][1])


# -- real vLLM -------------------------------------------------------------------------------------

ANSWERS = ["The pear is green.", " indented\n\n  and spaced  ", "长江是亚洲最长的河流。", "42", "pear, fig, banana"]
SAMPLES = [
    Sample(f"{i}{j}", question, Lineage("a"), response=answer)
    for i, question in enumerate(("Sort these words by length: pear, fig, banana.", "Name a river."))
    for j, answer in enumerate(ANSWERS)
]  # fmt: skip


async def halves(engine, ifd=None):
    """(conditioned, direct) of every sample, all in flight at once."""
    asked = [one for sample in SAMPLES for one in next((ifd or Ifd()).measure(sample))]
    found = await asyncio.gather(*map(engine.score, asked))
    return list(zip(found[::2], found[1::2], strict=True))


def against_server(url, model, work):
    async def go():
        server, local = Server([url], **serving.QUICK), Local(model)
        try:
            await server.open()
            await local.open()
            assert await server.lacks_scoring() == ""
            return await work(server, local)
        finally:
            await server.close()
            await local.close()

    return asyncio.run(go())


async def compare(server, local):
    for ifd in (Ifd(), Ifd(form="ppl"), Ifd(direct="marker")):
        for theirs, ours in zip(await halves(server, ifd), await halves(local, ifd), strict=True):
            for a, b in zip(theirs, ours, strict=True):
                assert a.logprobs == pytest.approx(b.logprobs, abs=1e-3)
                assert (a.skipped, a.truncated, a.finish) == (b.skipped, b.truncated, b.finish)
            one, two = (ifd.compare(*both) for both in (theirs, ours))
            assert one.status == two.status in ("ok", "no_answer_tokens")  # one token, and no BOS before it
            assert (one.ifd or 0.0) == pytest.approx(two.ifd or 0.0, abs=1e-3, rel=1e-4)


def test_a_real_vllm_equals_transformers(vllm_server):
    against_server(vllm_server.url, weights(), compare)


def test_a_real_vllm_equals_a_plain_computation(vllm_server):
    found = against_server(vllm_server.url, weights(), lambda server, _: halves(server))
    for sample, (cond, direct) in zip(SAMPLES, found, strict=True):
        said = [{"role": "user", "content": sample.prompt}]
        plain = tiny_models.losses(weights(), "micro", said, sample.response)
        assert cond.logprobs == pytest.approx(plain[0], abs=1e-3)
        assert direct.logprobs == pytest.approx(plain[1], abs=1e-3)


def test_a_real_vllm_gives_one_text_one_value_whatever_it_is_asked_with(vllm_server):
    async def work(server, _):
        alone = [await server.score(Scoring(QUESTION, answer)) for answer in ANSWERS]
        return alone, await asyncio.gather(*(server.score(Scoring(QUESTION, a)) for a in ANSWERS * 8))

    alone, together = against_server(vllm_server.url, weights(), work)
    for a, b in zip(alone * 8, together, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_a_real_vllm_cuts_what_does_not_fit(vllm_server):
    async def work(server, local):
        text = "one two three four five " * 1500
        return await asyncio.gather(*(e.score(Scoring(QUESTION, text)) for e in (server, local)))

    theirs, ours = against_server(vllm_server.url, weights(), work)
    assert theirs.truncated
    assert ours.truncated
    assert len(ours.logprobs) - len(theirs.logprobs) == 1  # the server generates one token
    assert theirs.logprobs == pytest.approx(ours.logprobs[:-1], abs=1e-3)


def test_replies_of_a_real_vllm_tell_the_likelihood_that_scoring_finds(vllm_server, shipped):
    async def work(server, _):
        server.tells_likelihood = True
        asked = [
            Request("answerer", (Message("user", text),), Sampling(0.7, 0.9, 64), "answer", seed=i)
            for i, text in enumerate(shipped)
        ]  # fmt: skip
        done = await asyncio.gather(*map(server.complete, asked))
        scored = await asyncio.gather(*(server.score(Scoring(r.messages, c.text)) for r, c in zip(asked, done, strict=True)))
        return list(zip(done, scored, strict=True))

    found = against_server(vllm_server.url, weights(), work)
    told = [(done, scored) for done, scored in found if done.likelihood]
    assert len(told) > len(found) * 0.8
    for done, scored in told:
        assert done.likelihood.source == "generated"
        assert done.likelihood.logprobs == pytest.approx(scored.logprobs, abs=1e-3)
    assert any(value < -0.5 for _, scored in told for value in scored.logprobs), "else temperature could not be seen"


@pytest.fixture
def shipped():
    """Tasks that the bundled model knows."""
    from gen.material import SHIPPED

    rows = [json.loads(line) for line in SHIPPED.read_text().splitlines()]
    return [f"{r['instruction']}\n\n{r['input']}" if r.get("input") else r["instruction"] for r in rows]


@pytest.mark.vllm
@pytest.mark.parametrize("kind", ["qwen", "gpt2"])
def test_a_real_vllm_equals_transformers_with_other_tokenizers(kind, tmp_path):
    if vllm_serving.python() is None:
        pytest.skip(vllm_serving.MISSING)
    folder = tiny_models.build(kind, tmp_path / kind)
    with vllm_serving.serve(tmp_path, "--model", str(folder), "--max-model-len", str(tiny_models.LIMIT)) as server:
        against_server(server.url, folder, compare)
