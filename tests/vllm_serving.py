"""One real vLLM server (CPU build) with the bundled model for all tests of a session.

Use the fixture `vllm_server` (its value has `.url`, `.model`, `.log`): tests/conftest.py then gives the test the
markers `vllm`, `slow`, `process` and one group of xdist, so that with `--dist loadgroup` all of them share a worker
and with it the server. The Python that has vLLM is GEN_VLLM_PYTHON, else .vllm/bin/python; GEN_VLLM_URL names a
server that runs already, which saves its start while one writes a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "gen" / "micro" / "weights"
FLAGS = (
    "--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096",
    "--generation-config", "vllm", "--max-logprobs", "20",
)  # fmt: skip
QUIET = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Vllm:
    url: str
    log: Path
    process: subprocess.Popen[bytes] | None = None
    """None for a server that was here before."""
    model: str = "micro"


def python() -> Path | None:
    """The interpreter that has vLLM, or None."""
    found = Path(os.environ.get("GEN_VLLM_PYTHON") or ROOT / ".vllm" / "bin" / "python")
    return found if found.exists() else None


MISSING = "no vLLM here: `make test` installs its CPU build into .vllm, or GEN_VLLM_PYTHON names a Python with it"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def serve(folder: Path, *more: str) -> Iterator[Vllm]:
    """A server of the bundled model under the name `micro`, in a process group of its own; `more` are flags of vLLM."""
    port, log = free_port(), folder / "vllm.log"
    command = [
        str(python()), "-m", "vllm.entrypoints.openai.api_server", "--model", str(WEIGHTS), "--served-model-name",
        "micro", "--host", "127.0.0.1", "--port", str(port), *FLAGS, *more,
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="gen-vllm-", ignore_cleanup_errors=True) as sockets:
        env = os.environ | QUIET | {"VLLM_RPC_BASE_PATH": sockets}
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=ROOT, start_new_session=True)
        try:
            served, end = Vllm(f"http://127.0.0.1:{port}", log, process), time.monotonic() + 280
            while not answers(served.url):
                assert process.poll() is None, f"vLLM ended with {process.returncode}:\n{log.read_text()[-4000:]}"
                assert time.monotonic() < end, f"vLLM took too long to start:\n{log.read_text()[-2000:]}"
                time.sleep(0.5)
            yield served
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its engine too, if it has not followed
            process.wait()


class Stub:
    """Where no real vLLM is needed: a "Python with vLLM" in a folder of its own (see stub_vllm.py)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.python = folder, folder / "python"
        folder.mkdir()
        shutil.copy(ROOT / "tests" / "stub_vllm.py", folder / "vllm_stub.py")
        self.python.write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/vllm_stub.py "$@"\n')
        self.python.chmod(0o755)
        self.set()

    def set(self, *flags: str, **changes: Any) -> None:
        plan = {"version": "0.32.0", "say": [], "fail": None, "why": "", "from": 1, "until": 99, "flags": list(flags)}
        plan |= {"serving": str(ROOT / "tests" / "serving.py")} | changes
        (self.folder / "stub.json").write_text(json.dumps(plan))

    @property
    def starts(self) -> list[dict[str, Any]]:
        file = self.folder / "starts"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def asked(self) -> int:
        logs = self.folder.glob("asked-*.jsonl")
        return sum(line.startswith('{"event": "ask"') for log in logs for line in log.read_text().splitlines())
