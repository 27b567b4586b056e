"""What is held in memory does not grow with what is stored: rows are streamed, and counts are read instead of rows."""

import asyncio
import itertools
import tracemalloc

import pytest

from gen.core import KEEP, Candidate, Lineage, Sample
from gen.export.write import write_dataset
from gen.gate import BATCH, Admission, Gate
from gen.pool import GrownRow, Pool
from gen.sections import Budget
from gen.watch import Watch

ANSWER = "word " * 1000
FAMILIES, ROUNDS = 100, 40


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """4,000 kept samples with 5,000 characters each, and what their heirs wait for."""
    folder = tmp_path_factory.mktemp("large")

    def row(round, n):
        root = f"{n:04}"
        sample = Sample(f"{root}.{round}", f"Task {n} {round}.", Lineage(root, round=round), response=f"{ANSWER}{n} {round}")
        call = f"{n:08d}"
        return GrownRow(0, round, call, sample, (Candidate(sample),), (sample,), 1, ()), [(round + 1, call, call, 0)]

    async def fill(pool):
        for round in range(ROUNDS):
            await asyncio.gather(*(pool.commit_grown(*row(round, n)) for n in range(FAMILIES)))
            verdicts = [(f"{n:04}.{round}", KEEP) for n in range(FAMILIES)]
            at = {"round": round, "call": f"{FAMILIES - 1:08d}", "kept": FAMILIES * (round + 1)}
            await asyncio.to_thread(pool.add_verdicts, 1, verdicts, {"gate:1": at})

    with Pool.open(folder) as pool:
        asyncio.run(fill(pool))
    return folder


def peak(work):
    """The most memory that Python held in a call, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def statements(pool, work):
    """Rows that a call reads."""
    read, rows = [], pool._rows
    pool._rows = lambda *query: read.append(found := rows(*query)) or found
    work()
    pool._rows = rows
    return sum(map(len, read))


def test_kept_samples_are_streamed(large):
    with Pool.open(large, readonly=True) as pool:
        whole = FAMILIES * ROUNDS * len(ANSWER)
        assert peak(lambda: sum(1 for _ in pool.kept(1))) < whole / 5
        assert sum(1 for _ in pool.kept(1)) == FAMILIES * ROUNDS


def test_a_dataset_is_written_row_by_row(large, tmp_path):
    with Pool.open(large, readonly=True) as pool:
        write_dataset(itertools.islice(pool.kept(1), 10), tmp_path)  # what is imported stays
        some, all_ = (peak(lambda n=n: write_dataset(itertools.islice(pool.kept(1), n), tmp_path)) for n in (1500, 4000))
        assert all_ < 1.2 * some
    assert (tmp_path / "dataset.jsonl").stat().st_size > FAMILIES * ROUNDS * len(ANSWER)


def test_a_gate_that_remembers_and_a_watch_hold_no_answers(large):
    with Pool.open(large, readonly=True) as pool:
        watch = Watch()
        admission = Admission(Gate([]), 1, Budget(), told=[watch.hear])
        admission.restore(pool)
        few = 5 * BATCH * len(ANSWER)  # those of a batch, in their several forms
        assert peak(lambda: admission.remember(pool)) < few < FAMILIES * ROUNDS * len(ANSWER) / 3
        assert sum(period.kept for period in watch.periods) == FAMILIES * ROUNDS
        assert all(row.sample.response is None and row.answer_words == 1002 for p in watch.periods for row in p.rows)


def test_funnel_and_example_read_counts_instead_of_rows(large):
    with Pool.open(large, readonly=True) as pool:
        assert statements(pool, lambda: pool.funnel(1)) <= 3 * ROUNDS
        assert statements(pool, lambda: pool.deepest(1)) <= 3 * ROUNDS + 3
        assert sum(row.count for row in pool.funnel(1)) == FAMILIES * ROUNDS
        assert pool.deepest(1).lineage.round == ROUNDS - 1


def test_where_to_go_on_is_told_by_what_is_due(large):
    from gen.gate import Position
    from gen.resume import standing

    with Pool.open(large, readonly=True) as pool:
        at = Position.stored(pool, 1)

        def ask():
            found = standing(pool, 0, at, ROUNDS + 5, draws=False, measures=True)
            assert (found.begun, len(found.turns), found.held, found.done) == (FAMILIES, FAMILIES, [], FAMILIES * ROUNDS)

        assert statements(pool, ask) <= FAMILIES + 5
