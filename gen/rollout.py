"""Advances conversations over engines. The journal is asked before the engine, and a reply is durable
before the conversation hears it; so a run that was killed goes on where it was, and pays for nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, Protocol, TypeVar

from gen.codec import clean
from gen.core import Completion, Engine, Request, Rollout, derive_seed, digest
from gen.errors import EngineError, Interrupted, PoolError, UserError

T = TypeVar("T")


class Journal(Protocol):
    """Where replies are kept; `gen.pool.Pool` is one."""

    def lookup(self, key: str) -> Completion | None: ...

    async def record(self, key: str, engine: str, request: Request, completion: Completion) -> None: ...


class Told(NamedTuple, Generic[T]):
    """How a conversation ended: its result, or `error` where its own code failed."""

    result: T | None
    asked: tuple[str, ...]
    """Journal keys in the order in which the questions were asked."""
    tokens: int
    """Generated tokens of all its replies, replayed ones included."""
    error: str = ""


def request_key(engine: str, request: Request) -> str:
    """The address of a reply: role, engine fingerprint, the exact request, sampling, seed."""
    messages = [(m.role, m.content) for m in request.messages]
    s = request.sampling
    return digest(
        request.role, engine, messages, s.temperature, s.top_p, s.max_tokens, request.schema, request.seed, size=32
    )


@dataclass(slots=True)
class Talk:
    """Puts questions to the engine of their role, at most `engine.width` at once each."""

    engines: Mapping[str, Engine]
    journal: Journal
    run_seed: int
    stopping: bool = False
    """Set to let every conversation end before its next question."""
    tokens: int = 0
    """Tokens generated now, not replayed."""
    replies: Counter[str] = field(default_factory=Counter)
    _gates: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    async def hold(self, conversation: Rollout[T], path: tuple[object, ...]) -> Told[T]:
        """Advance one conversation to its end. `path` names it within the run and decides its seeds.

        What the engine cannot do now (EngineError, PoolError) and Interrupted pass through; any other
        error in the conversation's own code ends this conversation alone, as `error`."""
        asked: list[str] = []
        tokens, answers = 0, None
        while True:
            try:
                requests = conversation.send(answers)  # type: ignore[arg-type]  # None starts it
            except StopIteration as stop:
                return Told(stop.value, tuple(asked), tokens)
            except UserError:
                raise
            except Exception as error:  # a loop's bug must not cost the other thousand conversations
                return Told(None, tuple(asked), tokens, f"{type(error).__name__}: {error}")
            seeded = [replace(r, seed=derive_seed(self.run_seed, *path, r.step, r.attempt)) for r in requests]
            keys = [request_key(self.engines[r.role].fingerprint, r) for r in seeded]
            asked += keys
            replies = await self._ask_all(dict(zip(keys, seeded, strict=True)))
            answers = [replies[key] for key in keys]
            tokens += sum(a.completion_tokens for a in answers)

    async def _ask_all(self, requests: Mapping[str, Request]) -> dict[str, Completion]:
        """The replies to all; where one fails, the others that are in flight are recorded first."""
        if len(requests) == 1:
            return {key: await self._ask(key, request) for key, request in requests.items()}
        found = await asyncio.gather(*(self._ask(*item) for item in requests.items()), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return dict(zip(requests, found, strict=True))  # type: ignore[arg-type]  # none is an exception

    async def _ask(self, key: str, request: Request) -> Completion:
        if (known := self.journal.lookup(key)) is not None:
            self.replies["replayed"] += 1
            return known
        engine = self.engines[request.role]
        gate = self._gates.setdefault(engine.fingerprint, asyncio.Semaphore(engine.width))
        async with gate:
            if self.stopping:
                raise Interrupted("stopped before the next question")
            completion = clean(await engine.complete(request))
        await self.journal.record(key, engine.fingerprint, request, completion)
        self.tokens += completion.completion_tokens
        self.replies[completion.finish] += 1
        return completion


STOPS = (EngineError, PoolError, Interrupted)
"""Errors that end the run (to go on later), never a verdict on a sample."""
