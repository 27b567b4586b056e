"""How values become bytes in the pool. JSON, with the long texts taken out and kept once, by content.

A text field is stored as a mark: "" (empty), "=..." (short, in place) or "#<hash>" (in the text table).
Lone surrogates, which no UTF-8 can hold, become U+FFFD at the door (`clean`); NULs stay as they are.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import asdict, is_dataclass, replace
from typing import Any, TypeVar

import msgspec

from gen.core import Completion, Message, Request, Sample
from gen.errors import PoolError

T = TypeVar("T")
IN_PLACE = 80
"""Characters. Below this a row of its own costs more than the repetition."""
WORTH_ZIPPING = 200
"""Bytes. Below this zlib's start-up costs more than it saves."""

Texts = Callable[[str], str]
"""From texts to marks when writing, from marks to texts when reading."""

encode = msgspec.json.Encoder().encode


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """From a row's bytes to a value. Raises PoolError where they are not one."""
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> T:
        try:
            return decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PoolError(f"pool.db: a row is no {kind} ({error}): the file is damaged; restore a copy") from error

    return read


def clean(value: T) -> T:
    """The value as the pool gives it back: lone surrogates are U+FFFD, all else equal. Nearly free
    where nothing is amiss. Raises TypeError for what JSON cannot hold."""
    try:
        encode(value)
    except UnicodeEncodeError:
        plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        return msgspec.convert(_scrub(plain), type(value))
    return value


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_scrub(k): _scrub(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrub(v) for v in value]
    return value


def address(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def squeeze(text: str, data: bytes) -> str | bytes:
    """What the text table holds: bytes are zlib's, a str is the text itself."""
    if len(data) < WORTH_ZIPPING:
        return text
    # A raw stream of level 1: twice as fast to set up as the default, a few per cent larger.
    small = zlib.compress(data, 1, -12)
    return small if len(small) < 0.9 * len(data) else text


def unsqueeze(body: str | bytes) -> str:
    return body if isinstance(body, str) else zlib.decompress(body, -12).decode()


def of_messages(messages: tuple[Message, ...], texts: Texts) -> tuple[Message, ...]:
    return tuple(Message(m.role, texts(m.content)) for m in messages)


def of_sample(sample: Sample, texts: Texts) -> Sample:
    response = None if sample.response is None else texts(sample.response)
    return replace(
        sample, instruction=texts(sample.instruction), input=texts(sample.input), response=response,
        system=texts(sample.system), turns=of_messages(sample.turns, texts),
    )


def of_completion(completion: Completion, texts: Texts) -> Completion:
    return replace(completion, text=texts(completion.text), reasoning=texts(completion.reasoning))


def of_request(request: Request, texts: Texts) -> Request:
    """Without the schema: it is JSON, and the journal keeps it as a text beside the request."""
    return replace(request, messages=of_messages(request.messages, texts), schema=None)
