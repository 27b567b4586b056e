"""An open `pool.db`: run state, and the journal of every completion ever obtained."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from gen import disk
from gen.core import Completion, Request
from gen.errors import PoolError
from gen.store import Store, Writer
from gen.tables import SCHEMA, VERSION
from gen.texts import clean, decoder, encode, of_completion, of_request, unsqueeze

Row: TypeAlias = tuple[Any, ...]
_completion = decoder(Completion)
_request = decoder(Request)


class Journal:
    """The lower half of a `gen.pool.Pool`."""

    def __init__(self, path: Path, store: Store | None, lock: int | None) -> None:
        self.path = path
        self._store = store
        self._lock = lock
        self._db = disk.connect(path, readonly=True)
        self._ask = self._db.execute

    @classmethod
    def open(cls, folder: Path, *, readonly: bool = False) -> Self:
        """The pool in `folder`, made if there is none. Readonly takes no lock and makes nothing.

        Raises Locked if another process writes to it, Unfit if folder, disk or file cannot be a pool of
        this version, PoolError if the file is damaged."""
        path = folder / disk.DATABASE
        if readonly:
            disk.check(path, VERSION)
            return cls(path, None, None)
        lock, store = disk.prepare(folder, SCHEMA, VERSION), None
        try:
            store = Store(path)
            return cls(path, store, lock)
        except BaseException:
            if store is not None:
                store.close()
            os.close(lock)
            raise

    def close(self) -> None:
        """Commit what is queued, fold the log into the file, release the lock. Raises PoolError if a write
        failed and no call has said so yet. A second call does nothing."""
        store, self._store = self._store, None
        lock, self._lock = self._lock, None
        self._db.close()
        try:
            if store is not None:
                store.close()
        finally:
            if lock is not None:
                os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self.close()
        except PoolError:
            if error is None:  # never hide the error that is already on its way
                raise

    @property
    def commits(self) -> int:
        """Transactions so far, by this opening."""
        return self._writing.commits

    @property
    def _writing(self) -> Store:
        if self._store is None:
            raise PoolError(f"{self.path}: the pool is closed, or was opened for reading only")
        return self._store

    def _rows(self, sql: str, *values: Any) -> list[Row]:
        try:
            return self._ask(sql, values).fetchall()
        except sqlite3.Error as error:
            raise PoolError(disk.explain(self.path, error)) from error

    def _settled(self, sql: str, *values: Any) -> list[Row]:
        """Rows that include every write made before this call."""
        if self._store is not None:
            self._store.settle()
        return self._rows(sql, *values)

    def _text(self, mark: str) -> str:
        if mark[:1] != "#":
            return mark[1:]
        rows = self._rows("SELECT body FROM text WHERE hash = ?", bytes.fromhex(mark[1:]))
        try:
            return unsqueeze(rows[0][0])
        except (IndexError, zlib.error, UnicodeDecodeError) as error:
            raise PoolError(f"{self.path}: text {mark} is lost: the file is damaged; restore a copy") from error

    # --- run state

    def state(self, name: str, default: Any = None) -> Any:
        rows = self._settled("SELECT value FROM state WHERE name = ?", name)
        return msgspec.json.decode(rows[0][0]) if rows else default

    def set_state(self, name: str, value: Any) -> None:
        """Durable when it returns. `value` is small and JSON."""
        data = encode(clean(value))
        self._writing.wait(lambda to: put_state(to, name, data))

    # --- journal

    def lookup(self, key: str) -> Completion | None:
        """The completion recorded under this key, if its row is committed."""
        rows = self._rows("SELECT payload FROM journal WHERE key = ?", key)
        return of_completion(_completion(rows[0][0]), self._text) if rows else None

    async def record(self, key: str, engine: str, request: Request, completion: Completion) -> None:
        """Journal a completion; returns once it is committed. The first one under a key stays."""

        def write(to: Writer) -> None:
            asked, got = clean(request), clean(completion)
            schema = None if asked.schema is None else to.put(encode(asked.schema).decode())
            question, reply = of_request(asked, to.put), of_completion(got, to.put)
            to.run(
                "INSERT OR IGNORE INTO journal (key, engine, request, schema, payload) VALUES (?, ?, ?, ?, ?)",
                (key, to.put(clean(engine)), encode(question), schema, encode(reply)),
            )

        await self._writing.committed(write)

    def asked(self, keys: Sequence[str]) -> list[tuple[Request, Completion]]:
        """Questions and replies under these keys, in their order; keys without a row are left out."""
        found = []
        for key in keys:
            for asked, schema, got in self._rows("SELECT request, schema, payload FROM journal WHERE key = ?", key):
                request = of_request(_request(asked), self._text)
                if schema is not None:
                    request = replace(request, schema=msgspec.json.decode(self._text(schema)))
                found.append((request, of_completion(_completion(got), self._text)))
        return found

    def journal_count(self) -> int:
        return int(self._settled("SELECT count(*) FROM journal")[0][0])


def put_state(to: Writer, name: str, value: bytes) -> None:
    to.run("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))
