"""Seeds as they become known: of a corpus that is still being read, or of the stage before, whose gate is still
judging. A conversation begins as soon as its seed is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import overload

from gen.core import Sample
from gen.seeds.spool import Spool


class Supply(Sequence[Sample]):
    """Samples in the order in which they were added, in a temporary file. One thread adds, any thread reads."""

    def __init__(self, samples: Iterable[Sample] = (), *, closed: bool = False) -> None:
        self._spool = samples if isinstance(samples, Spool) else Spool()
        self._watchers: list[Callable[[], None]] = []
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

    def __len__(self) -> int:
        return len(self._spool)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> list[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | list[Sample]:
        return self._spool[place]

    def watch(self, moved: Callable[[], None]) -> None:
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
