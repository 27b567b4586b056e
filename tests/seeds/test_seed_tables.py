"""CSV and TSV: cells as they are, lines told right, broken rows alone."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc

import pytest

from gen.errors import InputError
from gen.seeds import read_against, read_seeds


def table(folder, data, name="a.csv"):
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder / name


def rows(path, **options):
    result = read_seeds([path], **options)
    return [(s.instruction, s.response, dict(s.meta)) for s in result.samples], [(b.line, b.reason) for b in result.bad]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_table_is_read_whatever_its_dialect(tmp_path, delimiter, end, bom):
    lines = [["instruction", "output", "topic"], ['Say "a, b; c|d\te"', "x", "甲"], ["Two\nlines", "", "乙"]]
    text = end.join(delimiter.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in lines) + end
    assert rows(table(tmp_path, bom + text)) == (
        [('Say "a, b; c|d\te"', "x", {"topic": "甲"}), ("Two\nlines", None, {"topic": "乙"})], [])


def test_equal_rows_of_csv_and_jsonl_are_equal_seeds(tmp_path):
    values = [{"instruction": f"Task {n}\nwith, \"all\"", "input": "x" * n, "output": str(n)} for n in range(50)]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["instruction", "input", "output"])
        writer.writeheader()
        writer.writerows(values)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(v) + "\n" for v in values))
    assert read_seeds([tmp_path / "a.csv"]).digest == read_seeds([tmp_path / "a.jsonl"]).digest


def test_a_tsv_may_have_commas_in_its_header(tmp_path):
    assert rows(table(tmp_path, "instruction\ta,b,c\nx\ty\n", "a.tsv")) == ([("x", None, {"a,b,c": "y"})], [])
    assert rows(table(tmp_path, "instruction\na\n", "one.tsv")) == ([("a", None, {})], [])


def test_packed_tables_are_read(tmp_path):
    assert rows(table(tmp_path, gzip.compress(b"instruction,output\na,b\n"), "a.csv.gz")) == ([("a", "b", {})], [])


def test_bad_rows_are_told_by_the_line_where_they_begin_and_cost_themselves_alone(tmp_path):
    data = (b'instruction,output\n"two\nlines",ok\n\nshort\n"stray"x,y\nb,ok\n\xff,y\n"nul\0",y\nlong,y,z\nc,ok\n')
    good, bad = rows(table(tmp_path, data))
    assert [g[0] for g in good] == ["two\nlines", "b", "c"]
    assert [line for line, _ in bad] == [5, 6, 8, 9, 10]
    wanted = ["1 cells, but 2 columns", "no row of the table (',' expected after '\"')", "a byte that is not UTF-8",
              "a NUL character", "3 cells, but 2 columns"]
    assert all(words in reason for words, (_, reason) in zip(wanted, bad, strict=True))


def test_a_quote_that_is_never_closed_says_how_far_it_goes(tmp_path):
    good, bad = rows(table(tmp_path, 'instruction,output\na,b\n"open,b\nc,d\ne,f\n'))
    assert [g[0] for g in good] == ["a"]
    [(line, reason)] = bad
    assert line == 3
    assert "unexpected end of data; what it opens goes on to line 5" in reason


def test_a_column_without_a_name_gets_one(tmp_path):
    assert rows(table(tmp_path, ",instruction\n0,a\n")) == ([("a", None, {"column 1": "0"})], [])


def test_conversations_in_a_cell_are_read(tmp_path):
    said = json.dumps([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["messages", "id"], [said, "1"]])
    assert rows(tmp_path / "a.csv") == ([("Hi", "Hello", {"id": "1"})], [])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"instruction,output\n", "no row is a seed .it has no rows at all"),
        (b"instruction,output,instruction\na,b,c\n", "line 1: two columns are called 'instruction'; rename"),
        (b"first,second\na,b\n", "line 2: no column instruction, prompt, .*; columns found: first, second"),
        ("instruction\na\n".encode("utf-16"), "UTF-16.*iconv"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        read_seeds([table(tmp_path, data)])


def test_huge_cells_and_lines_are_refused_without_being_held(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"instruction,output\na,b\n")
        for _ in range(50):
            file.write(b"x" * 1_000_000)
        file.write(b",y\nc,d\n")
    tracemalloc.start()
    try:
        result = read_seeds([tmp_path / "a.csv"], max_line=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert [s.instruction for s in result.samples] == ["a", "c"]
    assert [(b.line, "more than 1,000,000 characters in one line" in b.reason) for b in result.bad] == [(3, True)]


def test_a_cell_longer_than_pythons_own_limit_is_read(tmp_path):
    assert rows(table(tmp_path, "instruction,output\n" + "x" * 200_000 + ",y\n"))[0][0][1] == "y"


def test_rows_are_streamed(tmp_path):
    path = table(tmp_path, "instruction,n\n" + "".join(f'"{"x" * 900}\n{n}",{n}\n' for n in range(5000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_against([path])) == 5000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
