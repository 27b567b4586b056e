"""What a vLLM server's log tells: how far its start has come, and why it came to nothing. Text to text."""

from __future__ import annotations

import itertools
import re

from gen.errors import EngineError, GenError, RecipeError

PREFIX = re.compile(r"^\s*(\([\w ]*?[\w-]+ pid=\d+\) *)?((DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d: -]+\[[^\]]*\] ?)?")
PHASES = (
    (r"Resolved architecture", "reading the model's configuration"),
    (r"Initializing a V1 LLM engine", "starting its engine"),
    (r"(?:Download|Fetching).*?(\d+%)|Starting to download", "fetching the weights"),
    (r"Starting to load model|Loading .*checkpoint shards: +(\d+%)", "loading the weights"),
    (r"Starting torch\.compile|Dynamo bytecode|Compiling a graph|compiled graph|AOT compil", "compiling"),
    (r"Initial profiling|Available KV cache memory|KV cache size", "measuring the memory"),
    (r"Capturing .*?graphs[^:]*: +(\d+%)|Capturing .*graph", "capturing graphs"),
    (r"init engine .* took|Starting vLLM .*server on", "opening its port"),
)
"""In the order of a start: a phase is never gone back to. A group holds a percentage."""
OOM = "pass another --model, more --tensor-parallel, or --vllm-args '--max-model-len 8192'"
CAUSES: tuple[tuple[str, type[GenError], str], ...] = (
    (r"unrecognized arguments|error: argument", RecipeError, "correct --vllm-args"),
    (r"Free memory on device .* less than", EngineError,
     "another program holds the GPU's memory (see nvidia-smi): end it, choose another GPU by CUDA_VISIBLE_DEVICES, or "
     "pass --vllm-args '--gpu-memory-utilization 0.5'"),
    (r"out of memory|OutOfMemory|No available memory for the cache", EngineError, f"the model does not fit: {OOM}"),
    (r"KV cache is needed|larger than the (?:available KV cache|maximum number of tokens)", EngineError,
     f"the model fits, one request of its full context does not: {OOM}"),
    (r"gated repo|401 Client Error|403 Client Error|Access to model", RecipeError,
     "ask for access at the hub and put a token into HF_TOKEN"),
    (r"trust_remote_code|trust-remote-code", RecipeError, "if you trust the model's code, pass --trust-remote-code"),
    (r"not a (?:valid|local folder)|RepositoryNotFound|Repository Not Found|does not appear to have a file|"
     r"No such file|Repo id must|Can't load the configuration|LocalEntryNotFound|Invalid repository ID|"
     r"couldn't connect to|outgoing traffic has been disabled|LFS pointer|not recognize this architecture", RecipeError,
     "expected a folder with a model, or a name of the Hugging Face hub that can be reached or is in its cache"),
    (r"architectures? .* (?:not supported|failed to be inspected)", RecipeError,
     "this vLLM does not know the model's kind; `--engine local` may"),
    (r"divisible by tensor|tensor parallel size", RecipeError, "choose another --tensor-parallel"),
    (r"No space left on device", EngineError, "make room on the disk"),
    (r"ddress already in use", EngineError, "another program took its port meanwhile; give the same command again"),
)  # fmt: skip
NOISE = re.compile(r"Engine core init\w+ failed|See root cause|Failed core proc|WorkerProc init\w+ failed")
BLAME = re.compile(r"^(?:[\w.]*(?:Error|Exception|Exit|Interrupt)\b|.*error: argument|.*unrecognized arguments)")


def plain(line: str) -> str:
    """A line of the log without who wrote it and when."""
    return PREFIX.sub("", line).rstrip()


def phase(text: str, now: str = "starting Python") -> str:
    """How far it is, after `text` was added to the log of a start that was at `now`: "loading the weights (45%)"."""
    names = [name for _, name in PHASES]
    reached = next((i for i, name in enumerate(names) if now.startswith(name)), -1)
    for line in re.split(r"[\r\n]+", text):
        for i, (pattern, name) in enumerate(PHASES):
            if i >= reached and (found := re.search(pattern, line)):
                share = next(filter(None, found.groups()), "")
                reached, now = i, f"{name} ({share})" if share else name
    return now


def failure(text: str, code: int, where: str, log: str) -> GenError:
    """What to raise when a start came to nothing: the root cause in the log, what to do, where to read on."""
    lines = [line for line in map(plain, re.split(r"[\r\n]+", text)) if line.strip()]
    pairs = itertools.zip_longest(lines, lines[1:], fillvalue="")
    joined = [f"{line} {after.strip()}" if "validation error" in line else line for line, after in pairs]
    blamed = [line for line in joined if BLAME.match(line) and not NOISE.search(line)]
    for pattern, kind, advice in CAUSES:
        if found := next((line for line in blamed if re.search(pattern, line)), ""):
            return kind(f"{where} did not start: {_short(found)}; {advice} (log: {log})")
    if code in (-9, 137) and not blamed:
        told, advice = "it was killed", "probably by the system, for lack of host memory: see dmesg"
    elif blamed:
        told, advice = _short(blamed[0]), "read its log"
    else:
        told, advice = " / ".join(map(_short, lines[-6:])) or "it said nothing", "read its log"
    return EngineError(f"{where} did not start (exit {code}): {told}; {advice} (log: {log})")


def _short(line: str) -> str:
    return line if len(line) <= 240 else f"{line[:239]}…"
