"""The system's certificates, read when the first https connection is made.

aiohttp reads them twice as it is imported, which takes as long as all the rest of its import, also for servers that
speak plain http. Whoever takes aiohttp from here first puts the reading off; its contexts are what they were in all
else."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Any

__all__ = ["aiohttp"]


class Late(ssl.SSLContext):
    """A context that has still to read the default certificates."""

    def _read(self) -> None:
        self.__class__ = ssl.SSLContext  # type: ignore[assignment]
        self.set_default_verify_paths()

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        self._read()
        return self.wrap_bio(*args, **named)

    def wrap_socket(self, *args: Any, **named: Any) -> ssl.SSLSocket:
        self._read()
        return self.wrap_socket(*args, **named)

    def get_ca_certs(self, *args: Any, **named: Any) -> Any:
        self._read()
        return self.get_ca_certs(*args, **named)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Contexts that are made in the block read no certificates yet."""

    def later(context: ssl.SSLContext) -> None:
        context.__class__ = Late

    ssl.SSLContext.set_default_verify_paths = later  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # that of its base


with put_off():
    import aiohttp
