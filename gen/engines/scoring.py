"""Log-probabilities from a vLLM server, asked for by token ids, so that the chat template is applied once and no token
is guessed: `/tokenize` renders the conversation and cuts the text into tokens, `/v1/completions` tells the
log-probability of every token that it is sent (`prompt_logprobs`).

Other servers have no such pair: SGLang's `/tokenize` renders no conversation, llama.cpp and Ollama tell nothing of a
prompt. `Measure.lacks` finds that out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gen.core import Completion, Likelihood, Message, Request, Sampling, Scoring
from gen.engines import likelihood, wire
from gen.engines.endpoint import Endpoint
from gen.engines.reasoning import closing
from gen.engines.transport import Limits, Refused, Transport
from gen.errors import RecipeError, Unavailable

TOKENIZE, COMPLETIONS, CHAT = "/tokenize", "/v1/completions", "/v1/chat/completions"
WIDTH = 8
"""Scorings in flight at one server. vLLM reads no prefix cache for them and holds the logits of all their tokens at
once, in float32: 2,048 tokens of a vocabulary of 150k are 1.2 GB. More at a time would gain little and could cost the
server its memory."""
LACKS = "gives no log-probabilities of a given text, as vLLM does by /tokenize and prompt_logprobs"
NEAR = 0.1
"""Two values of one token of one model differ by less, whatever they were batched with."""
TELL = {"logprobs": True, "return_token_ids": True}
"""Makes a chat completion tell its tokens and their log-probabilities."""


MISSHAPEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What reading JSON of another shape raises."""


class Tokens(NamedTuple):
    ids: list[int]
    limit: int
    """Of the context."""


class Generated(NamedTuple):
    """What a chat completion tells of its tokens."""

    prompt: list[int]
    tokens: list[int]
    values: list[float]


class Measure:
    """What a `Server` uses to score. `limit`: at most so many tokens of prompt and text; None: as the context holds."""

    def __init__(self, transport: Transport, served: str, limits: Limits, limit: int | None) -> None:
        self._transport, self._served, self._limits, self._limit = transport, served, limits, limit
        self._bos: list[int] = []
        self._closing: list[int] = []
        self.is_raw = False
        """Generated tokens have the values that scoring would give them: no temperature, no nucleus."""

    async def lacks(self) -> str:
        """Why one of the servers cannot score; empty when all can. Finds out, too, what `score` must know. Raises
        Unavailable where a server does not answer at all."""
        is_raw = []
        for endpoint in self._transport.endpoints:
            try:
                if why := await self._lacks(endpoint):
                    return f"{endpoint.name}: {why}"
                is_raw.append(await self._tells_raw(endpoint))
            except (Refused, RecipeError, *MISSHAPEN) as no:
                said = self._transport.presentable(no.said if isinstance(no, Refused) else "")
                return f"{endpoint.name}: {LACKS}{f' ({said})' if said else ''}"
            except Unavailable:  # some servers break at what they do not support
                await self._transport.ask("GET", "/v1/models", None, 60.0, dict, endpoint)
                return f"{endpoint.name}: {LACKS}"
        self.is_raw = all(is_raw)
        return ""

    async def _lacks(self, at: Endpoint) -> str:
        text = likelihood.PROBE.text
        bare, full, probe = [
            await self._tokenize({"prompt": prompt, "add_special_tokens": special}, at)
            for prompt, special in (("a", False), ("a", True), (text, False))
        ]
        prompt = (await self._tokenize(_chat(likelihood.PROBE.messages), at)).ids
        if not (bare.ids and probe.ids and prompt):
            return LACKS
        self._bos = likelihood.put_before(full.ids, bare.ids)
        tail = {"model": self._served, "tokens": prompt[-8:]}
        rendered = await self._transport.ask("POST", "/detokenize", tail, self._seconds(0), dict, at)
        end = closing(str(rendered.get("prompt")))
        self._closing = (await self._tokenize({"prompt": end, "add_special_tokens": False}, at)).ids if end else []
        ids = prompt + self._closing + probe.ids
        body = self._body(ids) | {"prompt_logprobs": 5}
        payload = await self._transport.ask("POST", COMPLETIONS, body, self._seconds(0), dict, at)
        values = _values(payload, ids)[-len(probe.ids) :]
        best = [float(told["logprob"]) for told in payload["choices"][0]["prompt_logprobs"][-1].values()]
        if max(best) > 1 or sum(map(math.exp, best)) > 1.001:
            return f"its log-probabilities are none (the best of one token: {max(best):g}); leave out --logprobs-mode"
        return likelihood.fault(Likelihood(tuple(values)), len(probe.ids))

    async def _tells_raw(self, at: Endpoint) -> bool:
        """Whether a generated token has the value that it has in a prompt. With a nucleus of one token, values after
        temperature and nucleus would be 0 for that token and minus infinity for all others."""
        request = Request("scorer", likelihood.PROBE.messages, Sampling(1.0, 0.01, 1), "probe")
        body = wire.body(self._served, request, 1, "off") | TELL | {"top_logprobs": 2}
        try:
            payload = await self._transport.ask("POST", CHAT, body, self._seconds(0), dict, at)
        except (Refused, Unavailable):  # not known there: scoring goes without
            return False
        if (told := generated(payload)) is None:
            return False
        ids = told.prompt + told.tokens[:1]
        tops = payload["choices"][0]["logprobs"]["content"][0].get("top_logprobs", [])
        scored = await self._transport.ask("POST", COMPLETIONS, self._body(ids), self._seconds(0), dict, at)
        lowest = min((float(top["logprob"]) for top in tops), default=likelihood.IMPOSSIBLE)
        return abs(_values(scored, ids)[-1] - told.values[0]) < NEAR and lowest > likelihood.IMPOSSIBLE

    async def score(self, scoring: Scoring) -> Likelihood:
        """Raises Unavailable when nothing answers. Asked only where `lacks` has found nothing."""
        try:
            text = await self._tokenize({"prompt": scoring.text, "add_special_tokens": False})
            prompt = await self._before(scoring.messages)
            # one token of the context is left to the server, which generates one
            limit = min(text.limit - 1, self._limit or text.limit)
            fitted = likelihood.fit(prompt, text.ids, limit)
            if isinstance(fitted, Likelihood):
                return fitted
            ids = [*fitted.prompt, *fitted.text]
            values = await self._transport.ask(
                "POST", COMPLETIONS, self._body(ids), self._seconds(len(ids)), lambda payload: _values(payload, ids)
            )
            return likelihood.told(fitted, values[len(fitted.prompt) :])
        except Refused as no:
            return Likelihood(finish="refused", note=f"{no.status}: {self._transport.presentable(no.said)}")

    async def tell(self, request: Request, done: Completion, sent: Generated | None) -> Likelihood | None:
        """The Likelihood of a reply from its own generation, where its tokens and those before it are exactly the ones
        that `score` would send; else None."""
        if sent is None or done.finish != "stop" or done.reasoning or not done.text:
            return None
        try:
            text = (await self._tokenize({"prompt": done.text, "add_special_tokens": False})).ids
            same = text == sent.tokens[: len(text)] and len(sent.tokens) - len(text) <= 1  # one: the end token
            if not same or sent.prompt != await self._before(request.messages):
                return None
        except Refused:
            return None
        found = likelihood.told(likelihood.Fitted(sent.prompt, text, 0, False), sent.values[: len(text)])
        return Likelihood(found.logprobs, source="generated") if found.finish == "ok" else None

    async def _before(self, messages: Sequence[Message]) -> list[int]:
        """The tokens that a scored text follows."""
        if not messages:
            return self._bos
        return (await self._tokenize(_chat(messages))).ids + self._closing

    async def _tokenize(self, what: Mapping[str, Any], at: Endpoint | None = None) -> Tokens:
        body, seconds = {"model": self._served, **what}, self._seconds(0)
        if at:  # a probe: what is unreadable is not asked again
            return _tokens(await self._transport.ask("POST", TOKENIZE, body, seconds, dict, at))
        return await self._transport.ask("POST", TOKENIZE, body, seconds, _tokens)

    def _body(self, ids: Sequence[int]) -> dict[str, Any]:
        """Tells the log-probability of each token and of no other, which is little to send back: 75 bytes a token."""
        fixed = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        return {"model": self._served, "prompt": list(ids), **fixed}

    def _seconds(self, tokens: int) -> float:
        return self._limits.request_floor + tokens / self._limits.request_floor_rate


def generated(payload: Mapping[str, Any]) -> Generated | None:
    """What a chat completion that was asked with TELL says of its tokens; None where it says nothing."""
    try:
        choice = payload["choices"][0]
        values = [float(one["logprob"]) for one in choice["logprobs"]["content"]]
        told = Generated([*map(int, payload["prompt_token_ids"])], [*map(int, choice["token_ids"])], values)
    except MISSHAPEN:
        return None
    return told if len(told.tokens) == len(values) > 0 else None


def _chat(messages: Sequence[Message]) -> dict[str, Any]:
    turns = [{"role": m.role, "content": m.content} for m in messages]
    return {"messages": turns, "add_generation_prompt": True, "chat_template_kwargs": {"enable_thinking": False}}


def _tokens(payload: Mapping[str, Any]) -> Tokens:
    ids, limit = payload.get("tokens"), payload.get("max_model_len")
    if not isinstance(ids, list) or not all(type(one) is int for one in ids) or type(limit) is not int:
        raise wire.Unreadable("JSON that is no reply of vLLM's /tokenize")
    return Tokens(ids, limit)


def _values(payload: Mapping[str, Any], ids: Sequence[int]) -> list[float]:
    """The log-probability of each token that was sent; of the first there is none, which is a 0 here.
    Raises Unreadable where they do not belong to these tokens."""
    try:
        rows = payload["choices"][0]["prompt_logprobs"][1:]
        values = [float(told[str(token)]["logprob"]) for told, token in zip(rows, ids[1:], strict=True)]
    except MISSHAPEN:
        raise wire.Unreadable("no log-probabilities of the tokens that were sent") from None
    return [0.0, *values]
