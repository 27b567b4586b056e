"""The licence of a checkpoint, as its own README.md states it."""

from __future__ import annotations

from pathlib import Path

FILE = "README.md"


def license_of(folder: Path) -> str:
    """The licence in the front matter of a checkpoint's README.md: a Hugging Face id (several are joined by `, `), or
    the licence's own name where the id is `other`. Empty where none can be read."""
    from huggingface_hub import metadata_load

    try:
        front = metadata_load(folder / FILE) or {}
    except Exception:  # no page, no front matter, none that can be read: all the same to us
        return ""
    stated, own = front.get("license"), front.get("license_name")
    named = own if stated in ("other", None) and isinstance(own, str) else stated
    listed = named if isinstance(named, list) else [named]
    return ", ".join(" ".join(str(name).split())[:100] for name in listed if name)
