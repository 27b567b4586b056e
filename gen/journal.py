"""Everything that engines ever told, under the hash of what was asked: replies, likelihoods, vectors. The first
answer under a key stays, and it alone is used; so a run that goes on sees what it saw before."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, TypeVar

from msgspec import convert, to_builtins

from gen.codec import clean, decode, encode, packer, unpack
from gen.core import Completion, Likelihood, Request, Scoring, Vector, digest, replace
from gen.store import Store

T = TypeVar("T")
PUT = "INSERT OR IGNORE INTO journal (key, kind, engine, request, payload) VALUES (?, ?, ?, ?, ?)"


def request_key(engine: str, request: Request) -> str:
    """The address of a reply: role, engine fingerprint, the exact request, sampling, seed. What most requests do not
    have stays out of it, so that journals of earlier versions hold."""
    messages = [(m.role, m.content) for m in request.messages]
    s = request.sampling
    rare = (*(("raw",) if request.raw else ()), *((s.presence_penalty,) if s.presence_penalty else ()))
    asked = (request.role, engine, messages, s.temperature, s.top_p, s.max_tokens, request.schema, request.seed)
    return digest(*asked, *rare, size=32)


def scoring_key(engine: str, scoring: Scoring) -> str:
    return digest("likelihood", engine, [(m.role, m.content) for m in scoring.messages], scoring.text, size=32)


def vector_key(engine: str, text: str) -> str:
    return digest("vector", engine, text, size=32)


class Bloom:
    """A set of texts that never denies what is in it, and takes no more memory as it grows: of what is not, it is wrong
    about once in 500 at a million."""

    def __init__(self) -> None:
        self._bits = bytearray(1 << 21)

    def add(self, key: str) -> None:
        for at in _places(key):
            self._bits[at >> 3] |= 1 << (at & 7)

    def __contains__(self, key: str) -> bool:
        return all(self._bits[at >> 3] & 1 << (at & 7) for at in _places(key))


def _places(key: str) -> tuple[int, ...]:
    mark = hash(key)
    step = mark >> 24 | 1
    return mark & 0xFFFFFF, mark + step & 0xFFFFFF, mark + 2 * step & 0xFFFFFF, mark + 3 * step & 0xFFFFFF


class Journal:
    """The journal of an open store. Reads may come from any thread; what `record...` wrote is durable."""

    def __init__(self, store: Store) -> None:
        self._store, self._rows = store, store.rows
        is_fresh = store.is_writer and not store.rows("SELECT 1 FROM journal LIMIT 1")
        self._asked = Bloom() if is_fresh else None
        """The keys of a journal that began empty; None: they are not known."""

    def _load(self, kind: type[T], body: bytes) -> T:
        return unpack(kind, body, self._rows)

    def _payload(self, key: str) -> bytes | None:
        if self._asked is not None and key not in self._asked:
            return None
        rows = self._rows("SELECT payload FROM journal WHERE key = ?", key)
        return rows[0][0] if rows else None

    async def _put(self, key: str, write: Callable[[Connection], tuple[Any, ...]]) -> None:
        if self._asked is not None:
            self._asked.add(key)
        await self._store.written(lambda db: db.execute(PUT, write(db)))

    def lookup(self, key: str) -> Completion | None:
        """The completion recorded under this key."""
        payload = self._payload(key)
        return None if payload is None else self._load(Completion, payload)

    async def record(self, key: str, engine: str, request: Request, completion: Completion) -> None:
        """Journal a completion, its likelihood apart."""

        def row(db: Connection) -> tuple[Any, ...]:
            pack, asked = packer(db), to_builtins(clean(request))
            asked["schema"] = encode(asked["schema"]).decode()  # a text, so that it is stored once
            payload = pack(clean(replace(completion, likelihood=None)))
            return key, "completion", clean(engine), pack(asked), payload

        await self._put(key, row)

    def likelihood(self, key: str) -> Likelihood | None:
        payload = self._payload(key)
        if payload is None:
            return None
        head, _, values = payload.partition(b"\n")
        return replace(convert(decode(head), Likelihood), logprobs=struct.unpack(f"<{len(values) // 4}f", values))

    async def record_likelihood(self, key: str, engine: str, found: Likelihood) -> None:
        """Its values as float32, which is what models give."""
        head = encode(clean(replace(found, logprobs=())))
        values = struct.pack(f"<{len(found.logprobs)}f", *found.logprobs)
        await self._put(key, lambda _: (key, "likelihood", engine, None, head + b"\n" + values))

    def vector(self, key: str) -> Vector | None:
        return self._payload(key)

    async def record_vector(self, key: str, engine: str, vector: Vector) -> None:
        await self._put(key, lambda _: (key, "vector", engine, None, vector))

    def asked(self, keys: Sequence[str]) -> list[tuple[Request, Completion]]:
        """Questions and replies under these keys, in their order; keys without a row are left out."""
        found = []
        for key in keys:
            for asked, got in self._rows("SELECT request, payload FROM journal WHERE key = ?", key):
                plain = self._load(dict, asked)
                request = convert(plain | {"schema": decode(plain["schema"])}, Request)
                found.append((request, self._load(Completion, got)))
        return found

    def journal_count(self) -> int:
        return int(self._rows("SELECT count(*) FROM journal")[0][0])
