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

from gen.flow import Flow
from gen.rounds import Run

EVERY = 0.25
"""Seconds between two looks at the run."""
LINE_EVERY = 10.0
WINDOW = 30.0
"""Seconds over which rates are taken."""


class Progress:
    """Watches the stages of a run: call it with them, as a coroutine that is cancelled when the run ends."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._seen: dict[int, deque[tuple[float, int, int]]] = {}
        self._several = False

    async def __call__(self, flow: Flow) -> None:
        if self._quiet:
            return
        self._look(flow)
        if not self._console.is_terminal:
            await self._lines(flow)
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                await asyncio.sleep(EVERY)
                self._look(flow)
                live.update(self.panel(flow), refresh=True)

    async def _lines(self, flow: Flow) -> None:
        looked = 0
        while True:
            await asyncio.sleep(LINE_EVERY if looked else EVERY * 8)
            looked += 1
            self._look(flow)
            for run in _busy(flow):
                self._console.print(self.line(run), highlight=False, markup=False, soft_wrap=True)

    def line(self, run: Run) -> str:
        """One plain line: round, conversations, rate, kept, dropped, time left, who is waited for."""
        parts = (self._state(run), self._kept(run), self._end(run), self._waiting(run))
        return " | ".join(filter(None, parts))

    def panel(self, flow: Flow) -> Table:
        """The same as a picture, for each stage that is at work."""
        panel = Table.grid()
        for run in _busy(flow):
            total = max(1, run.done + run.order.active + (self._left(run) or 0))
            panel.add_row(ProgressBar(total=total, completed=run.done, width=60))
            for text in (self._state(run), self._kept(run), self._end(run)):
                panel.add_row(text)
            panel.add_row(Text(self._waiting(run), style="dim"))
        return panel

    def _state(self, run: Run) -> str:
        first = run.order.frontier()
        (then, tokens, _), (now, tokens_now, _) = self._ends(run)
        rounds, left = run.recipe.rounds, self._left(run)
        if run.draws:
            where = f"batch {first.round if first else run.round}"
        else:
            where = f"round {first.round if first else rounds} of {rounds}" if rounds else ""
        name = run.recipe.loop.replace("_", "-") if self._several or not where else ""
        title = ", ".join(filter(None, (name, where, "" if run.draws or left is not None else "more to come")))
        return (
            f"{title}: {run.done:,} conversations done, {run.order.active:,} in flight, "
            f"{'' if left is None else f'{left:,} left, '}{(tokens_now - tokens) / max(now - then, 1e-6):,.0f} tokens/s"
            f"{_asked(run)}"
        )

    def _kept(self, run: Run) -> str:
        dropped = Counter(dict(run.admission.position.dropped))  # a copy: the gate works in another thread
        worst = ", ".join(f"{count:,} {reason}" for reason, count in dropped.most_common(4))
        target = f" of {run.recipe.budget.target:,}" if run.recipe.budget.target else ""
        kept = f"{run.admission.position.kept:,}{target} kept, {dropped.total():,} dropped"
        return kept + (f": {worst}" if worst else "")

    def _end(self, run: Run) -> str:
        if run.why == "interrupted":
            return "stopping: waiting for replies in flight (Ctrl-C again: stop at once)"
        ((then, _, done), (now, _, done_now)), left = self._ends(run), self._left(run)
        if done_now == done or left is None:
            return "time left unknown"
        return f"about {_time((left + run.order.active) * (now - then) / (done_now - done))} left"

    def _waiting(self, run: Run) -> str:
        """Which straggler the gate waits for, when it is far behind."""
        first = run.order.frontier()
        if first is None or not first.call or run.done - run.judged < len(run.seeds) + 2 * run.order.active:
            return ""
        return f"gate waits for round {first.round}, conversation {first.call}"

    def _left(self, run: Run) -> int | None:
        """Conversations still to begin, where that can be foreseen: every lineage goes on to the end."""
        if run.draws or not run.supply.closed:
            return None
        expected = len(run.seeds) * (run.recipe.rounds + 1)
        return max(0, expected - run.done - run.order.active)

    def _ends(self, run: Run) -> tuple[tuple[float, int, int], tuple[float, int, int]]:
        """The first and the last look at a run, within the window."""
        if run.stage not in self._seen:
            self._note(run)
        return self._seen[run.stage][0], self._seen[run.stage][-1]

    def _look(self, flow: Flow) -> None:
        self._several = len(flow.sources) > 1
        for run in flow.runs.values():
            self._note(run)

    def _note(self, run: Run) -> None:
        now, seen = time.monotonic(), self._seen.setdefault(run.stage, deque())
        seen.append((now, run.talk.tokens, run.done))
        while len(seen) > 2 and now - seen[0][0] > WINDOW:
            seen.popleft()


def _asked(run: Run) -> str:
    """How many requests the servers are given now, and how many they keep up with."""
    found = {id(turns): turns for e in run.engines.values() if (turns := getattr(e, "turns", None))}
    return "".join(f", asking {turns.taken:,} of {turns.size:,} at once" for turns in found.values())


def _busy(flow: Flow) -> list[Run]:
    """The stages that have begun and not ended; at the very beginning and end, the last."""
    found = [run for run in flow.runs.values() if not run.why and (run.done or run.order.active)]
    return found or [*flow.runs.values()][-1:]


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
