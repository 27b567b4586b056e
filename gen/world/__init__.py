"""A small world of plain English tasks whose every answer can be checked exactly.

A `Task` is a base sentence of one family, with scenes before it and demands, steps and further questions
behind it. `draw` makes a plain one and `graded` one of a level, `.instruction` and `.input` are its text, `parse`
reads any text back (None when it is not of the world), `solve` gives the ideal answer and `check` accepts every right
one. `TRANSFORMS` make tasks harder or other, and say whether one task is such a change of another. A new family is one
row in `wordwork.py` or `numberwork.py`, a new clause one row in `clauses.py`, a word one in `lexicon.toml`."""

from gen.world.families import FAMILIES, TUNING, UNSEEN
from gen.world.instances import another, imagine
from gen.world.levels import LEVELS, difficulty, graded
from gen.world.task import Task, check, draw, held_out, key, parse, solutions, solve
from gen.world.transforms import TRANSFORMS, equal

VERSION = "2"
"""Changes whenever a text or an answer of the world changes."""

__all__ = ["FAMILIES", "LEVELS", "TRANSFORMS", "TUNING", "UNSEEN", "VERSION", "Task", "another", "check", "difficulty",
           "draw", "equal", "families", "graded", "held_out", "imagine", "key", "parse", "solutions", "solve"]


def families() -> list[str]:
    return list(FAMILIES)
