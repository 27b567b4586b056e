"""The door to the engines: from what the user named to what answers."""

from __future__ import annotations

from collections.abc import Sequence

from gen.core import Engine


def open_engine(
    name: str = "", servers: Sequence[str] = (), *, thinking: str = "off", width: int | None = None,
    batch_size: int = 32, device: str = "auto", patience: float = 120.0, trust_remote_code: bool = False,
    shown: str | None = None, thinking_budget: int = 0, allow_closed: bool = False,
) -> Engine:  # fmt: skip
    """The engine for a model: servers where URLs are given, canned replies for `script:FILE`, else
    transformers in this process, under the name `shown`. Nothing is loaded before the engine's own `open`."""
    engine: Engine
    if servers:
        from gen.engines.server import Server

        engine = Server(
            servers, name or None, width=width or 64, patience=patience, thinking=thinking,
            thinking_budget=thinking_budget, allow_closed=allow_closed,
        )  # fmt: skip
    elif name.startswith("script:"):
        from gen.engines.scripted import Scripted

        engine = Scripted(name.removeprefix("script:"), width=width or 8)
    else:
        from gen.engines.local import Local

        engine = Local(
            name, batch_size=batch_size, device=device, thinking=thinking, thinking_budget=thinking_budget,
            trust_remote_code=trust_remote_code, name=shown,
        )  # fmt: skip
        engine.width = width or engine.width
    return engine
