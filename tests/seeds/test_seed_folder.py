"""Folders: which files are read, what their card says, and what a name means."""

from __future__ import annotations

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gen import recipe as recipes
from gen.errors import InputError
from gen.material import read_material
from gen.seeds import read_against, read_seeds

CARD = "---\nlicense: cc-by-nc-4.0\nconfigs:\n{}---\n# About\n"


def put(path, *texts, **more):
    """A file with a row for each text, in the format of its name."""
    rows = [{"instruction": text, **more} for text in texts]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        path.write_text("instruction\n" + "\n".join(texts) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def texts(*named, **options):
    return [s.instruction for s in read_seeds(named, **options).samples]


def test_all_files_below_are_read_by_path(tmp_path):
    put(tmp_path / "b.jsonl", "b")
    put(tmp_path / "a.csv", "a")
    put(tmp_path / "c" / "d" / "e.parquet", "e")
    for name in ("note.txt", ".hidden.jsonl", "_index.jsonl", ".git/x.jsonl", "dataset_info.json", "state.json"):
        put(tmp_path / name, "never")
    result = read_seeds([tmp_path])
    assert [s.instruction for s in result.samples] == ["a", "b", "e"]
    assert (result.names, result.notes, result.bad) == ((tmp_path.name,), (), [])


def test_a_link_to_a_file_is_a_file(tmp_path):  # as in the cache of the hub
    put(tmp_path / "blobs" / "x", "a")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "a.jsonl").symlink_to(tmp_path / "blobs" / "x")
    assert texts(tmp_path / "snapshot") == ["a"]


@pytest.mark.parametrize("names", [
    ("train.jsonl", "test.jsonl", "dev.jsonl"),
    ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
    ("train/a.jsonl", "test/a.jsonl", "val/a.jsonl"),
    ("my_train_set.jsonl", "my_test_set.jsonl", "my_dev_set.jsonl"),
])  # fmt: skip
def test_of_files_named_by_split_those_of_train_are_read(tmp_path, names):
    for name in names:
        put(tmp_path / name, name)
    result = read_seeds([tmp_path])
    assert [s.instruction for s in result.samples] == [names[0]]
    assert result.notes[0].startswith(f"{tmp_path}: only the split train is read, not such as ")
    assert texts(f"{tmp_path}#test") == [names[1]]
    assert {s.instruction for s in read_against([tmp_path])} == {*names}  # what must not be repeated: every split
    assert [s.instruction for s in read_against([f"{tmp_path}#test"])] == [names[1]]
    assert read_seeds([f"{tmp_path}#test"]).notes == ()
    with pytest.raises(InputError, match=r"#tset: no file is named so; did you mean 'test'\?"):
        texts(f"{tmp_path}#tset")


def test_a_word_within_a_word_is_no_split(tmp_path):
    for name in ("training_notes_contest.jsonl", "latest.jsonl", "trainers.jsonl"):
        put(tmp_path / name, name)
    assert texts(tmp_path) == ["training_notes_contest.jsonl"]
    (tmp_path / "training_notes_contest.jsonl").unlink()
    assert texts(tmp_path) == ["latest.jsonl", "trainers.jsonl"]


WAYS = {
    "one": "- config_name: default\n  data_files: x.jsonl\n",
    "list": "- config_name: default\n  data_files: [x.jsonl]\n",
    "splits": "- config_name: default\n  data_files:\n  - {split: test, path: y.jsonl}\n  - {split: train, path: 'x*'}\n",
    "folder": "- config_name: default\n  data_dir: in\n",
    "no default": "- config_name: first\n  data_files: x.jsonl\n- config_name: second\n  data_files: y.jsonl\n",
    "later default": "- config_name: other\n  data_files: y.jsonl\n- config_name: default\n  data_files: x.jsonl\n",
}


@pytest.mark.parametrize("configs", WAYS.values(), ids=WAYS)
def test_a_card_says_which_files_are_the_data(tmp_path, configs):
    put(tmp_path / "x.jsonl", "x")
    put(tmp_path / "y.jsonl", "y")
    if "data_dir" in configs:
        put(tmp_path / "in" / "train.jsonl", "x")
        put(tmp_path / "in" / "test.jsonl", "z")
    (tmp_path / "README.md").write_text(CARD.format(configs))
    result = read_seeds([tmp_path])
    assert [s.instruction for s in result.samples] == ["x"]
    assert result.licences == ("cc-by-nc-4.0",)
    where = {"splits": "#test", "no default": ":second", "later default": ":other"}
    for way, name in where.items():
        if configs == WAYS[way]:
            assert texts(f"{tmp_path}{name}") == ["y"]
    every = [s.instruction for s in read_against([tmp_path])]
    assert every == {"splits": ["x", "y"], "folder": ["z", "x"]}.get(next(w for w in WAYS if WAYS[w] == configs), ["x"])
    # `datasets` reads the same
    loaded = datasets.load_dataset(str(tmp_path), "first" if "first" in configs else None, split="train", streaming=True)
    assert [row["instruction"] for row in loaded] == ["x"]


@pytest.mark.parametrize(("name", "message"), [
    (":third", r":third: no such configuration in its README.md; .*\(allowed: default\)"),
    ("#dev", r"#dev: no such split in its README.md; .*\(allowed: test, train\)"),
    (":default#train", r"its README.md names gone-\*, but no file here that is read"),
])  # fmt: skip
def test_what_a_card_does_not_name_is_refused(tmp_path, name, message):
    put(tmp_path / "y.jsonl", "y")
    ways = "- config_name: default\n  data_files:\n  - {split: train, path: 'gone-*'}\n  - {split: test, path: y.jsonl}\n"
    (tmp_path / "README.md").write_text(CARD.format(ways))
    with pytest.raises(InputError, match=message):
        texts(f"{tmp_path}{name}")


@pytest.mark.parametrize("card", ["# No front matter\n", "---\n: [\n---\n", "---\n- a\n---\n", "---\nconfigs: 7\n---\n",
                                  "---\nnever ended", "---\nwhen: 2024-99-99\n---\n", ""])  # fmt: skip
def test_a_card_that_says_nothing_is_passed_over(tmp_path, card):
    put(tmp_path / "x.jsonl", "x")
    (tmp_path / "README.md").write_text(card)
    result = read_seeds([tmp_path])
    assert (len(result.samples), result.licences) == (1, ("",))


def test_datasets_saved_to_disk_are_folders(tmp_path):
    data = datasets.Dataset.from_list([{"instruction": "a", "output": "b"}, {"instruction": "c", "output": None}])
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "test": data.select([1])}).save_to_disk(str(tmp_path / "both"))
    for name, found in {"one": ["a", "c"], "both": ["a", "c"], "both#test": ["c"]}.items():
        assert texts(tmp_path / name) == found
    samples = read_seeds([tmp_path / "one"]).samples
    assert [s.response for s in samples] == ["b", None]


def test_a_folder_with_nothing_to_read_says_what_would_be_read(tmp_path):
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(InputError, match=rf"{tmp_path}: no file in this folder is read; allowed: .jsonl, .*.parquet"):
        texts(tmp_path)
    put(tmp_path / "x.jsonl", "x")
    (tmp_path / "x.jsonl").write_text('{"y": 1}\n{"y": 2}\n')
    with pytest.raises(InputError, match=r"no row is a seed .line 1: no column"):
        texts(tmp_path)


def test_a_strange_file_among_others_costs_its_rows_alone(tmp_path):
    put(tmp_path / "a.jsonl", "a")
    (tmp_path / "config.json").write_text('{"hidden_size": 7}')
    result = read_seeds([tmp_path])
    assert [s.instruction for s in result.samples] == ["a"]
    assert [b.file for b in result.bad] == [str(tmp_path / "config.json")]


def test_licences_are_those_of_rows_or_else_of_the_card_beside_them(tmp_path):
    put(tmp_path / "a" / "x.jsonl", "1", license="MIT")
    put(tmp_path / "a" / "y.jsonl", "2")
    put(tmp_path / "a" / "z.jsonl", "3", licence=["apache-2.0", "mit"])
    put(tmp_path / "b.jsonl", "4", license=7)
    (tmp_path / "a" / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    assert read_seeds([tmp_path / "a"]).licences == ("MIT", "apache-2.0", "cc-by-4.0", "mit")
    assert read_seeds([tmp_path / "a" / "y.jsonl"]).licences == ("cc-by-4.0",)
    assert read_seeds([tmp_path / "b.jsonl", tmp_path / "a" / "x.jsonl"]).licences == ("", "MIT")


def test_paths_of_a_recipe_are_seen_from_its_folder_and_names_of_the_hub_are_left_alone(tmp_path, monkeypatch):
    put(tmp_path / "in" / "data" / "test.jsonl", "t")
    put(tmp_path / "in" / "data" / "train.jsonl", "x")
    put(tmp_path / "in" / "own.jsonl", "o")
    named = ["data#test", "own.jsonl", "org/name:c@main#test", "hf://datasets/org/name"]
    (tmp_path / "in" / "r.toml").write_text(f"[source]\nseeds = {named}\nagainst = ['data']\n")
    monkeypatch.chdir(tmp_path)
    recipe = recipes.read(tmp_path / "in" / "r.toml")
    base = tmp_path / "in"
    assert recipe.source.seeds == (f"{base}/data#test", f"{base}/own.jsonl", *named[2:])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "r.toml").write_text(recipes.to_toml(recipe, tmp_path / "out"))
    again = recipes.load(tmp_path / "out" / "r.toml")["source"]
    assert [name.replace("out/../", "") for name in again["seeds"]] == list(recipe.source.seeds)
    local = recipes.with_values(recipe, {"source": {"seeds": list(recipe.source.seeds[:2])}})
    material = read_material(local)
    assert [s.instruction for s in material.seeds.samples] == ["t", "o"]
    for _ in range(2):  # as often as it is asked for; every split of it
        assert [s.id for s in material.against] == ["against:test.jsonl:1", "against:train.jsonl:1"]


def test_a_missing_name_says_what_it_could_have_been(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "tasks" / "seeds.jsonl", "x")
    with pytest.raises(InputError, match=r"tasks/seed: no such file; did you mean 'seeds.jsonl'.*hub is named ORG/NAME"):
        texts("tasks/seed")
    with pytest.raises(InputError, match=r"tasks/seed.jsonl: no such file; did you mean 'seeds.jsonl'\? .*jsonl\)$"):
        texts("tasks/seed.jsonl")
    with pytest.raises(InputError, match=r"nothing.csv: no such file"):
        texts("org/nothing.csv")
