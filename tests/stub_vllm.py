"""Stands for a Python that has vLLM: answers gen's probe, and "starts vLLM" as the test server with a worker beside it.

What goes wrong comes from a JSON file beside the copy of this file that a test makes (see test_supervisor.py):
`say` lines of log first, `fail` an exit code, `starts` the number of starts after which it fails no longer.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "stub.json").read_text())


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


if "-c" in sys.argv:
    print(json.dumps({"version": PLAN["version"], "is_cpu": True, "folder": str(HERE)}))
    sys.exit()
with (HERE / "starts").open("a") as file:
    file.write(json.dumps({"argv": sys.argv, "env": dict(os.environ)}) + "\n")
for line in PLAN["say"]:
    print(line, file=sys.stderr, flush=True)
count = len((HERE / "starts").read_text().splitlines())
if PLAN["fail"] is not None and PLAN["from"] <= count < PLAN["until"]:
    print(PLAN["why"], file=sys.stderr, flush=True)
    sys.exit(PLAN["fail"])
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)", "VLLM::Worker"])
command = [PLAN["serving"], "--port", option("--port"), "--models", option("--served-model-name"), *PLAN["flags"]]
os.execv(sys.executable, [sys.executable, *command, "--log", str(HERE / f"asked-{option('--port')}.jsonl")])
