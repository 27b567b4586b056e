"""Parquet by a process of its own: the same bytes, the same errors, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gen.export import columns
from gen.export.columns import apart, parquet

EXAMPLE = {"id": "a", "n": 1, "tags": ["a"], "meta": {"round": 0}}
ROWS = [{"id": f"{n} é\u2028", "n": n, "tags": ["x"] * (n % 3), "meta": {"round": n}} for n in range(2_500)]


def write(how, path, rows=ROWS):
    with how(path, EXAMPLE) as put:
        for row in rows:
            put(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return path.read_bytes()


@pytest.mark.parametrize("count", [0, 1, 1000, 2500])
def test_both_ways_give_the_same_bytes(tmp_path, count):
    assert write(apart, tmp_path / "a", ROWS[:count]) == write(parquet, tmp_path / "b", ROWS[:count])


def test_what_prevents_writing_is_told_as_the_system_says_it(tmp_path):
    with pytest.raises(OSError, match="No such file") as error:
        write(apart, tmp_path / "no" / "a")
    assert error.value.errno == errno.ENOENT
    assert error.value.filename == str(tmp_path / "no" / "a")


def test_a_full_disk_is_told(tmp_path):
    code = (
        "import json, sys; from pathlib import Path; from gen.export.columns import apart\n"
        "import tests.export.test_columns as t\n"
        "try: t.write(apart, Path(sys.argv[1]), t.ROWS * 40)\n"
        "except OSError as error: print(error.errno)"
    )

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], preexec_fn=limited, env=env, cwd=root,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == str(errno.EFBIG), done.stderr


def test_a_row_of_another_type_is_an_error_and_no_file_that_looks_whole(tmp_path, capfd):
    with pytest.raises(OSError, match="ended with 1"):
        write(apart, tmp_path / "a", [{"id": 3}])
    assert "ArrowInvalid" in capfd.readouterr().err


def test_an_error_meanwhile_ends_the_process(tmp_path, monkeypatch):
    started = []
    run = subprocess.Popen
    monkeypatch.setattr(columns.subprocess, "Popen", lambda *a, **k: started.append(run(*a, **k)) or started[0])
    with pytest.raises(KeyboardInterrupt), apart(tmp_path / "a", EXAMPLE):
        raise KeyboardInterrupt
    assert started[0].returncode < 0


def test_the_process_loads_nothing_of_gen_and_no_numpy(tmp_path):
    code = (
        f"import sys, runpy; sys.argv = ['columns.py', {str(tmp_path / 'a')!r}]\n"
        f"try: runpy.run_path({columns.__file__!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('gen', 'numpy', 'pandas') and sys.modules[m]))"
    )
    rows = json.dumps(EXAMPLE) + "\n" + json.dumps(ROWS[0]) + "\n"
    done = subprocess.run([sys.executable, "-c", code], input=rows, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
