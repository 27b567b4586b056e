"""What a program that nobody vouches for can do, tried out: nothing outside, and nothing for long."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from filters import sandbox
from filters.sandbox import CannotIsolate, Limits, run

pytestmark = pytest.mark.process
QUICK = Limits(seconds=1, wall=2.0)
ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture(autouse=True)
def _isolated():
    if why := sandbox.lacking():
        with pytest.raises(CannotIsolate):
            run("", "")
        pytest.skip(f"nothing can be isolated here: {why}")


def named():
    """A name that a program gives itself and all that it starts, and how many processes bear it."""
    name = f"g{secrets.token_hex(6)}"

    def alive():
        found = []
        for comm in Path("/proc").glob("[0-9]*/comm"):
            try:
                found += [comm] if comm.read_text().strip() == name else []
            except OSError:
                continue
        return len(found)

    return f"import ctypes\nctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\n", alive


ENDS = {
    "right": ("def f(x):\n    return x + 1", "assert f(1) == 2", ""),
    "wrong": ("def f(x):\n    return x", "x = 3\nassert f(x) == 3\nassert f(1) == 2, 'one'", "assert f(1) == 2, 'one': AssertionError: one"),
    "wrong within": ("f = abs", "def check(g):\n    assert g(-1) == -1\ncheck(f)", "assert g(-1) == -1: AssertionError"),
    "broken": ("x = 1 / 0", "assert x", "line 1 of the answer: ZeroDivisionError: division by zero"),
    "missing": ("x = 1", "assert y", "assert y: NameError: name 'y' is not defined"),
    "no Python": ("x = = 1", "assert x", "line 1 of the answer: SyntaxError: invalid syntax (answer, line 1)"),
    "leaves": ("import sys\nsys.exit(0)", "assert False", "line 2 of the answer: SystemExit: 0"),
    "leaves at once": ("import os\nos._exit(0)", "assert False", "the program ended with status 0 before its tests did"),
    "crashes": ("import ctypes\nctypes.string_at(0)", "", "the program ended by signal 11 before its tests did"),
    "a main part is not run": ("def f(): return 1\nif __name__ == '__main__':\n    input()", "assert f() == 1", ""),
    "dataclasses": ("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int", "assert A(1).x == 1", ""),
    "reads input": ("x = input()", "", "line 1 of the answer: EOFError: EOF when reading a line"),
    "exits within tests": ("def f():\n    raise SystemExit", "f()", "f(): SystemExit"),
    "odd text": ("x = '\ud800'", "assert True", ""),
}


@pytest.mark.parametrize("case", ENDS)
def test_a_program_passes_or_the_first_line_that_failed_is_told(case):
    code, tests, note = ENDS[case]
    outcome = run(code, tests)
    assert (outcome.passed, outcome.note) == (not note, note)
    assert outcome.reason == ("tests_failed" if note else "")


FORGED = ['5', '{"refused": "x"}', '{"line": "x", "error": 1}', '{"where": "tests", "line": 99, "error": ""}', "[" * 4000, "x" * 5000, "\\xff", '{"status": 0}']


@pytest.mark.parametrize("report", FORGED)
def test_a_report_that_the_program_wrote_itself_is_no_harm(report):
    outcome = run(f"import os, sys\nfor n in range(3, 9):\n    try:\n        os.write(n, b'{report}')\n    except OSError:\n        pass\nos._exit(0)", "assert True")
    assert (outcome.passed, outcome.reason) == (False, "tests_failed")


@pytest.mark.parametrize("code", ["while True: pass", "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
                                  "import time\ntime.sleep(60)", "import signal\nsignal.pause()",
                                  "import os\nif os.fork():\n    os.wait()\nelse:\n    import time\n    time.sleep(60)"])  # fmt: skip
def test_what_does_not_end_is_ended(code):
    named_code, alive = named()
    began = time.monotonic()
    assert run(named_code + code, "", QUICK).reason == "tests_timeout"
    assert time.monotonic() - began < 15
    assert alive() == 0


def test_a_fork_bomb_stays_in_its_box_and_leaves_nothing():
    mark, alive = named()
    outcome = run(f"{mark}import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass", "", QUICK)
    assert outcome.reason == "tests_timeout"
    assert alive() == 0
    count = "import os, time\nn = 0\ntry:\n    while n < 500:\n        if os.fork() == 0:\n            time.sleep(9)\n        n += 1\nexcept OSError:\n    pass"
    assert run(count, "assert 0 < n < 8, n", QUICK).passed


def test_what_it_leaves_in_the_background_ends_with_it():
    mark, alive = named()
    code = f"{mark}import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n    os._exit(0)"
    assert run(code, "assert True").passed
    assert alive() == 0


@pytest.mark.parametrize("bomb", ["x = 'a' * (1 << 30)", "x = []\nwhile True:\n    x.append(bytearray(1 << 22))"])
def test_a_memory_bomb_ends_in_a_memory_error(bomb):
    assert run(bomb, "").note.endswith("MemoryError")


def test_huge_output_goes_nowhere_and_huge_files_are_refused():
    assert run("import os\nfor _ in range(1000):\n    print('x' * 100_000)\n    os.write(2, b'y' * 1000)", "assert True").passed
    outcome = run("with open('x', 'wb') as f:\n    for _ in range(99):\n        f.write(bytes(1 << 20))", "")
    assert outcome.note.startswith("line 3 of the answer: OSError") or "signal 25" in outcome.note
    many = "n = 0\ntry:\n    while n < 5000:\n        open(f'f{n}', 'w').close()\n        n += 1\nexcept OSError:\n    pass"
    assert run(many, "assert n < 300, n").passed


def test_neither_secrets_nor_files_of_the_outside_can_be_read_or_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    secret = tmp_path / "secret"
    secret.write_text("mine")
    home = Path.home() / f".{secrets.token_hex(8)}"
    tests = f"""
import os, pathlib
def no(what, *args):
    try:
        what(*args)
    except OSError:
        return True
assert "HF_TOKEN" not in os.environ and "hf_secret" not in str(os.environ)
assert no(open, {str(secret)!r}) and no(open, {str(secret)!r}, "w") and no(os.listdir, {str(tmp_path)!r})
assert no(open, {str(home)!r}, "w") and no(os.mkdir, {str(home)!r})
for pid in ({os.getpid()}, {os.getppid()}, 1, "self"):
    assert no(open, f"/proc/{{pid}}/environ") and no(open, f"/proc/{{pid}}/mem")
os.symlink({str(secret)!r}, "link")
os.symlink("../../../../../../../../.." + {str(secret)!r}, "up")
os.symlink("/usr/made", "usr")
os.symlink("/", "root")
assert no(open, "link") and no(open, "up") and no(open, "usr", "w") and no(open, "root/etc/passwd")
assert no(os.link, "/usr/bin/env", "env") and no(os.chroot, "/box") and no(os.mknod, "dev", 0o20600, 0x101)
assert no(os.chmod, "/usr", 0o777) and no(os.rename, "/usr", "/box/usr") and no(os.setuid, 0)
pathlib.Path("mine").write_text("but here it may")
assert pathlib.Path("mine").read_text() and pathlib.Path("/tmp/mine").exists()
"""
    outcome = run("", tests)
    assert outcome.passed, outcome
    assert secret.read_text() == "mine"
    assert not home.exists()


def test_there_is_no_network_not_even_to_oneself():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.settimeout(0)
        name = f"gen-{secrets.token_hex(8)}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        tests = f"""
import socket
def no(what, *args):
    try:
        what(*args)
    except OSError:
        return True
assert no(socket.create_connection, ("127.0.0.1", {listener.getsockname()[1]}))
assert all(no(socket.socket, family) for family in (2, 10, 16, 17, 38, 40, 44))
assert no(socket.socket(socket.AF_UNIX).connect, "\\0{name}")
"""
        outcome = run("", tests)
        assert outcome.passed, outcome
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("shot", ["os.kill(os.getppid(), 9)", "os.kill(1, 9)", "os.kill(1, 15)", "os.killpg(0, 9)", "os.kill(-1, 9)", "os.kill({pid}, 9)"])
def test_it_cannot_end_its_parent_or_anybody(shot):
    shot = shot.format(pid=os.getpid())
    outcome = run(f"import os\ntry:\n    {shot}\nexcept OSError:\n    pass", "assert True")
    assert outcome.passed or "signal 9" in outcome.note


def test_what_is_denied_to_the_program_is_denied_to_what_it_starts():
    tests = "import subprocess, sys\nassert subprocess.run([sys.executable, '-c', 'import socket; socket.socket()'], capture_output=True).returncode == 1"
    assert run("", tests).passed
    assert run("", "import subprocess\nassert 'box' in subprocess.run(['/bin/ls', '/'], capture_output=True, text=True).stdout").passed


def test_the_same_program_gives_the_same_result():
    notes = {run("import os, sys", "assert False, (hash('gen'), os.getcwd(), sorted(os.environ.items()), sys.flags.hash_randomization)").note for _ in range(3)}
    assert len(notes) == 1


def test_many_at_once_do_not_share_their_limits():
    from concurrent.futures import ThreadPoolExecutor

    code = "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        time.sleep(1)\n        os._exit(0)"
    with ThreadPoolExecutor(4) as pool:
        assert all(o.passed for o in pool.map(lambda _: run(code, "assert True"), range(8)))


def test_it_ends_when_gen_is_killed():
    mark, alive = named()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from filters.sandbox import run; run({mark + 'import time; time.sleep(60)'!r}, '')"
    with subprocess.Popen([sys.executable, "-c", code]) as gen:
        until = time.monotonic() + 20
        while not alive() and time.monotonic() < until:
            time.sleep(0.05)
        assert alive()
        gen.send_signal(signal.SIGKILL)
    until = time.monotonic() + 5
    while alive() and time.monotonic() < until:
        time.sleep(0.05)
    assert alive() == 0


def test_where_it_cannot_isolate_it_says_so_and_runs_nothing():
    """Within the sandbox no second one can be made: the very refusal that a machine without namespaces gives."""
    jail = (ROOT / "filters/jail.py").read_text()
    job = {"code": "open('/box/ran', 'w')", "tests": "", "python": "/usr/bin/env", "show": [], "seconds": 1, "wall": 1,
           "memory": 1 << 28, "processes": 8, "disk": 1 << 20}  # fmt: skip
    tests = f"""
import json, os, subprocess, sys
open("jail.py", "w").write({jail!r})
os.makedirs("proc", exist_ok=True)
done = subprocess.run([sys.executable, "-c", open("jail.py").read().replace('"/proc"', '"/box/proc"')], input={json.dumps(job)!r}, capture_output=True, text=True)
told = json.loads(done.stdout)
assert "not permitted" in told["refused"], done
assert not os.path.exists("ran")
"""
    outcome = run("", tests)
    assert outcome.passed, outcome


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_it_works_for_users_without_rights():
    python = "/usr/bin/python3"
    if not Path(python).exists() or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("no Python that everybody may read")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from filters.sandbox import lacking, run; print(lacking(), run('x = 1', 'assert x').passed)"
    done = subprocess.run([python, "-c", code], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, cwd="/")
    if "ModuleNotFoundError" in done.stderr or "Permission" in done.stderr:
        pytest.skip("this folder is not everybody's to read")
    assert done.stdout == " True\n", done.stderr
