"""Seeds and names: whatever stands in a file is seeds that can be stored, bad rows that say why, or an InputError that
names the file."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
from pathlib import Path

from kit import Target, folder
from shapes import Take

from gen.codec import clean
from gen.engines import wire
from gen.errors import InputError, RecipeError
from gen.flags import pairs
from gen.sections import split_engine
from gen.seeds import Noted, read_against, read_seeds
from gen.seeds import folder as folders
from gen.seeds.hub import HubName
from gen.seeds.samples import COLUMNS, Shape

NAMES = (*(c for columns in COLUMNS.values() for c in columns), "instances", "role", "content", "from", "value", "data", "id",
         "license", "chosen", "rejected", "type", "text", "tool_calls", "meta", "title")  # fmt: skip
SAID = (
    "user",
    "assistant",
    "system",
    "human",
    "gpt",
    "tool",
    "Human: ",
    "\nAssistant: ",
    "### Human: ",
    "x",
    "n/a",
    "None",
)
JSON = (*(f'"{name}": ' for name in NAMES), '{"', '"}', "[", "]", ", ", ": ", "null", "true", "NaN", "1e999", "-", "9" * 400,
        "\\u0000", "\\ud800", "\r\n", "\n", '"a"', '{"instruction": "a"}\n', "\ufeff", "\0", "\u2028")  # fmt: skip
TABLE = (
    "instruction",
    "output",
    ",",
    "\t",
    ";",
    "|",
    '"',
    '""',
    "\r\n",
    "\n",
    "\r",
    "'",
    "input,",
    "\0",
    "\ufeff",
    "x",
)
TURNS = ("last", "first", "all", 1, -1, 2)


def read(path: Path, turn: str | int) -> None:
    """Read it; nothing but the promised may happen."""
    try:
        found = read_seeds([path], turn=turn, max_line=200)
    except InputError as error:
        said = str(error)
        assert said.startswith(str(path)), said
        assert len(said) < 2000, said[:3000]
        return
    for sample in found.samples:
        assert clean(sample) == sample
        assert sample.instruction.strip()
        json.dumps(sample.meta, allow_nan=False).encode()
    assert all(row.reason and row.line >= 1 and len(str(row)) < 2000 for row in found.bad)


def _file(*endings: str):
    def run(data: bytes) -> None:
        take = Take(data)
        path = folder() / f"a{take.pick(endings)}"
        path.write_bytes(take.raw())
        if take.data[:1] < b"\xf0":
            read(path, "all")
            return
        with contextlib.suppress(InputError):
            assert all(sample.id.startswith("against:a.") for sample in read_against([path], bad=Noted()))

    return run


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def packed(data: bytes) -> None:
    take = Take(data)
    ending, cut, flip, inner = take.pick((*PACK,)), take.byte(), take.byte(), take.pick((".jsonl", ".csv"))
    body = bytearray(PACK[ending](take.raw()))
    if flip % 4 == 1:
        body[cut * flip % len(body)] ^= flip
    path = folder() / f"p{inner}{ending}"
    path.write_bytes(body[: len(body) - cut % 9] if flip % 4 == 2 else body)
    read(path, "last")


def rows(data: bytes) -> None:
    """A row of any shape, with or without a mapping."""
    take = Take(data)
    turn, mapped = take.pick(TURNS), take.byte()
    mapping = None if mapped < 200 else {take.pick((*COLUMNS,)): take.name(NAMES) for _ in range(mapped % 4 + 1)}
    shape, value = Shape(mapping, turn), take.object(NAMES, SAID) if mapped % 8 else take.json(NAMES, SAID)
    try:
        if mapping:
            shape.check("x", {*value} if isinstance(value, dict) else set())
        found = [*shape.seeds(value)]
    except InputError as error:  # repeats the mapping
        assert "--map" in str(error)
        return
    except ValueError as error:
        assert 0 < len(str(error)) < 2000
        return
    for sample in found:
        assert clean(sample) == sample
        assert sample.instruction.strip()


CARD = ("---\n", "configs:\n", "- config_name: ", "  data_files: ", "data_dir: ", "split: train\n", "path: ", "a.jsonl", "*", "license: ",
        "- ", "\n", ": ", "[", "]", "{", "}", "&a ", "*a", "!!int ", "!!timestamp ", "!!float ", "!!binary ", "!!bool ", "!!set ", "1:2", "2001-99-99", "'", '"', "? ", "<<: ", "|", ">")  # fmt: skip


def card(data: bytes) -> None:
    """The front matter of a dataset card decides which files are read."""
    take = Take(data)
    wanted, every = take.pick(("", ":a", "#train", ":default#test", "#")), take.byte() % 2 == 0
    path = folder() / "card"
    path.mkdir(exist_ok=True)
    for name in ("a.jsonl", "train.jsonl", "test.csv"):
        if not (path / name).exists():
            (path / name).write_text('{"instruction": "a"}\n')
    (path / "README.md").write_bytes(take.raw())
    found = folders.card(path)
    try:
        chosen, left = folders.files(path, found, wanted, every)
    except InputError as error:
        assert 0 < len(str(error)) < 3000
        return
    assert not {*chosen} & {*left}


NAME = (
    "org/name",
    "hf://datasets/",
    ":",
    "@",
    "#",
    "train",
    "http://",
    "https://",
    "127.0.0.1",
    ":8000",
    "/v1",
    "[::1]",
    "?",
    "=",
    ".jsonl",
    "/",
    "..",
    "~",
    "\0",
    "user",
    "main",
)


def names(data: bytes) -> None:
    """What stands on the command line: data, servers, roles, mappings."""
    text = Take(data).rest()
    if found := HubName.parse(text):
        assert found.repo.count("/") == 1
    folders.local(text)
    model, urls = split_engine(text)
    assert isinstance(model, str)
    assert all(url.startswith("http") for url in urls[:1])
    wire.basename(text)
    try:
        base = wire.base_url(text)
        assert base.startswith("http")
        assert not base.endswith("/")
    except RecipeError:
        pass
    with contextlib.suppress(RecipeError):
        pairs(text.split(" "))


def binary(data: bytes) -> None:
    path = folder() / ("b.parquet" if data[:1] != b"A" else "b.arrow")
    path.write_bytes(data)
    read(path, "last")


SEEDS = ("gen.seeds", "gen.seeds.place", "gen.seeds.spool", "gen.seeds.origin")
TARGETS = (
    Target("seeds.jsonl", _file(".jsonl", ".ndjson"), ("gen.seeds.files", *SEEDS), JSON, 120_000),
    Target("seeds.json", _file(".json"), ("gen.seeds.document", "gen.seeds.files"), JSON, 120_000),
    Target("seeds.table", _file(".csv", ".tsv"), ("gen.seeds.table",), TABLE, 120_000),
    Target("seeds.packed", packed, ("gen.seeds.files",), JSON, 20_000),
    Target("seeds.binary", binary, ("gen.seeds.columnar",), ("PAR1", "ARROW1"), 10_000, 4096),
    Target("seeds.rows", rows, ("gen.seeds.samples", "gen.seeds.chat"), (), 200_000),
    Target("seeds.card", card, ("gen.seeds.folder",), CARD, 20_000),
    Target(
        "seeds.names", names, ("gen.seeds.hub", "gen.seeds.folder", "gen.sections", "gen.engines.wire"), NAME, 100_000
    ),
)
