"""What answers at some URLs, and what it can do: asked by the engine's own probes, in a few seconds.

Ports that nobody has named are asked without a key: whoever listens there has not been given any."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gen.core import Message, Request, Sampling
from gen.engines.reasoning import QUESTION
from gen.engines.server import Server
from gen.errors import EngineError, GenError, RecipeError, Unavailable

PORTS = {8000: "vLLM", 11434: "Ollama", 30000: "SGLang", 8080: "llama.cpp", 1234: "LM Studio"}
"""Where servers listen on this machine unless they are told otherwise."""
CONNECT_S = 0.5
SCHEMA = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
NUMBER = Request("scorer", (Message("user", QUESTION),), Sampling(0.0, 1.0, 16), "probe", schema=SCHEMA)
"""Asks for a word and demands an object: only a grammar makes a model begin one (and small ones may never end it)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One URL. Without `model` it is of no use now, and `trouble` says why."""

    url: str
    is_named: bool
    trouble: str = ""
    model: str = ""
    remark: str = ""
    """What is odd about it, such as thoughts that cannot be switched off."""
    closed: str = ""
    """Whose closed model it is."""
    scoring: str = ""
    """Why it cannot tell log-probabilities; empty when it can."""
    grammar: bool = False
    """It holds replies to a JSON schema."""


def survey(named: Sequence[str], model: str = "", *, seconds: float = 0.0) -> list[Seen]:
    """What answers at `named`, else at the usual ports of this machine, where silent ones are left out. All at once,
    each for at most `seconds`: by default 15 for the named, 5 for the others."""

    async def all_of() -> list[Seen | None]:
        if named:
            return await asyncio.gather(*(_look(url, model, True, seconds or 15.0) for url in named))
        return await asyncio.gather(*(_knock(port, model, seconds or 5.0) for port in PORTS))

    return [seen for seen in asyncio.run(all_of()) if seen]


async def _knock(port: int, model: str, seconds: float) -> Seen | None:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return None
    writer.close()
    return await _look(f"http://127.0.0.1:{port}", model, False, seconds)


async def _look(url: str, model: str, is_named: bool, seconds: float) -> Seen:
    try:
        server = Server([url], model or None, key=None if is_named else "", retries=0, patience=0.0, backoff=0.1)
    except RecipeError as error:
        return Seen(url, is_named, _bare(url, error))
    try:
        async with asyncio.timeout(seconds):
            await server.open()
            scoring = _bare(url, await server.lacks_scoring())
            found = (server.model, server.remark, server.closed, scoring, await _has_grammar(server))
            return Seen(url, is_named, "", *found)
    except TimeoutError:
        return Seen(url, is_named, f"no answer within {seconds:g} s; it may be loading, or busy")
    except Unavailable as error:
        said = re.sub(r", \d+ attempts .*", "", _bare(url, error))
        return Seen(url, is_named, f"{said}; start it, wait until it has loaded, or correct --server")
    except GenError as error:
        return Seen(url, is_named, _bare(url, error))
    finally:
        await server.close()


def _bare(url: str, error: object) -> str:
    """What is said without the server's name, which stands beside it."""
    return str(error).removeprefix(urlsplit(url).netloc).lstrip(": ")


async def _has_grammar(server: Server) -> bool:
    try:
        return (await server.complete(NUMBER)).text.lstrip().startswith("{")
    except EngineError:
        return False
