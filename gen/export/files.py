"""Files and folders that appear whole or not at all: until then what was there before stands, also after an error,
a kill or a power cut."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gen.disk import sync
from gen.errors import InputError


@contextmanager
def atomic(path: Path) -> Iterator[TextIO]:
    """A stream whose text becomes the file only when the block ends well. Raises InputError where no file can be
    made."""
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty file beside `path` that takes its place when the block ends well."""
    path = path.resolve()
    # Beside its goal, because a rename is one step only within a file system; with the process id, because two
    # exports to the same name must not write into one another.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not a regular file; name a file to write to")
        part.touch()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name an existing, writable folder") from None
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, ours: Collection[str]) -> Iterator[Path]:
    """An empty folder beside `path` that takes its place when the block ends well. What is there already is replaced
    if it holds nothing but files named in `ours`. Raises InputError else, and where no folder can be made."""
    path = path.resolve()
    part, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        if path.exists() and (not path.is_dir() or {p.name for p in path.iterdir()} - {*ours}):
            raise InputError(f"{path}: holds other things than an export, and would lose them; name a new folder")
        part.mkdir()
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); name a place in a writable folder") from None
    try:
        yield part
        if path.exists():  # two renames: no system call that Python knows swaps folders
            path.replace(old)
        try:
            part.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
        sync(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

