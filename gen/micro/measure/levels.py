"""Direct answers at temperature 0 by how hard the tasks are, and to the easiest ones by family."""

from __future__ import annotations

import random
from functools import partial

from gen.micro.measure.evolving import answers
from gen.micro.measure.model import Model
from gen.micro.measure.rows import Row, fresh
from gen.prompts import Prompts
from gen.world import LEVELS, families, graded


def tables(model: Model, prompts: Prompts, rng: random.Random, count: int) -> dict[str, list[Row]]:
    """Four times `count` tasks of each level, for each level is one figure."""
    return {
        "answers by level": [answers(model, prompts, f"level {level}", fresh(partial(graded, rng, level), 4 * count))
                             for level in LEVELS],
        "answers at level 1": [answers(model, prompts, f, fresh(partial(graded, rng, LEVELS[0], f), count))
                               for f in families()]}
