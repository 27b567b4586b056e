"""The main job, measured: `gen evolve SEEDS` through a real vLLM server that `gen serve` has started.

    python benchmarks/main_job.py [SEEDS.jsonl] [--rounds 3] [--model NAME_OR_PATH] [--vllm-args '...'] [-- EVOLVE ARGS]

Prints, as Markdown: the funnel, the time, tokens a second at the server (by its own counters), how many requests it
had running, how busy it was, and the peak memory of both. The server's start-up is not part of the time. SEEDS are the
175 of Self-Instruct where none are named; vLLM is that of GEN_VLLM_PYTHON, or of `make .vllm/test`."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from bench import ROOT, data, skip

COUNTERS = {"generated": "vllm:generation_tokens_total", "prompted": "vllm:prompt_tokens_total"}
EVERY = 0.25
VLLM = ROOT / ".vllm" / "bin" / "python"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="?")
    parser.add_argument("--rounds", default="3")
    parser.add_argument("--model", default="")
    parser.add_argument("--vllm-args", default="")
    parser.add_argument("rest", nargs="*", help="more arguments of gen evolve, after --")
    args = parser.parse_args()
    args.seeds = args.seeds or str(data("self_instruct/seed_tasks.jsonl"))
    if not (os.environ.get("GEN_VLLM_PYTHON") or VLLM.exists()):
        skip("the main job needs a real vLLM, which is not here (make .vllm/test)")
    os.environ.setdefault("GEN_VLLM_PYTHON", str(VLLM))
    folder = Path(tempfile.mkdtemp(prefix="gen-main-job-"))
    server, url = serve(args.model, args.vllm_args, folder)
    try:
        print(report(args, folder, server, url))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
        shutil.rmtree(folder)


def serve(model: str, vllm_args: str, folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The server and its URL, once it answers."""
    command = [sys.executable, "-m", "gen", "serve", *([model] if model else []), "--vllm-args", vllm_args]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
    while process.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", (folder / "serve.log").read_text())
        if found and is_up(found[0]):
            return process, found[0]
        time.sleep(0.5)
    raise SystemExit(f"gen serve ended:\n{(folder / 'serve.log').read_text()}")


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=5):
            return True
    except OSError:
        return False


def gauges(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as page:
        text = page.read().decode()
    names = {**COUNTERS, "running": "vllm:num_requests_running"}
    return {key: sum(map(float, re.findall(rf"^{name}\{{.*\}} (\S+)$", text, re.M))) for key, name in names.items()}


def memory(pid: int) -> int:
    """Resident bytes of a process and all its children, shared pages counted once each process."""
    total = 0
    for number in tree(pid):
        try:
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{number}/status").read_text())[1]) * 1024  # type: ignore[index]
        except (OSError, TypeError):
            continue
    return total


def tree(pid: int) -> list[int]:
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [n for child in path.read_text().split() for n in tree(int(child))]
        except OSError:
            continue
    return found


class Watch(threading.Thread):
    """Looks at server and run every so often."""

    def __init__(self, server: int, run: int, url: str) -> None:
        super().__init__(daemon=True)
        self.server, self.run_pid, self.url, self.ended = server, run, url, threading.Event()
        self.running: list[float] = []
        self.peaks = {"server": 0, "run": 0}

    def run(self) -> None:
        while not self.ended.wait(EVERY):
            self.running.append(gauges(self.url)["running"])
            for name, pid in (("server", self.server), ("run", self.run_pid)):
                self.peaks[name] = max(self.peaks[name], memory(pid))


def report(args: argparse.Namespace, folder: Path, server: subprocess.Popen[str], url: str) -> str:
    command = [sys.executable, "-m", "gen", "evolve", args.seeds, "--rounds", args.rounds, "--server", url,
               "--out", str(folder / "run"), "--quiet", "--json", *args.rest]  # fmt: skip
    before, began = gauges(url), time.monotonic()
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = Watch(server.pid, run.pid, url)
    watch.start()
    out, told = run.communicate()
    seconds = time.monotonic() - began
    watch.ended.set()
    watch.join()
    if run.returncode:
        raise SystemExit(told)
    spent = {name: value - before[name] for name, value in gauges(url).items()}
    look, wide = [sys.executable, "-m", "gen", "funnel", str(folder / "run")], os.environ | {"COLUMNS": "130"}
    table = subprocess.run(look, capture_output=True, text=True, check=True, env=wide).stdout
    return page(json.loads(out), spent, watch, seconds, table, told)


def page(found: dict[str, int], spent: dict[str, float], watch: Watch, seconds: float, funnel: str, told: str) -> str:
    busy = [i for i, running in enumerate(watch.running) if running] or [0]
    step = seconds / max(1, len(watch.running))
    rows = {
        "kept": f"{found['kept']:,}",
        "questions asked, measurements": f"{found['asked']:,}, {found['measured']:,}",
        "seconds, start of the server apart": f"{seconds:.1f}",
        "of these before the first request, after the last": f"{busy[0] * step:.1f}, "
        f"{(len(watch.running) - 1 - busy[-1]) * step:.1f}",
        "generated tokens a second at the server": f"{spent['generated'] / seconds:,.0f}",
        "prompt tokens a second at the server": f"{spent['prompted'] / seconds:,.0f}",
        "share of the time with a request running": f"{len(busy) / max(1, len(watch.running)):.0%}",
        "requests running, mean": f"{sum(watch.running) / max(1, len(watch.running)):.1f}",
        "peak memory of the server's processes, MiB": f"{watch.peaks['server'] / 2**20:,.0f}",
        "peak memory of gen, MiB": f"{watch.peaks['run'] / 2**20:,.0f}",
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([told, "```", funnel.rstrip(), "```", "", "| measured | value |", "|---|---|", *lines])


if __name__ == "__main__":
    main()
