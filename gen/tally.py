"""How many candidates came to which end, counted as they are stored: the funnel of a million is read as fast as that of
ten. Of each stage, gate run, round and operation; what holds for every gate run stands under the number 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, TypeAlias

FAILED, SOUND, DROPPED, KEPT = range(4)
"""Given up by the loop; not given up, so that a gate judges it; what the gate said of it."""
Key: TypeAlias = tuple[int, int, int, str, int, str, str]
"""stage, gate run, round, operation, ending, by, reason"""
ADD = "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
TALLY = """SELECT round, operation, ending, "by", reason, count FROM tally
WHERE stage = ? AND gate_run = ? AND count > 0"""
COUNTED = """SELECT keep, "by", reason FROM verdict WHERE sample = ? AND gate_run = ? ORDER BY keep, n LIMIT 1"""
"""The verdict that counts: the first one to drop the sample, else the first that keeps it."""


@dataclass(frozen=True, slots=True)
class FunnelRow:
    round: int
    operation: str
    by: str
    reason: str
    count: int
    keep: bool
    stage: int = 0


def add(db: Connection, counts: Counter[Key]) -> None:
    db.executemany(ADD, [(*key, count) for key, count in counts.items() if count])


def judged(
    db: Connection, sample: int, at: tuple[int, int, int, str], keep: bool, by: str, reason: str
) -> Counter[Key]:
    """What one verdict more changes; `at` is stage, gate run, round and operation. To be asked before it is stored."""
    new, old = (*at, DROPPED + keep, by, reason), db.execute(COUNTED, (sample, at[1])).fetchone()
    if old is None:
        return Counter({new: 1})
    return Counter({new: 1, (*at, KEPT, old[1], old[2]): -1}) if old[0] and not keep else Counter()


def funnel(stage: int, common: Iterable[tuple[Any, ...]], own: Iterable[tuple[Any, ...]]) -> list[FunnelRow]:
    """Rows of TALLY, those of every gate run and those of one, as a funnel. What has no verdict is `pending`."""
    open_: Counter[tuple[int, str]] = Counter()
    found = []
    for round, operation, ending, by, reason, count in (*common, *own):
        if ending == SOUND:
            open_[round, operation] += count
            continue
        open_[round, operation] -= count if ending in (DROPPED, KEPT) else 0
        found.append(FunnelRow(round, operation, by, reason, count, ending == KEPT, stage))
    found += [FunnelRow(*at, "", "pending", count, False, stage) for at, count in open_.items() if count]
    return sorted(found, key=lambda row: (row.round, row.operation, not row.keep, row.by, row.reason))
