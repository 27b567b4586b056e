"""The door to the engines: from what the user named to what answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gen.core import Engine

Kind = Literal["auto", "vllm", "local"]


def open_engine(
    name: str = "", servers: Sequence[str] = (), *, thinking: str = "off", width: int | None = None,
    batch_size: int = 32, device: str = "auto", patience: float = 120.0, trust_remote_code: bool = False,
    shown: str | None = None, thinking_budget: int = 0, allow_closed: bool = False, engine: Kind = "local",
    **vllm: Any,
) -> Engine:  # fmt: skip
    """The engine for a model: servers where URLs are given, canned replies for `script:FILE`, else vLLM started by gen
    (`vllm` are the parameters of its own) or transformers in this process, under the name `shown`. `auto` is vLLM
    where it is installed and a GPU is visible. Nothing is loaded before the engine's own `open`."""
    opened: Engine
    client: dict[str, Any] = {"thinking": thinking, "thinking_budget": thinking_budget, "allow_closed": allow_closed}
    if servers:
        from gen.engines.server import Server

        opened = Server(servers, name or None, width=width or 0, patience=patience, **client)
    elif name.startswith("script:"):
        from gen.engines.scripted import Scripted

        opened = Scripted(name.removeprefix("script:"), width=width or 8)
    elif engine == "vllm" or (engine == "auto" and not shown and device != "cpu" and _has_vllm(vllm)):
        from gen.engines.vllm import Vllm

        opened = Vllm(
            name, name=shown, width=width, patience=patience, device=device, trust_remote_code=trust_remote_code,
            **client, **vllm,
        )  # fmt: skip
    else:
        from gen.engines.local import Local

        opened = Local(
            name, batch_size=batch_size, device=device, thinking=thinking, thinking_budget=thinking_budget,
            trust_remote_code=trust_remote_code, name=shown,
        )  # fmt: skip
        opened.width = width or opened.width
    return opened


def _has_vllm(options: Mapping[str, Any]) -> bool:
    from gen.engines import launch

    return bool(launch.visible_gpus() and launch.find(str(options.get("vllm_python", ""))))
