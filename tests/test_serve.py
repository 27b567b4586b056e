"""`gen serve` and `gen evolve --engine vllm` as a user meets them, with the test server in vLLM's place."""

import json
import signal
import subprocess
import sys
import time

import pytest
import vllm_serving

from gen.engines import registry
from gen.engines.processes import members

pytestmark = pytest.mark.process


def gen(stub, *words):
    command = [sys.executable, "-m", "gen", *words, "--vllm-python", str(stub.python)]
    return subprocess.Popen(command, cwd=vllm_serving.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def evolve(stub, tmp_path, *words):
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"instruction": f"Tell of harbour {i}."}) + "\n" for i in range(10)))
    return gen(stub, "evolve", str(seeds), "--rounds", "2", "--model", "org/model", "--engine", "vllm",
               "--out", str(tmp_path / "run"), *words)  # fmt: skip


def wait(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_what_gen_serve_serves_is_used_by_runs_and_ends_at_ctrl_c(stub, tmp_path):
    serving = gen(stub, "serve", "org/model", "--servers", "2")
    said = [serving.stdout.readline()]
    while "serving; use it by" not in said[-1]:
        said.append(serving.stdout.readline())
    shown = registry.records()
    assert said[-1] == f"serving; use it by: gen evolve {' '.join(f'--server {r.url}' for r in shown)}\n"
    run = evolve(stub, tmp_path, "--servers", "2")
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert errors.count("found running, and used") == 2
    assert len(stub.starts) == 2
    assert all(members(r.server.pid) for r in shown), "the run has not stopped them"
    serving.send_signal(signal.SIGINT)
    _, errors = serving.communicate(timeout=30)
    assert serving.returncode == 0, errors
    assert not any(members(r.server.pid) for r in shown)


def test_ctrl_c_stops_the_run_and_its_server_and_the_same_command_goes_on(stub, tmp_path):
    stub.set("--delay", "150")
    run = evolve(stub, tmp_path, "--width", "2")
    wait(lambda: stub.asked() > 6)
    [record] = registry.records()
    run.send_signal(signal.SIGINT)
    told, errors = run.communicate(timeout=30)
    assert run.returncode == 75, errors
    assert "the same command goes on" in told
    assert not members(record.server.pid)
    stub.set()
    again = evolve(stub, tmp_path, "--width", "2")
    told, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert "complete: " in told
    assert not registry.records()


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 75), (signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_start_that_is_interrupted_leaves_nothing(stub, tmp_path, sign, code):
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    stub.set(serving=str(slow))
    run = evolve(stub, tmp_path)
    wait(registry.records)
    [record] = registry.records()
    wait(lambda: len(members(record.server.pid)) == 2)
    run.send_signal(sign)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == code, errors
    assert "Traceback" not in errors
    wait(lambda: not members(record.server.pid))


def test_a_start_that_comes_to_nothing_is_one_line_with_advice(stub, tmp_path):
    stub.set(fail=1, why="torch.OutOfMemoryError: CUDA out of memory.")
    run = evolve(stub, tmp_path)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "gen: vLLM did not start: torch.OutOfMemoryError: CUDA out of memory.; the model does not fit: pass" in errors
    assert "Traceback" not in errors


def test_a_bound_out_of_range_and_nothing_to_stop_are_said(stub):
    run = gen(stub, "serve", "org/model", "--servers", "0")
    assert "gen: --servers 0: allowed: 1..64" in run.communicate(timeout=30)[1]
    assert run.returncode == 2
    assert gen(stub, "serve", "--stop").communicate(timeout=30)[0] == "nothing was left running\n"
