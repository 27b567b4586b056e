"""Whoever stops a run by a signal gets a clean end, exit code 75 and a word on how to go on; folders that cannot be
written to, or not safely, are refused in words; no clock on the wall decides anything."""

import contextlib
import random
import signal
import subprocess
import time

import pytest
import serving

from gen import disk
from gen.disk import Unfit

pytestmark = pytest.mark.process
SIGNS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_signal_stops_cleanly_and_the_same_command_goes_on_to_the_same_bytes(faults, undisturbed, sign):
    with serving.serve(delay=30, slots=4) as server:
        out = faults.folder / "run"
        running = faults.start(server.url, out)
        assert faults.until(running, out, 10, sign)
        told, errors = running.communicate(timeout=60)
        assert (running.returncode, "the same command goes on" in told) == (75, True), errors
        assert (out / "dataset.jsonl").exists()
        code, said = faults.done(server.url, out)
        assert code == 0, said
        assert server.repeats() == 0, "what was in flight was waited for"
    assert (out / "dataset.jsonl").read_bytes() == undisturbed[0]


@pytest.mark.parametrize("sign", SIGNS)
def test_a_signal_while_a_server_is_waited_for_ends_at_once(faults, sign):
    with serving.serve(loading=60) as server:
        running = faults.start(server.url, faults.folder / "run")
        while not (faults.folder / "run/run.log").exists():
            time.sleep(0.02)
        time.sleep(0.3)
        running.send_signal(sign)
        _, errors = running.communicate(timeout=20)
        assert (running.returncode, "the same command goes on" in errors) == (75, True), errors
        assert "Traceback" not in errors


@pytest.mark.parametrize("sign", SIGNS[:2])
def test_a_second_signal_stops_at_once(faults, sign):
    with serving.serve(delay=60_000) as server:
        running = faults.start(server.url, faults.folder / "run")
        while len(server.requests()) < 2:
            time.sleep(0.02)
        running.send_signal(sign)
        time.sleep(0.3)
        assert running.poll() is None, "the first waits for what is in flight"
        running.send_signal(sign)
        _, errors = running.communicate(timeout=10)
        assert (running.returncode, "stopped at once; the same command goes on" in errors) == (75, True)


def test_a_run_under_nohup_outlives_its_terminal(faults, undisturbed):
    with serving.serve(delay=10) as server:
        out = faults.folder / "run"
        running = faults.start(server.url, out, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        assert faults.until(running, out, 5, signal.SIGHUP)
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 0, errors
    assert (out / "dataset.jsonl").read_bytes() == undisturbed[0]


def test_a_read_only_folder_is_refused_for_writing_and_can_be_read(faults, tmp_path):
    folder = tmp_path / "sealed"
    folder.mkdir()
    with serving.serve() as server, contextlib.ExitStack() as after:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", folder], capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        after.callback(subprocess.run, ["umount", folder], check=True)
        faults.run(server.url, folder / "run")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        for name in ("run", "new"):
            code, said = faults.done(server.url, folder / name)
            assert (code, "Read-only file system" in said) == (2, True), said
        words = [*faults.command(server.url, "")[:3], "funnel", str(folder / "run")]
        done = subprocess.run(words, cwd=faults.root, capture_output=True, text=True, check=False)
        assert (done.returncode, "all" in done.stdout) == (0, True), done.stderr


def test_a_folder_on_a_network_file_system_is_refused_with_advice(faults, monkeypatch, tmp_path):
    (tmp_path / "mounts").write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mounts")
    with serving.serve() as server, pytest.raises(Unfit, match=r"network file system \(nfs4\).*local disk"):
        faults.run(server.url, tmp_path / "run")
    assert Unfit.exit_code == 2
    assert not (tmp_path / "run/pool.db").exists()


def test_a_clock_that_jumps_changes_nothing(faults, undisturbed, monkeypatch):
    rng = random.Random(3)
    monkeypatch.setattr(time, "time", lambda: rng.uniform(-1e9, 4e9))
    with serving.serve(fail_first="ok:5,500:3,429:2,stall:1") as server:
        report, data = faults.run(server.url, faults.folder / "run", request_floor=1.0)
    assert (data, report.asked) == undisturbed
