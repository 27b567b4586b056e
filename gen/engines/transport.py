"""HTTP that does not give up: retries, several servers, health, deadlines. Knows JSON bodies, not what they ask."""

from __future__ import annotations

import asyncio
import io
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import aiohttp

from gen.engines import wire
from gen.engines.balance import AllDown, Balance, Endpoint
from gen.errors import EngineError, RecipeError, Unavailable

T = TypeVar("T")
Read = Callable[[Mapping[str, Any]], T]
"""Makes a value of a reply's JSON, or raises wire.Unreadable: then the reply counts as a failure."""
log = logging.getLogger(__name__)
BUSY = 429
PASSING = (408, 409, 425, BUSY)
"""Statuses that waiting may mend, besides 5xx."""
BUSY_PATIENCE = 15
"""How many times the patience a server may go on saying 429: it lives, it only has no room."""
MISSES = 3
"""Failed health checks in a row after which the requests in flight are given up."""
HEALTH_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what is waited for. Seconds, except `retries`; none of them decides what is answered."""

    retries: int = 8
    """Attempts after which a request that keeps failing on living servers may count as hopeless."""
    backoff: float = 0.5
    """First wait between attempts; doubles, with jitter."""
    max_backoff: float = 30.0
    patience: float = 120.0
    """Without any answer for so long, the run stops (and can go on later)."""
    connect_timeout: float = 10.0
    request_floor: float = 120.0
    """An attempt may take this long and one second more for each `request_floor_rate` tokens."""
    request_floor_rate: float = 1.0
    pulse: float = 15.0
    """While requests wait without an answer, the server's health is asked this often."""

    def deadline(self, max_tokens: int) -> float:
        return self.request_floor + max_tokens / self.request_floor_rate


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What a server has settled: a value, or (None) a refusal with its status and words."""

    value: T | None
    status: int = 200
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that came to nothing and says nothing about the request."""

    reason: str
    status: int = 0
    """0 when there was no answer at all."""
    wait: float | None = None
    """Seconds that the server asked to wait."""


class Transport:
    """A connection pool over several servers that serve the same."""

    def __init__(self, urls: Sequence[str], width: int, limits: Limits) -> None:
        self.endpoints = tuple(Endpoint(url) for url in urls)
        self.hosts = tuple(endpoint.name for endpoint in self.endpoints)
        self.limits, self._width, self._key, self._key_name = limits, width, "", ""
        self._answered_at = 0.0
        self._session: aiohttp.ClientSession | None = None
        self._watch: asyncio.Task[None] | None = None

    def start(self, key: str, key_name: str) -> None:
        """Makes the pool; `key` is sent as bearer and otherwise only used to keep it out of messages."""
        self._key, self._key_name = key, key_name
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._session = aiohttp.ClientSession(
            # Room for health checks when all slots are taken. Servers close idle connections after 5 s (uvicorn):
            # ours go first, so that no request is sent into a closing one.
            connector=aiohttp.TCPConnector(limit=self._width + len(self.endpoints) + 1, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect_timeout),
            headers=headers, cookie_jar=aiohttp.DummyCookieJar(),
        )  # fmt: skip
        self._answered_at = asyncio.get_running_loop().time()
        self._balance = Balance(self.endpoints, self.is_alive, self.limits.patience)
        self._watch = asyncio.create_task(self._keep_watch())

    async def close(self) -> None:
        if self._session is None or self._watch is None:
            return
        session, self._session = self._session, None
        self._watch.cancel()
        await asyncio.gather(self._watch, self._balance.close(), return_exceptions=True)
        await session.close()

    def presentable(self, text: str) -> str:
        return wire.presentable(text, self._key, self.hosts)

    async def post(self, path: str, data: bytes, seconds: float, read: Read[T]) -> Reply[T]:
        """The settled reply, however many attempts it takes; each may last `seconds`. Raises Unavailable."""
        attempts, since, endpoint = 0, 0.0, None
        while True:
            try:
                endpoint = await self._balance.acquire(endpoint)
            except AllDown:
                last = "; ".join(dict.fromkeys(e.trouble for e in self.endpoints))
                raise self.unavailable(", ".join(self.hosts), f"no answer, at last {last}") from None
            try:
                outcome = await self.attempt(endpoint, "POST", path, data, seconds, read)
            finally:
                self._balance.release(endpoint)
            now = asyncio.get_running_loop().time()
            if isinstance(outcome, Reply):
                self._balance.succeeded(endpoint)
                self._answered_at = now
                return outcome
            attempts, since, endpoint.trouble = attempts + 1, since or now, outcome.reason
            if outcome.status != BUSY and self._balance.failed(endpoint):
                log.warning("%s rests: %s", endpoint.name, outcome.reason)
            self._check_patience(outcome, attempts, since, now, endpoint)
            await asyncio.sleep(self._delay(outcome, attempts))

    async def attempt(
        self, endpoint: Endpoint, method: str, path: str, data: bytes | None, seconds: float, read: Read[T]
    ) -> Reply[T] | Failure:
        """One question to one server. Cancelling it closes the connection, which makes the server stop generating."""
        if self._session is None:
            raise EngineError(f"{endpoint.name}: asked while closed; expected open() first")
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(seconds) as deadline:
                endpoint.waiting[deadline] = began
                try:
                    url = endpoint.url + path
                    # aiohttp warns of bytes beyond 1 MiB: it would write them at one go.
                    whole = io.BytesIO(data) if data is not None and len(data) > 2**20 else data
                    async with self._session.request(method, url, data=whole, allow_redirects=False) as response:
                        raw = await response.read()
                finally:
                    del endpoint.waiting[deadline]
        except TimeoutError:
            return Failure(f"no answer within {asyncio.get_running_loop().time() - began:.3g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Failure(f"no connection ({type(error).__name__})")
        return self._settle(endpoint, path, response.status, response.headers.get("Retry-After"), raw, read)

    async def is_alive(self, endpoint: Endpoint) -> bool:
        """Whether anything sound answers there: also a server that has no /health, but not one that fails."""
        if self._session is None:
            return False
        try:
            async with asyncio.timeout(HEALTH_S), self._session.get(f"{endpoint.url}/health") as response:
                return response.status < 500
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    def unavailable(self, where: str, what: str) -> Unavailable:
        return Unavailable(
            f"{where}: {what} (patience: {self.limits.patience:g} s); expected an OpenAI-compatible server; "
            "start it or correct --server, then give the same command again: it goes on where it stopped"
        )

    def _settle(
        self, endpoint: Endpoint, path: str, status: int, later: str | None, raw: bytes, read: Read[T]
    ) -> Reply[T] | Failure:
        """What a reply means: an answer, a refusal, a failure to be tried again, or (raised) the end of the run."""
        unreadable = ""
        payload: Mapping[str, Any] = {"message": raw[:2000].decode("utf-8", "replace")} if status != 200 else {}
        try:
            payload = wire.decode(raw)
            if status == 200:
                return Reply(read(payload))
        except wire.Unreadable as error:
            unreadable = f"answered with {error}"
        message = wire.complaint(payload)
        # llama.cpp has said "too long" with 200 and with 500, too.
        if (status == 200 or status >= 500) and wire.overflow(message, None):
            return Reply(None, 400, message)
        if status == 200:
            return Failure(unreadable, status)
        if status in PASSING or status >= 500:
            return Failure(f"answered {status}", status, wire.retry_after(later, datetime.now(UTC)))
        if status in (401, 402, 403, 404, 405) or status < 400:
            raise self._refused(endpoint, path, status, message)
        return Reply(None, status, message)

    def _refused(self, endpoint: Endpoint, path: str, status: int, message: str) -> RecipeError:
        where = f"{endpoint.name}{path}"
        if status in (401, 403):
            sent = "the key that was sent" if self._key else "a request without a key"
            return RecipeError(f"{where}: answered {status} to {sent}; put a valid key into {self._key_name}")
        if status == 402:
            return RecipeError(f"{where}: answered 402: nothing is left to pay with; the same command goes on later")
        if status == 404:
            return RecipeError(f"{where}: answered 404 ({self.presentable(message)}); check --server and --model")
        return RecipeError(f"{where}: answered {status}; expected an OpenAI-compatible server; check --server")

    def _check_patience(self, failure: Failure, attempts: int, since: float, now: float, endpoint: Endpoint) -> None:
        """Raises Unavailable when a request has been failing too long."""
        if failure.status == BUSY:
            is_over = now - max(since, self._answered_at) > self.limits.patience * BUSY_PATIENCE
        else:
            is_over = attempts > self.limits.retries and now - since > self.limits.patience
        if is_over:
            raise self.unavailable(endpoint.name, f"{attempts} attempts failed, the last one {failure.reason}")

    def _delay(self, failure: Failure, attempts: int) -> float:
        if attempts < sum(not e.is_resting for e in self.endpoints):
            return 0.0  # there is another server, not yet asked
        if failure.wait is not None:
            # A little later than asked, and not all at the same moment.
            wait = min(failure.wait, self.limits.patience * BUSY_PATIENCE)
            return wait + random.uniform(0, 0.05 + 0.1 * wait)
        return min(self.limits.max_backoff, self.limits.backoff * 2.0 ** min(attempts - 1, 16)) * random.uniform(0.5, 1)

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(self.limits.pulse)
            await asyncio.gather(*map(self._feel_pulse, self.endpoints))

    async def _feel_pulse(self, endpoint: Endpoint) -> None:
        """Gives up what waits at a server that no longer lives: it is asked again, elsewhere if possible."""
        now = asyncio.get_running_loop().time()
        if all(now - since < self.limits.pulse for since in endpoint.waiting.values()):
            endpoint.misses = 0
            return
        endpoint.misses = 0 if await self.is_alive(endpoint) else endpoint.misses + 1
        if endpoint.misses >= MISSES:
            if not endpoint.is_resting:
                log.warning("%s rests: requests wait and its health check fails", endpoint.name)
                self._balance.rest(endpoint)
            for deadline in endpoint.waiting:
                if not deadline.expired():
                    deadline.reschedule(now)
