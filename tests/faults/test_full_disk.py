"""A disk that is full stops a run cleanly, in words, with exit code 75; with space again the same command goes on to the
same bytes. A small file system in memory where one may be mounted, else a bound on the size of files."""

import contextlib
import os
import resource
import subprocess
import time

import pytest
import serving

pytestmark = pytest.mark.process


@pytest.fixture
def small(tmp_path):
    """A folder on a disk of 108 MB: gen begins nothing below 100."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=108m", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(path):
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 65536) == 65536:
            pass


def stopped(running, told=("the disk is full", "refuses to read or write", "No space left")):
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 75, errors
    assert any(words in errors for words in told), errors
    assert "the same command" in errors
    assert "Traceback" not in errors
    assert "Logging error" not in errors


def test_a_full_disk_stops_the_run_and_with_space_again_it_goes_on(faults, undisturbed, small):
    with serving.serve(delay=15, slots=4) as server:
        out = small / "run"
        running = faults.start(server.url, out)
        while faults.count(out) < 8 and running.poll() is None:
            time.sleep(0.005)
        fill(small / "ballast")
        stopped(running)
        code, said = faults.done(server.url, out)
        assert (code, "at least 100 MB needed" in said) == (2, True)
        (small / "ballast").unlink()
        code, said = faults.done(server.url, out)
        assert code == 0, said
        assert server.repeats() <= 12, "what was in flight"
    assert (out / "dataset.jsonl").read_bytes() == undisturbed[0]


@pytest.mark.parametrize("size", [150_000, 400_000])
def test_files_that_may_not_grow_stop_the_run_too(faults, undisturbed, size):
    """The bound is met while replies are recorded, or while the dataset is written."""

    def bound():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with serving.serve(delay=2, slots=6) as server:
        out = faults.folder / "run"
        stopped(faults.start(server.url, out, preexec_fn=bound))
        code, said = faults.done(server.url, out)
        assert code == 0, said
        assert server.repeats() <= 12
    assert (out / "dataset.jsonl").read_bytes() == undisturbed[0]
    assert not [path for path in out.iterdir() if path.name.endswith(".part")]


def test_a_dataset_that_was_lost_or_cut_after_the_end_is_written_again(faults, undisturbed):
    with serving.serve() as server:
        out = faults.folder / "run"
        report, data = faults.run(server.url, out)
        for spoil in (os.unlink, lambda path: os.truncate(path, len(data) // 2), lambda path: path.write_bytes(bytes(len(data)))):
            spoil(out / "dataset.jsonl")
            report, again = faults.run(server.url, out)
            assert (again, report.why, report.asked) == (undisturbed[0], "finished", 0)
