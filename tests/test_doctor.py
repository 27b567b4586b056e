"""What is here and what is missing, by files, metadata and the driver's tool: never by a value that is secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from gen import disk, doctor
from gen.cli import main
from gen.engines.survey import Seen

SMI = """#!/bin/sh
case "$*" in
  *query-gpu*) printf '0, NVIDIA H100 80GB HBM3, 81559, 81000\\n1, NVIDIA H100 80GB HBM3, 81559, 20000\\n';;
  *) echo '| NVIDIA-SMI 535.1   Driver Version: 535.1   CUDA Version: 12.2 |';;
esac
"""


def by_what(findings: Any) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in findings}


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's tool with two cards, one of them busy."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")


def test_the_libraries_are_in_their_ranges_here() -> None:
    found = by_what(doctor.installed())
    assert [found[name].status for name in ("gen", "python", *doctor.PACKAGES)] == ["ok"] * 6
    assert found["torch"].found.endswith(("(CPU build)", ")"))
    assert "(CPU build)" in found["torch"].found or "CUDA" in found["torch"].found


def test_a_library_that_is_missing_or_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("transformers", "no-such-package"))
    monkeypatch.setattr(doctor, "_requirements", lambda: [Requirement("transformers>=99,<100")])
    found = by_what(doctor.installed())
    assert (found["transformers"].status, found["no-such-package"].status) == ("problem", "problem")
    assert "pip install 'transformers<100,>=99'" in found["transformers"].advice
    assert found["no-such-package"].advice == "pip install 'no-such-package'"


def test_vllm_is_looked_for_where_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    monkeypatch.setenv("GEN_VLLM_PYTHON", str(python))
    for version, status in (("0.32.0", "ok"), ("0.8.1", "note"), ("0.99.0", "note")):
        told = json.dumps({"version": version, "folder": "", "is_cpu": True})
        python.write_text(f"#!/bin/sh\necho '{told}'\n")
        python.chmod(0o755)
        found = doctor.vllm()
        assert (found.status, found.found) == (status, f"{version} (CPU build), {python}")
        assert ("gen is made for" in found.advice) is (status == "note")
    monkeypatch.setenv("GEN_VLLM_PYTHON", str(tmp_path / "nowhere"))
    assert (doctor.vllm().status, "no such program" in doctor.vllm().found) == ("problem", True)
    monkeypatch.delenv("GEN_VLLM_PYTHON")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    assert (doctor.vllm().status, doctor.vllm().found) == ("note", "not installed")


def test_cards_and_what_torch_can_make_of_them(smi: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_torch_build", lambda: "CPU build")
    found = by_what(doctor.gpus())
    assert (found["gpu 0"].status, found["gpu 0"].found) == ("ok", "NVIDIA H100 80GB HBM3, 80 GiB, 79 GiB free")
    assert (found["gpu 1"].status, found["torch"].status) == ("note", "note")
    assert "install torch's CUDA build" in found["torch"].advice
    for build, status in (("CUDA 12.8", None), ("CUDA 13.0", "problem")):
        monkeypatch.setattr(doctor, "_torch_build", lambda build=build: build)
        torch = by_what(doctor.gpus()).get("torch")
        assert (torch and torch.status) == status


def test_models_are_found_in_the_cache_and_in_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def checkpoint(folder: Path, weights: str) -> None:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
        (folder / weights).write_bytes(b"0" * 3_000_000)

    cache, here = tmp_path / "hub", tmp_path / "here"
    (cache / "models--Qwen--Qwen3-0.6B" / "blobs").mkdir(parents=True)
    checkpoint(cache / "models--Qwen--Qwen3-0.6B" / "snapshots" / "abc", "model.safetensors")
    checkpoint(here / "models" / "mine", "pytorch_model.bin")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    found = by_what(doctor.models(here))
    assert found["micro"].found == "bundled demonstration model, 7 MB"
    assert found["all-MiniLM-L6-v2"].status == "ok"
    assert found["Qwen/Qwen3-0.6B"].status == "ok"
    assert found["Qwen/Qwen3-0.6B"].found.endswith("Qwen3ForCausalLM")
    assert (found["models/mine"].status, "safetensors" in found["models/mine"].advice) == ("note", True)
    assert "3 MB" in found["models/mine"].found


def test_the_run_folder_is_judged_as_a_run_would_judge_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [fine] = doctor.run_folder(tmp_path / "runs" / "not-yet")
    assert fine.status in ("ok", "note")
    assert not (tmp_path / "runs").exists()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/home {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(doctor, "MOUNTS", mounts)
    [remote] = doctor.run_folder(tmp_path / "runs")
    assert (remote.status, remote.found[:4]) == ("problem", "nfs4")
    assert "put the run folder on a local disk" in remote.advice
    assert disk.file_system(tmp_path, mounts.read_text()) == "nfs4"


def test_servers_are_told_by_what_they_can() -> None:
    seen = [
        Seen("http://127.0.0.1:8000", False, "", "tiny", "", "", "", True),
        Seen("http://me:secret@host:9/v1", True, "one with a user name; a key goes into GEN_API_KEY"),
        Seen("http://127.0.0.1:8080", False, "answered 404; check"),
        Seen("http://127.0.0.1:1", True, "", "r1", "r1 thinks", "", "it has no /tokenize", False),
        Seen("http://127.0.0.1:2", True, "", "minilm", chats=False, embeds=True),
    ]
    able, odd, other, thinker, encoder = doctor.servers(seen)
    assert (encoder.status, encoder.found) == ("ok", "minilm; embeddings")
    assert (able.status, able.found) == ("ok", "tiny; chat, grammar, log-probabilities (IFD)")
    assert (odd.what, odd.status, odd.advice) == ("host:9", "problem", "a key goes into GEN_API_KEY")
    assert other.status == "note"
    assert (thinker.status, thinker.advice) == ("note", "r1 thinks")
    assert "no log-probabilities: it has no /tokenize; replies are not held to a schema" in thinker.found
    [none] = doctor.servers([])
    assert "8000 (vLLM), 11434 (Ollama)" in none.found


@pytest.mark.process
def test_the_command_is_quick_says_no_value_and_ends_with_1_where_gen_could_not_run(tmp_path: Path) -> None:
    def gen(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        code = ("import sys, gen.cli; rc = gen.cli.main(sys.argv[1:]);"
                "print([m for m in ('torch', 'numpy', 'transformers') if m in sys.modules], file=sys.stderr); sys.exit(rc)")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **env}
        return subprocess.run([sys.executable, "-c", code, "doctor", *args], capture_output=True, text=True, cwd=tmp_path,
                              env=environment, timeout=60)

    fine = gen("--json", GEN_API_KEY="sk-very-secret", HF_TOKEN="hf-very-secret")
    assert (fine.returncode, fine.stderr) == (0, "[]\n")
    assert "very-secret" not in fine.stdout
    found = {f["what"]: f for f in json.loads(fine.stdout)}
    assert (found["GEN_API_KEY"]["status"], found["HF_TOKEN"]["found"]) == ("note", "is set")
    assert found["runs"]["group"] == "run folder"
    assert not (tmp_path / "runs").exists()
    assert gen("--server", "http://127.0.0.1:1").returncode == 1


def test_a_closed_server_is_a_problem_and_nothing_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--server", "https://api.openai.com/v1"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "a closed model of OpenAI" in told
    assert "1 problem, " in told
