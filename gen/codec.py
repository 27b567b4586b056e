"""How values become bytes in the pool and back: JSON, with the long texts taken out and kept once, by content.

A text longer than IN_PLACE stands as "#" and the hash of its row in the table `text`; a short one that begins with
"#" gets "#=" before it. Lone surrogates, which no UTF-8 can hold, become U+FFFD at the door (`clean`)."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, TypeAlias, TypeVar

import msgspec

from gen.errors import PoolError

T = TypeVar("T")
Ask: TypeAlias = Callable[..., list[tuple[Any, ...]]]
IN_PLACE = 80
"""Characters. Below this a row of its own costs more than the repetition."""
ATOMS = frozenset((int, float, bool, type(None)))
MOST_ASKED = 500
"""Texts in one query."""
MARK = re.compile(rb'"#(?<!\\"#)((?:[^"\\]|\\.)*)"(?!:)', re.S)
"""A whole value of the JSON that begins with "#". A quotation mark inside a text has a backslash before it, and what
ends a text is followed by none of ours; a key, which stays as it is, by a colon."""

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

    marks: dict[str, str] = {}  # functools.cache takes longer to set up than most values to be packed

    def mark(text: str) -> str:
        if len(text) <= IN_PLACE:
            return f"#={text}"
        if (known := marks.get(text)) is None:
            known = marks[text] = _put(db, text)
        return known

    return lambda value: encode(_marked(msgspec.to_builtins(value), mark))


def _put(db: Connection, text: str) -> str:
    """A text in its table; what stands for it."""
    data = text.encode()
    address = hashlib.blake2b(data, digest_size=16).digest()
    if not db.execute("SELECT 1 FROM text WHERE hash = ?", (address,)).fetchone():
        # A raw stream of level 1: twice as fast to set up as the default, a few per cent larger.
        db.execute("INSERT INTO text VALUES (?, ?)", (address, zlib.compress(data, 1, -12)))
    return "#" + address.hex()


def _marked(value: Any, mark: Callable[[str], str]) -> Any:
    """Plain data with every text replaced that cannot stand as it is, but for keys. One pass in which what stands
    costs no call: this is done for everything that is stored."""
    kind = type(value)
    if kind is str:
        return mark(value) if len(value) > IN_PLACE or value[:1] == "#" else value
    if kind is dict:
        return {
            k: v if not v or (of := type(v)) in ATOMS or (of is str and len(v) <= IN_PLACE and v[0] != "#")
            else _marked(v, mark) for k, v in value.items()
        }  # fmt: skip
    if kind is list or kind is tuple:
        return [v if type(v) in ATOMS else _marked(v, mark) for v in value]
    return value


def unpack(kind: type[T], data: bytes, ask: Ask) -> T:
    """The value that was packed; `ask` answers a query for its texts. Raises PoolError where there is none."""
    return unpack_all(kind, (data,), ask)[0]


def unpack_all(kind: type[T], rows: Sequence[bytes], ask: Ask) -> list[T]:
    """The same of several, their texts asked for together; all of these are in memory at once."""
    try:
        wanted = [*{name for data in rows for name in MARK.findall(data) if name[:1] != b"="}]
        texts = dict[bytes, bytes]()
        for some in (wanted[i : i + MOST_ASKED] for i in range(0, len(wanted), MOST_ASKED)):
            query = f"SELECT hash, body FROM text WHERE hash IN ({','.join('?' * len(some))})"  # noqa: S608
            for address, body in ask(query, *(bytes.fromhex(name.decode()) for name in some)):
                text = zlib.decompress(body, -12)
                if hashlib.blake2b(text, digest_size=16).digest() != address:
                    raise ValueError("a text is not the one that was stored")
                texts[address.hex().encode()] = encode(text.decode())

        def meant(mark: re.Match[bytes]) -> bytes:
            return b'"%b"' % mark[1][1:] if mark[1][:1] == b"=" else texts[mark[1]]

        read = _decoder(kind)  # type: ignore[arg-type]  # a class can be hashed
        return [read(MARK.sub(meant, data)) for data in rows]
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError, zlib.error) as error:
        said = f"pool.db: a row is no {kind.__name__} ({error}): the file is damaged; restore a copy"
        raise PoolError(said) from error


@functools.cache
def _decoder(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode
