"""Parquet and Arrow: the same rows as in JSONL, streamed; types that JSON does not know."""

from __future__ import annotations

import datetime
import decimal
import json
import subprocess
import sys
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gen.errors import InputError
from gen.seeds import read_seeds


def parquet(folder, columns, name="a.parquet", **options):
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), folder / name, **options)
    return folder / name


def ipc(folder, table, name, make):
    with make(str(folder / name), table.schema) as file:
        file.write_table(table, max_chunksize=3)
    return folder / name


CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS = [{"instruction": f"Task {n}", "output": "x" * n or None, "tags": ["a"] * n, "extra": {"n": n, "deep": [{"b": True}]}}
        for n in range(7)]  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "row groups", "stream", "file"])
def test_the_same_rows_give_the_same_seeds_as_jsonl(tmp_path, form):
    table = pa.Table.from_pylist(ROWS)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = {
        "parquet": lambda: parquet(tmp_path, table), "row groups": lambda: parquet(tmp_path, table, row_group_size=2),
        "stream": lambda: ipc(tmp_path, table, "a.arrow", pa.ipc.new_stream),
        "file": lambda: ipc(tmp_path, table, "a.arrow", pa.ipc.new_file),
    }[form]()  # fmt: skip
    found, wanted = read_seeds([path]), read_seeds([tmp_path / "a.jsonl"])
    assert list(found.samples) == list(wanted.samples)
    assert found.digest == wanted.digest


@pytest.mark.parametrize("column", ["messages", "conversations"])
def test_conversations_are_nested_columns(tmp_path, column):
    turns = CHAT if column == "messages" else [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    for shape in (turns, {key: [t[key] for t in turns] for key in turns[0]}):  # `datasets` knew only the second for long
        [sample] = read_seeds([parquet(tmp_path, pa.Table.from_pylist([{column: shape}]))]).samples
        assert (sample.instruction, sample.response) == ("Hi", "Hello")


WEIRD = {
    "decimal": (pa.array([decimal.Decimal("1.50")]), "1.50"),
    "date": (pa.array([datetime.date(2024, 2, 29)]), "2024-02-29"),
    "time": (pa.array([datetime.time(1, 2, 3)]), "01:02:03"),
    "stamp": (pa.array([datetime.datetime(2024, 1, 2, 3, 4, 5)]), "2024-01-02T03:04:05"),
    "zone": (pa.array([0], pa.timestamp("s", "UTC")), "1970-01-01T00:00:00+00:00"),
    "span": (pa.array([datetime.timedelta(days=1)]), "1 day, 0:00:00"),
    "text in bytes": (pa.array(["甲".encode()], pa.binary()), "甲"),
    "bytes": (pa.array([b"\xff\xfe\x00"], pa.binary()), "<3 bytes>"),
    "nan": (pa.array([float("nan")]), None),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "a"),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), [["k", 1]]),
    "uuid": (pa.array([uuid.UUID(int=7).bytes], pa.uuid()), "00000000-0000-0000-0000-000000000007"),
    "image": (pa.array([{"bytes": b"\x89PNG\xff", "path": None}]), {"bytes": "<5 bytes>", "path": None}),
    "nested": (pa.array([[[1.5, None]]]), [[1.5, None]]),
    "large": (pa.array(["a"], pa.large_string()), "a"),
    "view": (pa.array(["a"], pa.string_view()), "a"),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
}


@pytest.mark.parametrize(("array", "value"), WEIRD.values(), ids=WEIRD)
def test_types_that_json_does_not_know_become_values_that_it_does(tmp_path, array, value):
    [sample] = read_seeds([parquet(tmp_path, {"instruction": ["a"], "x": array})]).samples
    assert sample.meta == {"x": value}
    assert json.loads(json.dumps(sample.meta)) == sample.meta


def test_a_row_that_cannot_be_had_costs_itself_alone(tmp_path):
    texts = pa.Array.from_buffers(pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")])
    stamps = pa.array([0, 0, 2**62], pa.timestamp("us"))
    result = read_seeds([parquet(tmp_path, {"instruction": texts, "when": stamps})])
    assert [s.instruction for s in result.samples] == ["a"]
    assert [(b.unit, b.line) for b in result.bad] == [("row", 2), ("row", 3)]
    assert "leave the column out, or write it as text" in result.bad[1].reason
    assert str(result.bad[0]).startswith(f"{tmp_path}/a.parquet, row 2: 'utf-8' codec can't decode")


def test_infinity_is_a_bad_row(tmp_path):
    result = read_seeds([parquet(tmp_path, {"instruction": ["a", "b"], "x": [1.0, float("inf")]})])
    assert [b.line for b in result.bad] == [2]


@pytest.mark.parametrize("spoil", [lambda d: d[:100], lambda d: b"nothing of it", lambda d: d[:-4] + b"JUNK",
                                   lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"PAR1PAR1"])  # fmt: skip
@pytest.mark.parametrize("name", ["a.parquet", "b.arrow"])
def test_damaged_files_are_refused_with_advice(tmp_path, spoil, name):
    table = pa.table({"instruction": ["a"] * 1000, "n": list(range(1000))})
    path = parquet(tmp_path, table) if name == "a.parquet" else ipc(tmp_path, table, name, pa.ipc.new_file)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=r"damaged, or nothing that pyarrow can read \(.*\); write it again") as caught:
        read_seeds([path])
    assert str(caught.value).startswith(f"{path}: ")


def test_an_empty_table_has_no_rows(tmp_path):
    with pytest.raises(InputError, match="it has no rows at all"):
        read_seeds([parquet(tmp_path, pa.table({"instruction": pa.array([], pa.string())}))])


@pytest.mark.process
def test_one_row_group_of_all_rows_is_streamed(tmp_path):
    """160 MB of texts in one row group: what the process holds at most stays far below."""
    table = pa.concat_tables([pa.table({"instruction": [f"{n} " + "word " * 1600 for n in range(500)]})] * 40)
    path = parquet(tmp_path, table, row_group_size=len(table), use_dictionary=False, compression="none")
    assert pq.ParquetFile(path).num_row_groups == 1
    assert path.stat().st_size > 150_000_000
    # ru_maxrss would count what this process holds now, too
    code = ("import re, sys; from gen.seeds import read_against; n = sum(1 for _ in read_against(sys.argv[1:]));"
            "print(n, int(re.search('VmHWM:\\\\s*(\\\\d+)', open('/proc/self/status').read())[1]) // 1024)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    rows, peak = map(int, done.stdout.split())
    assert rows == 20_000
    assert peak < 170  # half of it is pyarrow itself


@pytest.mark.parametrize("form", ["file", "stream"])
def test_billions_of_rows_without_any_data_are_refused(tmp_path, form):
    make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    batch = pa.record_batch({"instruction": pa.nulls(2**31 - 1)})
    with make(str(tmp_path / "a.arrow"), batch.schema) as file:
        file.write_batch(batch)
    with pytest.raises(InputError, match=r"a\.arrow: 2,147,483,647 rows are said to be in 0 bytes"):
        read_seeds([tmp_path / "a.arrow"])


def test_a_table_of_bits_alone_has_its_rows(tmp_path):
    table = pa.table({"flag": pa.array([True] * 1000)})
    with pytest.raises(InputError, match="no row is a seed"):
        read_seeds([parquet(tmp_path, table)])
