"""Advances conversations over engines. The journal is asked before the engine, and what an engine told is durable
before anybody hears it; so a run that was killed goes on where it was, and pays for nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gen.codec import clean
from gen.core import (
    Completion,
    Embedder,
    Engine,
    Likelihood,
    Measurement,
    Request,
    Sample,
    Scoring,
    Vector,
    derive_seed,
    replace,
)  # fmt: skip
from gen.errors import EngineError, Interrupted, PoolError, UserError
from gen.journal import request_key, scoring_key, vector_key

T = TypeVar("T")


class Journal(Protocol):
    """Where all that was told is kept; `gen.pool.Pool` is one."""

    def lookup(self, key: str) -> Completion | None: ...

    async def record(self, key: str, engine: str, request: Request, completion: Completion) -> None: ...

    def likelihood(self, key: str) -> Likelihood | None: ...

    async def record_likelihood(self, key: str, engine: str, found: Likelihood) -> None: ...

    def vector(self, key: str) -> Vector | None: ...

    async def record_vector(self, key: str, engine: str, vector: Vector) -> None: ...


class Told(NamedTuple, Generic[T]):
    """How a conversation ended: its result, or `error` where its own code failed."""

    result: T | None
    asked: tuple[str, ...]
    """Journal keys in the order in which the questions were asked."""
    tokens: int
    """Generated tokens of all its replies, replayed ones included."""
    error: str = ""
    roles: tuple[str, ...] = ()
    """Who was asked, each once, in order."""


@dataclass(slots=True)
class Talk:
    """Puts questions to the engine of their role, at most `engine.width` at once each."""

    engines: Mapping[str, Engine]
    journal: Journal
    run_seed: int
    embedder: Embedder | None = None
    stopping: bool = False
    """Set to let every conversation end before its next question."""
    tokens: int = 0
    """Tokens generated now, not replayed."""
    replies: Counter[str] = field(default_factory=Counter)
    _gates: dict[tuple[str, str], asyncio.Semaphore] = field(default_factory=dict)
    _flying: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Measurements under way, by their key."""

    def beside(self, engines: Mapping[str, Engine], embedder: Embedder | None) -> Talk:
        """Another one, of another stage: what is in flight counts for both, the replies count apart."""
        return replace(self, engines=engines, embedder=embedder, stopping=False, tokens=0, replies=Counter())

    async def hold(self, conversation: Generator[list[Any], list[Any], T], path: tuple[object, ...]) -> Told[T]:
        """Advance one conversation (a Rollout or a Measurement) to its end. `path` names it within the run and
        decides its seeds.

        What the engine cannot do now (EngineError, PoolError) and Interrupted pass through; any other
        error in the conversation's own code ends this conversation alone, as `error`."""
        asked: list[str] = []
        tokens, answers, roles = 0, None, dict[str, None]()
        while True:
            try:
                questions = conversation.send(answers)  # type: ignore[arg-type]  # None starts it
            except StopIteration as stop:
                return Told(stop.value, tuple(asked), tokens, "", tuple(roles))
            except UserError:
                raise
            except Exception as error:  # a loop's bug must not cost the other thousand conversations
                return Told(None, tuple(asked), tokens, f"{type(error).__name__}: {error}", tuple(roles))
            roles |= dict.fromkeys(q.role for q in questions)
            keyed = [self._keyed(q, path) for q in questions]
            asked += [key for key, _ in keyed]
            replies = await self._ask_all(dict(keyed))
            answers = [replies[key] for key, _ in keyed]
            tokens += sum(a.completion_tokens for a in answers if isinstance(a, Completion))

    def _keyed(self, question: Any, path: tuple[object, ...]) -> tuple[str, Any]:
        engine = self.engines[question.role].fingerprint
        if isinstance(question, Scoring):
            return scoring_key(engine, question), question
        seeded = replace(question, seed=derive_seed(self.run_seed, *path, question.step, question.attempt))
        return request_key(engine, seeded), seeded

    async def _ask_all(self, questions: Mapping[str, Any]) -> dict[str, Any]:
        if len(questions) == 1:
            return {key: await self._ask(key, question) for key, question in questions.items()}
        found = await together(*(self._ask(*item) for item in questions.items()))
        return dict(zip(questions, found, strict=True))

    async def _ask(self, key: str, question: Any) -> Any:
        if isinstance(question, Scoring):
            return await self._score(key, question)
        if (known := self.journal.lookup(key)) is not None:
            self.replies["replayed"] += 1
            return known
        engine = self.engines[question.role]
        completion = clean(await self._replied(engine, question))
        if completion.likelihood:  # first: once the reply is recorded, nothing more is heard of it
            await self._keep_likelihood(question, completion)
            completion = replace(completion, likelihood=None)
        await self.journal.record(key, engine.fingerprint, question, completion)
        self.tokens += completion.completion_tokens
        self.replies[completion.finish] += 1
        return completion

    async def _replied(self, engine: Any, request: Request) -> Completion:
        if turns := getattr(engine, "turns", None):  # it says itself how many it keeps up with
            return await self._within(turns, engine.in_turn, request)  # type: ignore[no-any-return]
        found = await self._through(engine.fingerprint, "reply", engine.width, engine.complete, request)
        return found  # type: ignore[no-any-return]

    async def _keep_likelihood(self, request: Request, completion: Completion) -> None:
        """What a generation told of its own text is the answer to a scoring that need not be asked."""
        fingerprint, found = self.engines[request.role].fingerprint, completion.likelihood
        if found and fingerprint == self.engines["scorer"].fingerprint:
            key = scoring_key(fingerprint, Scoring(request.messages, completion.text))
            await self.journal.record_likelihood(key, fingerprint, found)

    async def _score(self, key: str, scoring: Scoring) -> Likelihood:
        if (known := self.journal.likelihood(key)) is None:
            await self._once(key, lambda: self._scored(key, scoring))
            known = self.journal.likelihood(key)  # in the precision of the journal
        return known  # type: ignore[return-value]  # it has just been recorded

    async def _scored(self, key: str, scoring: Scoring) -> None:
        engine: Any = self.engines[scoring.role]
        found = await self._through(engine.fingerprint, "scoring", engine.scoring_width, engine.score, scoring)
        await self.journal.record_likelihood(key, engine.fingerprint, found)
        self.replies["scored"] += 1

    async def _once(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Measured once, however many ask at the same moment."""
        if (task := self._flying.get(key)) is None:
            task = self._flying[key] = asyncio.create_task(work())
            task.add_done_callback(lambda _: self._flying.pop(key))
        await task

    async def embed(self, text: str, *, covered: bool = True) -> None:
        """See that the journal has the vector of a text; an empty one where the encoder was not made for it."""
        if self.embedder is None:
            raise EngineError("no embedder is open; expected one for the filters that compare vectors")
        e, key = self.embedder, vector_key(self.embedder.fingerprint, text)

        async def work() -> None:
            vector = await self._through(e.fingerprint, "vector", e.width, e.embed, text) if covered else b""
            await self.journal.record_vector(key, e.fingerprint, vector)
            self.replies["embedded"] += covered

        if self.journal.vector(key) is None:
            await self._once(key, work)

    async def _through(self, engine: str, kind: str, width: int, ask: Any, question: Any) -> Any:
        gate = self._gates.setdefault((engine, kind), asyncio.Semaphore(width))
        return await self._within(gate, ask, question)

    async def _within(self, turns: AbstractAsyncContextManager[None], ask: Any, question: Any) -> Any:
        """One question to an engine, when it is its turn."""
        async with turns:
            if self.stopping:
                raise Interrupted("stopped before the next question")
            found: Awaitable[Any] = ask(question)
            return await found


async def together(*questions: Awaitable[Any]) -> list[Any]:
    """The results of all; where one fails, the others that are in flight are recorded before it is raised."""
    if len(questions) == 1:
        return [await questions[0]]
    found = await asyncio.gather(*questions, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


async def ended(tasks: Callable[[], set[asyncio.Task[None]]], grace: float | None) -> None:
    """Let tasks end by themselves for so many seconds (None: as long as it takes), then abort them, and those that have
    begun meanwhile."""
    if not (running := tasks()):
        return
    if grace != 0:
        await asyncio.wait(running, timeout=grace)
    running |= tasks()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def abreast(engines: Iterable[Any]) -> int:
    """Conversations to have under way at once: as many as these engines can usefully be asked now, and a quarter more,
    since some are in the journal between two questions; and those that wait to be asked again."""
    turns = {engine: getattr(engine, "turns", None) for engine in engines}
    width = sum(t.size + t.asleep if t else engine.width for engine, t in turns.items())
    return int(width + width // 4 + 1)


def signed(sample: Sample, engines: Iterable[Engine]) -> Sample:
    """With the weights that helped to make it, as far as a conversation asked any: those of `engines`."""
    asked = {f"{e.model}@{e.fingerprint[:8]}": e.license for e in engines}
    models = [f"{name} ({license})" if license else name for name, license in asked.items()]
    both = tuple(dict.fromkeys((*sample.lineage.models, *models)))  # of earlier stages, too
    return replace(sample, lineage=replace(sample.lineage, models=both))


def replay(measurement: Measurement[T], engines: Mapping[str, str], journal: Journal) -> T | None:
    """What a measurement comes to by the journal alone, `engines` being the fingerprint of each role; None where
    something was never asked. Raises what the measurement's own code raises."""
    answers: Any = None
    while True:
        try:
            questions = measurement.send(answers)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        found = [journal.likelihood(scoring_key(engines.get(q.role, ""), q)) for q in questions]
        if None in found:
            return None
        answers = found


STOPS = (EngineError, PoolError, Interrupted)
"""Errors that end the run (to go on later), never a verdict on a sample."""
