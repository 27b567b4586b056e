"""Files and folders appear whole, and the same rows make the same bytes."""

from __future__ import annotations

import gzip
import json

import pytest

from gen.core import Lineage, Sample
from gen.errors import InputError
from gen.export.columns import GROUP
from gen.export.files import atomic, atomic_folder
from gen.export.rows import Form, dataset_row
from gen.export.tables import EXAMPLE, KINDS, table
from gen.export.write import write_dataset

SEED = Sample("s", "Add", Lineage("s"), input="1 2", response="3")
CHILD = Sample("c", "写诗", Lineage("s", "s", 0, 2, "deepen", ("evolve/deepen@ab",), ("m@12",)), response="秋天 \u2028")
OPEN = Sample("o", "Why?", Lineage("o"))


def load(kind, path):
    from datasets import load_dataset

    return load_dataset(kind, data_files=str(path), split="train", cache_dir=str(path.parent / "cache"))


def test_equal_samples_give_equal_bytes_and_the_bytes_are_these(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        assert write_dataset(iter([SEED, CHILD]), tmp_path / name).rows == {"train": 2}
    for name in ("dataset.jsonl", "dataset.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    first = (tmp_path / "a/dataset.jsonl").read_bytes()
    assert first.split(b"\n")[0].decode() == (
        '{"id": "s", "messages": [{"role": "user", "content": "Add\\n\\n1 2"}, {"role": "assistant", "content": "3"}], '
        '"instruction": "Add", "input": "1 2", "output": "3", "reasoning": "", '
        '"meta": {"root": "s", "origin": "", "parent": "", "round": 0, "operation": "seed", "prompts": "", "models": ""}}')


@pytest.mark.parametrize("samples", [[SEED, CHILD, OPEN], [OPEN, SEED] + [CHILD] * (GROUP + 1)], ids=["few", "groups"])
def test_both_datasets_of_a_run_load_and_are_equal(tmp_path, samples):
    tally = write_dataset(iter(samples), tmp_path)
    lines, columns = load("json", tmp_path / "dataset.jsonl"), load("parquet", tmp_path / "dataset.parquet")
    assert lines.to_list() == columns.to_list() == [dataset_row(s) for s in samples]
    assert {k: str(v) for k, v in lines.features.items()} == {k: str(v) for k, v in columns.features.items()}
    assert tally.weights["people (seeds as they were given)"] + tally.weights["m@12"] == len(samples)


def test_the_types_of_parquet_do_not_depend_on_the_rows(tmp_path):
    import pyarrow.parquet as pq

    schemas = []
    for i, samples in enumerate(([], [OPEN] * (GROUP + 1), [CHILD])):
        (tmp_path / str(i)).mkdir()
        write_dataset(iter(samples), tmp_path / str(i))
        schemas.append(pq.read_schema(tmp_path / f"{i}/dataset.parquet"))
    assert schemas[0] == schemas[1] == schemas[2]
    assert str(schemas[0].field("output").type) == "string"
    assert pq.ParquetFile(tmp_path / "1/dataset.parquet").num_row_groups == 2
    assert pq.read_table(tmp_path / "0/dataset.parquet").num_rows == 0  # `datasets` loads no empty data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [[], [SEED], [SEED, CHILD]], ids=len)
def test_every_kind_of_file_holds_the_rows_and_is_the_same_twice(tmp_path, kind, samples):
    form = Form("sharegpt")
    rows = [form.row(sample) for sample in samples]
    paths = [tmp_path / f"{name}{kind}" for name in "ab"]
    for path in paths:
        with table(path, form.row(EXAMPLE)) as write:
            for row in rows:
                write(row)
    data = paths[0].read_bytes()
    assert data == paths[1].read_bytes()
    if kind == ".parquet":
        assert not rows or load("parquet", paths[0]).to_list() == rows
        return
    text = (gzip.decompress(data) if kind.endswith(".gz") else data).decode()
    assert text.endswith("\n") or not rows
    assert (json.loads(text) if kind.startswith(".json") and "l" not in kind else [json.loads(x) for x in text.splitlines()]) == rows
    if rows:
        assert load("json", paths[0]).to_list() == rows


def test_an_unknown_kind_is_refused_before_a_file_is_made(tmp_path):
    with pytest.raises(InputError, match=r"allowed: .jsonl.gz, .json.gz, .jsonl, .json, .parquet"), \
            table(tmp_path / "a.csv", {}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_halfway_leaves_the_old_files_and_nothing_else(tmp_path):
    write_dataset(iter([SEED]), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def broken():
        yield CHILD
        raise RuntimeError("the store went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_dataset(broken(), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_the_file_is_not_there_before_it_is_whole(tmp_path):
    path = tmp_path / "dataset.jsonl"
    with atomic(path) as stream:
        stream.write("half")
        stream.flush()
        assert not path.exists()
    assert path.read_text() == "half"


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "far" / "real.jsonl")
    with atomic(tmp_path / "link.jsonl") as stream:
        stream.write("x")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "far" / "real.jsonl").is_file()


@pytest.mark.parametrize(
    ("place", "message"), [("none/out.jsonl", "cannot be written .No such file"), (".", "not a regular file")]
)
def test_a_place_that_cannot_hold_a_file_is_refused(tmp_path, place, message):
    with pytest.raises(InputError, match=message), atomic(tmp_path / place):
        pass


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_folder_appears_whole_and_replaces_only_its_like(tmp_path):
    goal = tmp_path / "goal"
    for word in ("old", "new"):
        with atomic_folder(goal, ("a.txt",)) as part:
            (part / "a.txt").write_text(word)
            assert names(goal) == ([] if word == "old" else ["a.txt"])
    assert (goal / "a.txt").read_text() == "new"
    with pytest.raises(RuntimeError), atomic_folder(goal, ("a.txt",)):
        raise RuntimeError
    assert (goal / "a.txt").read_text() == "new"
    (goal / "mine.txt").touch()
    with pytest.raises(InputError, match="holds other things than an export"), atomic_folder(goal, ("a.txt",)):
        pass
    with pytest.raises(InputError, match="cannot be written"), atomic_folder(tmp_path / "no/where", ()):
        pass
    assert names(tmp_path) == ["goal", "goal/a.txt", "goal/mine.txt"]
