"""A dataset of the Hugging Face hub, streamed through `datasets`: no data is kept, no code of the repository is run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gen.errors import InputError, nearest
from gen.seeds.columnar import BATCH, batch_rows
from gen.seeds.files import KINDS, kind
from gen.seeds.place import Origin, Rows, licences

FORM = "ORG/NAME[:CONFIG][@REVISION][#SPLIT]"
PATTERN = re.compile(r"(?:hf://datasets/)?([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?:@([\w./-]+))?(?:#([\w.-]+))?", re.ASCII)
TIMEOUT = 20
"""Seconds until a hub that does not answer counts as out of reach."""


@dataclass(frozen=True, slots=True)
class HubName:
    """A name in the form ORG/NAME[:CONFIG][@REVISION][#SPLIT]; what is left out is empty."""

    repo: str
    config: str
    revision: str
    split: str

    @classmethod
    def parse(cls, named: str) -> HubName | None:
        """The name; None where it is rather that of a file: by its ending, or because its folder exists. A leading
        `hf://datasets/` leaves no doubt."""
        parts = PATTERN.fullmatch(named)
        if not parts or kind(Path(parts[1])) in KINDS:
            return None
        if not named.startswith("hf://") and os.path.isdir(Path(named).parent):  # noqa: PTH112 (however long)
            return None
        return cls(parts[1], *(part or "" for part in parts.groups()[1:]))


def hub_dataset(name: HubName, every: bool = False) -> Origin:
    """The dataset at the commit for which its revision stands now (none: its main branch); of its splits the
    one that is named, else `train` (where there is none, the first), or `every` one. Raises InputError where
    the hub does not know it or cannot be reached."""
    with _explained(name, f"no such file or folder is here, and as a dataset of the hub ({FORM})"):
        from huggingface_hub import HfApi, constants
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
        constants.HF_HUB_DISABLE_TELEMETRY = True  # else each request tells which libraries are installed
        info = HfApi().dataset_info(name.repo, revision=name.revision or None, timeout=TIMEOUT)
    card = info.card_data.to_dict() if info.card_data else {}
    split = f"#{name.split}" if name.split else ""
    shown = f"{name.repo}{name.config and ':'}{name.config}@{str(info.sha)[:12]}{split}"
    return Origin(name.repo, shown, lambda _: _rows(name, str(info.sha), every), licences(card))


def _rows(name: HubName, commit: str, every: bool) -> Rows:
    with _explained(name, "a dataset of the hub, but"):
        import datasets

        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # a request to a third party, which counts users
        splits = datasets.load_dataset(name.repo, name.config or None, revision=commit, streaming=True)
        yield from batch_rows(name.repo, _batches(splits, name, every))


def _batches(splits: Mapping[str, Any], name: HubName, every: bool) -> Iterator[Any]:
    """The Arrow tables of the splits that are meant."""
    taken = [name.split] if name.split else splits if every else ["train" if "train" in splits else next(iter(splits))]
    for split in taken:
        if split not in splits:
            raise InputError(f"{name.repo}#{split}: no such split; {nearest(split, splits)}")
        yield from splits[split].with_format("arrow").iter(BATCH)


@contextmanager
def _explained(name: HubName, said: str) -> Iterator[None]:
    """Whatever goes wrong on the way to a hub, as an error that says `said` and why."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name.repo}: {said} {_reason(error, name)}") from None


def _reason(error: Exception, name: HubName) -> str:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return "it is gated: accept its terms there, and set HF_TOKEN"
        case errors.RevisionNotFoundError():
            return f"it has no revision {name.revision!r}; give a branch, tag or commit that exists"
        case errors.RepositoryNotFoundError():
            return "it does not exist, or needs a token; check the spelling, or set HF_TOKEN"
    line = " ".join(str(error).split())[:300]
    return f"it cannot be read ({type(error).__name__}: {line}); check name, configuration, split and network"
