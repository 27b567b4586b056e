"""What a user must never lose or leak, whatever the command."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gen.cli import main
from gen.prompts import Prompts

SCRIPT = """
[[rule]]
role = "judge"
reply = "Not equal"
[[rule]]
role = "evolver"
reply = "<instruction>Name three rivers of Europe, and say for each where it ends.</instruction>"
[[rule]]
reply = ["A plain answer.", "Another answer."]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.toml").write_text(SCRIPT)
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps({"instruction": f"Name river {i}."}) + "\n" for i in range(4)))
    return tmp_path


def run(command):
    return main([*shlex.split(command), "--quiet"])


EVOLVE = "evolve seeds.jsonl --model script:script.toml --rounds 1 --operations.complicate 0"


def test_files_that_no_run_has_made_are_never_overwritten(place, capsys):
    own = place / "own"
    own.mkdir()
    (own / "dataset.jsonl").write_text((place / "seeds.jsonl").read_text())
    assert run(f"{EVOLVE.replace('seeds.jsonl', 'own/dataset.jsonl')} --out own") == 2
    assert "holds dataset.jsonl but no run" in capsys.readouterr().err
    assert (own / "dataset.jsonl").read_text() == (place / "seeds.jsonl").read_text()
    assert not (own / "pool.db").exists()


def test_a_key_in_a_url_is_refused_before_anything_is_written(place, capsys):
    for url in ("http://user:secret@127.0.0.1:9", "http://127.0.0.1:9/v1?key=secret"):
        assert run(f"evolve seeds.jsonl --server {url} --out run") == 2
    assert not (place / "run").exists()


def test_secrets_of_a_command_line_are_in_no_file(place):
    assert run(f"{EVOLVE} --out run --domain 'api_key=s3cr3t'") == 0
    log = (place / "run/run.log").read_text()
    assert "started" in log
    assert "s3cr3t" not in log
    assert "s3cr3t" not in (place / "run/README.md").read_text().partition("## Command")[2]


def test_the_recipe_of_a_run_folder_goes_on_in_that_folder(place, capsys, monkeypatch):
    assert run(f"{EVOLVE} --out run") == 0
    before = (place / "run/dataset.jsonl").read_bytes()
    capsys.readouterr()
    assert run("run run/recipe.toml") == 0
    assert "already finished" in capsys.readouterr().out
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    assert (place / "run/dataset.jsonl").read_bytes() == before
    assert not (place / "runs").exists()


def test_an_operation_of_a_recipe_may_be_a_file_of_the_prompts_folder(place):
    (place / "mine/evolve").mkdir(parents=True)
    (place / "mine/evolve/rhyme.jinja").write_text(Prompts().path("evolve/deepen").read_text())
    (place / "rhyme.toml").write_text('[evolve.operations]\nrhyme = 1.0\n')
    assert run("evolve seeds.jsonl --model script:script.toml --rounds 1 --prompts mine --recipe rhyme.toml --out run") == 0
    rows = [json.loads(line) for line in (place / "run/dataset.jsonl").read_text().splitlines()]
    assert {r["meta"]["operation"] for r in rows} == {"seed", "rhyme"}


def test_escapes_in_a_message_do_not_reach_the_terminal(place, capsys):
    assert run("evolve 'nowhere\x1b[31m.jsonl'") == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_filter_that_can_do_nothing_is_refused(place, capsys, monkeypatch):
    code = "from gen.catalog import component\nfrom dataclasses import dataclass\n@component('idle', source='ours')\n@dataclass(frozen=True)\nclass Idle:\n    pass\n"
    (place / "idle.py").write_text(code)
    monkeypatch.syspath_prepend(str(place))
    assert run(f"{EVOLVE} --with idle:Idle") == 2
    assert "has no check, open or score" in capsys.readouterr().err


def test_the_end_of_a_pipe_is_no_failure(place):
    assert run(f"{EVOLVE} --out run") == 0
    command = [sys.executable, "-m", "gen", "funnel", "run"]
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root})
    process.stdout.close()
    _, errors = process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in errors


def test_what_a_budget_left_unjudged_is_not_called_dropped(place, capsys):
    assert run(f"{EVOLVE} --out run --target 1") == 0
    told = capsys.readouterr().out
    assert "target met: 1 samples kept" in told
    assert "candidates were kept" not in told
