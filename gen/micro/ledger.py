"""Results that are paid for one by one: a line of JSON each, as soon as it is there, so that a kill loses none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def rows(file: Path) -> list[dict[str, Any]]:
    """What was noted so far; none where there is no file. A line that a kill has cut is no line, and is taken out."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def note(file: Path, row: Mapping[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")
