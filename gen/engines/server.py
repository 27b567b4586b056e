"""A client of one or many OpenAI-compatible servers: vLLM, SGLang, llama.cpp, Ollama, LM Studio ..."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from gen.core import Completion, Engine, Likelihood, Message, Request, Sampling, Scoring, digest, replace
from gen.engines import closed, scoring, wire
from gen.engines.endpoint import Endpoint
from gen.engines.pace import START
from gen.engines.reasoning import QUESTION, habit
from gen.engines.transport import Limits, Read, Refused, Transport, api_key
from gen.engines.turns import Turns
from gen.engines.wire import Thinking
from gen.errors import EngineError, RecipeError, Unavailable, nearest

T = TypeVar("T")
log = logging.getLogger("gen.engines.server")
PROBE = Request("scorer", (Message("user", QUESTION),), Sampling(0.0, 1.0, 256), "probe")
WIDTH = 256
"""Requests in flight for each server, at most, where nothing else is said: what vLLM takes into one batch."""
NEAR = 0.2
"""Log-probabilities of the same weights differ by hundredths from card to card, those of two models by more."""


class Probed(NamedTuple):
    """What one word tells."""

    logprobs: tuple[float, ...]
    reply: Completion
    opened: bool
    """The chat template has opened the thought that the reply ends."""


class Server(Engine):
    """Generation over HTTP, concurrent. A failure of the transport is asked again, at another server where there is
    one, and never becomes a completion.

    `width` is the most that is ever in flight over all `urls`; below it each server has as many as it keeps up with
    (`pace.Pace`): whoever asks many holds one of `turns` for each, and asks by `in_turn`. `thinking` asks the chat
    template for reasoning ("on"), for none ("off"), or leaves it alone ("default"); `thinking_budget` are tokens for
    it, besides those of each answer. `remark` says, after `open`, if the model thinks all the same. `limits` are those
    of `transport.Limits`. `key` None: from the environment, GEN_API_KEY, else OPENAI_API_KEY."""

    kind: str = "server"

    def __init__(
        self, urls: Sequence[str], model: str | None = None, *, width: int = 0, thinking: str = "off",
        thinking_budget: int = 0, allow_closed: bool = False, key: str | None = None, **limits: Any,
    ) -> None:  # fmt: skip
        self.tells_likelihood = False
        """Set to have replies say their own likelihood, where `lacks_scoring` has found that the servers can."""
        self.scoring_limit: int | None = None
        """At most so many tokens of prompt and text; None: as the context holds."""
        self._urls = tuple(dict.fromkeys(map(wire.base_url, urls)))
        self.width, self.start = width or WIDTH * len(self._urls), START
        """At most, and at first at each server, in flight."""
        self.model, self.fingerprint, self.license = wire.basename(model or ""), "", ""
        self.scoring_width = scoring.WIDTH * len(self._urls)
        self._allow_closed, self._key = allow_closed, key
        self.closed = closed.check(self._urls, self.model, allowed=allow_closed)
        """Whose closed model this is; empty for an open one, or one of which that is not known."""
        self._served, self._thinking, self._limits = model or "", cast(Thinking, thinking), Limits(**limits)
        self._dropped: frozenset[str] = frozenset()
        self._budget, self._effort, self._opened, self.remark = thinking_budget, "", False, ""
        self._no_chat = ""
        """Why the model cannot be asked as a chat model: what the server says to that."""
        self._transport: Transport | None = None
        self._known: tuple[dict[str, Any], tuple[float, ...]] = {}, ()
        """What the first server was when it was opened, and how likely it found the words of the probe."""

    def __repr__(self) -> str:
        hosts = ", ".join(urlsplit(url).netloc for url in self._urls)
        return f"Server({hosts}, model={self.model!r}, width={self.width})"

    async def open(self) -> None:
        """Finds out what is served and whether all servers serve the same. Raises RecipeError for a model that is
        not there or not named, a bad key, servers that differ; Unavailable when one of them does not answer."""
        own = api_key()
        key = own if self._key is None else self._key
        self._scorings, how = asyncio.Semaphore(self.scoring_width), {"beside": self.scoring_width, "start": self.start}
        self._transport = Transport(self._urls, self.width, key, self._limits, **how)
        try:
            await self._identify(self._transport)
        except BaseException:
            await self.close()
            raise
        self._measure = scoring.Measure(self._transport, self._served, self._limits, self.scoring_limit)

    async def close(self) -> None:
        if self._transport:
            transport, self._transport = self._transport, None
            await transport.close()

    @property
    def turns(self) -> Turns:
        """Places for requests in flight, as many as the servers keep up with."""
        return self._ready().turns

    async def complete(self, request: Request) -> Completion:
        """As `in_turn`, in a turn of its own."""
        async with self.turns:
            return await self.in_turn(request)

    async def in_turn(self, request: Request) -> Completion:
        """Within one of `turns`. Raises RecipeError when the server refuses the key or the model, and for a chat with a
        model that holds none; Unavailable when nothing answers."""
        transport = self._ready()
        if self._no_chat and not request.raw:
            raise RecipeError(
                f"{self.model}: holds no chat ({self._no_chat}); a base model goes on with texts, so set --style base "
                "where the loop has it, or name an instruct model"
            )
        return await self._converse(transport, request)

    async def lacks_scoring(self) -> str:
        """Why one of the servers cannot score; empty when all can."""
        self._ready()
        return await self._measure.lacks()

    async def score(self, scoring: Scoring) -> Likelihood:
        """Only where `lacks_scoring` has found nothing. Raises Unavailable when nothing answers."""
        self._ready()
        async with self._scorings:
            return await self._measure.score(scoring)

    def _ready(self) -> Transport:
        if self._transport is None:
            raise EngineError(f"{self!r}: asked while closed; expected open() first")
        return self._transport

    async def _converse(self, transport: Transport, request: Request) -> Completion:
        """Asks, and where the server says that it does not fit, once more with fewer tokens."""
        wanted, note = request.sampling.max_tokens + (0 if request.raw else self._budget), ""
        max_tokens: int | None = wanted
        tells = self.tells_likelihood and self._measure.is_raw and not request.raw
        while True:
            try:
                read = partial(_told, opened=self._opened, raw=request.raw)
                extra = scoring.TELL if tells else None
                done, sent = await self._chat(transport, request, max_tokens, read, extra=extra)
                if tells:
                    done = replace(done, likelihood=await self._measure.tell(request, done, sent))
                return replace(done, note="; ".join(filter(None, (note, done.note)))) if note else done
            except Refused as no:
                found = wire.overflow(no.said)
                if found is None:
                    return Completion("", "refused", note=f"{no.status}: {transport.presentable(no.said)}")
            limit, prompt = found
            if note or (prompt is not None and prompt + 1 >= limit):
                return Completion("", "overlong", note=f"limit {limit}, prompt {prompt or 'unknown'}")
            if prompt is None:
                # vLLM does not say how long the prompt is, but fills the context by itself when it is told no number.
                max_tokens, note = None, f"max_tokens left to the server (limit {limit})"
            else:
                max_tokens = min(wanted, limit - prompt - 1)  # SGLang refuses also what fits exactly
                note = f"max_tokens clamped to {max_tokens} (limit {limit}, prompt {prompt})"

    async def _chat(
        self, transport: Transport, request: Request, max_tokens: int | None, read: Read[T],
        at: Endpoint | None = None, extra: dict[str, Any] | None = None,
    ) -> T:  # fmt: skip
        """Leaves out, from then on, what the server does not know. Raises Refused."""
        seconds = self._limits.request_floor
        seconds += (request.sampling.max_tokens + self._budget) / self._limits.request_floor_rate
        while True:
            how = (self._thinking, self._dropped, self._budget, self._effort)
            body = wire.body(self._served, request, max_tokens, *how) | (extra or {})
            try:
                path = wire.COMPLETIONS if request.raw else wire.CHAT
                return await transport.ask("POST", path, body, seconds, read, at, paced=at is None)
            except Refused as no:
                if not (name := wire.unknown_field(no.said, body)):
                    raise
            if name not in self._dropped:
                log.warning("the server of %s does not know %r: left out from now on", self.model, name)
            self._dropped |= {name}

    # Finding out what is served.

    async def _identify(self, transport: Transport) -> None:
        first, *others = transport.endpoints
        self._known = await self._served_at(transport, first), await self._habits(transport, first)
        for other in others:
            if differ := await self._differences(transport, other):
                raise RecipeError(
                    f"{first.name} and {other.name} do not serve the same: {'; '.join(differ)}; expected one model in "
                    "one version behind all --server; leave one out"
                )
        transport.identify = partial(self._recognise, transport)
        ours, probe = self._known
        # Rounded to halves: each border of a rounding is one that the noise of hardware could cross.
        coarse = [round(value * 2) / 2 + 0.0 for value in probe]
        self.fingerprint = digest("server", ours, coarse, self._thinking, *([self._budget] if self._budget else []))

    async def _differences(self, transport: Transport, other: Endpoint) -> list[str]:
        """In what another URL differs from what the first one served when it was opened."""
        ours, probe = self._known
        theirs, values = await self._served_at(transport, other), (await self._probe(transport, other, 1)).logprobs
        differ = [f"{name} {ours[name]!r} against {theirs[name]!r}" for name in ours if ours[name] != theirs[name]]
        if len(probe) != len(values) or any(abs(a - b) > NEAR for a, b in zip(probe, values, strict=True)):
            differ.append(f"log-probabilities {probe} against {values} of the same prompt")
        return differ

    async def _recognise(self, transport: Transport, endpoint: Endpoint) -> None:
        """Raises RecipeError for a server that was gone and has come back as another."""
        if differ := await self._differences(transport, endpoint):
            raise RecipeError(
                f"{endpoint.name}: came back as another model ({'; '.join(differ)}); what it answers would not be of "
                "this run; start the one that was there, then give the same command again: it goes on where it stopped"
            )

    async def _served_at(self, transport: Transport, endpoint: Endpoint) -> dict[str, Any]:
        """Model, root, context and version, as far as the server tells."""
        rows = await transport.ask("GET", "/v1/models", None, 60.0, _listed, endpoint)
        names = [str(row["id"]) for row in rows]
        if not self._served and len(names) != 1:
            listed = ", ".join(names) or "none"
            raise RecipeError(f"{endpoint.name} serves {len(names)} models: {listed}; pass --model NAME")
        self._served = self._served or names[0]
        if self._served not in names:
            hint = nearest(self._served, names)
            raise RecipeError(f"{endpoint.name} does not serve --model {self._served!r}; {hint}")
        self.model, row = wire.basename(self._served), rows[names.index(self._served)]
        named = (self._served, str(row.get("root") or ""))
        self.closed = closed.check(self._urls, *named, allowed=self._allow_closed)
        try:
            version = await transport.ask("GET", "/version", None, 30.0, lambda told: told.get("version"), endpoint)
        except (Refused, RecipeError, Unavailable):  # most have no such page
            version = None
        root = wire.basename(str(row.get("root") or ""))
        return {"model": self.model, "root": root, "context": row.get("max_model_len"), "version": version}

    async def _habits(self, transport: Transport, endpoint: Endpoint) -> tuple[float, ...]:
        """The first server's probe; notices there whether the model keeps to `thinking`."""
        found = await self._probe(transport, endpoint, PROBE.sampling.max_tokens)
        if self._thinking == "off" and found.reply.reasoning:
            self._effort = "none"  # all that Ollama hears
            try:
                quiet = await self._probe(transport, endpoint, PROBE.sampling.max_tokens)
            except EngineError:
                quiet = found
            if quiet.reply.reasoning:
                self._effort, self.remark = "", habit(self.model)
                log.warning("%s", self.remark)
            found = found if self.remark else quiet
        self._opened = found.opened
        return found.logprobs

    async def _probe(self, transport: Transport, endpoint: Endpoint, max_tokens: int) -> Probed:
        """Its log-probabilities tell one set of weights from another; none where the server gives none. Shows, too,
        that the server can hold a chat at all. Raises EngineError if it cannot."""
        top = {"logprobs": True, "top_logprobs": 5}
        for tokens, extra in dict.fromkeys(((max_tokens, True), (1, True), (1, False))):
            try:
                return await self._chat(transport, PROBE, tokens, _probed, endpoint, top if extra else None)
            except Refused as no:
                said = transport.presentable(no.said)
                error = EngineError(f"{endpoint.name}: refuses a chat of one word ({said}); is it a chat model?")
            except Unavailable as no:  # some servers break at what they do not support
                error = no
        if isinstance(error, Unavailable):
            raise error
        for extras in ({"logprobs": 5}, None):
            with contextlib.suppress(Refused, RecipeError, Unavailable):
                told = await self._chat(transport, replace(PROBE, raw=True), 1, wire.probe, endpoint, extras)
                self._no_chat = said
                return Probed(told, Completion(""), False)
        raise error


def _probed(payload: Mapping[str, Any]) -> Probed:
    return Probed(wire.probe(payload), wire.completion(payload), wire.opens_inside(payload))


def _told(payload: Mapping[str, Any], *, opened: bool, raw: bool) -> tuple[Completion, scoring.Generated | None]:
    return wire.completion(payload, opened=opened, raw=raw), None if raw else scoring.generated(payload)


def _listed(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = payload.get("data")
    if not isinstance(rows, list):
        raise wire.Unreadable("JSON that lists no models")
    return [row for row in rows if isinstance(row, dict) and "id" in row]
