"""The words of real servers, as reported by their users, and what is read out of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gen.core import Message, Request, Sampling
from gen.engines import wire
from gen.engines.wire import Overflow


def complaint(payload: Any) -> str:
    return wire.complaint(json.dumps(payload).encode())


TOO_LONG: dict[str, tuple[Any, Overflow]] = {
    "openai": (
        {"error": {"message": "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens "
                              "(3703 in the messages, 500 in the completion). Please reduce the length."}},
        Overflow(4097, 3703),
    ),
    "openai, older": (
        {"error": {"message": "This model's maximum context length is 4097 tokens, however you requested 4116 tokens "
                              "(3860 in your prompt; 256 for the completion). Please reduce your prompt."}},
        Overflow(4097, 3860),
    ),
    "openai, messages alone": (
        {"error": {"message": "This model's maximum context length is 4097 tokens. However, your messages resulted in "
                              "6164 tokens. Please reduce the length of the messages."}},
        Overflow(4097, 6164),
    ),
    "vllm, prompt not counted out": (
        {"error": {"message": "This model's maximum context length is 202752 tokens. However, you requested 64000 "
                              "output tokens and your prompt contains at least 138753 input tokens, for a total of at "
                              "least 202753 tokens.", "type": "BadRequestError", "param": "input_tokens", "code": 400}},
        Overflow(202752, None),
    ),
    "vllm, prompt alone": (
        {"error": {"message": "This model's maximum context length is 262144 tokens. However, you requested 0 output "
                              "tokens and your prompt contains at least 262145 input tokens, for a total of at least "
                              "262145 tokens."}},
        Overflow(262144, 262145),
    ),
    "vllm, middle": (
        {"error": {"message": "You passed 31745 input tokens and requested 1024 output tokens. However, the model's "
                              "context length is only 32768 tokens, resulting in a maximum input length of 31744 "
                              "tokens."}},
        Overflow(32768, None),
    ),
    "vllm, max_tokens alone": (
        {"error": {"message": "max_tokens=140000 cannot be greater than max_model_len=max_total_tokens=131072."}},
        Overflow(131072, None),
    ),
    "sglang": (
        {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 64000 "
                                       "tokens. You requested a total of 71897 tokens: 7897 tokens from the input "
                                       "messages and 64000 tokens for the completion."},
        Overflow(64000, 7897),
    ),
    "sglang, prompt alone": (
        {"message": "The input (131123 tokens) is longer than the model's context length (131072 tokens)."},
        Overflow(131072, 131123),
    ),
    "llama.cpp": (
        {"error": {"code": 400, "message": "request (23908 tokens) exceeds the available context size (16384 tokens), "
                                           "try increasing it", "n_prompt_tokens": 23908, "n_ctx": 16384}},
        Overflow(16384, 23908),
    ),
    "llama.cpp, older": (
        {"error": {"code": 500, "message": "the request exceeds the available context size. try increasing the context "
                                           "size", "n_prompt_tokens": 1407, "n_ctx": 256}},
        Overflow(256, 1407),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("payload", "figures"), TOO_LONG.values(), ids=TOO_LONG.keys())
def test_the_figures_of_a_context_error_are_read(payload: Any, figures: Overflow) -> None:
    assert wire.overflow(complaint(payload)) == figures


@pytest.mark.parametrize("said", ["", "invalid schema", "rate limit of 40 tokens", "top_p must be <= 1. Given: 3"])
def test_other_complaints_are_not_about_the_context(said: str) -> None:
    assert wire.overflow(said) is None


@pytest.mark.parametrize(("payload", "name"), [
    ({"error": {"message": "Unrecognized request argument supplied: chat_template_kwargs"}}, "chat_template_kwargs"),
    ({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, "seed"),
    ({"error": {"message": "unknown field", "param": "seed"}}, "seed"),
    ({"error": {"message": "Unsupported parameter: 'response_format'"}}, "response_format"),
    ({"error": {"message": "Invalid schema for response_format 'reply': 'x' is not permitted"}}, None),
    ({"error": {"message": "seed must be an integer"}}, None),
    ({"detail": [{"loc": ["body", "messages"], "msg": "Extra inputs are not permitted", "input": "the seed"}]}, None),
])  # fmt: skip
def test_only_a_field_that_is_named_as_unknown_is_dropped(payload: Any, name: str | None) -> None:
    sent = {"seed": 1, "chat_template_kwargs": {}, "response_format": {}, "messages": []}
    assert wire.unknown_field(complaint(payload), sent) == name


@pytest.mark.parametrize(("url", "base"), [
    ("http://localhost:8000", "http://localhost:8000"),
    ("http://localhost:8000/v1/", "http://localhost:8000"),
    ("https://host/api/v1/chat/completions", "https://host/api"),
    (" http://[::1]:80/v1", "http://[::1]:80"),
])  # fmt: skip
def test_a_url_is_known_with_and_without_its_end(url: str, base: str) -> None:
    assert wire.base_url(url) == base


def test_a_model_keeps_its_hub_name_and_loses_the_folders() -> None:
    names = {"Qwen/Qwen3-8B": "Qwen/Qwen3-8B", "/srv/m/tiny/": "tiny", "./m/tiny.gguf": "tiny.gguf", "C:\\m\\t": "t",
             "a/b/c": "c", "llama3:8b": "llama3:8b", "": ""}  # fmt: skip
    assert {name: wire.basename(name) for name in names} == names


def test_the_body_holds_what_was_asked_and_no_stop_strings() -> None:
    schema = {"type": "object"}
    request = Request("judge", (Message("user", "Why?"),), Sampling(0.5, 0.9, 64), "ask", seed=7, schema=schema)
    body = wire.body("m", request, 64, "off", frozenset())
    assert body == {
        "model": "m", "messages": [{"role": "user", "content": "Why?"}], "temperature": 0.5, "top_p": 0.9, "seed": 7,
        "max_tokens": 64, "chat_template_kwargs": {"enable_thinking": False},
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "reply", "schema": {"type": "object"}, "strict": True}},
    }  # fmt: skip
    less = wire.body("m", request, None, "default", frozenset({"seed"}))
    assert {*body} - {*less} == {"seed", "max_tokens", "chat_template_kwargs"}


def test_a_raw_text_is_gone_on_with_and_hears_nothing_of_thinking() -> None:
    sampling = Sampling(0.5, 0.9, 64, presence_penalty=2.0)
    request = Request("judge", (Message("user", "1. Why?\n2."),), sampling, "ask", seed=7, raw=True)
    body = wire.body("m", request, 64, "on", budget=9, effort="none")
    assert body == {"model": "m", "prompt": "1. Why?\n2.", "temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 64,
                    "presence_penalty": 2.0}  # fmt: skip
    assert wire.body("m", request, None, "off")["max_tokens"] is None


def test_the_completion_of_a_raw_text_is_all_text() -> None:
    payload = {"choices": [{"text": " <think>a", "finish_reason": "length"}], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}
    done = wire.completion(payload, opened=True, raw=True)
    assert (done.text, done.finish, done.reasoning, done.completion_tokens) == (" <think>a", "length", "", 5)
    with pytest.raises(wire.Unreadable, match=r"choices\[0\]\.text"):
        wire.completion({"choices": [{"text": None}]}, raw=True)
    tops = {"logprobs": {"top_logprobs": [{"a": -1.0, "b": -3.0}]}}
    assert wire.probe({"choices": [tops]}) == (-1.0, -2.0)


def reply(message: dict[str, Any], finish: str | None = "stop", **rest: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish}], **rest}


@pytest.mark.parametrize(("payload", "text", "finish", "note"), [
    (reply({"content": "a"}, usage={}), "a", "stop", ""),
    (reply({"content": "a"}, None, usage={}), "a", "stop", ""),
    (reply({"content": "a"}, "length", usage={}), "a", "length", ""),
    (reply({"content": None, "reasoning": "b"}, "length", usage={}), "", "reasoning_truncated", ""),
    (reply({"content": "\n\n", "reasoning_content": "b"}, "length", usage={}), "\n\n", "reasoning_truncated", ""),
    (reply({"content": "<think>b</think>\n"}, "length", usage={}), "", "reasoning_truncated", ""),
    (reply({"content": "b</think>a"}, "length", usage={}), "a", "length", ""),
    (reply({"content": ""}, "length", usage={}), "", "reasoning_truncated", ""),
    (reply({"content": "<think>b"}, "stop", usage={}), "", "stop", "ended inside its reasoning"),
    (reply({"content": ""}, "content_filter", usage={}), "", "refused", "content_filter"),
    (reply({"content": "a"}, usage=None), "a", "stop", "no usage"),
])  # fmt: skip
def test_a_reply_becomes_a_completion(payload: Any, text: str, finish: str, note: str) -> None:
    done = wire.completion(payload)
    assert (done.text, done.finish, done.note) == (text, finish, note)


def test_a_reply_that_begins_inside_a_thought_and_is_cut_there_is_no_answer() -> None:
    begun, ended = reply({"content": "well, 2+"}, "length"), reply({"content": "2+2</think>It is"}, "length")
    assert [wire.opens_inside(p) for p in (begun, ended)] == [False, True]
    done, cut = wire.completion(begun, opened=True), wire.completion(ended, opened=True)
    assert (done.text, done.reasoning, done.finish) == ("", "well, 2+", "reasoning_truncated")
    assert (cut.text, cut.reasoning, cut.finish) == ("It is", "2+2", "length")
    whole = wire.completion(reply({"content": "a plain answer"}), opened=True)
    assert (whole.text, whole.finish) == ("a plain answer", "stop")
    apart = reply({"content": "a", "reasoning": "b"}), reply({"content": "<think>b</think>a"}), reply({"content": None})
    assert not any(map(wire.opens_inside, apart))


def test_the_budget_of_thinking_is_a_field_of_its_own() -> None:
    request = Request("judge", (Message("user", "Why?"),), Sampling(0.5, 0.9, 64), "ask")
    assert wire.body("m", request, 164, "on", budget=100)["thinking_token_budget"] == 100
    assert wire.body("m", request, 64, "off", effort="none")["reasoning_effort"] == "none"
    said = complaint({"error": {"message": "thinking_token_budget is set but reasoning_config is not configured."}})
    newer = "thinking_token_budget needs the reasoning start and end strings, and reasoning parser 'x' defines none."
    for words in (said, newer):
        assert wire.unknown_field(words, {"thinking_token_budget": 1, "seed": 1}) == "thinking_token_budget"
        assert wire.unknown_field(words, {"seed": 1}) is None


@pytest.mark.parametrize("payload", [{}, {"choices": []}, {"choices": [{}]}, {"choices": None}, reply({}, "abort")])
def test_what_is_no_answer_is_unreadable(payload: Any) -> None:
    with pytest.raises(wire.Unreadable):
        wire.completion(payload)


def test_json_that_holds_half_a_character_is_still_read() -> None:
    assert wire.decode(b'{"a": "\\ud83d"}') == {"a": "\ud83d"}
    for raw in (b"", b"<html>", b"[1]", b'{"a": '):
        with pytest.raises(wire.Unreadable):
            wire.decode(raw)


def test_retry_after_is_a_number_of_seconds() -> None:
    said = {"3": 3.0, "0.5": 0.5, "-1": 0.0, "soon": None, "": None, None: None}
    assert {value: wire.seconds(value) for value in said} == said


def test_a_probe_is_the_best_and_the_mean_of_five() -> None:
    top = [{"token": f"w{value}", "logprob": value} for value in (-3.0, -1.2, -2.0, -4.0, -5.0, -6.0)]
    found = wire.probe({"choices": [{"logprobs": {"content": [{"top_logprobs": top}]}}]})
    assert found == (-1.2, -3.04)
    assert wire.probe({"choices": [{"logprobs": None}]}) == ()


def test_a_servers_words_are_shown_without_key_host_and_path() -> None:
    said = "key sk-1 is bad at 10.0.0.1:80,\n see http://10.0.0.1/help and /srv/models/tiny, and/or wait" + "x" * 300
    shown = wire.presentable(said, ("sk-1", "10.0.0.1:80", ""))
    assert shown.startswith("key ... is bad at ..., see <url> and <path>, and/or wait")
    assert len(shown) == 200


@pytest.mark.parametrize("used", [{"completion_tokens": "x"}, {"completion_tokens": -50}, {"completion_tokens": True}, 7])
def test_counts_that_are_no_counts_are_no_usage(used: Any) -> None:
    done = wire.completion(reply({"content": "a"}, usage=used))
    assert (done.completion_tokens, done.note) == (0, "no usage")


@pytest.mark.parametrize(
    "told",
    [
        {"content": [{"top_logprobs": [{"logprob": 10**400}]}]},
        {"content": [{"top_logprobs": [{"logprob": float("nan")}]}]},
        {"top_logprobs": [None]},
        {"top_logprobs": ["a"]},
        {"content": [{"top_logprobs": []}]},
    ],
)
def test_odd_log_probabilities_are_none(told):
    assert wire.probe({"choices": [{"logprobs": told}]}) == ()


def test_counts_that_no_store_holds_are_no_usage():
    payload = {"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 2**70}}
    done = wire.completion(payload)
    assert (done.prompt_tokens, done.completion_tokens, done.note) == (0, 0, "no usage")


def test_a_complaint_without_end_is_looked_at_as_far_as_it_makes_sense():
    for message in ("9" * 1_000_000, "a" * 1_000_000, "context length " + "9" * 5000):
        said = wire.complaint(json.dumps({"error": {"message": message}}).encode())
        assert len(said) == 2000
        wire.overflow(said)
        assert len(wire.presentable(said)) <= 200


def test_a_rest_without_end_is_none():
    assert [wire.seconds(value) for value in ("inf", "nan", "1e400", "-3", "2.5", "soon")] == [None, None, None, 0.0, 2.5, None]
