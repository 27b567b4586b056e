"""One URL and all that is known of it: whether it is up, what waits there, who mends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from gen.engines.pace import Pace

log = logging.getLogger("gen.engines.server")
LOG_EVERY = 30.0
BUSY, LOADING = 429, 503
ABSENT = (502, LOADING, 504)
"""What a proxy says while nobody is behind it."""
FAILURES_TO_REST = 3


@dataclass(eq=False)
class Failed(Exception):
    """One attempt that came to nothing and says nothing about the request."""

    reason: str
    status: int = 0
    """0 when there was no answer at all."""
    wait: float | None = None
    """Seconds that the server asked to wait."""
    is_gone: bool = False
    """Nobody was there, or the connection broke."""

    @property
    def is_overload(self) -> bool:
        """The server has no room, or too much to do to answer in time."""
        return self.status in (BUSY, LOADING) or not (self.status or self.is_gone)


class Wait(NamedTuple):
    """A request in flight, by the clock of the event loop."""

    since: float
    latest: float
    """Its deadline is never put off beyond this."""


@dataclass(eq=False, slots=True)
class Endpoint:
    """Times are those of the event loop."""

    url: str
    failures: int = 0
    """In a row. At FAILURES_TO_REST it rests: it is not asked until its health answers."""
    trouble: Failed = field(default_factory=lambda: Failed("its health check fails"))
    waiting: dict[asyncio.Timeout, Wait] = field(default_factory=dict)
    """The deadline of each request in flight."""
    pace: Pace = field(default_factory=lambda: Pace(1))
    """How many generations it is given at a time."""
    is_mended: bool = False
    """Somebody starts it again: it is not asked until it is back, however long that takes."""
    returned: float = 0.0
    """When it was back."""
    lost: str = ""
    """Why it will not come back."""
    is_doubted: bool = False
    """It was gone: whatever answers there now may be another model."""
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    mend: Callable[[str], None] | None = None
    """Asks whoever looks after it to start it again, and says why; None: nobody does."""
    changed: Callable[[], None] = lambda: None
    """Tells those who wait for it that it is back, or lost."""
    told: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """host:port, the most of a URL that is ever shown."""
        return urlsplit(self.url).netloc

    @property
    def is_resting(self) -> bool:
        return self.failures >= FAILURES_TO_REST

    @property
    def is_up(self) -> bool:
        return not (self.is_resting or self.is_mended or self.lost)

    def failed(self, failure: Failed, began: float) -> None:
        """Of what was asked at `began` nothing came."""
        self.trouble = failure
        if failure.is_overload:
            self.pace.overloaded(asyncio.get_running_loop().time(), began)
        self.failures += failure.status != BUSY
        self.is_doubted |= failure.is_gone or failure.status in ABSENT
        self.tell("rests" if self.is_resting else "is asked again", failure.reason)

    def tell(self, what: str, why: str) -> None:
        """To the log, each kind of trouble at most once in LOG_EVERY seconds."""
        now = asyncio.get_running_loop().time()
        if now - self.told.get(what, -LOG_EVERY) >= LOG_EVERY:
            self.told[what] = now
            log.warning("%s %s: %s", self.name, what, why)

    def abandon(self, why: str) -> None:
        """Give up what waits there, so that it is asked elsewhere or again, and have the server mended."""
        self.failures = FAILURES_TO_REST
        self.tell("rests", why)
        now = asyncio.get_running_loop().time()
        for deadline in self.waiting:
            if not deadline.expired():
                deadline.reschedule(now)
        if self.mend:
            self.mend(why)

    async def drain(self) -> None:
        """Ask it nothing more, and wait for what it still has to answer."""
        self.is_mended = True
        while self.waiting:
            await asyncio.sleep(0.1)

    def back(self, url: str) -> None:
        """It was started again, perhaps elsewhere."""
        self.url, self.is_mended, self.failures = url, False, 0
        self.returned = asyncio.get_running_loop().time()
        self.changed()

    def give_up(self, why: str) -> None:
        self.lost, self.is_mended = why, False
        self.changed()
