"""The door to the bundled model, for those who only want to know where it is and what it knows.

It is kept at two moments: `strong`, after all of its training, and `weak`, after a part of the last one. Runs name them
`micro` (also what is meant where no model is named) and `micro-weak`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from gen.errors import RecipeError

Checkpoint = Literal["strong", "weak"]
CHECKPOINTS: tuple[Checkpoint, ...] = get_args(Checkpoint)
FOLDERS: dict[Checkpoint, str] = {"strong": "weights", "weak": "weak"}
NAMES: dict[str, Checkpoint] = {"micro": "strong", "micro-weak": "weak"}
"""What a run may call them. A folder of the same name is `./micro`."""


def weights(checkpoint: Checkpoint = "strong") -> Path:
    """The folder of a shipped checkpoint, in the usual form of Hugging Face. Raises RecipeError where it is missing."""
    folder = Path(str(resources.files("gen.micro") / FOLDERS[checkpoint]))
    if not (folder / "manifest.json").is_file():
        raise RecipeError(f"the {checkpoint} checkpoint of the bundled model is missing: no manifest.json in {folder}; "
                          "install gen again, or train one: python -m gen.micro.train --help")  # fmt: skip
    return folder


def shipped() -> list[Checkpoint]:
    """The checkpoints that are here."""
    home = resources.files("gen.micro")
    return [checkpoint for checkpoint in CHECKPOINTS if (home / FOLDERS[checkpoint] / "manifest.json").is_file()]


def named(model: str, servers: Sequence[str] = ()) -> str:
    """The name of the bundled checkpoint that a model of a recipe means; empty where it means another model, as any
    name does that is said to a server."""
    model = model or "micro"
    return model if model in NAMES and not servers else ""


def folder(name: str) -> Path:
    """The folder of the checkpoint that a run calls `name`."""
    return weights(NAMES[name])


def manifest(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint is, how it was trained, and what was measured of it."""
    return dict(json.loads((weights(checkpoint) / "manifest.json").read_text(encoding="utf-8")))


def trained_prompts(name: str = "micro") -> set[str]:
    """The `name@hash` of every prompt that a checkpoint was trained on; any other prompt is strange to it."""
    return set(manifest(NAMES[name])["prompts"])
