"""What a family of tasks is, and what families share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gen.world.lexicon import KIND, KINDS, NUMBERS, VALUES, WORDS, draw

Args: TypeAlias = Mapping[str, str]
Items: TypeAlias = tuple[str, ...]
Drawn: TypeAlias = tuple[dict[str, str], list[str]]
Drawer: TypeAlias = Callable[[random.Random, int, bool], Drawn]


@dataclass(frozen=True, slots=True)
class Family:
    """A family holds a list of items and some named arguments. Its phrasings are templates of ONE sentence: `{items}`
    is the list, `{list}` points to it ("this list", or "the list below" where the items stand in the input section),
    any other slot is an argument. A pair is the inline wording and the one with data."""

    name: str
    field: str
    """What its items are; families of one field are siblings."""
    phrasings: tuple[str | tuple[str, str], ...]
    draw: Drawer
    """Arguments and items of a new task: a list of `size` items, with rare words where asked."""
    answers: Callable[[Args, Items], Iterator[Items]]
    """Every right answer, as its parts, the ideal one first; none when the task makes no sense."""
    item: Callable[[random.Random, Items], str]
    """One more item for a longer list."""
    values: Mapping[str, tuple[str, ...]] | None = None
    """What a slot may hold, where it is not a slot of the whole world."""
    many: bool = False
    """Whether answers usually have several parts, with commas between."""
    joiner: str = ", "
    """What stands between the items."""
    shape: Callable[[Items], str] | None = None
    """How the parts of an answer are written, where it is not with commas between."""

    def holds(self, slot: str, value: str) -> bool:
        return value in {**VALUES, **(self.values or {})}.get(slot, ())


def one(parts: list[str] | Items, valid: bool = True) -> Iterator[Items]:
    """The only right answer, where there is any."""
    if valid and parts:
        yield tuple(parts)


def word(rng: random.Random, items: Items) -> str:
    return rng.choice([w for w in VALUES["word"] if w not in items])


def words(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {}, draw(rng, VALUES["word"], size, rare)


def kinds(low: int, high: int, *slots: str) -> Drawer:
    """A drawer of lists with `low` to `high` words of the asked kind among others; `slots` are filled with words that
    the list does not have."""

    def drawer(rng: random.Random, size: int, rare: bool) -> Drawn:
        kind = rng.choice(list(KINDS))
        inside = draw(rng, KINDS[kind], rng.randint(low, min(high, size - 1)), rare)
        other = tuple(w for w in VALUES["word"] if KIND[w] != kind)
        items = inside + draw(rng, other, size - len(inside), rare)
        rng.shuffle(items)
        return {"kind": kind, **{slot: word(rng, tuple(items)) for slot in slots}}, items

    return drawer


def facts(item: str) -> tuple[str, str]:
    """Owner and thing of "Tom has the cat"; two empty strings for any other text."""
    owner, _, thing = item.partition(" has the ")
    return (owner, thing) if owner in WORDS["people"] and thing in VALUES["word"] else ("", "")


def step(item: str) -> tuple[str, str]:
    """What a step does, and with what: "put in the cat" with the cat, "x = x + 2" with 2; two empty strings for any
    other text."""
    for lead in ("put in the ", "take out the ", "x = x + ", "x = x - ", "x = "):
        if item.startswith(lead):
            rest = item.removeprefix(lead)
            return (lead.strip(), rest) if rest in (NUMBERS if "=" in lead else VALUES["word"]) else ("", "")
    return "", ""


_FITS: dict[str, Callable[[str], bool]] = {
    "numbers": NUMBERS.__contains__, "facts": lambda item: facts(item)[0] != "",
    "steps": lambda item: step(item)[0] != ""}


def sound(family: Family, items: Items) -> bool:
    """Whether each item is one that the family can hold, and none occurs twice."""
    fits = _FITS.get(family.field, VALUES["word"].__contains__)
    return len(items) > 1 and len(set(items)) == len(items) and all(map(fits, items))


def kind_of(item: str) -> str:
    """The kind of an item: of a word or number its own; else "facts" or "steps"."""
    return KIND.get(item) or ("facts" if facts(item)[0] else "steps")
