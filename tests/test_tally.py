"""Counts that are kept with the rows are those of the rows; older pools get them when they are opened."""

import contextlib
import os
import sqlite3

import pytest

from gen.core import KEEP, Candidate, Lineage, Sample, Verdict
from gen.disk import Unfit
from gen.pool import GrownRow, Pool
from gen.schema import VERSION
from gen.store import Store

GROUPED = """SELECT s.round, s.operation, coalesce(s.failed_by, v."by", ''),
  coalesce(s.failed_for, v.reason, 'pending') AS reason, count(*), coalesce(v.keep, 0) AS keep
FROM sample s LEFT JOIN verdict v ON s.failed_for IS NULL AND v.n =
  (SELECT w.n FROM verdict w WHERE w.sample = s.n AND w.gate_run = ? ORDER BY w.keep, w.n LIMIT 1)
WHERE s.stage = ? GROUP BY 1, 2, 3, 4, 6 ORDER BY 1, 2, 6 DESC, 3, 4"""
"""The funnel by looking at every row."""


def told(pool, run):
    return [(r.round, r.operation, r.by, r.reason, r.count, int(r.keep)) for r in pool.funnel(run)]


def tables(pool):
    return [pool._rows(f"SELECT * FROM {name} ORDER BY 1, 2, 3, 4, 5") for name in ("tally", "due")]


def half(hold, folder, seeds):
    """A run that has ended, and one that still has rounds before it."""
    run, _ = hold(folder, seeds, rounds=2)
    with Pool.open(folder) as pool:
        ids = [s.id for s in pool.kept(1)]
        drop = Verdict(False, "late", "again")
        pool.add_verdicts(2, [(ids[0], KEEP), (ids[0], drop), (ids[1], drop), (ids[1], KEEP), (ids[2], KEEP), (ids[3], drop)])
        pool.add_verdicts(2, [(ids[2], KEEP), (ids[3], Verdict(False, "later", "again")), (ids[2], drop)])
    return run


def test_the_funnel_is_what_the_rows_say(hold, tmp_path, seeds):
    half(hold, tmp_path, seeds)
    with Pool.open(tmp_path) as pool:
        for run in (1, 2, 3):
            assert told(pool, run) == pool._rows(GROUPED, run, 0)
        assert len(told(pool, 1)) > 4
        assert {row.reason for row in pool.funnel(2) if row.by == "again"} == {"late"}
        assert pool._rows("SELECT count(*) FROM tally WHERE count < 0") == [(0,)]


def test_what_is_rolled_back_counts_nothing(tmp_path):
    import asyncio

    def row(call, *ids):
        seed = Sample("root", "Seed.", Lineage("root"))
        return GrownRow(0, 1, call, seed, tuple(Candidate(Sample(id, "x", Lineage("root"))) for id in ids), (), 1, ())

    with Pool.open(tmp_path) as pool:
        asyncio.run(pool.commit_grown(row("a", "1", "2"), [(2, "a", "a", 0)]))
        with pytest.raises(Exception, match="taken already"):
            asyncio.run(pool.commit_grown(row("b", "3", "1"), [(2, "b", "b", 0)]))
        asyncio.run(pool.commit_grown(row("a", "4")))  # there already
        assert [row.count for row in pool.funnel(1)] == [2]
        assert pool.due(0, 9) == [(2, "a", "a", 0)]
        asyncio.run(pool.commit_grown(GrownRow(0, 2, "a", Sample("1", "x", Lineage("root")), (), (), 1, ())))
        assert pool.due(0, 9) == []


def test_the_deepest_kept_sample_is_the_first_of_its_round(hold, tmp_path, seeds):
    half(hold, tmp_path, seeds)
    with Pool.open(tmp_path) as pool:
        kept = list(pool.kept(1))
        assert pool.deepest(1) == max(kept, key=lambda sample: sample.lineage.round)
        assert pool.deepest(3) is None


def downgrade(folder, version=2):
    db = sqlite3.connect(folder / "pool.db")
    db.executescript(f"DROP TABLE tally; DROP TABLE due; PRAGMA user_version={version};")
    db.close()


@pytest.mark.parametrize("readonly", [True, False])
def test_a_pool_of_version_2_is_brought_up_to_date(hold, tmp_path, seeds, readonly):
    half(hold, tmp_path, seeds)
    with Pool.open(tmp_path) as pool:
        before = [[row for row in rows if row[-1]] for rows in tables(pool)[:1]], pool.due(0, 99)
    assert len(before[1]) == len(seeds)
    downgrade(tmp_path)
    with Pool.open(tmp_path, readonly=readonly) as pool:
        assert ([tables(pool)[0]], pool.due(0, 99)) == before
        assert pool._rows("PRAGMA user_version") == [(VERSION,)]
    _, kept = hold(tmp_path, seeds, rounds=3)  # goes on from the heirs
    _, whole = hold(tmp_path / "whole", seeds, rounds=3)
    assert kept == whole


def test_a_migration_that_fails_changes_nothing(tmp_path):
    Store(tmp_path, "CREATE TABLE a (x);", 1).close()
    with pytest.raises(Exception, match="no such table: absent"):
        Store(tmp_path, "", 2, {1: "CREATE TABLE b (x); INSERT INTO absent VALUES (1);"})
    db = sqlite3.connect(tmp_path / "pool.db")
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]
    db.close()
    with contextlib.closing(Store(tmp_path, "", 3, {1: "CREATE TABLE b (x);", 2: "CREATE TABLE c (x);"})) as store:
        assert store.rows("SELECT count(*) FROM sqlite_master") == [(3,)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_older_pool_that_cannot_be_changed_says_so(tmp_path):
    Pool.open(tmp_path).close()
    downgrade(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(Unfit, match=f"pool format 2 must become {VERSION} before it is read"):
        Pool.open(tmp_path, readonly=True)
    tmp_path.chmod(0o700)


def test_a_pool_without_a_way_to_this_version_is_refused(tmp_path):
    Pool.open(tmp_path).close()
    downgrade(tmp_path, version=1)
    with pytest.raises(Unfit, match=f"pool format 1, this `gen` reads format {VERSION}"):
        Pool.open(tmp_path)
