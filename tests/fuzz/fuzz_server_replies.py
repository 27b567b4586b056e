"""What servers send: a value that can be stored, or Unreadable (then it is asked for again)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math

from kit import Target
from shapes import Take

from gen.codec import clean, encode
from gen.engines import embedder, scoring, server, watchdog, wire
from gen.engines.reasoning import closing, split_reasoning

NAMES = ("choices", "message", "content", "text", "reasoning", "reasoning_content", "finish_reason", "usage", "prompt_tokens", "completion_tokens", "logprobs", "top_logprobs",
         "logprob", "token_ids", "prompt_token_ids", "prompt_logprobs", "data", "embedding", "id", "root", "max_model_len", "tokens", "error", "detail", "msg", "loc",
         "param", "n_ctx", "n_prompt_tokens", "object", "index", "0", "1")  # fmt: skip
SAID = ("stop", "length", "content_filter", "abort", "<think>", "</think>", "[THINK]", "<|channel|>", "<|message|>", "final", "analysis", "assistantfinal", "context length is 99 tokens",
        "This model's maximum context length is 2048 tokens. However, you requested 4096 tokens (2048 in the messages)", "cannot be greater than max_model_len=", "not permitted", "seed", "input tokens",
        "extra_forbidden", "response_format", "resulted in 12 tokens", "request (9 tokens)", "9", "http://h:1/v1", "/home/u/models/m")  # fmt: skip
SHAPE = {
    "choices": [{"message": {"content": "a"}, "finish_reason": "stop", "text": "a", "token_ids": [1],
                 "logprobs": {"content": [{"logprob": -1.0, "top_logprobs": [{"logprob": -1.0}]}], "top_logprobs": [{"a": -1.0}]},
                 "prompt_logprobs": [None, {"1": {"logprob": -1.0}}]}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1}, "prompt_token_ids": [1, 1], "data": [{"embedding": [0.1, 0.2], "id": "m"}],
    "tokens": [1], "max_model_len": 9, "error": {"message": "m", "param": "seed", "n_ctx": 9},
}  # fmt: skip


def _changed(value, take: Take):
    """A sound reply in which some values are others."""
    kind = take.byte()
    if kind > 220:
        return take.json(NAMES, SAID)
    if isinstance(value, dict):
        return {k: _changed(v, take) for k, v in value.items() if take.byte() < 245}
    if isinstance(value, list):
        return [_changed(v, take) for v in value for _ in range(1 if take.byte() < 230 else take.byte() % 3)]
    return (
        value
        if kind < 150
        else take.text(SAID)
        if isinstance(value, str)
        else take.pick((0, -1, 2**70, "1", None, math.nan, math.inf, 10**400, True))
    )


def read(payload) -> None:
    for opened, raw in ((False, False), (True, False), (False, True)):
        try:
            done = wire.completion(payload, opened=opened, raw=raw)
        except wire.Unreadable:
            continue
        assert type(done.text) is str
        assert type(done.reasoning) is str
        assert 0 <= done.prompt_tokens < 2**63
        assert 0 <= done.completion_tokens < 2**63
        assert len(done.note) < 200
        encode(clean(done))
    assert all(type(value) is float for value in wire.probe(payload))
    assert wire.opens_inside(payload) in (True, False)
    told = scoring.generated(payload)
    assert told is None or len(told.tokens) == len(told.values)
    for reader in (
        server._listed,
        embedder._names,
        embedder._vector,
        scoring._tokens,
        lambda p: scoring._values(p, [1, 1]),
    ):
        with contextlib.suppress(wire.Unreadable):
            reader(payload)


def values(data: bytes) -> None:
    """Replies that are JSON: a sound one with changes, through the bytes in which it comes."""
    take = Take(data)
    payload = _changed(SHAPE, take) if take.byte() % 4 else take.object(NAMES, SAID)
    if isinstance(payload, dict):
        raw = json.dumps(payload).encode()
        try:
            read(wire.decode(raw))
        except wire.Unreadable:
            assert any(len(number) > 4000 for number in raw.decode().replace("-", " ").split())
        refused(raw)


def bodies(data: bytes) -> None:
    """Whatever bytes come as a body."""
    with contextlib.suppress(wire.Unreadable):
        read(wire.decode(data))
    refused(data)


def refused(raw: bytes) -> None:
    """What a server says against a request."""
    said = wire.complaint(raw)
    assert isinstance(said, str)
    found = wire.overflow(said)
    assert found is None or found.limit >= 0
    wire.unknown_field(said, dict.fromkeys(wire.DROPPABLE))
    assert len(wire.presentable(said, ("key", ""))) <= 200


class Page(watchdog.Watchdog):
    """A watchdog whose server shows one page."""

    page = b""

    async def _get(self, page: str) -> tuple[int, bytes]:
        return 200, self.page


def pages(data: bytes) -> None:
    """/metrics, headers, reasoning in texts, ends of rendered prompts."""
    take = Take(data)
    watch = object.__new__(Page)
    watch.page = take.data
    count = asyncio.run(watch._count())
    assert count is None or math.isfinite(count)
    text = take.rest()
    rest = wire.seconds(text)
    assert rest is None or 0 <= rest < math.inf
    split = split_reasoning(text)
    assert (split.answer == text) or len(split.answer) < len(text) + 1
    assert isinstance(closing(text), str)


JSON = (
    *(f'"{name}": ' for name in NAMES),
    '{"choices": [{"message": {"content": "',
    '"}}]}',
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    "null",
    "1e999",
    "NaN",
    "9" * 99,
    "\\ud800",
    *SAID,
)
PAGES = (
    'vllm:prompt_tokens_total{model="m"} ',
    "sglang:generation_tokens_total ",
    "llamacpp:tokens_predicted_total ",
    "1e5",
    "nan",
    "inf",
    "-",
    "\n",
    "Infinity",
    *SAID[4:12],
)
TARGETS = (
    Target("server.values", values, ("gen.engines.wire", "gen.engines.reasoning", "gen.engines.scoring"), (), 150_000),
    Target("server.bodies", bodies, ("gen.engines.wire",), JSON, 150_000),
    Target("server.pages", pages, ("gen.engines.reasoning", "gen.engines.watchdog", "gen.engines.wire"), PAGES, 30_000),
)
