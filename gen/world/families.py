"""All families of tasks by name, and which of them may be looked at while anything is tuned."""

from __future__ import annotations

from gen.world.family import Args, Drawn, Family, Items, facts, kind_of, sound
from gen.world.numberwork import COUNTING, FOLLOWING, LOOKING
from gen.world.wordwork import CHOOSING, ORDERING, WRITING

FAMILIES: dict[str, Family] = {
    f.name: f for f in (*CHOOSING, *ORDERING, *WRITING, *COUNTING, *LOOKING, *FOLLOWING)}
UNSEEN = (
    "odd", "replace", "group", "after", "bullets", "json", "rows", "sentence", "larger", "total", "box", "program")
"""Families held out from all tuning: loops, gates and thresholds were settled without them."""
TUNING = tuple(name for name in FAMILIES if name not in UNSEEN)

__all__ = ["FAMILIES", "TUNING", "UNSEEN", "Args", "Drawn", "Family", "Items", "facts", "kind_of", "sound"]
