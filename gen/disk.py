"""Where a pool may live: a folder of one's own on a fit disk, one writing process, one SQLite file of our kind."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sqlite3
from pathlib import Path

from gen.errors import PoolError

DATABASE, LOCK = "pool.db", "pool.lock"
APPLICATION = 0x67656E50  # "genP", so that a foreign database is known for what it is
MIN_FREE_MB = 100
MOUNTS = Path("/proc/mounts")  # Linux; elsewhere no network file system is recognised
SETTINGS = (
    "synchronous=FULL",
    "cache_size=-32000",  # KiB
    "wal_autocheckpoint=8000",  # pages: a group of commits touches a thousand, and folding each would double the writes
    "journal_size_limit=67108864",
)
NETWORK = {
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb3", "smbfs", "9p", "afs", "ncpfs", "lustre", "gpfs", "ceph", "glusterfs",
    "beegfs", "pvfs2", "orangefs", "davfs", "fuse.sshfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.glusterfs", "fuse.s3fs",
    "fuse.gcsfuse", "fuse.goofys", "fuse.rclone", "fuse.juicefs", "fuse.mfs", "fuse.davfs2", "fuse.cvmfs2",
}


class Unfit(PoolError):
    """A folder, disk or file that cannot be this pool: the user can choose another."""

    exit_code = 2


class Locked(PoolError):
    """Another process writes to this pool."""

    exit_code = 2


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; a readonly one can be opened while another process writes."""
    mode = "mode=ro" if readonly else "mode=rw"
    if readonly and not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists():
        mode += "&immutable=1"  # on a read-only disk SQLite cannot make the index of an absent log
    uri = f"{path.resolve().as_uri()}?{mode}"
    db = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        for setting in SETTINGS:
            db.execute(f"PRAGMA {setting}")
    except BaseException:
        db.close()
        raise
    return db


def prepare(folder: Path, schema: str, version: int) -> int:
    """Make or check the folder and its database for writing; returns the descriptor that holds the lock.
    A folder that is made here is private; one that was there keeps its mode. The files are always private."""
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        mounts = MOUNTS.read_text(errors="replace") if MOUNTS.exists() else ""
        check_fit(folder.resolve(), mounts, shutil.disk_usage(folder).free // 2**20)
        lock = hold(folder)
        try:
            os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_RDWR, 0o600))
            check(folder / DATABASE, version, schema)
        except BaseException:
            os.close(lock)
            raise
    except OSError as error:
        raise Unfit(f"{folder}: cannot be a run folder ({error.strerror}); choose another") from error
    return lock


def hold(folder: Path) -> int:
    """Take the folder's lock; the kernel lets go of it when this process ends, however it ends."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise
        raise Locked(
            f"{folder}: process {pid} is writing to this pool, and only one can; wait for it or stop it, "
            "or give this run a folder of its own (reading with `gen show` or `gen funnel` is always possible)"
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def check(path: Path, version: int, schema: str = "") -> None:
    """See that the file is a pool of this version. With a schema, its tables are made in an empty file."""
    if not path.exists():
        raise Unfit(f"{path.parent}: no {path.name} there; name the folder of a run")
    try:
        db = connect(path, readonly=not schema)
    except sqlite3.Error as error:
        raise PoolError(explain(path, error)) from error
    try:
        (app,), (has,) = db.execute("PRAGMA application_id").fetchone(), db.execute("PRAGMA user_version").fetchone()
        if schema and not (app or has or db.execute("SELECT 1 FROM sqlite_master").fetchone()):
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(
                f"BEGIN; {schema} PRAGMA application_id={APPLICATION}; PRAGMA user_version={version}; COMMIT;"
            )
            return
    except sqlite3.Error as error:
        raise PoolError(explain(path, error)) from error
    finally:
        db.close()
    if app != APPLICATION:
        raise Unfit(f"{path}: an SQLite database, but not a pool of `gen`; choose another run folder or move the file")
    if has != version:
        raise Unfit(
            f"{path}: pool format {has}, this `gen` reads format {version}; use the version of `gen` that made it, "
            "or start a new run folder"
        )


def check_fit(folder: Path, mounts: str, free_mb: int) -> None:
    """Raises Unfit on a network file system, by a table like /proc/mounts, or a disk that is nearly full."""
    kind = network_filesystem(mounts, str(folder))
    if kind:
        raise Unfit(
            f"{folder}: on a network file system ({kind}), where SQLite's write-ahead log is not safe; put the run "
            "folder on a local disk (for instance under /tmp or a scratch disk) and copy it when the run has ended"
        )
    if free_mb < MIN_FREE_MB:
        raise Unfit(f"{folder}: {free_mb} MB free, at least {MIN_FREE_MB} MB needed; free some or use another disk")


def network_filesystem(mounts: str, path: str) -> str | None:
    """The type of the file system that holds `path`, if it is a network one, by a table like /proc/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1])  # \040 is a space
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # the later of two mounts on one point hides the earlier
            best, kind = point, fields[2]
    return kind if kind in NETWORK else None


def explain(path: Path, error: BaseException) -> str:
    """What went wrong in words, with what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, PoolError):
        return str(error)
    if code == sqlite3.SQLITE_FULL:
        return f"{path}: the disk is full; all that was committed is safe: free some space and run the same command"
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path}: not an SQLite database; choose another run folder or move the file away"
    if code == sqlite3.SQLITE_CORRUPT:
        return (
            f"{path}: the database is damaged ({error}); restore a copy, or save what can be read with "
            f"`sqlite3 {path} .recover | sqlite3 saved.db`"
        )
    return f"{path}: {type(error).__name__}: {error}; all that was committed is safe: mend the cause and run again"
