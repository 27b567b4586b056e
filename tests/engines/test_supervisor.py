"""Servers that gen starts itself: every way in which they and gen can end, with the test server in vLLM's place."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import serving
from vllm_serving import Stub

from gen.engines import registry
from gen.engines.processes import Process, members
from gen.engines.supervisor import Limits
from gen.engines.vllm import Vllm, stop_kept
from gen.errors import EngineError, GenError, RecipeError, Unavailable

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
question = serving.question


def vllm(stub: Stub, **options: Any) -> Vllm:
    quick = serving.QUICK | {"patience": 1.0}
    return Vllm("some/model", vllm_python=str(stub.python), **quick | options)


def running(*records: registry.Record) -> list[str]:
    """What is left of these servers' process groups."""
    return [command for record in records for _, _, command in members(record.server.pid)]


async def until(condition: Any, seconds: float = 10.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("waited in vain")


def wait_for(condition: Any, seconds: float = 15.0) -> None:
    asyncio.run(until(condition, seconds))


def held(stub: Stub, act: Any = None, **options: Any) -> list[str]:
    """Open, `act` on the engine, close; what was said."""
    said: list[str] = []

    async def run() -> None:
        engine = vllm(stub, **options)
        engine.say = said.append
        try:
            await engine.open()
            if act:
                await act(engine)
        finally:
            await engine.close()

    asyncio.run(run())
    return said


# -- from start to end ----------------------------------------------------------------------------


def test_a_server_is_started_asked_and_stopped_with_all_that_it_started(stub):
    stub.set(say=["(Worker pid=7) INFO 11-22 12:52:19 [cpu_model_runner.py:68] Starting to load model x..."])
    records = []

    async def act(engine: Vllm) -> None:
        records.extend(registry.records())
        assert len(running(*records)) == 2, "the server and its worker"
        done = await asyncio.gather(*(engine.complete(question(seed=n)) for n in range(8)))
        assert all(c.text for c in done)

    said = held(stub, act)
    assert not running(*records)
    assert not registry.records()
    assert said[0] == "vLLM 0.32.0, 1 server of some/model on the CPU"
    assert any("loading the weights" in line for line in said)
    assert "ready at http://127.0.0.1:" in said[-1]


def test_servers_listen_on_loopback_with_flags_of_the_cpu_build_and_no_telemetry(stub, monkeypatch):
    monkeypatch.setenv("GEN_API_KEY", "sk-very-secret-0123")
    stub.set("--key", "sk-very-secret-0123")
    held(stub, count=2, vllm_args="--max-model-len 512 --dtype bfloat16")
    assert len({start["argv"][start["argv"].index("--port") + 1] for start in stub.starts}) == 2
    for start in stub.starts:
        argv, env = " ".join(start["argv"]), start["env"]
        assert "--host 127.0.0.1" in argv
        assert "--enforce-eager --no-enable-chunked-prefill --max-num-batched-tokens 4096" in argv
        assert argv.endswith("--max-model-len 512 --dtype bfloat16"), "later ones win"
        assert "sk-very-secret" not in argv
        assert env["VLLM_API_KEY"] == "sk-very-secret-0123"
        assert env["VLLM_NO_USAGE_STATS"] == env["DO_NOT_TRACK"] == "1"
    assert stub.starts[0]["env"]["VLLM_CPU_OMP_THREADS_BIND"] != stub.starts[1]["env"]["VLLM_CPU_OMP_THREADS_BIND"]


@pytest.mark.parametrize(("why", "kind", "advice"), [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", EngineError, "the model does not fit"),
    ("ValueError: Free memory on device cuda:0 (3/79 GiB) on startup is less than desired", EngineError, "nvidia-smi"),
    ("huggingface_hub.errors.RepositoryNotFoundError: 404", RecipeError, "a name of the Hugging Face hub"),
    ("api_server.py: error: unrecognized arguments: --x", RecipeError, "correct --vllm-args"),
    ("ValueError: something new", EngineError, "read its log"),
])  # fmt: skip
def test_a_start_that_comes_to_nothing_says_why_and_what_to_do(stub, why, kind, advice):
    noise = ["(EngineCore pid=9) ERROR 11-22 12:52:19 [core.py:1] Traceback", "RuntimeError: Engine core initialization failed."]
    stub.set(say=noise, fail=1, why=f"(EngineCore pid=9) ERROR 11-22 12:52:19 [core.py:1] {why}")
    with pytest.raises(kind, match=r"log: .*\.log") as found:
        held(stub)
    assert type(found.value) is kind
    assert why[:60] in str(found.value)
    assert advice in str(found.value)
    assert len(stub.starts) == 1, "what fails at its first start is not started again"
    assert not registry.records()


def test_a_port_that_another_program_was_quicker_to_take_is_no_failure(stub):
    stub.set(fail=1, why="OSError: [Errno 98] Address already in use", until=2)
    held(stub)
    assert len(stub.starts) == 2


def test_a_port_that_was_asked_for_and_is_taken_is_said_before_anything_starts(stub):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RecipeError, match=r"--port \d+: taken by another program"):
            held(stub, port=taken.getsockname()[1])
    assert not stub.starts


# -- what dies is started again -------------------------------------------------------------------


def test_the_only_server_killed_is_started_again_and_no_request_lost_beyond_patience(stub):
    stub.set("--delay", "300")

    async def act(engine: Vllm) -> None:
        tasks = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(20)]
        await until(lambda: stub.asked() >= 20)
        stub.set(say=["slow start"], serving=str(slow))
        os.kill(registry.records()[0].server.pid, signal.SIGKILL)
        began = time.monotonic()
        done = await asyncio.gather(*tasks)
        assert time.monotonic() - began > 2.0, "longer than patience (1 s)"
        assert all(c.text for c in done)

    slow = stub.folder / "slow.py"
    slow.write_text(f"import sys, time, runpy; time.sleep(2); runpy.run_path({str(ROOT / 'tests/serving.py')!r}, run_name='__main__')")
    said = held(stub, act)
    assert any("it died; starting it again" in line for line in said)
    assert len(stub.starts) == 2
    ports = {start["argv"][start["argv"].index("--port") + 1] for start in stub.starts}
    assert len(ports) == 1, "its URL stays"


def test_the_keeper_killed_leaves_no_server_behind(stub):
    async def act(engine: Vllm) -> None:
        [record] = registry.records()
        keeping = int(Path(f"/proc/{record.server.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeping, signal.SIGKILL)
        await until(lambda: registry.records() and registry.records()[0].server != record.server and not running(record))
        assert (await engine.complete(question())).text

    stub.set("--orphan")
    held(stub, act)
    assert not registry.records()


def test_the_sockets_of_a_server_are_gone_with_it(stub):
    async def act(engine: Vllm) -> None:
        folder = Path(stub.starts[0]["env"]["VLLM_RPC_BASE_PATH"])
        (folder / "socket").touch()
        assert folder.name.startswith("gen-vllm-")

    held(stub, act)
    assert not Path(stub.starts[0]["env"]["VLLM_RPC_BASE_PATH"]).exists()


def test_what_dies_again_and_again_ends_the_run_so_that_it_can_go_on_later(stub, monkeypatch):
    monkeypatch.setattr("gen.engines.vllm.Limits", lambda memory: Limits(restarts=3, backoff=0.05))

    async def act(engine: Vllm) -> None:
        stub.set(fail=1, why="RuntimeError: CUDA error: unspecified launch failure")
        os.kill(registry.records()[0].server.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match=r"given up after 3 new starts.*unspecified launch failure.*the same command"):
            await engine.complete(question())
        assert engine.lost

    held(stub, act)
    assert len(stub.starts) == 4


def test_a_server_that_hangs_is_started_again_and_its_requests_asked_again(stub):
    stub.set("--delay", "60000", "--tokens-per-s", "0")

    async def act(engine: Vllm) -> None:
        task = asyncio.create_task(engine.complete(question()))
        await until(lambda: stub.asked() == 1)
        stub.set("--tokens-per-s", "0")
        assert (await task).text

    said = held(stub, act, pulse=0.2, stall=1.0)
    assert any("it hangs: requests wait, and no token" in line for line in said)


def test_a_server_that_grows_is_drained_and_started_again(stub, monkeypatch):
    monkeypatch.setattr("gen.engines.supervisor.MEMORY_EVERY_S", 0.2)
    stub.set("--delay", "700")

    async def act(engine: Vllm) -> None:
        asked = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(4)]
        await until(lambda: stub.asked() == 4)
        [unit] = engine._supervisor.units
        unit.most_memory = 1
        await until(lambda: unit.endpoint.is_mended)
        later = asyncio.create_task(engine.complete(question(seed=9)))
        assert all(c.text for c in await asyncio.gather(*asked, later))

    said = held(stub, act)
    assert any("its memory on the host grew to 0.0 GiB; starting it again" in line for line in said)
    assert len(stub.starts) == 2
    assert stub.asked() == 5, "what was in flight was waited for, not asked again"


# -- what is left behind, and what is kept --------------------------------------------------------

SCRIPT = """
import asyncio, sys
sys.path.insert(0, "tests")
import serving
from vllm_serving import Stub
from gen.engines.vllm import Vllm

async def main():
    engine = Vllm("some/model", vllm_python=sys.argv[1], keep_server="keep" in sys.argv)
    await engine.open()
    print("open", flush=True)
    await asyncio.sleep(60 if "stay" in sys.argv else 0)
    await engine.close()

asyncio.run(main())
"""


def gen(stub: Stub, *words: str) -> subprocess.Popen[str]:
    """Another gen, whose server is up."""
    command = [sys.executable, "-c", SCRIPT, str(stub.python), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n", process.communicate()[1]
    return process


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_gen_ends_its_servers(stub, sign):
    process = gen(stub, "stay")
    [record] = registry.records()
    process.send_signal(sign)
    process.communicate(timeout=60)
    wait_for(lambda: not running(record))


def test_orphans_are_found_by_the_next_gen_and_those_of_a_living_one_left_alone(stub):
    stub.set("--orphan")
    living, killed = gen(stub, "stay"), gen(stub, "stay")
    mine, orphan = sorted(registry.records(), key=lambda r: r.owner.pid != living.pid)
    keeping = int(Path(f"/proc/{orphan.server.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeping, signal.SIGSTOP)
    for pid in (killed.pid, keeping):
        os.kill(pid, signal.SIGKILL)
    killed.communicate(timeout=10)
    assert running(orphan), "nobody was left to stop it"
    said = held(stub)
    assert said[1] == f"stopped the server that a killed gen has left behind: some/model at {orphan.url}"
    assert not running(orphan)
    assert running(mine)
    living.kill()
    living.communicate(timeout=10)


def test_the_rest_of_a_server_whose_leader_is_dead_is_stopped_too(stub):
    stub.set("--orphan")
    killed = gen(stub, "stay")
    [orphan] = registry.records()
    keeping = int(Path(f"/proc/{orphan.server.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeping, signal.SIGSTOP)
    for pid in (killed.pid, keeping, orphan.server.pid):
        os.kill(pid, signal.SIGKILL)
    killed.communicate(timeout=10)
    wait_for(lambda: len(running(orphan)) == 1)  # its worker
    held(stub)
    assert not running(orphan)


def test_an_id_that_belongs_to_another_process_now_is_never_killed(stub):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "vllm"], start_new_session=True)
    gone = Process(other.pid, "12345")
    record = registry.Record("key", 0, "http://127.0.0.1:1", "", (), gone, gone, model="m")
    registry.write(record)
    assert record.is_orphan
    assert registry.clear() == []
    assert other.poll() is None
    assert registry.records() == []
    other.kill()
    other.wait()


def test_a_kept_server_survives_even_kill_9_and_is_found_by_the_same_model_and_arguments(stub):
    process = gen(stub, "keep", "stay")
    [record] = registry.records()
    process.kill()
    process.communicate(timeout=10)
    time.sleep(1.0)
    assert running(record)

    async def act(engine: Vllm) -> None:
        assert engine.urls == (record.url,)
        assert (await engine.complete(question())).text

    said = held(stub, act)
    assert any("found running, and used" in line for line in said)
    assert running(record), "a run that did not start it does not stop it"
    assert len(stub.starts) == 1
    held(stub, vllm_args="--max-model-len 64")
    assert len(stub.starts) == 2, "other arguments: another server"
    assert [r.url for r in stop_kept()] == [record.url]
    assert not running(record)


def test_a_kept_server_that_dies_is_started_again_by_who_uses_it(stub):
    gen(stub, "keep").communicate(timeout=20)
    [record] = registry.records()

    async def act(engine: Vllm) -> None:
        os.kill(record.server.pid, signal.SIGKILL)
        assert (await engine.complete(question())).text

    held(stub, act)
    assert len(stub.starts) == 2
    assert not registry.records()


def test_a_folder_that_others_may_write_to_is_refused(stub, tmp_path):
    (tmp_path / "runtime").chmod(0o777)
    with pytest.raises(GenError, match="may be written by others; set GEN_RUNTIME_DIR"):
        held(stub)
    (tmp_path / "runtime").chmod(0o700)


def test_records_of_another_version_are_passed_over(stub):
    own = Process.of(os.getpid())
    registry.write(replace(registry.Record("k", 0, "u", "", (), own, own), is_shared=True))
    (registry.folder() / "odd.json").write_text('{"key": 1}')
    assert [r.key for r in registry.records()] == ["k"]
