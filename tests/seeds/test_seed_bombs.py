"""Files that would have more read than they hold, or for ever."""

import random

import pyarrow as pa
import pyarrow.ipc as ipc
import pytest

from gen.errors import InputError
from gen.seeds import read_seeds


def stream(table):
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytearray(sink.getvalue())


def test_offsets_that_point_outside_are_never_followed(tmp_path):
    """Each byte of the table's body, one after another, is another one: Arrow alone would read foreign memory."""
    path, rng = tmp_path / "a.arrow", random.Random(0)
    whole = stream(pa.table({"instruction": ["first", "second"], "output": ["x", None]}))
    refused = 0
    for at in range(len(whole) - 160, len(whole)):
        data = bytearray(whole)
        data[at] = rng.choice([0x7F, 0x80, 0xFF])
        path.write_bytes(data)
        try:
            for sample in read_seeds([path]).samples:
                assert len(sample.instruction) + len(sample.response or "") < 40
        except InputError as error:
            refused += "damaged" in str(error)
    assert refused > 5


def test_a_text_that_is_no_utf8_costs_one_row(tmp_path):
    texts = pa.array([b"good", b"caf\xe9"], pa.binary()).view(pa.string())
    (tmp_path / "a.arrow").write_bytes(stream(pa.table({"instruction": texts})))
    found = read_seeds([tmp_path / "a.arrow"])
    assert [sample.instruction for sample in found.samples] == ["good"]
    assert found.bad.total == 1


def test_a_card_cannot_grow_beyond_its_file(tmp_path):
    """Ten lines of references to the line before are ten thousand million words, written out."""
    (tmp_path / "train.jsonl").write_text('{"instruction": "a"}\n')
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)]
    for use in ("config_name: *j\n  data_files: train.jsonl", "data_files: [{split: *j, path: *j}]", "data_files: *j", "data_dir: *j"):
        (tmp_path / "README.md").write_text("---\n" + "\n".join(lines) + f"\nlicense: *j\nconfigs:\n- {use}\n---\n")
        try:
            said = str(len(read_seeds([tmp_path]).samples))
        except InputError as error:
            said = str(error)
        assert len(said) < 1000


@pytest.mark.parametrize("value", ["!!bool 1", "!!timestamp x", "!!int ''", "!!float ''", "2001-99-99", "9" * 5000, "[" * 5000])
def test_a_card_that_yaml_cannot_read_is_none(tmp_path, value):
    (tmp_path / "train.jsonl").write_text('{"instruction": "a"}\n')
    (tmp_path / "README.md").write_text(f"---\nlicense: {value}\n---\n")
    assert len(read_seeds([tmp_path]).samples) == 1
