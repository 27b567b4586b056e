"""The files of a folder, as its card or their names have it.

A card (the front matter of README.md) that names data files decides, as `datasets` has it. Else all files below the
folder are read, by path; where some are named by split (`train.jsonl`, `data/test-00000-of-00001.parquet`), only those
of `train`, unless another split, or every one, is asked for: nobody evolves a test set by accident."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from gen.errors import InputError, nearest
from gen.seeds.files import KINDS, endings, kind
from gen.seeds.place import listed

NAMED = re.compile(r"(.+?)(:[\w.-]+)?(#[\w.-]+)?")
SPLITS = {"train": "train|training", "validation": "validation|valid|val|dev", "test": "test|testing|eval|evaluation"}
PAPERS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
"""What `datasets` writes beside its data."""
ROWS = endings(KINDS)
LONGEST = 1 << 18
"""Bytes of a card that are looked at."""


def local(named: str, base: Path = Path()) -> tuple[Path, str] | None:
    """The file or folder of a name, seen from `base`, and what follows it (`:CONFIG#SPLIT`); None where none exists."""
    try:
        if (whole := base / named).exists():
            return whole, ""
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise
    parts = NAMED.fullmatch(named)
    return (base / parts[1], named[len(parts[1]) :]) if parts and (base / parts[1]).is_dir() else None


def files(path: Path, card: Mapping[str, Any], wanted: str, every: bool) -> tuple[list[Path], list[Path]]:
    """The files of a configuration (none: the default, else the first) and split (none: `train`, or `every` one), and
    those of other splits that were left out. `wanted` is `[:CONFIG][#SPLIT]`. Raises InputError where there is
    nothing to read."""
    config, _, split = wanted.removeprefix(":").partition("#")
    found = _below(path)
    if not found:
        raise InputError(f"{path}: no file in this folder is read; allowed: {', '.join(KINDS)}")
    configs = {_word(c.get("config_name", "default")): c for c in listed(card.get("configs"))
               if isinstance(c, dict) and (c.get("data_files") or c.get("data_dir"))}
    if config and config not in configs:
        raise InputError(f"{path}:{config}: no such configuration in its README.md; {nearest(config, configs)}")
    chosen = configs.get(config or "default") or next(iter(configs.values()), {})
    if not chosen.get("data_files"):
        inside = _word(chosen.get("data_dir", "."))
        return _by_name(path, [file for file in found if file.is_relative_to(path / inside)], split, every)
    splits = _splits(chosen["data_files"])
    if split and split not in splits:
        raise InputError(f"{path}#{split}: no such split in its README.md; {nearest(split, splits)}")
    taken = [split] if split else splits if every else ["train" if "train" in splits else next(iter(splits))]
    patterns = [_word(pattern) for name in taken for pattern in listed(splits[name])]
    named = [f for f in found if any(fnmatch.fnmatch(str(f.relative_to(path)), pattern) for pattern in patterns)]
    if not named:
        raise InputError(f"{path}: its README.md names {', '.join(patterns)[:300]}, but no file here that is read; "
                         "correct it, or name the files themselves")
    return named, []


def _below(path: Path) -> list[Path]:
    """All files that can be read, by path; nothing hidden, and none of the papers beside them."""
    found = (p for p in path.rglob("*") if kind(p) in KINDS and p.name not in PAPERS and p.is_file())
    return sorted(p for p in found if not any(part[0] in "._" for part in p.relative_to(path).parts))


def walk(path: Path, endings: tuple[str, ...], left: set[str]) -> Iterator[str]:
    """All files below a folder whose names end so, in the order of their paths, one folder in memory at a time; nothing
    hidden. A dataset's card is no document. Of files of rows beside one of the split train, those of other splits are
    `left` out."""
    skipped = {"README.md"} if card(path) else set[str]()
    yield from _walk(str(path), endings, left, PAPERS | skipped)


def _walk(folder: str, endings: tuple[str, ...], left: set[str], skipped: Set[str]) -> Iterator[str]:
    with os.scandir(folder) as listing:
        entries = sorted((e for e in listing if e.name[0] != "." and e.name not in skipped), key=lambda e: e.name)
    rows = {e.name: _split(Path(e.name)) for e in entries if e.name.lower().endswith(ROWS)}
    others = {name for name, split in rows.items() if split not in ("", "train")} if "train" in rows.values() else set()
    left |= {str(Path(folder, name)) for name in others}
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, endings, left, PAPERS)
        elif entry.name not in others and entry.name.lower().endswith(endings) and entry.is_file():
            yield entry.path


def _by_name(path: Path, found: list[Path], split: str, every: bool) -> tuple[list[Path], list[Path]]:
    splits = {file: _split(file.relative_to(path)) for file in found}
    known = {name for name in splits.values() if name}
    if split and split not in known:
        raise InputError(f"{path}#{split}: no file is named so; {nearest(split, known)}")
    wanted = split or ("train" if "train" in known and not every else "")
    chosen = [file for file in found if wanted in ("", splits[file])]
    return chosen, [file for file in found if file not in chosen]


def _split(path: Path) -> str:
    """The split that a path speaks of; empty for none."""
    words = [word for part in reversed(path.parts) for word in re.split(r"[\W_]+", part.lower())]
    return next((name for word in words for name, ways in SPLITS.items() if re.fullmatch(ways, word)), "")


def _splits(files: Any) -> dict[str, Any]:
    """Split -> patterns, from either of the ways in which a card says it."""
    if isinstance(files, list) and all(isinstance(f, dict) for f in files):
        return {_word(f.get("split", "train")): f.get("path") for f in files}
    return {"train": files}


def _word(value: Any) -> str:
    """A name of a card. Where a list or table stands in its place, what kind of thing that is: by references within
    it, a few lines of YAML can make one that would fill the memory as a text."""
    return str(value)[:300] if isinstance(value, str | int | float | None) else type(value).__name__


def card(folder: Path) -> Mapping[str, Any]:
    """The front matter of a folder's dataset card; empty where there is none that can be read."""
    try:
        if not (path := folder / "README.md").is_file():
            return {}
        with path.open("rb") as file:
            text = file.read(LONGEST).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return {}
    if not text.startswith("---"):
        return {}
    import yaml

    try:
        found = yaml.safe_load(text[3:].split("\n---", 1)[0])
    except Exception:  # a date, number or truth value that is none is whatever error its reading comes to
        return {}
    return found if isinstance(found, dict) else {}
