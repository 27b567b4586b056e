"""`gen serve`: the vLLM servers of a run without the run; runs of the same model find and use them."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

import tyro
from rich.console import Console

from gen.commands import render
from gen.engines.vllm import Vllm, stay, stop_kept
from gen.errors import RecipeError
from gen.micro import bundled

NUMBER: Any = tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")
UNSET: Any = tyro.conf.arg(help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Options:
    model: tyro.conf.Positional[str] = ""
    """Name or path; none or `micro`: the bundled demonstration model."""
    tensor_parallel: int = 1
    """GPUs that each server takes."""
    servers: Annotated[int | None, NUMBER] = None
    """How many to start; empty: as the visible GPUs allow, one without a GPU."""
    port: Annotated[int | None, NUMBER] = None
    """Of the first server, the others follow; empty: free ones."""
    vllm_args: Annotated[str, UNSET] = ""
    """More arguments of vLLM's, as in a shell; later ones win."""
    vllm_python: Annotated[str, UNSET] = ""
    """A Python that has vLLM; empty: GEN_VLLM_PYTHON, this one, or that of the `vllm` on the PATH."""
    max_host_memory: Annotated[float | None, NUMBER] = None
    """GiB on the host at which a server is started anew; empty: half of what was free, more."""
    trust_remote_code: bool = False
    """Let the model run code from its repository."""
    stop: bool = False
    """Instead: stop the servers that runs have left running (`--keep-server`)."""


def serve(vllm: tyro.conf.OmitArgPrefixes[Options]) -> int:
    """Start vLLM servers of a model as a run does, and keep them running until Ctrl-C; what dies is started again."""
    console = Console(highlight=False)
    if vllm.stop:
        for record in (ended := stop_kept()):
            console.print(render.plain(f"stopped {record.model} at {record.url}"), soft_wrap=True)
        if not ended:
            console.print("nothing was left running")
        return 0
    bounded = {"tensor-parallel": (vllm.tensor_parallel, 64), "servers": (vllm.servers, 64)}
    for name, (value, most) in (bounded | {"port": (vllm.port, 65535)}).items():
        if value is not None and not 1 <= value <= most:
            raise RecipeError(f"--{name} {value}: allowed: 1..{most}")
    given = dataclasses.asdict(vllm) | {"is_shared": True, "count": vllm.servers}
    for name in ("stop", "servers"):
        del given[name]
    if shown := bundled.named(vllm.model):
        given |= {"model": str(bundled.folder(shown)), "name": shown}
    engine = Vllm(**given)
    engine.say = lambda text: console.print(render.plain(text), soft_wrap=True)
    asyncio.run(stay(engine))
    return 0
