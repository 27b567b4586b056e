"""Seeds as they become known: of a corpus that is still being read, or of the stage before, whose gate is still
judging. A conversation begins as soon as its seed is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from gen.core import Sample
from gen.seeds.spool import Row, Spool


class Supply(Row):
    """Samples in the order in which they were added, in a temporary file. One thread adds, any thread reads."""

    def __init__(self, samples: Iterable[Sample] = (), *, closed: bool = False) -> None:
        self._spool = samples if isinstance(samples, Spool) else Spool()
        self._watchers: list[Callable[[], object]] = []
        self._head: Sequence[Sample] = ()
        self.closed = closed
        """No more will come."""
        self.error: BaseException | None = None
        """Why no more will come, where that was not the end: whoever uses the samples raises it."""
        if self._spool is not samples:
            for sample in samples:
                self._spool.add(sample)

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Supply:
        """The samples as a supply that is complete, or as they are where they are one."""
        return samples if isinstance(samples, Supply) else cls(samples, closed=True)

    def lead(self, head: Sequence[Sample]) -> None:
        """Put these before all others; before anybody reads."""
        self._head = head

    def __len__(self) -> int:
        return len(self._head) + len(self._spool)

    def at(self, place: int) -> Sample:
        return self._head[place] if place < len(self._head) else self._spool[place - len(self._head)]

    def watch(self, moved: Callable[[], object]) -> None:
        """`moved` is called, in the thread that adds, whenever there is more or it has ended."""
        self._watchers.append(moved)

    def add(self, sample: Sample) -> None:
        self._spool.add(sample)
        self._tell()

    def close(self) -> None:
        self.closed = True
        self._tell()

    def fail(self, error: BaseException) -> None:
        """End it: `error` is raised where the samples are used."""
        self.error = error
        self.close()

    def _tell(self) -> None:
        for moved in self._watchers:
            moved()


class Beginning(Row):
    """The first samples of a sequence that grows meanwhile; none is read before it is asked for."""

    def __init__(self, samples: Sequence[Sample], count: int) -> None:
        self._samples, self._count = samples, count

    def __len__(self) -> int:
        return self._count

    def at(self, place: int) -> Sample:
        return self._samples[place]
