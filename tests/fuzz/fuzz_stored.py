"""What was stored and what is written: a pool's rows come back equal or are refused as damaged, exports are read back."""

from __future__ import annotations

import json
import sqlite3
import zlib

from fuzz_seed_files import NAMES, SAID
from kit import Target
from shapes import Take

from gen.codec import clean, packer, unpack
from gen.core import Completion, Likelihood, Request, Sample, Verdict
from gen.errors import PoolError
from gen.export.rows import Form, Unfit, line
from gen.seeds.samples import Shape

KINDS = (Sample, Completion, Verdict, Request, Likelihood)
FORMS = tuple(
    Form(f, p, r, x)
    for f in ("messages", "prompt-completion", "alpaca", "sharegpt")
    for p in (False, True)
    for r in ("drop", "include", "inline")
    for x in (False, True)
)


def _table() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE text (hash BLOB PRIMARY KEY, body BLOB NOT NULL)")
    return db


DB = _table()


def _ask(query: str, *values: object) -> list[tuple]:
    return DB.execute(query, values).fetchall()


def kept(data: bytes) -> None:
    """Any sample, with anything that JSON can say as its `meta`, comes back as it was."""
    take = Take(data)
    meta = json.loads(json.dumps(take.object(NAMES, SAID)), parse_constant=str)
    sample = take.sample(SAID)
    try:
        whole = clean(
            Sample(sample.id, take.text(SAID), sample.lineage, take.text(SAID), take.text(SAID) or None, meta=meta)
        )
    except (TypeError, OverflowError):
        return
    DB.execute("DELETE FROM text")
    packed = packer(DB)(whole)
    back = unpack(Sample, packed, _ask)
    assert packer(DB)(back) == packed
    assert back.instruction == whole.instruction


def damaged(data: bytes) -> None:
    """Whatever stands in a row, or in the table of its texts."""
    take = Take(data)
    kind, spoilt = take.pick(KINDS), take.byte()
    DB.execute("DELETE FROM text")
    body = take.raw()
    if spoilt % 4 == 0:
        text = ("Some text that is long enough for a row of its own. " * 3).encode()
        sample = Sample("a" * 16, text.decode(), Take(b"").sample().lineage)
        row = bytearray(packer(DB)(sample))
        for at, new in zip(body[::2], body[1::2], strict=False):
            row[at % len(row)] = new
        if spoilt % 8 == 0:
            DB.execute("UPDATE text SET body = ?", (zlib.compress(body, 1, -12) if spoilt % 16 else body,))
        kind, body = Sample, bytes(row)
    try:
        found = unpack(kind, body, _ask)
        assert isinstance(found, kind)
    except PoolError as error:
        assert "damaged" in str(error)


def exported(data: bytes) -> None:
    """A row of every form is one line of JSON, and the seeds that it is read as say the same."""
    take = Take(data)
    form, sample = take.pick(FORMS), take.sample(SAID)
    try:
        row = form.row(sample)
    except Unfit:
        return
    told = line(row)
    assert told.endswith("\n")
    assert len(told.splitlines()) == 1
    back = json.loads(told)
    assert back == row
    if form.plain or form.flip or form.reasoning == "include" or form.format == "prompt-completion":
        return
    try:
        found = [*Shape(None, "last").seeds(back)]
    except ValueError as error:
        assert "empty" in str(error) or "take turns" in str(error)
        return
    assert len(found) == 1
    assert found[0].response is None or found[0].response == sample.response
    if form.format != "alpaca":  # a blank system text or answer is none
        one, two = ([text for m in side.messages if (text := m.content.strip())] for side in (found[0], sample))
        assert one == two


ROW = (
    '{"id": "',
    '"instruction": "',
    '"lineage": {"root": "',
    '"}',
    "{",
    "}",
    "[",
    "]",
    "#",
    "#=",
    "ab" * 16,
    '"text": "',
    '"finish": "stop"',
    '"keep": true',
    '"role": "judge"',
    '"logprobs": [',
    "-1.0",
    "null",
    '"meta": ',
    ",",
    ": ",
)
TARGETS = (
    Target("stored.kept", kept, ("gen.codec",), (), 60_000),
    Target("stored.damaged", damaged, ("gen.codec",), ROW, 60_000),
    Target("stored.exported", exported, ("gen.export.rows", "gen.seeds.samples"), (), 60_000),
)
