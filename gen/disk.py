"""The folder that a pool lives in: on a disk that is fit for it, written to by one process, and what its files show of
a power cut. SQLite's log has a checksum for each page and loses only its own end; that end is found missing here."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path

from gen.errors import PoolError

DATABASE, LOCK = "pool.db", "pool.lock"
MIN_FREE_MB = 100
MOUNTS = Path("/proc/mounts")  # Linux; elsewhere no network file system is recognised
NETWORK = {
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb3", "smbfs", "9p", "afs", "ncpfs", "lustre", "gpfs", "ceph", "ceph-fuse",
    "glusterfs", "beegfs", "pvfs2", "orangefs", "davfs", "davfs2", "sshfs", "s3fs", "gcsfuse", "goofys", "rclone",
    "juicefs", "mfs", "cvmfs2",
}  # with or without "fuse." before it
HEAD, FRAME = 32, 24
"""Bytes before all pages of the log, and before each. See https://www.sqlite.org/walformat.html"""


class Unfit(PoolError):
    """A folder, disk or file that cannot be this pool: the user can choose another."""

    exit_code = 2


class Locked(PoolError):
    """Another process writes to this pool."""

    exit_code = 2


class Halted(PoolError):
    """The disk takes no more: what was committed is safe, and the same command goes on when it does again."""

    exit_code = 75


SAFE = "all that was committed is safe"
ADVICE: dict[int, tuple[type[PoolError], str]] = {
    sqlite3.SQLITE_FULL: (Halted, f"the disk is full; {SAFE}: free some space and run the same command"),
    sqlite3.SQLITE_IOERR: (
        Halted, f"the disk refuses to read or write ({{error}}); {SAFE}: mend the disk, or the quota, and run the same "
        "command",
    ),
    sqlite3.SQLITE_BUSY: (
        Halted, f"another program holds a lock on the database; {SAFE}: end it and run the same command",
    ),
    sqlite3.SQLITE_NOTADB: (PoolError, "not an SQLite database; choose another run folder or move the file away"),
    sqlite3.SQLITE_CORRUPT: (
        PoolError, "the database is damaged; restore a copy, or save what can be read with "
        "`sqlite3 pool.db .recover | sqlite3 saved.db`",
    ),
}  # fmt: skip


def explain(path: Path, error: Exception) -> PoolError:
    """What went wrong in words, with what to do."""
    if isinstance(error, PoolError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    otherwise = PoolError, f"{type(error).__name__}: {{error}}; {SAFE}: mend the cause and run again"
    kind, said = ADVICE.get(code, otherwise)
    return kind(f"{path}: {said.replace('{error}', str(error))}")


def file_system(folder: Path, mounts: str) -> str:
    """The kind of file system that a resolved path is on, by a table like /proc/mounts; empty where it is not told."""
    best, kind = "", ""
    for _, at, found, *_ in (line.split(" ") for line in mounts.splitlines() if line.count(" ") > 1):
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), at)  # \040 is a space
        if folder.is_relative_to(point) and len(point) >= len(best):  # the later mount on a point hides the earlier
            best, kind = point, found
    return kind


def check_fit(folder: Path, mounts: str, free_mb: int) -> None:
    """Raises Unfit on a network file system, by a table like /proc/mounts, or a disk that is nearly full."""
    kind = file_system(folder, mounts)
    if kind.removeprefix("fuse.") in NETWORK:
        raise Unfit(
            f"{folder}: on a network file system ({kind}), where SQLite's write-ahead log is not safe; put the run "
            "folder on a local disk (for instance under /tmp or a scratch disk) and copy it when the run has ended"
        )
    if free_mb < MIN_FREE_MB:
        raise Unfit(f"{folder}: {free_mb} MB free, at least {MIN_FREE_MB} MB needed; free some or use another disk")


def make(folder: Path) -> None:
    """Make or check a folder, private where it is new; its name outlives a power cut."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mounts = MOUNTS.read_text(errors="replace") if MOUNTS.exists() else ""
    check_fit(folder.resolve(), mounts, shutil.disk_usage(folder).free // 2**20)
    for each in new:
        sync(each.parent)


def sync(folder: Path) -> None:
    """What was made, renamed or removed in a folder outlives a power cut."""
    with contextlib.suppress(OSError):  # some file systems know no such thing
        at = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(at)
        finally:
            os.close(at)


class Lock:
    """`pool.lock`: held while this process writes, however it ends, by the kernel. Says which process that is, and how
    many rows it has seen committed: written without a sync of its own, so never ahead of the database, and after a
    kill exact."""

    def __init__(self, folder: Path) -> None:
        """Raises Locked where another process holds it."""
        self._file = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            found = os.pread(self._file, 200, 0).decode(errors="replace")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_RDWR, 0o600))
        except BaseException as error:
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise
            raise Locked(
                f"{folder}: process {(found.split() or ['unknown'])[0]} is writing to this pool, and only "
                "one can; wait for it or stop it, or give this run a folder of its own (reading with `gen show` or "
                "`gen funnel` is always possible)"
            ) from error
        line = found.partition("\n")[2].partition("\n")
        numbers = line[0].split() if line[1] else []
        self.committed: tuple[int, ...] = tuple(map(int, numbers)) if all(n.isdecimal() for n in numbers) else ()
        """What the last process had seen committed, as far as that is known."""

    def note(self, committed: Sequence[int]) -> None:
        """One write, so that a kill leaves the old line or the new."""
        text = f"{os.getpid()}\n{' '.join(map(str, committed))}\n"
        with contextlib.suppress(OSError):  # a full disk: the database will say so
            os.pwrite(self._file, text.ljust(96).encode(), 0)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)


def torn(database: Path) -> int:
    """How many commits the write-ahead log holds behind its first broken page, where SQLite stops reading it. Looks at
    what SQLite made of the log, so after the first read of a connection. Of honest disks at most one, which nobody was
    told of: a commit waits for the one before it to be on the disk. 0 where that cannot be seen (not on Linux)."""
    log, index = (Path(f"{database.resolve()}-{end}") for end in ("wal", "shm"))
    try:
        with log.open("rb") as file:
            page, _, salt = struct.unpack_from(">II8s", file.read(HEAD), 8)
            [good] = struct.unpack("=I", os.pread(_opened(index), 4, 16))
            ends = 0
            for at in range(HEAD + good * (page + FRAME), os.fstat(file.fileno()).st_size - FRAME + 1, page + FRAME):
                file.seek(at)
                _, size, own = struct.unpack(">II8s", file.read(16))
                ends += size > 0 and own == salt
            return ends
    except (OSError, struct.error):
        return 0


def _opened(path: Path) -> int:
    """The descriptor by which SQLite has a file open. One of our own would be a trap: to close it takes from this
    process all locks on the file, and the next process to come cuts the file under SQLite's feet (SIGBUS)."""
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if link.readlink() == path:
                return int(link.name)
    raise FileNotFoundError(path)
