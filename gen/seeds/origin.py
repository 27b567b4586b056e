"""What a name means: a file, `FOLDER[:CONFIG][#SPLIT]`, or a dataset of the hub. What is here wins over the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gen.errors import InputError
from gen.seeds import folder
from gen.seeds.columnar import binary_rows
from gen.seeds.files import BINARY, KINDS, TABLES, check_readable, json_rows, kind, opened
from gen.seeds.hub import FORM, HubName, hub_dataset
from gen.seeds.place import Origin, Rows, licences
from gen.seeds.table import table_rows


def find(named: str, every: bool = False) -> Origin:
    """What is meant; of several splits `train`, or `every` one, where none is named. Raises InputError where nothing
    is, or where it cannot be opened."""
    try:
        return _found(named, every)
    except OSError as error:
        advice = "check its permissions" if isinstance(error, PermissionError) else "name a file, folder or dataset"
        raise InputError(f"{named[:200]}: cannot be read ({error.strerror}); {advice}") from None


def _found(named: str, every: bool) -> Origin:
    if not named:
        raise InputError("a name is empty; name a file, a folder (. is this one) or a dataset of the hub")
    path, wanted = folder.local(named) or (Path(named), "")
    if path.is_dir():
        return _folder(path, wanted, every)
    if not path.exists() and (name := HubName.parse(named)):
        return hub_dataset(name, every)
    try:
        _check(path)
    except InputError as error:
        if path.exists() or kind(path) in KINDS:
            raise
        raise InputError(f"{error}; a dataset of the hub is named {FORM}, with hf://datasets/ before it where a folder "
                         "ORG is here") from None
    return Origin(str(path), path.name, lambda most: file_rows(path, most), licences(folder.card(path.parent)),
                  files=[path])


def _folder(path: Path, wanted: str, every: bool) -> Origin:
    card = folder.card(path)
    files, left = folder.files(path, card, wanted, every)
    for file in files:
        _check(file)
    note = ""
    if left and "#" not in wanted:
        other = left[0].relative_to(path)
        note = f"{path}: only the split train is read, not such as {other}; another one: {path}#SPLIT"
    return Origin(str(path), path.resolve().name, lambda most: _files(files, most), licences(card), note, files)


def _files(paths: Sequence[Path], most: int) -> Rows:
    for path in paths:
        yield from file_rows(path, most)


def file_rows(path: Path, most: int) -> Rows:
    """The rows of a file of a kind that has rows."""
    if kind(path) in BINARY:
        return binary_rows(path)
    return (table_rows if kind(path) in TABLES else json_rows)(path, most)


def _check(path: Path) -> None:
    check_readable(path)
    with opened(path):
        pass
