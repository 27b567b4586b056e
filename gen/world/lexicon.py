"""The words of the world: which there are, what kind each is, and which are rare."""

from __future__ import annotations

import random
import tomllib
from importlib import resources

_DATA = tomllib.loads((resources.files("gen.world") / "lexicon.toml").read_text(encoding="utf-8"))

KINDS: dict[str, tuple[str, ...]] = {kind: tuple(words) for kind, words in _DATA["kinds"].items()}
WORDS: dict[str, tuple[str, ...]] = {name: tuple(words) for name, words in _DATA["words"].items()}
NUMBERS = tuple(str(n) for n in range(1, 21))
"""The numbers that tasks hold."""
LARGEST = 60
"""The largest number that an answer may be."""
RARE_TAIL = 4
RARE = frozenset(w for words in (*KINDS.values(), WORDS["people"], NUMBERS) for w in words[-RARE_TAIL:])
KIND = {w: kind for kind, words in (*KINDS.items(), ("numbers", NUMBERS)) for w in words}
"""The kind of every word and number; words belong to exactly one kind."""
VALUES = {"kind": tuple(KINDS), "word": tuple(w for ws in KINDS.values() for w in ws), "name": WORDS["people"],
          "place": WORDS["places"], "day": WORDS["days"], "ending": WORDS["endings"], "n": ("two", "three"),
          "number": NUMBERS}
"""What each slot of a template may hold (slots of one family alone are in its own table)."""


def draw(rng: random.Random, words: tuple[str, ...], count: int, rare: bool = False) -> list[str]:
    """`count` different words, mostly of the rare tail where `rare`."""
    tail = [w for w in words if w in RARE] if rare else []
    picked = rng.sample(tail, min(len(tail), (count + 1) // 2))
    rest = [w for w in words if w not in picked and (rare or w not in RARE or rng.random() < 0.5)]
    picked += rng.sample(rest, count - len(picked))
    rng.shuffle(picked)
    return picked
