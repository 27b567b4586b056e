"""Threads in which torch uses one thread each: threads that share a pass wait for one another at every operation, which
for small models gains little, and costs a factor of ten where the cores are busy with something else."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

MOST = 16


def cores() -> int:
    """That this process may use, at most MOST."""
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def single_threaded(count: int, name: str) -> ThreadPoolExecutor:
    """What is set of torch's threads holds in the thread that sets it and in threads to come; for these it is put back:
    a model beside us may want all cores."""
    import torch

    before, started = torch.get_num_threads(), Barrier(count)

    def start(_: int) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread takes the default once, when it first asks
        started.wait()

    workers = ThreadPoolExecutor(count, name)
    list(workers.map(start, range(count)))
    torch.set_num_threads(before)
    return workers
