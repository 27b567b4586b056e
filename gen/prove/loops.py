"""What every loop made: before and after it mends answers, without curation and with it, and what its tasks cover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from gen.core import Sample, replace
from gen.pool import Pool
from gen.prove.inputs import Inputs
from gen.prove.made import Config, Cost, Made, cost_of, cost_of_replies, made
from gen.prove.runs import RATED
from gen.world import Task, parse

GROUP = "loops"


def roots(pool: Pool) -> dict[str, Task]:
    """The task of each seed that is one."""
    seeds = {row.seed.id: row.seed for row in pool.all_grown() if row.round == 0}
    tasks = {name: parse(seed.instruction, seed.input) for name, seed in seeds.items()}
    return {name: task for name, task in tasks.items() if task is not None}


def judged(samples: Iterable[Sample], known: dict[str, Task]) -> list[Made]:
    return [made(sample, known.get(sample.lineage.root)) for sample in samples]


def proposed(pool: Pool, stage: int) -> int:
    return sum(row.count for row in pool.funnel(1, stage))


def configs_of(name: str, pool: Pool, inputs: Inputs) -> list[Config]:
    """The configurations that a run stands for; the last one is the loop's own result."""
    return list(MAKERS.get(name, _plain)(name, pool, inputs))


def _config(name: str, pool: Pool, kept: Sequence[Made], cost: Cost | None = None, stage: int | None = None) -> Config:
    last = pool.newest()[1] if stage is None else stage
    return Config(GROUP, name, proposed(pool, last), (kept,), cost_of(pool) if cost is None else cost)


def _kept(pool: Pool, stage: int | None = None) -> list[Made]:
    run, last = pool.newest(stage)
    return judged(pool.kept(run, last), roots(pool))


def _plain(name: str, pool: Pool, inputs: Inputs) -> Iterator[Config]:
    yield _config(name, pool, _kept(pool))


def _mended(before: str, after: str) -> Callable[[str, Pool, Inputs], Iterator[Config]]:
    """Of the same samples: their first answers, and their last. A first answer costs what was asked for it alone."""

    def configs(name: str, pool: Pool, inputs: Inputs) -> Iterator[Config]:
        last = _kept(pool)
        known = roots(pool)
        first = judged((replace(m.sample, response=_first(m.sample)) for m in last), known)
        yield _config(before, pool, first, _draft_cost(pool))
        yield _config(after, pool, last)

    return configs


def _first(sample: Sample) -> str:
    """The first answer of a conversation that mended it."""
    told: Any = sample.meta.get("refine", sample.meta.get("selfee", {}))
    versions = told.get("trace", told.get("outputs", []))
    return str(versions[0].get("answer", versions[0].get("text", ""))) if versions else sample.response or ""


def _draft_cost(pool: Pool) -> Cost:
    """Of the first questions of conversations that began without an answer."""
    return cost_of_replies(pool, [row.asked[0] for row in pool.all_grown() if row.asked and row.seed.response is None])


def _curated(name: str, pool: Pool, inputs: Inputs) -> Iterator[Config]:
    known = roots(pool)
    drafts = judged((row.seed for row in pool.all_grown()), known)
    yield Config(GROUP, "drafts, uncurated", len(drafts), (drafts,))
    yield _config("curated drafts", pool, _kept(pool))


def _backtranslated(name: str, pool: Pool, inputs: Inputs) -> Iterator[Config]:
    yield _config("backtranslate", pool, _kept(pool, 0), cost_of(pool, stages=[0]), 0)
    yield _config(f"backtranslate, rated {RATED}", pool, _kept(pool))


def _rewritten(name: str, pool: Pool, inputs: Inputs) -> Iterator[Config]:
    """The rewrites of round 1 alone, and what they cost."""
    kept = [m for m in _kept(pool) if m.sample.lineage.round == 1]
    proposed = sum(row.count for row in pool.funnel(1) if row.round == 1)
    yield Config(GROUP, name, proposed, (kept,), cost_of(pool, [1]))


def _covering(name: str, pool: Pool, inputs: Inputs) -> Iterator[Config]:
    """With what its tasks cover: of the families of the seeds, of their arguments (such as a kind or a number), of the
    rules of their clauses; and the share of instructions that no seed has."""
    kept = _kept(pool)
    asked, theirs = {t.instruction for t in inputs.seeds}, [m.task for m in kept if m.task]
    extra = {
        "coverage": _share(theirs, inputs.seeds, lambda t: [t.family]),
        "arguments": _share(theirs, inputs.seeds, lambda t: [f"{t.family} {slot} {v}" for slot, v in t.args]),
        "clauses": _share(theirs, inputs.seeds, lambda t: [c.rule for c in t.clauses]),
        "new": sum(m.sample.instruction not in asked for m in kept) / max(1, len(kept)),
    }
    yield replace(_config(name, pool, kept), extra=extra)


def _share(ours: Iterable[Task], seeds: Iterable[Task], of: Callable[[Task], Iterable[str]]) -> float:
    """The share of what the seeds have that was made as well."""
    wanted = {name for task in seeds for name in of(task)}
    return len(wanted & {name for task in ours for name in of(task)}) / max(1, len(wanted))


MAKERS: dict[str, Callable[[str, Pool, Inputs], Iterator[Config]]] = {
    "refine-drafts": _mended("drafts", "refined drafts"), "refine-answers": _mended("answers", "refined answers"),
    "selfee-drafts": _mended("drafts for SelFee", "revised drafts"),
    "selfee-answers": _mended("answers for SelFee", "revised answers"),
    "curate-drafts": _curated, "backtranslate": _backtranslated,
    "self-instruct": _covering, "alpaca": _covering,
    "code": _rewritten, "first-method": _rewritten,
}
"""Runs that stand for more than their kept samples."""
