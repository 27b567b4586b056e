"""One SQLite file in a folder of one's own on a fit disk, written by one thread of one process.

Reads go at once, from any thread. A write is a function of the connection; all writes that wait when the thread
comes round share one transaction and one fsync. Whoever waits for a write either sees it committed or gets a
PoolError: nothing hangs, nothing is swallowed. What the tables mean is `gen.pool`'s business."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gen.disk import DATABASE, Lock, Unfit, explain, make, torn
from gen.errors import PoolError

log = logging.getLogger("gen.store")
APPLICATION = 0x67656E50  # "genP", so that a foreign database is known for what it is
SETTINGS = """PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=8000;  -- pages: a group of commits touches a thousand; folding each would double the writes
PRAGMA journal_size_limit=67108864;"""
NONE: Mapping[Any, str] = {}
Row: TypeAlias = tuple[Any, ...]
Write: TypeAlias = Callable[[sqlite3.Connection], object]
Waiting: TypeAlias = asyncio.Future[None] | Future[None]


class Store:
    """An open database. Raises Locked if another process writes to it, Unfit if folder, disk or file cannot be
    one of this version, PoolError if the file is damaged. Readonly takes no lock and makes nothing; otherwise
    the schema is made in a new file. A file of an earlier version that `migrations` can bring up to date (SQL, by the
    version that it begins with) is changed first, also for a reader. What is made is private; a folder that was there
    keeps its mode. Rows of the tables in `counted` are never deleted: that some are missing after a power cut is found
    out, and said."""

    def __init__(
        self, folder: Path, schema: str, version: int, migrations: Mapping[int, str] = NONE, *,
        readonly: bool = False, counted: Mapping[str, str] = NONE,
    ) -> None:
        self.path = folder / DATABASE
        self._jobs: queue.SimpleQueue[tuple[Write, Waiting] | None] = queue.SimpleQueue()
        self._home, self._turn, self._door = threading.get_ident(), threading.Lock(), threading.Lock()
        self.is_writer, self._writing = not readonly, False
        self._broken: sqlite3.Error | None = None
        self._count = _counting(counted)
        self.lost = ""
        """What was committed once and is not there any more, with what to do; mostly nothing."""
        with contextlib.ExitStack() as opened:
            try:
                if not readonly:
                    make(folder)
                    self._lock = Lock(folder)
                    opened.callback(self._lock.close)
                    self._db = _connect(self.path, "rw", opened)  # closed after the reader: the last folds the log in
                    broken = self._find_empty()
                    _make(self._db, version, schema)
                    _migrate(self.path, self._db, version, migrations)
                    _check(self.path, self._db, version)
                    self._find_lost(list(counted.values()), broken)
                elif not self.path.exists():
                    raise Unfit(f"{folder}: no {DATABASE} there; name the folder of a run")
                elif (has := _version(self.path)) in migrations:
                    _upgrade(folder, has, schema, version, migrations)
                self._reader, self._aside = (_connect(self.path, "ro", opened) for _ in range(2))
                _check(self.path, self._reader, version)
            except sqlite3.Error as error:
                raise explain(self.path, error) from error
            except OSError as error:
                raise Unfit(f"{folder}: cannot be a run folder ({error.strerror}); choose another") from error
            if not readonly:
                self._writing = True
                self._thread = threading.Thread(target=self._work, name="pool-writer", daemon=True)
                self._thread.start()
                opened.callback(self._end)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Commit what is queued, fold the log into the file, release the lock. A second call does nothing."""
        self._opened.close()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query, every committed write included."""
        try:
            # A connection sees what was committed before the first of the queries that it is answering: of two threads
            # that share one, the later would not see its own write.
            if threading.get_ident() == self._home:
                return self._reader.execute(sql, values).fetchall()
            with self._turn:
                return self._aside.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise explain(self.path, error) from error

    def write(self, write: Write) -> None:
        """Returns once the write is committed. One that raises is rolled back, alone; after a failure of the
        database itself, such as a full disk, all writes fail."""
        done: Future[None] = Future()
        self._post(write, done)
        done.result()

    async def written(self, write: Write) -> None:
        """As `write`; the event loop goes on meanwhile."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._post(write, done)
        await done

    def _post(self, write: Write, done: Waiting) -> None:
        with self._door:  # nothing may enter the queue behind the None that ends it
            if not self._writing:
                raise PoolError(f"{self.path}: the pool is closed, or was opened for reading only")
            self._jobs.put((write, done))

    def _end(self) -> None:
        with self._door:
            self._writing = False
            self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        ended = False
        while not ended:
            batch = [self._jobs.get()]
            while not self._jobs.empty():
                batch.append(self._jobs.get())
            ended = batch[-1] is None
            self._commit([job for job in batch if job is not None])

    def _commit(self, batch: list[tuple[Write, Waiting]]) -> None:
        try:
            if self._broken:
                raise self._broken
            self._db.execute("BEGIN IMMEDIATE")
            for write, _ in batch:
                write(self._db)
            self._db.execute("COMMIT")
            self._note()
        except Exception as error:  # the thread must outlive anything, or its callers would hang
            with contextlib.suppress(sqlite3.Error):
                self._db.rollback()
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                self._broken = error
            elif len(batch) > 1:
                for job in batch:  # one bad write must not take its neighbours with it
                    self._commit([job])
                return
            _answer([done for _, done in batch], explain(self.path, error))
        else:
            _answer([done for _, done in batch], None)


    def _note(self) -> list[int]:
        """How many rows there are, told to the lock."""
        if not self._count:
            return []
        counts = [count for (count,) in self._db.execute(self._count)]
        self._lock.note(counts)
        return counts

    def _find_empty(self) -> int:
        """Commits that cannot be read any more (`torn`). Refuses to begin anew where something was recorded once."""
        is_empty, broken = not self._db.execute("SELECT 1 FROM sqlite_master").fetchone(), torn(self.path)
        if is_empty and (broken > 1 or any(self._lock.committed)):
            raise PoolError(
                f"{self.path}: empty, or damaged from its beginning on, though {sum(self._lock.committed) or 'some'} "
                "rows were recorded; restore a copy, or give another --out"
            )
        return broken

    def _find_lost(self, names: list[str], broken: int) -> None:
        """After a power cut: whether the end of the log is missing, and if so, whether the rest is sound."""
        before, now = self._lock.committed, self._note()
        rows = zip(names, before, now, strict=False)
        missing = [f"{old - new:,} of {old:,} {name}" for name, old, new in rows if old > new]
        if not missing and not broken:
            return
        found = [row for (row,) in self._db.execute("PRAGMA integrity_check(3)")]
        if found != ["ok"]:
            raise PoolError(
                f"{self.path}: a power cut or a copy cut short has left it damaged ({'; '.join(found)[:200]}); restore "
                "a copy, or save what can be read with `sqlite3 pool.db .recover | sqlite3 saved.db`"
            )
        if missing or broken > 1:
            gone = ", ".join(missing) or f"the last {broken - 1:,} commits"
            self.lost = (
                f"{self.path}: {gone} that were recorded are missing: a power cut on a disk that had not kept them, or "
                "a copy cut short. What is there is sound, the rest is asked for again"
            )
            log.warning(self.lost)


def _counting(tables: Iterable[str]) -> str:
    return " UNION ALL ".join(f"SELECT coalesce(max(rowid), 0) FROM {table}" for table in tables)  # noqa: S608


def _answer(waiting: list[Waiting], error: PoolError | None) -> None:
    """Tell everybody who waits: one call per event loop, as each call costs more than the writing."""
    loops: dict[asyncio.AbstractEventLoop | None, list[Waiting]] = {}
    for done in waiting:
        loops.setdefault(done.get_loop() if isinstance(done, asyncio.Future) else None, []).append(done)
    for loop, group in loops.items():
        if loop is None:
            _resolve(group, error)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, group, error)


def _resolve(waiting: list[Waiting], error: PoolError | None) -> None:
    for done in waiting:
        if done.done():
            continue  # cancelled while its row was being written; the row stays
        if error:
            done.set_exception(type(error)(str(error)))
        else:
            done.set_result(None)


def _connect(path: Path, mode: Literal["ro", "rw"], opened: contextlib.ExitStack) -> sqlite3.Connection:
    """A connection in autocommit mode, to be closed with `opened`."""
    unmade = not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
    # on a read-only disk SQLite cannot make the index of an absent log
    uri = f"{path.resolve().as_uri()}?mode={mode}" + ("&immutable=1" if mode == "ro" and unmade else "")
    db = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
    opened.callback(db.close)
    # KiB of pages. Who reads finds them in the system's memory; who writes must look up where each new key belongs.
    db.executescript(f"{SETTINGS} PRAGMA cache_size=-{12_000 if mode == 'rw' else 3_000};")
    return db


def _version(path: Path) -> int:
    """Of a pool that is there; 0 for any other file."""
    with contextlib.ExitStack() as opened:
        db = _connect(path, "ro", opened)
        (app,), (has,) = db.execute("PRAGMA application_id").fetchone(), db.execute("PRAGMA user_version").fetchone()
    return int(has) if app == APPLICATION else 0


def _make(db: sqlite3.Connection, version: int, schema: str) -> None:
    """The tables, in an empty file."""
    (app,), (has,) = db.execute("PRAGMA application_id").fetchone(), db.execute("PRAGMA user_version").fetchone()
    if not (app or has or db.execute("SELECT 1 FROM sqlite_master").fetchone()):
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(f"BEGIN; {schema} PRAGMA application_id={APPLICATION}; PRAGMA user_version={version}; COMMIT;")


def _migrate(path: Path, db: sqlite3.Connection, version: int, migrations: Mapping[int, str]) -> None:
    """Make a pool of an earlier version one of this, version by version, each wholly or not at all."""
    while (has := _version(path)) in migrations and has < version:
        db.executescript(f"BEGIN IMMEDIATE; {migrations[has]} PRAGMA user_version={has + 1}; COMMIT;")


def _upgrade(folder: Path, has: int, schema: str, version: int, migrations: Mapping[int, str]) -> None:
    """What a reader does first with a pool of an earlier version."""
    try:
        Store(folder, schema, version, migrations).close()
    except Unfit as error:
        raise Unfit(f"{folder}: pool format {has} must become {version} before it is read, but: {error}") from error


def _check(path: Path, db: sqlite3.Connection, version: int) -> None:
    """See that the file is a pool of this version."""
    (app,), (has,) = db.execute("PRAGMA application_id").fetchone(), db.execute("PRAGMA user_version").fetchone()
    if app != APPLICATION:
        raise Unfit(f"{path}: an SQLite database, but not a pool of `gen`; choose another run folder or move the file")
    if has != version:
        raise Unfit(
            f"{path}: pool format {has}, this `gen` reads format {version}; use the version of `gen` that made it, "
            "or start a new run folder"
        )
