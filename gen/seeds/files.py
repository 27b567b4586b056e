"""The bytes of a file, unpacked, and the rows of those that hold JSON: JSONL a line at a time, a JSON list an
element at a time."""

from __future__ import annotations

import bz2
import difflib
import gzip
import itertools
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec

from gen.errors import InputError, nearest
from gen.seeds.document import DECODER, elements
from gen.seeds.place import BadRow, Rows

QUICK = msgspec.json.Decoder()
PEEK = 1 << 18
BOM = b"\xef\xbb\xbf"
JSON, TABLES, BINARY = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv"), (".parquet", ".arrow")
KINDS = (*JSON, *TABLES, *BINARY)
PACKED = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ", ".zst": b"\x28\xb5\x2f\xfd"}
"""Endings of packed files, and how their bytes begin."""


def endings(kinds: Sequence[str]) -> tuple[str, ...]:
    """How the names of files of such kinds end, packed or not."""
    return tuple(kind + packing for kind in kinds for packing in ("", *PACKED))


def kind(path: Path) -> str:
    """The ending that says what a file holds, below that of its packing: `.jsonl` for `A.JSONL.gz`."""
    name = path.name.lower()
    return Path(name.removesuffix(_packing(path) or "")).suffix


def _packing(path: Path) -> str | None:
    return next((ending for ending in PACKED if path.name.lower().endswith(ending)), None)


def json_rows(path: Path, max_line: int) -> Rows:
    """The rows of a file of JSON values: one a line, or those of one document."""
    is_document = _is_document(path, min(max_line, PEEK))
    with opened(path) as stream:
        check_text(path, stream)
        if is_document:
            for number, value in enumerate(elements(str(path), stream, max_line), 1):
                yield BadRow(str(path), number, "", "element"), value
        else:
            for number, line in _lines(stream, max_line):
                yield BadRow(str(path), number, ""), _parse(line, max_line)


def _is_document(path: Path, most: int) -> bool:
    """Content says whether it is JSONL, and the name only where the first line is no whole JSON value."""
    with opened(path) as stream:
        check_text(path, stream)
        begin = [line for _, line in itertools.islice(_lines(stream, most), 2)]
    if not begin:
        raise InputError(f"{path}: empty; at least one seed is needed")
    if not isinstance(_parse(begin[0], most), ValueError):
        return len(begin) == 1
    if len(begin) == 1:  # longer than was looked at, or broken
        return kind(path) == ".json" or begin[0].lstrip().startswith(b"[")
    # A list broken over lines, by its look; a broken row of JSONL must not cost the whole file.
    opens = len(begin[0]) <= most and re.fullmatch(rb"\s*\[(.*[\[{,])?\s*", begin[0])
    return kind(path) == ".json" or bool(opens)


def check_text(path: Path, stream: BufferedReader) -> None:
    """Refuse what is no UTF-8 text by its first bytes; a byte order mark is passed over."""
    head = stream.peek(4)[:4]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
        raise InputError(f"{path}: UTF-16, UTF-32 or no text at all; convert it: iconv -f UTF-16 -t UTF-8 IN > OUT")
    stream.read(len(BOM) if head.startswith(BOM) else 0)


def _lines(stream: BufferedReader, max_line: int) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; of one above `max_line` bytes no more than that is held."""
    for number in itertools.count(1):
        line = rest = stream.readline(max_line + 1)
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(1 << 20)
        if line.strip():
            yield number, line
        elif not line:
            return


def _parse(data: bytes, most: int) -> Any:
    if len(data) > most and len(data.rstrip()) > most:
        return ValueError(f"more than {most:,} bytes in one piece; make it lines of less (jq -c '.[]' splits a list)")
    try:
        return QUICK.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _parse_odd(data)


def _parse_odd(data: bytes) -> Any:
    """As `json` has it, which reads more than the quick decoder, and all that this reads alike."""
    try:
        # Broken bytes become half surrogates, which are refused later: one of them costs one row and not the file.
        return DECODER.decode(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        return ValueError(f"not valid JSON ({error}); JSONL has one value a line, and its name ends in .jsonl")


@contextmanager
def opened(path: Path, kinds: Sequence[str] = KINDS) -> Iterator[BufferedReader]:
    """The bytes of a file, unpacked. What stands in the way becomes an InputError that says what to do."""
    packing = None
    try:
        check_readable(path, kinds)
        with path.open("rb") as raw:
            head = raw.read(6)
            packing = next((end for end, magic in PACKED.items() if head.startswith(magic)), _packing(path))
            raw.seek(0)
            yield _unpacked(raw, packing)
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, packing, error) from None
    except OSError as error:
        if packing and not error.strerror:  # bz2 and zstd say it so
            raise _damaged(path, packing, error) from None
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _unpacked(raw: BufferedReader, packing: str | None) -> BufferedReader:
    match packing:
        case ".gz":
            return BufferedReader(gzip.GzipFile(fileobj=raw))
        case ".bz2":
            return BufferedReader(bz2.BZ2File(raw))
        case ".xz":
            return BufferedReader(lzma.LZMAFile(raw))
        case ".zst":
            import pyarrow

            return BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), "zstd"))
    return raw


def _damaged(path: Path, packing: str | None, error: Exception) -> InputError:
    return InputError(f"{path}: damaged {packing} ({error}); copy or pack it again")


def check_readable(path: Path, kinds: Sequence[str] = KINDS) -> None:
    """Raises InputError where there is no file, or one of a kind that is not read."""
    if not path.is_file():
        folder = path if path.is_dir() else path.parent
        near = (p.name for p in folder.glob("*") if p.is_file() and kind(p) in kinds)
        names = difflib.get_close_matches(path.name, near, 20, 0)
        what = "a pipe or device" if path.exists() else "no such file"
        raise InputError(f"{path}: {what}; {nearest(path.name, names)}")
    if kind(path) not in kinds:
        raise InputError(f"{path}: {path.suffix!r} is not read; allowed: {', '.join(kinds)}, those of text also with "
                         f"{', '.join(PACKED)}; rename it if it holds one of these")
