"""Whatever bytes stand in a file: seeds that can be stored, bad rows that say why, or an InputError that names the file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random

import pyarrow as pa
import pytest

from gen.codec import clean
from gen.errors import InputError
from gen.seeds import read_seeds
from gen.seeds.document import elements

PIECES = [b'{"instruction": "a"}', b'{"messages": [', b'{"role": "user", "content": "x"}', b"[", b"]", b",", b"{", b"}", b'"', b"\n",
          b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"NaN", b"1e999", b"9" * 400, b"null", b"true", b";",
          b"\t", b"instruction", b"data", b":", b" ", "甲".encode(), "\u2028".encode(), b"-", b'""', b'"instruction","output"\n',
          b"PAR1", b"ARROW1", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"x" * 300]  # fmt: skip
NAMES = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.parquet", "a.arrow", "a.jsonl.gz", "a.csv.xz", "a.json.bz2", "a.jsonl.zst"]


def check(path):
    """Read it in the ways there are; nothing but the promised may happen."""
    for turn in ("last", "all"):
        refused = ""
        try:
            result = read_seeds([path], turn=turn, max_line=200)
        except InputError as error:
            refused = str(error)
        if refused:
            assert refused.startswith(str(path))
            assert len(refused) < 2000
            continue
        for sample in result.samples:
            assert clean(sample) == sample
            assert sample.instruction.strip()
            json.dumps(sample.meta, allow_nan=False).encode()
        assert all(row.reason and row.line >= 1 for row in result.bad)


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_are_read_or_refused(tmp_path, name):
    rng = random.Random(name)
    for _ in range(150):
        data = b"".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 25)))
        if rng.random() < 0.2:
            data = rng.randbytes(rng.randrange(1, 400))
        (tmp_path / name).write_bytes(data)
        check(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz"])
def test_spoilt_files_are_read_or_refused(tmp_path, name):
    import pyarrow.parquet as pq

    rng, rows = random.Random(name), [{"instruction": f"t {n}", "output": "o", "n": n} for n in range(30)]
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        whole = path.read_bytes()
    elif name == "a.csv":
        whole = b"instruction,output,n\n" + b"".join(f'"t {n}",o,{n}\r\n'.encode() for n in range(30))
    else:
        whole = json.dumps(rows).encode() if name == "a.json" else b"".join(json.dumps(r).encode() + b"\n" for r in rows)
        whole = gzip.compress(whole) if name.endswith("gz") else whole
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)
        check(path)


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress),
                                              (".zst", lambda data: pa.compress(data, "zstd", asbytes=True))])  # fmt: skip
def test_packed_files_are_known_by_their_bytes_and_damage_is_told(tmp_path, ending, pack):
    text = b"".join(json.dumps({"instruction": f"{n} {random.Random(n).random()}"}).encode() + b"\n" for n in range(500))
    for name in (f"a.jsonl{ending}", "a.jsonl"):
        (tmp_path / name).write_bytes(pack(text))
        assert len(read_seeds([tmp_path / name]).samples) == 500
        (tmp_path / name).write_bytes(pack(text)[:-30])
        with pytest.raises(InputError, match=rf"{name}: damaged {ending} \("):
            read_seeds([tmp_path / name])
    (tmp_path / f"b.jsonl{ending}").write_bytes(b'{"instruction": "a"}\n')
    with pytest.raises(InputError, match=rf"damaged {ending} \("):
        read_seeds([tmp_path / f"b.jsonl{ending}"])


class Drip:
    """A stream that gives few bytes at a time."""

    def __init__(self, data, step):
        self.data, self.step = data, step

    def read(self, _):
        piece, self.data = self.data[: self.step], self.data[self.step :]
        return piece


def value(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind > 5:
        return {rng.choice(("a", "data", "é\n", "")): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [None, True, rng.randrange(-(10**6), 10**6), rng.random() * 1e9, rng.choice(("", "甲\u2028", '\\"[]{},:', " x "))][kind]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_document_is_read_in_pieces_as_it_would_be_as_a_whole(step):
    rng = random.Random(step)
    for _ in range(200):
        whole = value(rng)
        text = json.dumps(whole, indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.5).encode()
        match whole:
            case list(wanted) | {"data": list(wanted)}:
                pass
            case _:
                wanted = [whole]
        assert list(elements("x", Drip(text, step), 10_000)) == wanted
        cut = text[: rng.randrange(len(text))]
        try:
            json.loads(cut)
        except ValueError:
            with pytest.raises(InputError, match=r"x: not valid JSON \(.*: line \d+ column \d+\)"):
                list(elements("x", Drip(cut, step), 10_000))
