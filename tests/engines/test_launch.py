"""Where vLLM is, which GPUs it gets, what it is told."""

import json
import sys

import pytest
import vllm_serving

from gen.engines import launch
from gen.engines.launch import Installed, groups, visible_gpus
from gen.errors import RecipeError

CPU = Installed("/opt/python", "0.32.0", "", True)
GPU = Installed("/opt/python", "0.32.0", "", False)
TWO = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaa)\nGPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbb)\n"
MIG = TWO + "  MIG 1g.10gb     Device  0: (UUID: MIG-ccc)\n  MIG 1g.10gb     Device  1: (UUID: MIG-ddd)\n"


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """Say what nvidia-smi lists."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def cards(text):
        (tmp_path / "listed").write_text(text)
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat {tmp_path}/listed\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return cards


@pytest.mark.parametrize(("listed", "chosen", "expected"), [
    (TWO, None, ("0", "1")), (TWO, "1", ("1",)), (TWO, "1,0", ("1", "0")), (TWO, "GPU-bbb", ("GPU-bbb",)),
    (TWO, "", ()), (TWO, "-1", ()), (TWO, "1,-1,0", ("1",)), ("", None, ()), ("", "0", ()),
    (MIG, None, ("0", "MIG-ccc", "MIG-ddd")), (MIG, "MIG-ddd", ("MIG-ddd",)),
])  # fmt: skip
def test_visible_gpus_are_those_that_cuda_would_show(cards, monkeypatch, listed, chosen, expected):
    cards(listed)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == expected


def test_gpus_are_shared_out_in_groups():
    assert groups("0123", 1, None) == [("0",), ("1",), ("2",), ("3",)]
    assert groups("01234", 2, None) == [("0", "1"), ("2", "3")]
    assert groups("0123", 2, 1) == [("0", "1")]
    with pytest.raises(RecipeError, match="--servers 1 x --tensor-parallel 4 = 4 GPUs, but free and visible are 2: 0, 1"):
        groups("01", 4, None)


def test_the_environment_of_a_server_names_its_devices_and_tells_nobody(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("VLLM_API_KEY", "of-another")
    env = launch.environment(GPU, str(tmp_path), ("2", "3"), 1, 2, "")
    assert env["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert env["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert env["HF_HUB_OFFLINE"] == "1", "a folder is complete: nothing is fetched"
    assert env["VLLM_NO_USAGE_STATS"] == "1"
    assert "VLLM_API_KEY" not in env
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aaa,GPU-bbb")
    env = launch.environment(GPU, "org/model", ("GPU-bbb",), 1, 2, "mine")
    assert (env["CUDA_VISIBLE_DEVICES"], env["VLLM_API_KEY"]) == ("GPU-bbb", "mine")
    assert "CUDA_DEVICE_ORDER" not in env, "the user's numbers mean what they meant"
    assert "HF_HUB_OFFLINE" not in env
    assert launch.environment(CPU, str(vllm_serving.WEIGHTS), (), 0, 1, "")["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_a_gpu_server_leaves_room_for_scoring_and_samples_as_requests_say():
    words = " ".join(launch.command(GPU, "org/m", "org/m", 81, tensor_parallel=2, more=["--gpu-memory-utilization", "0.5"]))
    assert "--host 127.0.0.1 --port 81 --generation-config vllm" in words
    assert "--gpu-memory-utilization 0.88 --tensor-parallel-size 2 --gpu-memory-utilization 0.5" in words
    assert "trust-remote-code" not in words
    assert "float32" not in words
    assert "--trust-remote-code" in launch.command(CPU, "org/m", "m", 81, trust_remote_code=True)


def test_versions_in_the_range_pass_older_are_refused_newer_warned_about():
    assert [Installed("p", v, "", True).check() for v in ("0.30.0", "0.32.0", "0.32.1.post2+cpu")] == ["", "", ""]
    with pytest.raises(RecipeError, match=r"vLLM 0\.9\.1 \(p\): gen is made for >=0\.30,<0\.33; install"):
        Installed("p", "0.9.1", "", True).check()
    assert "going on, but what it does is not proven" in Installed("p", "1.0.0", "", True).check()


SOURCE = """
class EngineArgs:
    model: str = ""
    max_model_len: int = 0
    def add_cli_args(parser):
        parser.add_argument("--max-logprobs")
class FrontendArgs:
    enable_log_requests: bool = False
"""


def test_arguments_are_checked_against_the_source_of_the_vllm_that_is_there(tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "arg_utils.py").write_text(SOURCE)
    here = Installed("p", "0.32.0", str(tmp_path), True)
    words = "--max-model-len 8 --max_logprobs=3 --no-enable-log-requests -O3"
    assert launch.given(words, here) == words.split()
    with pytest.raises(RecipeError, match=r"vLLM 0\.32\.0 has no --max-model-length; did you mean '--max-model-len'\?"):
        launch.given("--max-model-length 8", here)
    with pytest.raises(RecipeError, match="No closing quotation"):
        launch.given("--max-model-len '8", here)


@pytest.mark.parametrize(("word", "advice"), [
    ("--host 0.0.0.0", "--server URL"), ("--port=1", "gen serve --port"), ("--api-key x", "GEN_API_KEY"), ("-tp 2", "--tensor-parallel"),
])  # fmt: skip
def test_what_gen_decides_itself_is_refused_with_the_flag_for_it(word, advice):
    with pytest.raises(RecipeError, match=advice):
        launch.given(word, GPU)


def test_a_named_python_without_vllm_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("GEN_VLLM_PYTHON", raising=False)
    with pytest.raises(RecipeError, match="--vllm-python /nowhere: no such program; install it with pip"):
        launch.find("/nowhere")
    bare = tmp_path / "python"
    bare.write_text(f"#!/bin/sh\nexec echo '{json.dumps({'version': '', 'folder': '', 'is_cpu': False})}'\n")
    bare.chmod(0o755)
    with pytest.raises(RecipeError, match="it has no vLLM"):
        launch.find(str(bare))


def test_a_vllm_program_on_the_path_tells_its_python(tmp_path, monkeypatch):
    monkeypatch.delenv("GEN_VLLM_PYTHON", raising=False)
    monkeypatch.setattr(launch, "_probe", lambda python: None if python == sys.executable else python)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.find() is None
    for name in ("vllm", "python"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert launch.find() == str(tmp_path / "python")


@pytest.mark.skipif(vllm_serving.python() is None, reason=vllm_serving.MISSING)
def test_the_installed_vllm_is_in_the_range_and_has_every_option_that_gen_gives_it():
    found = launch.find(str(vllm_serving.python()))
    assert found.check() == ""
    given = {*launch.command(found, "m", "m", 1, tensor_parallel=2, trust_remote_code=True), *launch.GPU_FLAGS}
    options = {word.replace("--no-", "--") for word in given if word.startswith("--")}
    assert options <= found.options
