import threading

import pytest

from gen.core import Lineage, Sample
from gen.seeds.supply import Supply


def sample(n):
    return Sample(f"{n:016x}", f"task {n}", Lineage(f"{n:016x}"))


def test_what_is_added_can_be_read_and_is_told_to_whoever_watches():
    supply, told = Supply(), []
    supply.watch(lambda: told.append((len(supply), supply.closed)))
    for n in range(3):
        supply.add(sample(n))
    supply.close()
    assert [s.instruction for s in supply] == ["task 0", "task 1", "task 2"]
    assert told == [(1, False), (2, False), (3, False), (3, True)]


def test_a_plain_sequence_is_a_complete_supply():
    supply = Supply.of([sample(1)])
    assert supply.closed
    assert len(supply) == 1
    assert Supply.of(supply) is supply


def test_one_thread_adds_while_another_reads():
    supply = Supply()

    def fill():
        for n in range(500):
            supply.add(sample(n))
        supply.close()

    thread = threading.Thread(target=fill)
    thread.start()
    seen = 0
    while not (supply.closed and seen == len(supply)):
        if seen < len(supply):
            assert supply[seen].instruction == f"task {seen}"
            seen += 1
    thread.join()
    assert seen == 500


def test_a_failure_ends_it_and_is_kept():
    supply, error = Supply(), ValueError("no more")
    supply.fail(error)
    assert supply.closed
    assert supply.error is error
    with pytest.raises(IndexError):
        supply[0]
