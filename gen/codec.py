"""How values become bytes in the pool and back: JSON, with the long texts taken out and kept once, by content.

A text longer than IN_PLACE stands as "#" and the hash of its row in the table `text`; a short one that begins with
"#" gets "#=" before it. Lone surrogates, which no UTF-8 can hold, become U+FFFD at the door (`clean`)."""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from collections.abc import Callable
from sqlite3 import Connection
from typing import Any, TypeVar

import msgspec

from gen.errors import PoolError

T = TypeVar("T")
IN_PLACE = 80
"""Characters. Below this a row of its own costs more than the repetition."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.decode


def clean(value: T) -> T:
    """The value as the pool gives it back: lone surrogates are U+FFFD, all else equal. Nearly free
    where nothing is amiss. Raises TypeError for what JSON cannot hold."""
    try:
        encode(value)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-16-le", "surrogatepass")
        return msgspec.json.decode(text.decode("utf-16-le", "replace"), type=type(value))
    return value


def packer(db: Connection) -> Callable[[Any], bytes]:
    """From clean values to bytes; long texts are put in the table, unless they are there already."""

    @functools.cache
    def mark(text: str) -> str:
        if len(text) <= IN_PLACE:
            return f"#={text}" if text[:1] == "#" else text
        data = text.encode()
        address = hashlib.blake2b(data, digest_size=16).digest()
        if not db.execute("SELECT 1 FROM text WHERE hash = ?", (address,)).fetchone():
            # A raw stream of level 1: twice as fast to set up as the default, a few per cent larger.
            db.execute("INSERT INTO text VALUES (?, ?)", (address, zlib.compress(data, 1, -12)))
        return "#" + address.hex()

    return lambda value: encode(_each(msgspec.to_builtins(value), mark))


def unpack(kind: type[T], data: bytes, ask: Callable[..., list[tuple[Any, ...]]]) -> T:
    """The value that was packed; `ask` answers a query for its texts. Raises PoolError where there is none."""

    def read(text: str) -> str:
        if text[:1] != "#":
            return text
        if text[1:2] == "=":
            return text[2:]
        ((body,),) = ask("SELECT body FROM text WHERE hash = ?", address := bytes.fromhex(text[1:]))
        data = zlib.decompress(body, -12)
        if hashlib.blake2b(data, digest_size=16).digest() != address:
            raise ValueError("a text is not the one that was stored")
        return data.decode()

    try:
        return msgspec.convert(_each(decode(data), read), kind)
    except (msgspec.MsgspecError, ValueError, TypeError, zlib.error) as error:
        said = f"pool.db: a row is no {kind.__name__} ({error}): the file is damaged; restore a copy"
        raise PoolError(said) from error


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """Plain data with every text changed, but for keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {k: _each(v, change) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(v, change) for v in value]
    return value
