"""The client against real HTTP servers in processes of their own: see tests/serving.py."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import serving

from gen.engines.server import Server
from gen.errors import EngineError, RecipeError, Unavailable

serve = serving.serve
QUICK, question, ask = serving.QUICK, serving.question, serving.ask


def opened(urls: list[str], model: str | None = None, **options: Any) -> Server:
    async def run() -> Server:
        engine = Server(urls, model, **QUICK | options)
        await engine.open()
        await engine.close()
        return engine

    return asyncio.run(run())


@pytest.fixture(scope="module")
def plain() -> Any:
    with serve() as server:
        yield server


# -- which model ----------------------------------------------------------------------------------


def test_the_model_is_read_from_the_server_where_it_serves_one(plain: Any) -> None:
    for url in (plain.url, f"{plain.url}/", f"{plain.url}/v1", f"{plain.url}/v1/"):
        assert opened([url]).model == "test-model"


def test_of_several_models_one_must_be_named_and_must_be_there() -> None:
    with serve(models="qwen-small,qwen-large") as server:
        with pytest.raises(RecipeError, match=r"serves 2 models: qwen-small, qwen-large; pass --model NAME"):
            opened([server.url])
        with pytest.raises(RecipeError, match="did you mean 'qwen-large'"):
            opened([server.url], "qwen-larg")
        assert opened([server.url], "qwen-large").model == "qwen-large"


def test_the_fingerprint_knows_weights_context_version_and_thinking_but_no_folder() -> None:
    with (
        serve(models="/srv/models/tiny") as one,
        serve(models="/home/me/tiny") as same,
        serve(models="tiny", probe_shift=-0.9) as other_weights,
        serve(models="tiny", version="2.0") as other_version,
        serve(models="tiny", max_model_len=99) as other_context,
        serve(models="tiny", no_logprobs=True) as blind,
    ):
        first = opened([one.url])
        assert first.model == "tiny"
        assert opened([same.url]).fingerprint == first.fingerprint
        others = [opened([s.url]).fingerprint for s in (other_weights, other_version, other_context, blind)]
        assert len({first.fingerprint, opened([one.url], thinking="on").fingerprint, *others}) == 6


def test_a_server_that_is_still_loading_is_waited_for() -> None:
    with serve(loading=1) as server:
        assert opened([server.url]).model == "test-model"


def test_a_server_that_breaks_at_log_probabilities_still_serves() -> None:
    with serve(break_at_logprobs=True) as server:
        assert opened([server.url]).fingerprint


def test_servers_that_differ_are_refused() -> None:
    with serve() as one, serve(probe_shift=-0.9) as two, serve(version="9") as three:
        with pytest.raises(RecipeError, match="do not serve the same: log-probabilities"):
            opened([one.url, two.url])
        with pytest.raises(RecipeError, match=r"version '1.0' against '9'"):
            opened([one.url, three.url])


def test_a_url_that_is_none_is_refused_before_anything_is_sent() -> None:
    for url, hint in (("localhost:8000", "http://"), ("http://", "http://"), ("ftp://host/v1", "http://")):
        with pytest.raises(RecipeError, match=hint):
            Server([url])
    with pytest.raises(RecipeError) as refused:
        Server(["http://user:hunter2@host:8000/v1"])
    assert "hunter2" not in str(refused.value)


def test_nothing_that_answers_is_unavailable_and_named() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+: no connection .* start it"):
        opened([f"http://127.0.0.1:{free_port()}/v1"])


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


# -- keys -----------------------------------------------------------------------------------------


def test_the_key_comes_from_the_environment_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-very-secret-0123"
    with serve(key=secret) as server:
        for name in ("GEN_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.delenv("GEN_API_KEY", raising=False)
            monkeypatch.delenv("OPENAI_API_KEY", raising=False)
            with pytest.raises(RecipeError, match="answered 401 to a request without a key; put a valid key into GEN_"):
                opened([server.url])
            monkeypatch.setenv(name, secret)
            assert secret not in repr(opened([server.url]))
        monkeypatch.setenv("GEN_API_KEY", "sk-wrong-key")
        with pytest.raises(RecipeError) as refused:
            opened([server.url])
        assert "sk-" not in str(refused.value)


# -- answers --------------------------------------------------------------------------------------


def test_the_same_question_gets_the_same_answer_and_usage(plain: Any) -> None:
    one, two, other = ask([plain.url], question(), question(), question(seed=2))
    assert one == two
    assert one.text
    assert one.text != other.text
    assert (one.prompt_tokens, one.completion_tokens) == (7, len(one.text.split()))


def test_a_reply_without_usage_says_so() -> None:
    with serve(no_usage=True) as server:
        (done,) = ask([server.url], question())
    assert (done.prompt_tokens, done.completion_tokens, done.note) == (0, 0, "no usage")


def test_a_schema_becomes_the_form_of_the_reply(plain: Any) -> None:
    schema = {"type": "object", "properties": {"score": {"type": "integer", "minimum": 1}}}
    (done,) = ask([plain.url], question(schema=schema))
    assert done.text.startswith('{"score": ')


@pytest.mark.parametrize("mode", ["field", "field2", "think", "prefilled"])
def test_reasoning_is_split_off_whichever_way_it_comes(mode: str) -> None:
    with serve(reasoning_mode=mode) as server:
        whole, cut = ask([server.url], question(), question(max_tokens=3))
    assert whole.text.startswith("The answer")
    assert whole.reasoning.startswith("Let me think about")
    assert (cut.text, cut.finish, cut.reasoning) == ("", "reasoning_truncated", "Let me think")


def test_thinking_that_never_ends_is_truncated_reasoning() -> None:
    with serve(reasoning_mode="unclosed") as server:
        (done,) = ask([server.url], question())
    assert (done.text, done.finish) == ("", "reasoning_truncated")


# -- what a server refuses ------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["chat_template_kwargs", "seed"])
def test_a_field_that_the_server_does_not_know_is_dropped_once_for_all(field: str) -> None:
    async def run(url: str) -> None:
        engine = Server([url], **QUICK)
        await engine.open()
        for number in range(3):
            assert (await engine.complete(question(seed=number))).finish == "stop"
        await engine.close()

    with serve(reject_field=field, models="m") as server:
        asyncio.run(run(server.url))
        asked = [field in event["fields"] for event in server.events("ask")]
    assert asked == [True, False, False, False]


def test_another_refusal_is_a_completion_with_the_servers_words() -> None:
    with serve(reject_field="temperature") as server:
        (done,) = ask([server.url], question())
        assert len(server.requests()) == 1
    assert (done.text, done.finish) == ("", "refused")
    assert "Extra inputs are not permitted" in done.note


@pytest.mark.parametrize("form", ["vllm", "openai", "sglang"])
def test_max_tokens_that_do_not_fit_are_clamped_and_asked_once_more(form: str) -> None:
    with serve(max_model_len=40, context_form=form) as server:
        (done,) = ask([server.url], question("one two three four five six", max_tokens=38))
        sent = [event["max_tokens"] for event in server.events("ask")]
    room = None if form == "vllm" else 29
    assert sent == [38, room]
    assert done.prompt_tokens == 10
    assert done.completion_tokens <= 30
    assert done.note.startswith("max_tokens left to the server" if form == "vllm" else f"max_tokens clamped to {room}")


@pytest.mark.parametrize("form", ["vllm", "openai", "sglang", "llamacpp"])
def test_a_prompt_that_does_not_fit_is_overlong(form: str) -> None:
    with serve(max_model_len=40, context_form=form) as server:
        (done,) = ask([server.url], question("word " * 50, max_tokens=8))
        assert len(server.requests()) == (2 if form == "vllm" else 1)
    assert (done.text, done.finish) == ("", "overlong")
    assert done.note == f"limit 40, prompt {41 if form == 'vllm' else 54}"


def test_a_base_model_goes_on_with_texts_and_holds_no_chat() -> None:
    with serve(base=True, max_model_len=50) as server:
        raw = question("1. Name a tree.\n2.", max_tokens=20, raw=True)
        told, same, whole, cut = ask(
            [server.url], raw, raw, question("1. a\n2.", max_tokens=40, raw=True), question("b " * 45, max_tokens=40, raw=True)
        )
        assert told == same
        assert (told.finish, told.completion_tokens, told.text[0]) == ("length", 20, " ")
        assert (whole.finish, whole.completion_tokens) == ("stop", 30)
        assert (cut.finish, cut.completion_tokens) == ("length", 5)
        assert cut.note == "max_tokens left to the server (limit 50)"
        assert ask([server.url], question("b " * 60, raw=True))[0].finish == "overlong"
        sent = [row for row in server.events("raw") if row["max_tokens"] == 20]
        assert {*sent[-1]} == {"event", "model", "temperature", "top_p", "seed", "max_tokens"}
        with pytest.raises(RecipeError, match=r"holds no chat \(As of transformers.*set --style base"):
            ask([server.url], question())
        assert opened([server.url]).fingerprint != opened([server.url], thinking="on").fingerprint


def test_a_closed_engine_says_so(plain: Any) -> None:
    with pytest.raises(EngineError, match=r"open\(\) first"):
        asyncio.run(Server([plain.url]).complete(question()))
