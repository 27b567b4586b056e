"""What makes a corpus the same corpus, known before it is read: a hash that decides the folder of a run.

Up to WHOLE bytes in FILES files it is a hash of all bytes. Beyond, of the size of every file in order, and of the
beginning, the end and blocks between of up to SAMPLED files, evenly spread: there an edit that keeps the size of its
file may go unseen. Names and places of files never count, only their order; so the same data has the same identity on
another machine. Where HTML or PDF is read, the extractor's version counts, since it decides the texts."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable
from typing import Any

from gen.core import canonical

WHOLE, FILES, SAMPLED, BLOCKS, BLOCK = 1 << 30, 8192, 1024, 1024, 1 << 14
EXTRACTORS = {".htm": "trafilatura", ".xhtm": "trafilatura", ".pdf": "pypdfium2"}
"""What stands in the names of files that an extractor reads."""


def identity(paths: Iterable[str], *facts: Any) -> str:
    """The hash of files in order, and of JSON values that decide how they are read; 16 hex digits."""
    mixed, count, total, stride = hashlib.blake2b(digest_size=8), 0, 0, 1
    kept, used = list[tuple[str, int]](), set[str]()
    for path in paths:
        size = _size(path)
        mixed.update(size.to_bytes(8, "little"))
        if count % stride == 0:
            kept.append((path, size))
            if len(kept) > FILES:
                kept, stride = kept[::2], stride * 2
        ending = path[-12:].lower()
        used |= {library for sign, library in EXTRACTORS.items() if sign in ending}
        count, total = count + 1, total + size
    whole = stride == 1 and total <= WHOLE
    sample = kept if whole else kept[:: max(1, -(-len(kept) // SAMPLED))]
    for path, size in sample:
        _mix(mixed, path, size, 0 if whole else max(2, BLOCKS // len(sample)))
    mixed.update(canonical([1, count, [[name, importlib.metadata.version(name)] for name in sorted(used)], *facts]))
    return mixed.hexdigest()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (of half a million paths)
    except OSError:  # gone, or not ours to see: it is a bad row later
        return 0


def _mix(mixed: Any, path: str, size: int, blocks: int) -> None:
    """All of a file where `blocks` is 0, else as many of its blocks, the first and the last among them."""
    try:
        with open(path, "rb", buffering=0) as file:
            if not blocks or size <= blocks * BLOCK:
                while data := file.read(1 << 20):
                    mixed.update(data)
                return
            for place in range(blocks):
                file.seek((size - BLOCK) * place // (blocks - 1))
                mixed.update(file.read(BLOCK))
    except OSError:
        mixed.update(b"unreadable")
