"""Where a pool may live: folders, modes, locks, foreign files, file systems."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gen.disk import Locked, Unfit, check_fit, torn
from gen.errors import PoolError
from gen.pool import VERSION, Pool
from gen.store import Store


def test_folder_and_files_are_private(tmp_path):
    folder = tmp_path / "new"
    with Pool.open(folder) as pool:
        pool.set_state("x", 1)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
            name: 0o600 for name in ("pool.db", "pool.db-wal", "pool.db-shm", "pool.lock")}


def test_commits_are_synced_to_the_log(tmp_path):
    with Pool.open(tmp_path) as pool:
        assert pool._store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert pool._store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_any_folder_name_will_do_but_not_a_file(tmp_path):
    folder = tmp_path / "a b?#%25é" / "deep"
    with Pool.open(folder) as pool:
        pool.set_state("x", 1)
    with Pool.open(folder, readonly=True) as pool:
        assert pool.state("x") == 1
    for path in (folder / "pool.db", folder / "pool.db" / "run"):
        with pytest.raises(Unfit, match="cannot be a run folder"):
            Pool.open(path)


@pytest.mark.parametrize("readonly", [False, True])
def test_what_is_not_a_pool_is_refused_in_words(tmp_path, readonly):
    path = tmp_path / "pool.db"
    path.write_bytes(b"This is no database. " * 1000)
    with pytest.raises(PoolError, match="not an SQLite database"):
        Pool.open(tmp_path, readonly=readonly)
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(Unfit, match="not a pool of `gen`"):
        Pool.open(tmp_path, readonly=readonly)
    path.unlink()
    Pool.open(tmp_path).close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    with pytest.raises(Unfit, match=f"pool format {VERSION + 1}, this `gen` reads format {VERSION}"):
        Pool.open(tmp_path, readonly=readonly)


@pytest.mark.parametrize("setup", ["", "PRAGMA journal_mode=WAL"])
def test_a_creation_cut_short_is_finished_by_the_next_opening(tmp_path, setup):
    db = sqlite3.connect(tmp_path / "pool.db")
    db.execute(setup)
    db.close()
    (tmp_path / "pool.db").touch()
    with Pool.open(tmp_path) as pool:
        pool.set_state("x", 1)
        assert pool.state("x") == 1


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/x /mnt/nfs nfs4 rw 0 0
//server/y /mnt/with\\040space cifs rw 0 0
/dev/sdb1 /mnt/nfs/local xfs rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
old /scratch lustre rw 0 0
/dev/nvme0 /scratch ext4 rw 0 0
broken line
"""


@pytest.mark.parametrize(("path", "kind"), [
    ("/home/me/run", None), ("/mnt/nfs/run", "nfs4"), ("/mnt/nfs", "nfs4"), ("/mnt/nfs2/run", None),
    ("/mnt/with space/run", "cifs"), ("/mnt/nfs/local/run", None), ("/mnt/ssh/a/b", "fuse.sshfs"),
    ("/scratch/run", None), ("/", None),
])
def test_network_file_systems_are_recognised(path, kind):
    if kind is None:
        check_fit(Path(path), MOUNTS, free_mb=10**6)
    else:
        with pytest.raises(Unfit, match=rf"network file system \({kind}\).*local disk"):
            check_fit(Path(path), MOUNTS, free_mb=10**6)


def test_a_full_disk_is_refused_with_advice():
    with pytest.raises(Unfit, match="99 MB free, at least 100 MB needed"):
        check_fit(Path("/home/me/run"), MOUNTS, free_mb=99)
    check_fit(Path("/home/me/run"), MOUNTS, free_mb=100)


LOCKED = """
import fcntl, sys
with open(sys.argv[1], "rb+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
"""


def test_no_other_process_may_cut_the_index_of_the_log_that_an_open_pool_has_mapped(tmp_path):
    """SQLite holds a lock on byte 128 of it, which would be gone if this process had opened and closed the file."""
    with Pool.open(tmp_path) as pool:
        pool.set_state("x", 1)
        path = tmp_path / "pool.db-shm"
        done = subprocess.run([sys.executable, "-c", LOCKED, path], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in done.stderr
        assert torn(tmp_path / "pool.db") == 0
        done = subprocess.run([sys.executable, "-c", LOCKED, path], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in done.stderr


def test_a_second_writer_in_this_process_is_refused(tmp_path):
    with Pool.open(tmp_path), pytest.raises(Locked, match=f"process {os.getpid()} is writing") as refused:
        Pool.open(tmp_path)
    assert refused.value.exit_code == 2
    Pool.open(tmp_path).close()


def test_a_thread_sees_what_it_wrote_while_another_reads(tmp_path):
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) SELECT x, value FROM n, t"
    with contextlib.closing(Store(tmp_path, "CREATE TABLE t (value);", 1)) as store:
        store.write(lambda db: db.execute("INSERT INTO t VALUES (0)"))
        reading = threading.Thread(target=lambda: [store.rows(numbers) for _ in range(3)])
        reading.start()
        for count in range(1, 400):
            store.write(lambda db, n=count: db.execute("UPDATE t SET value = ?", (n,)))
            assert store.rows("SELECT value FROM t") == [(count,)]
        reading.join()
