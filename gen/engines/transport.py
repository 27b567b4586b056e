"""HTTP that does not give up: which URL is asked, what its reply means, what is asked again, when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from gen.engines import wire
from gen.engines.certificates import aiohttp
from gen.engines.endpoint import BUSY, LOADING, Endpoint, Failed, Wait
from gen.engines.pace import START, Pace
from gen.engines.turns import Turns
from gen.engines.watchdog import Watchdog
from gen.errors import RecipeError, Unavailable

T = TypeVar("T")
Read: TypeAlias = Callable[[Mapping[str, Any]], T]
"""Makes a value of a reply's JSON, or raises wire.Unreadable: then it is asked again."""
KEYS = ("GEN_API_KEY", "OPENAI_API_KEY")
AGAIN = (408, 409, 425, BUSY)
"""Statuses that waiting may mend, besides 5xx."""
NO_API = "expected an OpenAI-compatible server; check --server"
STOP = {
    401: "put a valid key into GEN_API_KEY",
    402: "nothing is left to pay with; the same command goes on later",
    403: "put a valid key into GEN_API_KEY",
    404: "check --server and --model",
    405: NO_API,
}
"""Statuses that only the user can mend, and how. Every other 4xx is about the one request: it is refused."""
STRETCH = 8
"""A deadline is put off, while the server gets on, up to so many times its own length."""
OPENING_TRIES = 3
MOST_BYTES = 64 * 2**20
"""Of a reply: more than any answer with its log-probabilities has."""
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what is waited for. Seconds, except `retries`; none of them decides what is answered."""

    retries: int = 8
    backoff: float = 0.5
    """First wait between attempts; doubles, with jitter."""
    max_backoff: float = 30.0
    patience: float = 120.0
    """Without any answer for so long, and after `retries`, the run stops (and can go on later)."""
    request_floor: float = 120.0
    """An attempt may take this long and one second more for each `request_floor_rate` tokens."""
    request_floor_rate: float = 1.0
    pulse: float = 15.0
    """While requests wait without an answer, the server's health is asked this often."""
    stall: float = 300.0
    """A healthy server that tells its work, and has not read or written a token for so long, hangs."""


@dataclass(eq=False)
class Refused(Exception):
    """A server will not answer this request, ever."""

    status: int
    said: str


def api_key() -> str:
    """The key of the servers, from the environment; empty where none is set."""
    return next(filter(None, (os.environ.get(name, "").strip() for name in KEYS)), "")


class Transport:
    """An open connection pool over servers that serve the same. `key` is sent as bearer, and never shown. `turns` are
    the places of paced requests: at most `width` over all servers, at first `start` at each; `beside` are others."""

    def __init__(
        self, urls: Sequence[str], width: int, key: str, limits: Limits, *, beside: int = 0, start: int = START
    ) -> None:
        start = min(start, -(-width // len(urls)))
        self.endpoints = [Endpoint(url, pace=Pace(width, start)) for url in urls]
        self.turns, self._width = Turns(self._room), width
        self.limits, self._key, self._is_up = limits, key, asyncio.Event()
        self._session = aiohttp.ClientSession(
            # Room for health checks when all slots are taken. Servers close idle connections after 5 s (uvicorn):
            # ours go first, so that no request is sent into a closing one.
            connector=aiohttp.TCPConnector(limit=width + beside + len(urls) + 1, keepalive_timeout=4.0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.identify: Callable[[Endpoint], Awaitable[None]] | None = None
        """Asks a URL whether it still serves the same; raises RecipeError where it does not."""
        self._time = asyncio.get_running_loop().time
        self._answered_at = self._time()
        for endpoint in self.endpoints:
            endpoint.changed = self._changed
        watchdogs = [Watchdog(endpoint, self._session, limits.pulse, limits.stall) for endpoint in self.endpoints]
        self._watches = [asyncio.create_task(work()) for one in watchdogs for work in (one.run, one.keep_pace)]

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._session.close()

    def _room(self) -> int:
        return min(self._width, sum(endpoint.pace.room for endpoint in self.endpoints if endpoint.is_up))

    def _changed(self) -> None:
        self._is_up.set()
        self.turns.wake()

    def presentable(self, text: str) -> str:
        return wire.presentable(text, (self._key, *(endpoint.name for endpoint in self.endpoints)))

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float,
        read: Read[T], at: Endpoint | None = None, *, paced: bool = False,
    ) -> T:  # fmt: skip
        """What `read` makes of the reply's JSON, however many attempts it takes; each may last `seconds`. With `at`,
        that very URL is asked, and waited for only while it loads. `paced`: within one of `turns`, which others have
        while this one waits to ask again. Raises Refused, RecipeError, Unavailable."""
        data = None if body is None else wire.encode(body)
        attempts, since, endpoint = 0, 0.0, at
        while True:
            endpoint = at or await self._pick(endpoint)
            began = self._time()
            endpoint.pace.in_flight += paced
            try:
                value = await self._attempt(endpoint, method, path, data, seconds, read, paced=paced)
                if at is None and endpoint.is_doubted:
                    await self._recognise(endpoint)
                return value
            except Failed as failure:
                attempts, since = attempts + 1, since or self._time()
                endpoint.failed(failure, began)
                if at and failure.status not in (BUSY, LOADING):
                    is_over = attempts >= OPENING_TRIES
                else:
                    silence = self._time() - max(since, self._answered_at, endpoint.returned)
                    is_over = attempts > self.limits.retries and silence > self.limits.patience and not self._is_mended
                if is_over:
                    raise self._unavailable(endpoint.name, f"{failure.reason}, {attempts} attempts", failure) from None
                wait = self._delay(failure, attempts, at)
            finally:
                endpoint.pace.in_flight -= paced
            async with self.turns.lent() if paced and wait else contextlib.nullcontext():
                await asyncio.sleep(wait)

    async def _recognise(self, endpoint: Endpoint) -> None:
        """Lets an answer count only if what gives it is what it was before it was gone. Raises RecipeError if it is
        not, Failed if it is gone again."""
        async with endpoint.checking:
            if endpoint.is_doubted and self.identify:
                try:
                    await self.identify(endpoint)
                except Unavailable as error:
                    raise Failed(str(error)) from None
            endpoint.is_doubted = False

    async def _pick(self, avoid: Endpoint | None) -> Endpoint:
        """The least loaded URL that is up, `avoid` only if it is the only one. Raises Unavailable."""
        while not (up := [endpoint for endpoint in self.endpoints if endpoint.is_up]):
            if all(endpoint.lost for endpoint in self.endpoints):
                raise Unavailable(f"{self.endpoints[0].lost}; the same command goes on where it stopped")
            self._is_up.clear()
            try:
                await asyncio.wait_for(self._is_up.wait(), self.limits.patience)
            except TimeoutError:
                if self._is_mended:
                    continue
                names, last = ", ".join(endpoint.name for endpoint in self.endpoints), self.endpoints[0].trouble
                raise self._unavailable(names, f"no answer, at last {last.reason}", last) from None
        return min(up, key=lambda one: (one is avoid, len(one.waiting) / one.pace.limit, random.random()))

    @property
    def _is_mended(self) -> bool:
        """Whether some server is being started again: then patience does not run out."""
        return any(endpoint.is_mended for endpoint in self.endpoints)

    async def _attempt(
        self, endpoint: Endpoint, method: str, path: str, data: bytes | None, seconds: float, read: Read[T], *,
        paced: bool = False,
    ) -> T:  # fmt: skip
        """Cancelling it closes the connection, which makes the server stop generating."""
        began = self._time()
        try:
            async with asyncio.timeout(seconds) as deadline:
                endpoint.waiting[deadline] = Wait(began, began + STRETCH * seconds)
                try:
                    url = endpoint.url + path
                    async with self._session.request(method, url, data=data, allow_redirects=False) as response:
                        raw = await _body(response)
                finally:
                    del endpoint.waiting[deadline]
        except TimeoutError:
            raise Failed(f"no answer within {self._time() - began:.3g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failed(f"no connection ({type(error).__name__})", is_gone=True) from None
        status = response.status
        if status == 200:
            try:
                value = read(wire.decode(raw))
            except wire.Unreadable as error:
                said = self.presentable(wire.complaint(raw))[:200]
                raise Failed(f"answered with {error}" + (f" ({said})" if said else ""), status) from None
            self._answered(endpoint)
            if paced:
                endpoint.pace.answered(self._time(), began, len(raw))
            return value
        said = wire.complaint(raw)
        # llama.cpp has said "too long" with 500, too.
        if (status in AGAIN or status >= 500) and not wire.overflow(said):
            raise Failed(f"answered {status}", status, wire.seconds(response.headers.get("Retry-After")))
        self._answered(endpoint)
        if advice := STOP.get(status, NO_API if status < 400 else ""):
            sent = f"to {'the' if self._key else 'a request without a'} key" if status in (401, 403) else ""
            told = sent or f"({self.presentable(said)})"
            raise RecipeError(f"{endpoint.name}{path}: answered {status} {told}; {advice}")
        raise Refused(status, said)

    def _answered(self, endpoint: Endpoint) -> None:
        self._answered_at, endpoint.failures = self._time(), 0
        self._is_up.set()

    def _delay(self, failure: Failed, attempts: int, at: Endpoint | None) -> float:
        if at is None and attempts < sum(endpoint.is_up for endpoint in self.endpoints):
            return 0.0  # there is another server, not yet asked
        if failure.wait is not None:  # a little later than asked, and not all at the same moment
            return min(failure.wait, self.limits.patience) * random.uniform(1, 1.1) + random.uniform(0, 0.05)
        most = min(self.limits.max_backoff, self.limits.patience)
        return min(most, self.limits.backoff * 2.0 ** min(attempts - 1, 16)) * random.uniform(0.5, 1)

    def _unavailable(self, where: str, what: str, failure: Failed) -> Unavailable:
        advice = "lower --width if it is overloaded" if failure.status else "start it or correct --server"
        return Unavailable(
            f"{where}: {what} (patience: {self.limits.patience:g} s); expected an OpenAI-compatible server; {advice}, "
            "then give the same command again: it goes on where it stopped"
        )


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body of a reply. Raises Failed where it has no end."""
    chunks, size = list[bytes](), 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BYTES:
            raise Failed(f"answered with more than {MOST_BYTES >> 20} MiB", response.status)
    return b"".join(chunks)
