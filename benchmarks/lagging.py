"""`gen`, with the lag of its event loop: `python benchmarks/lagging.py ARGS OF GEN` prints at the end how late a timer
of 10 ms fired while a run went on, at the median, at the 99th percentile and at worst."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from gen import job
from gen.cli import main

TICK = 0.01


def measured() -> list[float]:
    """Seconds late of each tick, from now on; filled by every run that begins."""
    late: list[float] = []
    hold = job._hold

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            late.append(time.perf_counter() - began - TICK)

    async def timed(*args: Any) -> str:
        ticker = asyncio.create_task(tick())
        try:
            return await hold(*args)
        finally:
            ticker.cancel()

    job._hold = timed  # type: ignore[assignment]
    return late


if __name__ == "__main__":
    found = measured()
    code = main(sys.argv[1:])
    found.sort()
    if found:
        shown = [1000 * found[min(len(found) - 1, int(share * len(found)))] for share in (0.5, 0.99, 1)]
        sys.stderr.write("lag of the loop, ms: median {:.1f}, 99 % {:.0f}, worst {:.0f}\n".format(*shown))
    sys.exit(code)
