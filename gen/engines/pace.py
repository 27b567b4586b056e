"""How many requests one server is given at a time. Pure: the time is told, nothing is waited for here.

Where the server tells its queue (`queued`), the limit grows while nothing waits there and falls to what it takes plus a
little that waits. Elsewhere the answers decide: the limit doubles from the start as long as more in flight brings more
in a second, then now and then another limit is *tried* and kept only if it pays. A larger one must bring more; a
smaller one, tried where even the quickest answers have become slow, must lose nothing. What the server has no room for
(`overloaded`) halves the limit; it comes back quickly to just below where that happened, and beyond in small steps.

Only what keeps the limit full says anything of it: where there is less to ask, nothing is learnt and nothing is
changed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

START, TOLD = 64, 256
"""In flight before anything is known: as much as most servers take, a queue where it is too much; and where the server
tells its queue, so that too much is soon seen."""
FLOOR = 8
"""A queue alone, which others may fill, brings the limit no lower."""
LEAST, MANY = 16, 128
"""Answers that a rate is taken over, at least: while it doubles, and for a trial, which must see less."""
UP, DOWN = 1.5, 0.75
"""What is tried, once the first doubling has ended."""
PAYS = 0.4
"""Of what a larger limit would bring at best, so much it must bring."""
LOSES = 0.07
"""A smaller limit may lose so much of the rate: noise."""
SLOW = 3.0
"""Times the quickest answer of late: where the quickest of now takes longer, requests wait there."""
NEAR = 0.9
"""Of what the server had no room for: so near the limit comes back quickly."""
RESTS = 32
"""Rates between two trials, at most; a trial that fails doubles it."""
AGO = 16
"""Rates that "of late" means."""


@dataclass(eq=False, slots=True)
class Pace:
    """`limit` is the number of requests to keep in flight, at least 1, at most `cap`. `in_flight` is its user's to
    keep."""

    cap: int
    limit: float = START
    in_flight: int = 0
    tells: bool = False
    """The server has told its queue: answers alone change nothing."""
    _doubling: bool = True
    _trial: tuple[float, float] | None = None
    """Limit and rate before the trial that is under way."""
    _settling: bool = False
    """Answers of now were asked for under another limit."""
    _last: float = 0.0
    """The rate when the limit was as it is, or was before doubling."""
    _rest: int = 0
    _rests: int = 4
    _since: float | None = None
    _count: int = 0
    _full: int = 0
    _size: int = 0
    _quickest: float = float("inf")
    _late: deque[float] = field(default_factory=lambda: deque(maxlen=AGO))
    """The quickest answer of each rate."""
    _cut: float = float("-inf")
    """When the limit was last halved; what was asked before that says nothing more."""
    _edge: float = float("inf")
    """In flight when the server had no room."""
    _waiting: deque[int] = field(default_factory=lambda: deque(maxlen=3))

    def __post_init__(self) -> None:
        self.limit = max(1.0, min(float(self.cap), self.limit))

    @property
    def room(self) -> int:
        return int(self.limit)

    def answered(self, now: float, began: float, size: int) -> None:
        """A request asked at `began` was answered by so many bytes: of answers, their length is the work. Called while
        it still counts as in flight."""
        if self._since is None:
            self._since = began
        self._count += 1
        self._size += size
        self._full += self.in_flight >= 0.9 * self.room
        self._quickest = min(self._quickest, now - began)
        climbs = not (self._doubling or self._settling or self._edge < float("inf"))
        if self._count >= max(MANY if climbs else LEAST, self.room):
            self._judge(now)

    def overloaded(self, now: float, began: float) -> None:
        """The server had no room for a request asked at `began`, or left it without an answer."""
        if began <= self._cut:
            return
        edge, known = float(max(1, self.in_flight)), self._edge
        is_known = 0.75 * known <= edge <= 1.25 * known
        self._cut, self._doubling, self._trial, self._edge = now, False, None, edge
        self._rests = self._rest = min(RESTS, 2 * self._rests) if is_known else 4
        self._set(min(self.limit, NEAR * edge if is_known else edge / 2), now)

    def queued(self, now: float, running: int, waiting: int) -> None:
        """What the server tells: requests it works at, and those that wait. A queue counts when it stands: when it was
        there at every one of the last three times."""
        if not self.tells and self._doubling and not waiting and self.limit == START:
            self._set(TOLD, now)
        self.tells, self._trial = True, None
        self._waiting.append(waiting)
        spare = max(2, running // 8)
        standing = min(self._waiting)
        self._doubling &= not waiting
        if not waiting and self.in_flight >= 0.9 * self.room and self._edge == float("inf"):
            self._set((2 if self._doubling else UP) * self.limit, now)
        elif len(self._waiting) == 3 and standing > spare:
            self._set(min(self.limit, max(FLOOR, self.in_flight - standing + spare)), now)
            self._waiting.clear()

    def _judge(self, now: float) -> None:
        """So many answers tell a rate: of the trial under way, or of the limit as it is."""
        assert self._since is not None
        rate, full = self._size / max(1e-9, now - self._since), self._full >= 0.8 * self._count
        settling, quickest = self._settling, self._quickest
        self._begin(now)
        if not full or settling:
            return
        self._late.append(quickest)
        if self._edge < float("inf"):
            self._come_back(now)
        elif not self.tells:
            self._climb(now, rate, slow=quickest > SLOW * min(self._late))

    def _come_back(self, now: float) -> None:
        near = NEAR * self._edge
        if self.limit < near - 1:
            self._set(min(near, self.limit + max(1.0, (near - self.limit) / 2)), now)
        elif self._rest > 0:
            self._rest -= 1
        else:
            self._set(self.limit + max(1.0, self.limit / 16), now)
            if self.limit > 2 * self._edge:  # it has room again
                self._edge = float("inf")

    def _climb(self, now: float, rate: float, *, slow: bool) -> None:
        if self._doubling:
            self._doubling = rate > 1.2 * self._last
            before = self.limit / 2 if self._last else self.limit
            self._last = rate
            self._set(2 * self.limit if self._doubling else before, now, settle=not self._doubling)
            return
        if self._trial:
            before, old = self._trial
            self._trial = None
            gain = self.limit / before - 1
            if rate >= old * (1 + (PAYS * gain if gain > 0 else -LOSES)):
                self._rests = self._rest = 1
            else:
                self._rests = self._rest = min(RESTS, 2 * self._rests)
                self._set(before, now)
        elif self._rest > 0:
            self._rest -= 1
        else:
            self._trial = self.limit, rate
            self._set(self.limit * (DOWN if slow else UP), now)

    def _set(self, limit: float, now: float, *, settle: bool = True) -> None:
        self.limit = max(1.0, min(float(self.cap), limit))
        self._begin(now)
        self._settling = settle

    def _begin(self, now: float) -> None:
        self._since, self._count, self._full, self._size, self._quickest = now, 0, 0, 0, float("inf")
        self._settling = False
