"""`pip install .` gives a working `gen`: prompts, recipes, seeds and the bundled model travel with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_an_installed_gen_works_outside_its_tree(tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    script = tmp_path / "script.toml"
    script.write_text('[[rule]]\nrole = "judge"\nreply = "Not equal"\n[[rule]]\nrole = "evolver"\nreply = ['
                      '"<instruction>Sort the words by length, then by the alphabet.</instruction>\\n<input>b a</input>"]\n'
                      '[[rule]]\nreply = "A fine answer."\n')  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    run = subprocess.run([sys.executable, "-m", "gen", "evolve", "--model", f"script:{script}", "--without", "semantic", "--out", "run", "--quiet"],
                         cwd=tmp_path, capture_output=True, text=True, env=environment)  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "run/dataset.jsonl").read_text().count("\n") > 20
    where = subprocess.run([sys.executable, "-c", "import gen, gen.micro.bundled as b; print(gen.__file__); print(len(list(b.weights().iterdir())))"],
                           cwd=tmp_path, capture_output=True, text=True, env=environment)  # fmt: skip
    path, files = where.stdout.split()
    assert path.startswith(str(tmp_path))
    assert int(files) >= 4
