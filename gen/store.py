"""The writing side of a database: one thread, group commits.

Knows queues and transactions; what the tables mean is `gen.pool`'s business. A write is a function of the
`Writer`; all writes that wait when the thread comes round share one transaction and one fsync. Whoever waits
for a write either sees it committed or gets a PoolError: nothing hangs, nothing is swallowed.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gen import texts
from gen.disk import connect, explain
from gen.errors import PoolError

GROUP = 512
"""Writes that share one transaction at most: bounds how long the first of them waits."""
REMEMBERED = 50_000
"""Hashes of texts known to be stored: spares zipping a repeated prompt again."""


class Writer:
    """What a write is given: the connection inside a transaction, and the table of texts."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.run = db.execute
        self._known: set[bytes] = set()
        self._fresh: set[bytes] = set()

    def put(self, text: str) -> str:
        """The mark of a text; a long one is stored first, unless its content is there already."""
        if len(text) <= texts.IN_PLACE:
            return f"={text}" if text else ""
        data = text.encode()
        at = texts.address(data)
        if at not in self._known and at not in self._fresh:
            self.run("INSERT OR IGNORE INTO text VALUES (?, ?)", (at, texts.squeeze(text, data)))
            self._fresh.add(at)
        return "#" + at.hex()

    def settled(self, committed: bool) -> None:
        """Hashes count as known only once they are on disk: a rolled back text must be put again."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        if committed:
            self._known |= self._fresh
        self._fresh.clear()


Write: TypeAlias = Callable[[Writer], None]


@dataclass(slots=True)
class _Job:
    write: Write
    waiting: asyncio.Future[None] | Future[None] | None


class Store:
    """The writing side of a database that `prepare` made or checked. One per process and folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._door = threading.Lock()  # no write may enter the queue behind the closing None
        self._closed = False
        self._loose = False
        self._broken: str = ""
        self._told = False
        self._db = connect(path)
        self._writer = Writer(self._db)
        self._thread = threading.Thread(target=self._work, name="pool-writer", daemon=True)
        self._thread.start()

    def post(self, write: Write, waiting: asyncio.Future[None] | Future[None] | None = None) -> None:
        """Queue a write. Without a waiting future its failure surfaces at the next call of any kind."""
        with self._door:
            self.check()
            self._loose = self._loose or waiting is None
            self._jobs.put(_Job(write, waiting))

    def wait(self, write: Write) -> None:
        """Queue a write and return once it is committed."""
        done: Future[None] = Future()
        self.post(write, done)
        done.result()

    async def committed(self, write: Write) -> None:
        """Queue a write and return once it is committed; the event loop goes on meanwhile."""
        done = asyncio.get_running_loop().create_future()
        self.post(write, done)
        await done

    def settle(self) -> None:
        """Return once every write that nobody waited for is committed, so that reads see it."""
        if self._loose:
            self._loose = False
            self.wait(lambda writer: None)
        self.check()

    @property
    def backlog(self) -> int:
        return self._jobs.qsize()

    def check(self) -> None:
        if self._closed:
            raise PoolError(f"{self.path}: the pool is closed")
        if self._broken:
            self._told = True
            raise PoolError(self._broken)

    def close(self) -> None:
        """Commit what is queued and end the thread. Raises what no call has told yet."""
        with self._door:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:  # committed rows are in the WAL all the same: a failure, not a loss
            self._broken = self._broken or explain(self.path, error)
        self._db.close()
        if self._broken and not self._told:
            raise PoolError(self._broken)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch: list[_Job] = [job]
            closing = False
            while len(batch) < GROUP and not closing:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                closing = following is None
                if following is not None:
                    batch.append(following)
            self._commit(batch)
            if closing:
                return

    def _commit(self, batch: Sequence[_Job]) -> None:
        if self._broken:
            self._answer(batch, self._broken)
            return
        try:
            self._transact(batch)
        except Exception as error:  # the thread must outlive anything, or its callers would hang
            self._roll_back()
            fatal = isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError)
            if len(batch) > 1 and not fatal:
                for job in batch:  # one bad write must not take its neighbours with it
                    self._commit([job])
                return
            message = explain(self.path, error)
            if fatal or batch[0].waiting is None:
                self._broken = message
            self._answer(batch, message)
        else:
            self._answer(batch, "")

    def _transact(self, batch: Sequence[_Job]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for job in batch:
            job.write(self._writer)
        self._db.execute("COMMIT")
        self.commits += 1
        self._writer.settled(True)

    def _roll_back(self) -> None:
        self._writer.settled(False)
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = explain(self.path, error)

    def _answer(self, batch: Sequence[_Job], message: str) -> None:
        """Wake every waiting caller: one call per event loop, however many wait."""
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for job in batch:
            if isinstance(job.waiting, asyncio.Future):
                loops.setdefault(job.waiting.get_loop(), []).append(job.waiting)
            elif job.waiting is not None:
                _resolve([job.waiting], message)
        self._told = self._told or (bool(message) and any(job.waiting for job in batch))
        for loop, futures in loops.items():
            try:
                loop.call_soon_threadsafe(_resolve, futures, message)
            except RuntimeError:  # the loop is closed: nobody waits any more
                continue


def _resolve(futures: Sequence[asyncio.Future[None] | Future[None]], message: str) -> None:
    for future in futures:
        if future.done():  # cancelled while its row was being written; the row stays
            continue
        if message:
            future.set_exception(PoolError(message))
        else:
            future.set_result(None)
