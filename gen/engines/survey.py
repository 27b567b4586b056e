"""What answers at some URLs, and what it can do: asked by the engine's own probes, in a few seconds.

Ports that nobody has named are asked without a key: whoever listens there has not been given any."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gen.core import Message, Request, Sampling, replace
from gen.engines.embedder import ServedEmbedder
from gen.engines.reasoning import QUESTION
from gen.engines.server import Server
from gen.errors import EngineError, GenError, RecipeError, Unavailable

PORTS = {8000: "vLLM", 11434: "Ollama", 30000: "SGLang", 8080: "llama.cpp", 1234: "LM Studio"}
"""Where servers listen on this machine unless they are told otherwise."""
CONNECT_S = 0.5
BRIEF: dict[str, Any] = {"retries": 0, "patience": 0.0, "backoff": 0.1}
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
    chats: bool = True
    embeds: bool = False
    """Looked for only where the URL was named."""


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
        async with asyncio.timeout(seconds):
            seen = await _chats(url, model, is_named)
            embeds = await _embeds(url, model) if is_named and not seen.closed else ""
            if embeds and not seen.model:
                return Seen(url, is_named, model=embeds, chats=False, embeds=True)
            return replace(seen, embeds=bool(embeds))
    except TimeoutError:
        return Seen(url, is_named, f"no answer within {seconds:g} s; it may be loading, or busy")
    except Unavailable as error:
        said = re.sub(r", \d+ attempts .*", "", _bare(url, error))
        return Seen(url, is_named, f"{said}; start it, wait until it has loaded, or correct --server")
    except RecipeError as error:
        return Seen(url, is_named, _bare(url, error))


async def _chats(url: str, model: str, is_named: bool) -> Seen:
    """Raises RecipeError for what is no server, or not to be asked; Unavailable where nothing answers."""
    server = Server([url], model or None, key=None if is_named else "", **BRIEF)
    try:
        await server.open()
        found = (server.remark, server.closed, _bare(url, await server.lacks_scoring()), await _has_grammar(server))
        return Seen(url, is_named, "", server.model, *found)
    except (RecipeError, Unavailable):
        raise
    except GenError as error:  # it answers, but cannot hold a chat
        return Seen(url, is_named, _bare(url, error))
    finally:
        await server.close()


async def _embeds(url: str, model: str) -> str:
    """The model whose vectors it gives; empty where it gives none."""
    try:
        embedder = ServedEmbedder([url], model or None, **BRIEF)
        await embedder.open()
        await embedder.close()
        return embedder.model
    except GenError:
        return ""


def _bare(url: str, error: object) -> str:
    """What is said without the server's name, which stands beside it."""
    return str(error).removeprefix(urlsplit(url).netloc).lstrip(": ")


async def _has_grammar(server: Server) -> bool:
    try:
        return (await server.complete(NUMBER)).text.lstrip().startswith("{")
    except EngineError:
        return False
