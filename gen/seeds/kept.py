"""What took long to read is kept, so that a run of a million seeds goes on at once: the same files are not read twice.

Files are the same when path, size, inode and times of change are, and so are the program's own modules that read
them. As in git's index, a file that changed within the last seconds might change again unseen, and what was read of it
is not kept. What is kept has a checksum; if that is wrong, or anything else is, the files are read as ever."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gen.core import Value, digest
from gen.seeds.found import SeedFile
from gen.seeds.place import BadRow, Noted, Origin
from gen.seeds.spool import Spool

log = logging.getLogger("gen.seeds")
SLOW_S = 1.0
"""Reading that takes less is not worth the disk."""
SETTLED_S = 2.0
"""No file system that is in use tells times less finely."""
LATEST = 8
"""As many readings are kept as were used last."""
CHUNK = 1 << 20
HEAD = 16
"""Bytes of the length and the checksum that come first."""


class Facts(Value, frozen=True):
    """All of a reading but the samples themselves."""

    key: str
    digest: str
    bad: tuple[int, list[BadRow]]
    repeats: tuple[int, list[BadRow]]
    licences: tuple[str, ...]
    ends: bytes
    """Where the samples end, behind these facts: `array('Q')`, the first is where they begin."""


def read_once(origins: Sequence[Origin], params: Any, read: Callable[[], SeedFile]) -> SeedFile:
    """What `read` returns or returned, given these origins and `params` (JSON values that decide what is read), with
    the origins' names and notes."""
    found = _once(origins, params, read)
    found.names = tuple(origin.shown for origin in origins)
    found.notes = tuple(origin.note for origin in origins if origin.note)
    return found


def _once(origins: Sequence[Origin], params: Any, read: Callable[[], SeedFile]) -> SeedFile:
    folder = _folder()
    stamps = _stamps(origins) if folder else None
    if not folder or stamps is None:
        return read()
    said = [[origin.name, sorted(origin.licences)] for origin in origins]
    path = folder / digest(said, params, stamps, _stamp(Path(__file__).parent.rglob("*.py")), size=32)
    if found := _loaded(path):
        return found
    began, at = time.monotonic(), time.time_ns()
    fresh = read()
    settled = all(max(times) < at - SETTLED_S * 1e9 for _, _, _, *times in stamps)
    if time.monotonic() - began > SLOW_S and settled and _stamps(origins) == stamps:
        try:
            _store(path, fresh)
        except OSError as error:
            log.debug("%s: not kept (%s)", path, error)
    return fresh


def _folder() -> Path | None:
    """Where readings are kept: GEN_CACHE (nowhere if that is empty), else the user's own folder for such things."""
    if (named := os.environ.get("GEN_CACHE")) is not None:
        return Path(named, "seeds") if named else None
    with contextlib.suppress(RuntimeError):  # nobody's home
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "gen", "seeds")
    return None


def _stamps(origins: Sequence[Origin]) -> list[tuple[str, int, int, int, int]] | None:
    """What tells whether a file is still the same; None where not all is files, or one is not to be seen."""
    with contextlib.suppress(OSError):
        if all(origin.files for origin in origins):
            return _stamp(path for origin in origins for path in origin.files or ())
    return None


def _stamp(paths: Iterable[Path]) -> list[tuple[str, int, int, int, int]]:
    stats = ((path.resolve(), path.stat()) for path in sorted(paths))
    return [(str(path), s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for path, s in stats]


def _store(path: Path, found: SeedFile) -> None:
    assert isinstance(found.samples, Spool)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    bad, repeats = (found.bad.total, [*found.bad]), (found.repeats.total, [*found.repeats])
    facts = Facts(path.name, found.digest, bad, repeats, found.licences, found.samples.ends.tobytes())
    head = msgspec.msgpack.encode(facts)
    check = zlib.crc32(head)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(bytes(HEAD) + head)
            for chunk in found.samples.chunks(CHUNK):
                file.write(chunk)
                check = zlib.crc32(chunk, check)
            file.seek(0)
            file.write(len(head).to_bytes(8, "little") + check.to_bytes(8, "little"))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    for old in sorted(path.parent.iterdir(), key=lambda p: p.stat().st_mtime)[:-LATEST]:
        old.unlink(missing_ok=True)


def _loaded(path: Path) -> SeedFile | None:
    try:
        file = path.open("rb")
        os.utime(path)
    except OSError:
        return None
    try:
        size, check = (int.from_bytes(file.read(8), "little") for _ in range(2))
        head = file.read(size)
        facts = msgspec.msgpack.decode(head, type=Facts)
        ends = array("Q", facts.ends)
        found = _checksum(file, zlib.crc32(head))
        if (facts.key, found, ends[-1]) != (path.name, check, file.tell() - HEAD - size):
            raise ValueError("its checksum is wrong")
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        log.warning("%s: damaged, not used (%s)", path, error)
        file.close()
        return None
    bad, repeats = _noted(*facts.bad), _noted(*facts.repeats)
    return SeedFile(Spool.of(file, HEAD + size, ends), facts.digest, bad, repeats, licences=facts.licences)


def _checksum(file: BinaryIO, check: int) -> int:
    while chunk := file.read(CHUNK):
        check = zlib.crc32(chunk, check)
    return check


def _noted(total: int, rows: list[BadRow]) -> Noted:
    noted = Noted(rows)
    noted.total = total
    return noted
