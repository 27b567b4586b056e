"""What a run will cost, before it is begun: a few of its seeds go through the real loop on the real engine, in a
temporary pool that is gone afterwards, and what that took is counted up."""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from gen.assess import Record
from gen.core import Sample, replace
from gen.disk import DATABASE
from gen.errors import UserError
from gen.export.rows import dataset_row, line
from gen.gate import Admission, Gate
from gen.material import Material
from gen.pool import GrownRow, Pool
from gen.recipe import Recipe
from gen.roles import Say, at_work, hire
from gen.rollout import abreast
from gen.rounds import Run
from gen.sections import Budget

ENOUGH = 24
"""Seeds whose conversations are waited for, also where that takes longer than was asked for."""
PATIENCE = 8
"""So many times the seconds that were asked for they get."""
PARQUET = 0.5
"""Size of dataset.parquet beside dataset.jsonl."""


class Range(NamedTuple):
    low: float
    likely: float
    high: float

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.likely * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a role is asked, in all."""

    role: str
    calls: float
    prompt_tokens: float
    generated_tokens: float


@dataclass(slots=True)
class Probe:
    """What the trial run came to."""

    seeds: int
    opening: float = 0.0
    """Seconds until the engine was ready."""
    conversations: int = 0
    seconds: float = 0.0
    tokens_per_second: float = 0.0
    """Generated, while the engine was as busy as it will be."""
    grown: dict[bool, list[list[Asked]]] = field(default_factory=lambda: {False: [], True: []})
    """What each conversation asked: answers to seeds without one (False), evolutions (True)."""
    kept: dict[bool, list[int]] = field(default_factory=lambda: {False: [], True: []})
    """Samples that each conversation gave to the pool, of round 0 and later."""
    measured: float = 0.0
    """Measurements a conversation."""
    base: int = 0
    """Bytes of an empty pool."""
    bytes: float = 0.0
    """On disk, a conversation."""
    row_bytes: float = 0.0
    """Of the dataset, a kept sample."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of the whole run. Ranges hold what chance and later rounds can do, not another load on the machine."""

    seeds: int
    rounds: int
    conversations: float
    asked: tuple[Asked, ...]
    measured: float
    generated_tokens: Range
    prompt_tokens: float
    seconds: Range
    bytes: Range
    kept: float
    probe: dict[str, float]
    assumed: tuple[str, ...]


def estimate(recipe: Recipe, material: Material, say: Say, *, seconds: float = 15.0) -> Estimate:
    """Try a run for about so many seconds and count up. Raises what a run would raise at its beginning, and UserError
    where the engine is too slow for that."""
    if len(recipe.stages) > 1 or hasattr(recipe.params, "draw") or hasattr(recipe.params, "split"):
        raise UserError(
            f"{recipe.loop}: only a loop of one stage whose conversations each begin with a seed of yours can be "
            "estimated, such as evolve or refine; a short run tells: --target 20"
        )
    with tempfile.TemporaryDirectory(prefix="gen-estimate-") as folder:
        probe = asyncio.run(_try(recipe, material.seeds.samples, Path(folder), say, seconds))
    return total(probe, recipe, material.seeds.samples)


async def _try(recipe: Recipe, seeds: Sequence[Sample], folder: Path, say: Say, seconds: float) -> Probe:
    """As many seeds as a run holds at once keep the engine busy for its rate. A few of them, chosen beforehand, go on
    to their end: what had ended in time would be what is short."""
    trial, began = replace(recipe, rounds=min(1, recipe.rounds), budget=Budget()), time.monotonic()
    async with at_work(hire(recipe, Gate(recipe.gate)), recipe, None, say) as staff:
        opening = time.monotonic() - began
        number = min(len(seeds), abreast(staff.engines.values()))
        some = [seeds[i] for i in random.Random(recipe.seed).sample(range(len(seeds)), number)]
        probe = Probe(number, opening)
        with Pool.open(folder) as pool:
            probe.base = _size(folder)

            def run_of(number: int, gate_run: int) -> Run:
                gate = Gate(recipe.filters(staff.left_out))
                admission = Admission(gate, gate_run, trial.budget, Record(gate, pool, staff.fingerprints))
                return Run(trial, some[:number], pool, staff.engines, admission, embedder=staff.embedder)

            run = run_of(number, 1)
            await _timed(run, probe, seconds)
            few = number if run.why == "complete" else min(number, ENOUGH)
            last = run_of(few, 2)
            asyncio.get_running_loop().call_later(PATIENCE * seconds, last.stop, "max_time")
            if await last.execute() != "complete":
                raise UserError(
                    f"{few} seeds did not come through one round in {PATIENCE * seconds:.0f} s, so nothing can be said "
                    "of the rest; give the trial more time: --seconds N"
                )
            _count(probe, last, pool)
            stored = max(1, sum(1 for _ in pool.all_grown()))
        probe.bytes = (_size(folder) - probe.base) / stored
        replies = run.talk.replies + last.talk.replies
        probe.measured = (replies["scored"] + replies["embedded"]) / stored
    return probe


async def _timed(run: Run, probe: Probe, seconds: float) -> None:
    """Runs for so long, and takes the rate. When the engine gets idle, its load falls about evenly to nothing: that
    time counts half."""

    async def clock() -> None:
        most = 0
        while True:
            await asyncio.sleep(0.02)
            most = max(most, run.order.active)
            if 2 * run.order.active >= most and not run.why:
                busy[0] = time.monotonic()
            if time.monotonic() - began > seconds:
                run.stop("max_time")

    began = time.monotonic()
    busy, ticking = [began], asyncio.create_task(clock())
    try:
        await run.execute()
    finally:
        ticking.cancel()
    probe.seconds = (ended := time.monotonic()) - began
    probe.tokens_per_second = run.talk.tokens / max(0.01, busy[0] - began + (ended - busy[0]) / 2)


def _count(probe: Probe, run: Run, pool: Pool) -> None:
    """What the conversations that went to their end tell."""
    kept = list(pool.kept(run.admission.run))
    probe.row_bytes = fmean([len(line(dataset_row(s)).encode()) for s in kept]) if kept else 0.0
    ids = {sample.id for sample in kept}
    for row in pool.all_grown():
        if int(row.call[:8]) < len(run.seeds):
            probe.conversations += 1
            probe.kept[row.round > 0].append(sum(c.sample.id in ids for c in row.candidates))
            if row.asked:
                probe.grown[row.round > 0].append(_asked(row, pool))


def _asked(row: GrownRow, pool: Pool) -> list[Asked]:
    return [Asked(q.role, 1, r.prompt_tokens, r.completion_tokens) for q, r in pool.asked(row.asked)]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob(f"{DATABASE}*"))


def total(probe: Probe, recipe: Recipe, seeds: Sequence[Sample]) -> Estimate:
    """The trial counted up to all seeds and rounds, within the budgets."""
    unanswered, evolutions = sum(s.response is None for s in seeds), len(seeds) * recipe.rounds
    times = {False: unanswered, True: evolutions}
    asked = _added(Asked(a.role, *(n * times[later] / len(probe.grown[later]) for n in _figures(a)))
                   for later in times for one in probe.grown[later] for a in one)  # fmt: skip
    generated = sum(a.generated_tokens for a in asked)
    spread = math.sqrt(sum((times[later] * _error(probe.grown[later])) ** 2 for later in times))
    growth = 1 + 0.1 * max(0, recipe.rounds - 1)
    tokens = Range(max(0.0, generated - 2 * spread), generated, (generated + 2 * spread) * growth)
    rate = max(probe.tokens_per_second, 1e-9)
    kept = sum(n * fmean(probe.kept[later] or [0]) for later, n in ((False, len(seeds)), (True, evolutions)))
    conversations = len(seeds) + evolutions
    lasts = Range(tokens.low / rate / 1.2, tokens.likely / rate, tokens.high / rate * 1.3)
    size = probe.base + conversations * probe.bytes + kept * probe.row_bytes * (1 + PARQUET)
    found = Estimate(
        len(seeds), recipe.rounds, conversations, asked, conversations * probe.measured, tokens,
        sum(a.prompt_tokens for a in asked), Range(*(probe.opening + seconds for seconds in lasts)),
        Range(size * 0.8, size, size * 1.3 * growth), kept, _told(probe), _assumed(recipe),
    )  # fmt: skip
    return _bounded(found, recipe.budget)


def _figures(a: Asked) -> tuple[float, float, float]:
    return a.calls, a.prompt_tokens, a.generated_tokens


def _added(rows: Iterable[Asked]) -> tuple[Asked, ...]:
    """By role, in the order of first sight."""
    sums: dict[str, tuple[float, float, float]] = {}
    for row in rows:
        old = sums.get(row.role, (0.0, 0.0, 0.0))
        sums[row.role] = (old[0] + row.calls, old[1] + row.prompt_tokens, old[2] + row.generated_tokens)
    return tuple(Asked(role, *figures) for role, figures in sums.items())


def _error(conversations: Sequence[Sequence[Asked]]) -> float:
    """Standard error of the mean of tokens that a conversation generates."""
    tokens = [sum(a.generated_tokens for a in one) for one in conversations]
    return stdev(tokens) / math.sqrt(len(tokens)) if len(tokens) > 1 else float(sum(tokens))


def _told(probe: Probe) -> dict[str, float]:
    return {"seeds": probe.seeds, "conversations": probe.conversations, "seconds": round(probe.seconds, 1),
            "tokens_per_second": round(probe.tokens_per_second, 1)}  # fmt: skip


def _assumed(recipe: Recipe) -> tuple[str, ...]:
    lines = ["every lineage goes on to the last round", "the engine stays as fast as in the trial"]
    if recipe.rounds > 1:
        lines.append("later rounds are like the first; the upper end adds 10 % a round, as tasks grow")
    lines.append("no reply is in a journal yet: a run that goes on costs less")
    return tuple(lines)


def _bounded(found: Estimate, budget: Budget) -> Estimate:
    """With the budgets, which end a run before its last round."""
    bounds: dict[str, float] = {}
    if budget.max_tokens and found.generated_tokens.likely:
        bounds["--max-tokens"] = budget.max_tokens / found.generated_tokens.likely
    if budget.target and found.kept:
        bounds["--target"] = budget.target / found.kept
    if budget.max_time and found.seconds.likely:
        bounds["--max-time"] = budget.max_time * 60 / found.seconds.likely
    name = min(bounds, key=bounds.__getitem__, default="")
    if not name or (share := bounds[name]) >= 1:
        return found
    smaller: dict[str, Any] = {
        "asked": tuple(Asked(a.role, *(n * share for n in _figures(a))) for a in found.asked),
        "assumed": (f"{name} ends the run after {share:.0%} of it", *found.assumed),
    }
    smaller |= {n: getattr(found, n) * share for n in ("conversations", "measured", "prompt_tokens", "kept")}
    smaller |= {n: getattr(found, n).times(share) for n in ("generated_tokens", "seconds", "bytes")}
    return replace(found, **smaller)
