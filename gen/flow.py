"""The stages of a run, side by side: what the gate of one keeps begins a conversation of the next at once, so that the
engines have something to do from the first stage's first sample to the last stage's last."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gen.rounds import Run

FINAL = ("complete", "exhausted", "collapse", "target", "max_tokens")
"""Ends of a stage after which nothing more comes of it, however often the command is given again."""


@dataclass(slots=True)
class Flow:
    """Runs of stages by their number; those that an earlier process finished are not among them. `sources` says which
    stage's kept samples are the seeds of a stage (-1: none's)."""

    runs: dict[int, Run]
    sources: Sequence[int]
    prepare: Callable[[Run], Awaitable[None]]
    """What is done with each run before its first conversation."""

    def __post_init__(self) -> None:
        for number, run in self.runs.items():
            for after in self._after(number):
                run.admission.told.append(self.runs[after].supply.add)
            before, target = self.runs.get(self.sources[number]), run.recipe.budget.target
            if before and target and self._after(before.stage) == [number]:
                before.enough = functools.partial(_in_sight, run, target)
                run.heard.append(before.nudge)

    def _after(self, number: int) -> list[int]:
        return [n for n in self.runs if self.sources[n] == number]

    @property
    def why(self) -> str:
        """Why the run ended; empty while it goes on. Where the last stage had all that came, what ended the others."""
        last = self.runs[max(self.runs)].why
        short = [run.why for run in self.runs.values() if run.why in ("exhausted", "max_tokens")]
        return short[0] if short and last == "complete" else last

    def stop(self, why: str) -> None:
        for run in self.runs.values():
            run.stop(why)

    async def execute(self) -> str:
        """All stages to the end, a budget or `stop`. Errors are raised after everything in flight is put away."""
        ends = await asyncio.gather(*map(self._hold, self.runs.values()), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return self.why

    async def _hold(self, run: Run) -> None:
        try:
            await self.prepare(run)
            why = await run.execute()
        except BaseException:
            self.stop("interrupted")
            raise
        if why in FINAL:
            for after in self._after(run.stage):
                self.runs[after].supply.close()
        before = self.runs.get(self.sources[run.stage])
        if before and not before.why and all(self.runs[n].why for n in self._after(before.stage)):
            before.stop("enough" if why in FINAL else why)  # nobody needs what it would make
        if run.stage == max(self.runs) and why in ("target", "max_tokens"):
            self.stop("enough")


def _in_sight(run: Run, target: int) -> bool:
    """Whether as many may come of what is there: of kept samples, and of seeds that are not judged yet."""
    at = run.admission.position
    judged = len(run.seeds) if at.round > 0 else int(at.call[:8]) + 1 if at.call else 0
    return at.kept + len(run.seeds) - judged >= target
