"""What a running job shows: a live panel on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gen.rounds import Run

EVERY = 0.25
"""Seconds between two looks at the run."""
LINE_EVERY = 10.0
WINDOW = 30.0
"""Seconds over which rates are taken."""


class Progress:
    """Watches a run: call it with one, as a coroutine that is cancelled when the run ends."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._seen: deque[tuple[float, int, int]] = deque()

    async def __call__(self, run: Run) -> None:
        if self._quiet:
            return
        self._look(run)
        if not self._console.is_terminal:
            await self._lines(run)
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                await asyncio.sleep(EVERY)
                self._look(run)
                live.update(self.panel(run), refresh=True)

    async def _lines(self, run: Run) -> None:
        while True:
            await asyncio.sleep(LINE_EVERY if len(self._seen) > 1 else EVERY * 8)
            self._look(run)
            self._console.print(self.line(run), highlight=False, markup=False, soft_wrap=True)

    def line(self, run: Run) -> str:
        """One plain line: round, conversations, rate, kept, dropped, time left, who is waited for."""
        parts = (self._state(run), self._kept(run), self._end(run), self._waiting(run))
        return " | ".join(filter(None, parts))

    def panel(self, run: Run) -> Table:
        """The same as a picture."""
        total = max(1, run.done + run.order.active + self._left(run))
        panel = Table.grid()
        panel.add_row(ProgressBar(total=total, completed=run.done, width=60))
        for text in (self._state(run), self._kept(run), self._end(run)):
            panel.add_row(text)
        panel.add_row(Text(self._waiting(run), style="dim"))
        return panel

    def _state(self, run: Run) -> str:
        first = run.order.frontier()
        (then, tokens, _), (now, tokens_now, _) = self._seen[0], self._seen[-1]
        return (
            f"round {first.round if first else run.recipe.rounds} of {run.recipe.rounds}: {run.done:,} conversations "
            f"done, {run.order.active:,} in flight, {self._left(run):,} left, "
            f"{(tokens_now - tokens) / max(now - then, 1e-6):,.0f} tokens/s"
        )

    def _kept(self, run: Run) -> str:
        dropped = Counter(dict(run.admission.position.dropped))  # a copy: the gate works in another thread
        worst = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common(4))
        return f"{run.admission.position.kept:,} kept, {dropped.total():,} dropped" + (f": {worst}" if worst else "")

    def _end(self, run: Run) -> str:
        if run.why == "interrupted":
            return "stopping: waiting for replies in flight (Ctrl-C again: stop at once)"
        (then, _, done), (now, _, done_now) = self._seen[0], self._seen[-1]
        if done_now == done:
            return "time left unknown"
        return f"about {_time((self._left(run) + run.order.active) * (now - then) / (done_now - done))} left"

    def _waiting(self, run: Run) -> str:
        """Which straggler the gate waits for, when it is far behind."""
        first = run.order.frontier()
        if first is None or run.done - run.judged < len(run.seeds) + 2 * run.order.active:
            return ""
        return f"gate waits for round {first.round}, conversation {first.call}"

    def _left(self, run: Run) -> int:
        """Conversations still to begin, as far as they can be foreseen: every lineage goes on to the end."""
        expected = len(run.seeds) * (run.recipe.rounds + 1)
        return max(0, expected - run.done - run.order.active)

    def _look(self, run: Run) -> None:
        now = time.monotonic()
        self._seen.append((now, run.talk.tokens, run.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def when_slow(console: Console, text: str, after: float = 2.0) -> Iterator[None]:
    """Prints a line if the block is not done after so many seconds."""
    timer = threading.Timer(after, lambda: console.print(text, markup=False))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
