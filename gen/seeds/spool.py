"""What must not be held in memory: samples in a temporary file, their hash made on the way, and which have been seen
in some 30 bytes each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, overload

import msgspec

from gen.core import Sample, canonical
from gen.errors import InputError
from gen.seeds.place import BadRow

ENCODER, DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Sample)


class Row(Sequence[Sample]):
    """Samples by their place; who inherits says how many there are, and has each with `at`."""

    def at(self, place: int) -> Sample:
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> list[Sample]: ...
    def __getitem__(self, place: int | slice) -> Sample | list[Sample]:
        found = range(len(self))[place]
        return self.at(found) if isinstance(found, int) else [self.at(i) for i in found]


class Spool(Row):
    """Samples in the order in which they were added, in a temporary file that has no name and is gone with this
    object; eight bytes of memory each. Any thread may read. Raises InputError where there is no space for it."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(prefix="gen-")  # noqa: SIM115
        self.ends, self._begin = array("Q", [0]), 0
        """Bytes before each sample, and before the next."""
        self._lock, self._is_unwritten = threading.Lock(), False

    @classmethod
    def of(cls, file: BinaryIO, begin: int, ends: array[int]) -> Spool:
        """The samples that stand in a file from byte `begin` on; no more are added."""
        spool = cls.__new__(cls)
        spool._file, spool.ends, spool._begin = file, ends, begin
        spool._lock, spool._is_unwritten = threading.Lock(), False
        return spool

    def chunks(self, size: int) -> Iterator[bytes]:
        """All of it as bytes, at most so many at once."""
        with self._lock:
            self._file.flush()
            self._is_unwritten = False
        for place in range(0, self.ends[-1], size):
            yield os.pread(self._file.fileno(), min(size, self.ends[-1] - place), self._begin + place)

    def add(self, sample: Sample) -> None:
        data = ENCODER.encode(sample)
        with self._lock:
            try:
                self._file.write(data)
            except OSError as error:
                raise _no_space(error) from None
            self.ends.append(self.ends[-1] + len(data))
            self._is_unwritten = True

    def __len__(self) -> int:
        return len(self.ends) - 1

    def at(self, place: int) -> Sample:
        with self._lock:
            try:
                if self._is_unwritten:
                    self._file.flush()
                    self._is_unwritten = False
            except OSError as error:
                raise _no_space(error) from None
            begin, end = self.ends[place], self.ends[place + 1]
        return DECODER.decode(os.pread(self._file.fileno(), end - begin, self._begin + begin))

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()


def _no_space(error: OSError) -> InputError:
    return InputError(f"{tempfile.gettempdir()}: seeds cannot be put aside ({error.strerror}); free some space, or "
                      "name another folder in TMPDIR")


class Seen:
    """Where each content was met first. An open-addressing table of positions beside arrays of what they stand for."""

    def __init__(self) -> None:
        self._keys, self._lines = array("Q"), array("Q")
        self._files, self._file = dict[tuple[str, str], int](), array("I")
        self._slots = array("I", bytes(4 << 10))

    def first(self, id: str, row: BadRow) -> BadRow | None:
        """The row that was met first with this id (16 hex digits); None where it is this one."""
        key, keys, slots = int(id, 16), self._keys, self._slots
        mask = len(slots) - 1
        slot = key & mask
        while (place := slots[slot]) and keys[place - 1] != key:
            slot = (slot + 1) & mask
        if place:
            file, unit = [*self._files][self._file[place - 1]]
            return BadRow(file, self._lines[place - 1], "", unit)
        keys.append(key)
        self._lines.append(row.line)
        self._file.append(self._files.setdefault((row.file, row.unit), len(self._files)))
        slots[slot] = len(keys)
        if len(keys) * 2 > len(slots):
            self._grow()
        return None

    def _grow(self) -> None:
        slots = self._slots = array("I", bytes(4 * 4 * len(self._slots)))
        mask = len(slots) - 1
        for place, key in enumerate(self._keys, 1):
            slot = key & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = place


class Rolling:
    """The hash of a list of JSON values, which are added one by one: `gen.core.digest(*head, values)`."""

    def __init__(self, *head: str) -> None:
        self._hash, self._between = hashlib.blake2b(digest_size=8), b""
        self._hash.update(b"[" + b"".join(canonical(word) + b"," for word in head) + b"[")

    def add(self, value: Any) -> None:
        self._hash.update(self._between + canonical(value))
        self._between = b","

    def __str__(self) -> str:
        whole = self._hash.copy()
        whole.update(b"]]")
        return whole.hexdigest()
