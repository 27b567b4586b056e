"""A client of one or many OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, TGI, LM Studio ..."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast, get_args

import msgspec

from gen.core import Completion, Engine, Message, Request, Sampling, digest
from gen.engines import wire
from gen.engines.balance import Endpoint
from gen.engines.transport import BUSY, Limits, Read, Reply, Transport
from gen.engines.wire import Thinking
from gen.errors import EngineError, RecipeError, Unavailable, nearest

T = TypeVar("T")
log = logging.getLogger(__name__)
PROBE = Request("scorer", (Message("user", "Write one word, any word."),), Sampling(0.0, 1.0, 1), "probe")
PROBE_S = 300.0
PROBE_TRIES = 3
CHAT = "/v1/chat/completions"
NO_TEXT = "the request holds half of a surrogate pair, which is not Unicode text"


class Identity(NamedTuple):
    """What decides a server's replies, as far as it tells."""

    model: str
    root: str
    context: int | None
    version: str
    probe: wire.Probe | None

    def difference(self, other: Identity) -> str:
        """What two servers disagree about, or ""."""
        for name, mine, yours in zip(self._fields[:-1], self[:-1], other[:-1], strict=True):
            if mine != yours:
                return f"{name} {mine!r} against {yours!r}"
        if self.probe is None or other.probe is None:
            is_same = self.probe is other.probe
        else:
            is_same = self.probe.is_near(other.probe)
        return "" if is_same else f"log-probabilities {self.probe} against {other.probe} of the same prompt"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        return (*self[:-1], self.probe and self.probe.coarse)


class Server(Engine):
    """Generation over HTTP, concurrent. A failure of the transport is asked again, at another server where there is
    one, and never becomes a completion.

    `width` bounds the requests in flight over all `urls`. `thinking` asks the chat template for reasoning ("on"), for
    none ("off"), or leaves it alone ("default"). The key comes from the environment: `api_key_env`, else
    OPENAI_API_KEY. The other parameters are those of `transport.Limits`."""

    def __init__(
        self, urls: Sequence[str], model: str | None = None, *, width: int = 64, thinking: str = "off",
        api_key_env: str = "GEN_API_KEY", retries: int = 8, backoff: float = 0.5, max_backoff: float = 30.0,
        patience: float = 120.0, connect_timeout: float = 10.0, request_floor: float = 120.0,
        request_floor_rate: float = 1.0, pulse: float = 15.0,
    ) -> None:  # fmt: skip
        if isinstance(urls, str) or not urls:
            raise RecipeError(f"--server: expected a list of at least one URL, got {urls!r}")
        if width < 1:
            raise RecipeError(f"--width: {width} requests in flight; expected at least 1")
        if thinking not in get_args(Thinking):
            raise RecipeError(f"--thinking: {thinking!r} is unknown; {nearest(thinking, get_args(Thinking))}")
        limits = Limits(
            retries, backoff, max_backoff, patience, connect_timeout, request_floor, request_floor_rate, pulse
        )
        self.width, self.model, self.fingerprint = width, wire.basename(model or ""), ""
        self.context: int | None = None
        """Tokens that prompt and answer may have together, where the server tells."""
        self.deterministic = True
        """False once the server has refused `seed`: asked twice, it may answer twice differently."""
        self._wanted, self._served, self._api_key_env = model or "", "", api_key_env
        self._thinking: Thinking = cast(Thinking, thinking)
        self._dropped: frozenset[str] = frozenset()
        self._fills_context = False
        self._slots = asyncio.Semaphore(width)
        self._is_open = False
        self._transport = Transport(list(dict.fromkeys(wire.base_url(url) for url in urls)), width, limits)

    def __repr__(self) -> str:
        return f"Server({list(self._transport.hosts)}, model={self.model!r}, width={self.width})"

    async def open(self) -> None:
        """Finds out what is served and whether all servers serve the same. Raises RecipeError for a model that is
        not there or not named, a bad key, servers that differ; Unavailable when one of them does not answer."""
        if self._is_open:
            return
        self._transport.start(self._key(), self._api_key_env)
        self._is_open, self._slots, self._served = True, asyncio.Semaphore(self.width), self._wanted
        try:
            endpoints = self._transport.endpoints
            first = await self._identify(endpoints[0])
            others = await asyncio.gather(*map(self._identify, endpoints[1:]))
            for endpoint, other in zip(endpoints[1:], others, strict=True):
                if difference := first.difference(other):
                    raise RecipeError(
                        f"{endpoints[0].name} and {endpoint.name} do not serve the same: {difference}; expected "
                        "one model in one version behind all --server; leave one out"
                    )
        except BaseException:
            await self.close()
            raise
        self.model, self.context = first.model, first.context
        self.fingerprint = digest("server", first.fingerprint, self._thinking)

    async def complete(self, request: Request) -> Completion:
        """Raises RecipeError when the server refuses the key or the model, Unavailable when nothing answers."""
        if not self._is_open:
            raise EngineError(f"{self!r}: asked while closed; expected open() first")
        async with self._slots:
            return await self._converse(request)

    async def close(self) -> None:
        self._is_open = False
        await self._transport.close()

    async def _converse(self, request: Request) -> Completion:
        """Asks, and asks again where the server's own words say how: without a field, with fewer tokens."""
        wanted, note = request.sampling.max_tokens, ""
        max_tokens: int | None = wanted
        if self._fills_context and self.context and wanted >= self.context:
            # It would be refused for certain, each time: left out, the number comes to what is left.
            max_tokens, note = None, f"max_tokens left to the server (limit {self.context})"
        is_clamped = False
        while True:
            body = self._body(request, max_tokens)
            data = encode(body)
            if data is None:
                return Completion("", "refused", note=NO_TEXT)
            seconds = self._transport.limits.deadline(wanted)
            read = partial(wire.completion, note=note)
            reply = await self._transport.post(CHAT, data, seconds, read)
            if reply.value is not None:
                return self._told(reply.value)
            if self._drop(reply.message, body):
                continue
            found = wire.overflow(reply.message, max_tokens)
            if found is None:
                return self._told(Completion("", "refused", note=f"{reply.status}: {reply.message}"))
            if is_clamped or not found.room:
                return Completion("", "overlong", note=f"limit {found.limit}, prompt {found.prompt or 'unknown'}")
            is_clamped = True
            max_tokens, note = _clamp(wanted, found)

    def _body(self, request: Request, max_tokens: int | None) -> dict[str, Any]:
        return wire.body(self._served, request, max_tokens, self._thinking, self._dropped)

    def _told(self, done: Completion) -> Completion:
        return replace(done, note=self._transport.presentable(done.note)) if done.note else done

    def _drop(self, message: str, sent: Mapping[str, Any]) -> bool:
        """Leaves out, from now on, the field that the server does not know; False if it is not about a field."""
        name = wire.unknown_field(message, sent)
        if name is None:
            return False
        if name not in self._dropped:
            log.warning("the server of %s does not know %r: left out from now on", self.model, name)
        self._dropped |= {name}
        self.deterministic = "seed" not in self._dropped
        return True

    def _key(self) -> str:
        name = self._api_key_env if os.environ.get(self._api_key_env) else "OPENAI_API_KEY"
        key = os.environ.get(name, "").strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise RecipeError(f"{name}: holds characters that no key has; expected printable ASCII without spaces")
        return key

    # Finding out what is served.

    async def _identify(self, endpoint: Endpoint) -> Identity:
        listed = await self._ask(endpoint, "GET", "/v1/models", None, _listed, self._transport.limits.patience)
        row = self._choose(endpoint, listed.value or [])
        version = await self._version(endpoint)
        context = row.get("max_model_len")
        self._fills_context = row.get("owned_by") == "vllm"
        root = wire.basename(str(row.get("root") or ""))
        name = wire.basename(self._served)
        probe = await self._probe(endpoint)
        return Identity(name, root, context if isinstance(context, int) else None, version, probe)

    def _choose(self, endpoint: Endpoint, rows: list[Mapping[str, Any]]) -> Mapping[str, Any]:
        names = [str(row["id"]) for row in rows]
        if not self._served:
            if len(names) != 1:
                raise RecipeError(
                    f"{endpoint.name} serves {len(names)} models: {', '.join(names) or 'none'}; pass --model NAME"
                )
            self._served = names[0]
        if self._served not in names:
            hint = nearest(self._served, names)
            raise RecipeError(f"{endpoint.name} does not serve --model {self._served!r}; {hint}")
        self.model = wire.basename(self._served)
        return rows[names.index(self._served)]

    async def _version(self, endpoint: Endpoint) -> str:
        """The server's version where it has one to tell: most have no such page."""
        try:
            reply = await self._ask(endpoint, "GET", "/version", None, lambda payload: payload.get("version"), 0.0)
        except (RecipeError, Unavailable):
            return ""
        return reply.value if isinstance(reply.value, str) else ""

    async def _probe(self, endpoint: Endpoint) -> wire.Probe | None:
        """The log-probabilities that tell one set of weights from another; None where the server gives none. Shows,
        too, that the server can hold a chat at all. Raises EngineError if it cannot."""
        extra: dict[str, Any] = {"logprobs": True, "top_logprobs": 5}
        while True:
            body = self._body(PROBE, 1) | extra
            try:
                patience = 0.0 if extra else self._transport.limits.patience
                reply = await self._ask(endpoint, "POST", CHAT, encode(body), wire.probe, patience)
            except Unavailable:
                if not extra:
                    raise
                extra = {}  # some servers break at what they do not support
                continue
            if reply.status == 200:
                return reply.value
            if not self._drop(reply.message, body):
                if not extra:
                    said = self._transport.presentable(reply.message)
                    raise EngineError(f"{endpoint.name}: refuses a chat of one word ({said}); is it a chat model?")
                extra = {}

    async def _ask(
        self, endpoint: Endpoint, method: str, path: str, data: bytes | None, read: Read[T], patience: float
    ) -> Reply[T]:
        """A question to this very server, tried again while waiting can help. Raises Unavailable."""
        tries, began = 0, asyncio.get_running_loop().time()
        while True:
            outcome = await self._transport.attempt(endpoint, method, path, data, PROBE_S, read)
            if isinstance(outcome, Reply):
                return outcome
            tries += 1
            # One that says 503 may still be loading its model; one that is silent may never have been started.
            is_loading = outcome.status == BUSY or outcome.status >= 500
            waited = asyncio.get_running_loop().time() - began
            if tries >= PROBE_TRIES and (not is_loading or waited > patience):
                raise self._transport.unavailable(endpoint.name, outcome.reason)
            await asyncio.sleep(min(5.0, outcome.wait or self._transport.limits.backoff * 2**tries))


def encode(body: Mapping[str, Any]) -> bytes | None:
    """The body as JSON; None for a text that has no UTF-8 form."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return None


def _listed(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = payload.get("data")
    if not isinstance(rows, list):
        raise wire.Unreadable("JSON that lists no models")
    return [row for row in rows if isinstance(row, dict) and "id" in row]


def _clamp(wanted: int, found: wire.Overflow) -> tuple[int | None, str]:
    """(max_tokens, note) of the second asking."""
    if found.prompt is None and found.room < found.limit:
        # vLLM does not say how long the prompt is, but fills the context by itself when it is told no number.
        return None, f"max_tokens left to the server (limit {found.limit})"
    prompt = "" if found.prompt is None else f", prompt {found.prompt}"
    clamped = min(wanted, found.room)
    return clamped, f"max_tokens clamped to {clamped} (limit {found.limit}{prompt})"
