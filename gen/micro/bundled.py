"""The door to the bundled model, for those who only want to know where it is and what it knows."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path


def weights() -> Path:
    """The folder of the shipped model, in the usual form of a Hugging Face checkpoint."""
    return Path(str(resources.files("gen.micro") / "weights"))


def trained_prompts() -> set[str]:
    """The `name@hash` of every prompt that the model was trained on; any other prompt is strange to it."""
    return set(json.loads((weights() / "manifest.json").read_text(encoding="utf-8"))["prompts"])
