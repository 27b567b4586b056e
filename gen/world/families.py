"""The families of tasks: one row each in `FAMILIES`.

A family holds a list of items and some named arguments. Its phrasings are templates of ONE sentence:
`{items}` is the list, `{list}` points to it ("this list", or "the list below" where the items stand in
the input section), any other slot is an argument. A pair is the inline wording and the one with data."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gen.world.lexicon import KIND, KINDS, NUMBERS, VALUES, WORDS, draw

Args = Mapping[str, str]
Items = tuple[str, ...]
Drawn = tuple[dict[str, str], list[str]]
ORDINALS = {"first": 0, "second": 1, "last": -1}
COUNTS = {"two": 2, "three": 3}


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    field: str
    phrasings: tuple[str | tuple[str, str], ...]
    draw: Callable[[random.Random, int, bool], Drawn]
    """Arguments and items of a new task: a list of `size` items, with rare words where asked."""
    answers: Callable[[Args, Items], Iterator[Items]]
    """Every right answer, as its parts, the ideal one first; none when the task makes no sense."""
    item: Callable[[random.Random, Items], str]
    """One more item for a longer list."""
    values: Mapping[str, tuple[str, ...]] | None = None
    """What a slot may hold, where it is not a slot of the whole world."""
    many: bool = False
    """Whether answers usually have several parts."""
    joiner: str = ", "

    def holds(self, slot: str, value: str) -> bool:
        return value in {**VALUES, **(self.values or {})}.get(slot, ())


def _word(rng: random.Random, items: Items) -> str:
    return rng.choice([w for w in VALUES["word"] if w not in items])


def _number(rng: random.Random, items: Items) -> str:
    return rng.choice([n for n in NUMBERS if n not in items])


def _larger(rng: random.Random, items: Items) -> str:
    return str(rng.randint(int(items[-1]) + 1, int(items[-1]) + 3))


def _fact(rng: random.Random, items: Items) -> str:
    owners, things = zip(*map(facts, items), strict=True)
    owner = rng.choice([n for n in WORDS["people"] if n not in owners])
    return f"{owner} has the {_word(rng, tuple(things))}"


def facts(item: str) -> tuple[str, str]:
    """Owner and thing of "Tom has the cat"; two empty strings for any other text."""
    owner, _, thing = item.partition(" has the ")
    return (owner, thing) if owner in WORDS["people"] and thing in VALUES["word"] else ("", "")


_FITS: dict[str, Callable[[str], bool]] = {"numbers": NUMBERS.__contains__, "facts": lambda item: facts(item)[0] != ""}


def sound(family: Family, items: Items) -> bool:
    """Whether each item is one that the family can hold, and none occurs twice."""
    fits = _FITS.get(family.field, VALUES["word"].__contains__)
    return len(items) > 1 and len(set(items)) == len(items) and all(map(fits, items))


def _kinds(low: int, high: int) -> Callable[[random.Random, int, bool], Drawn]:
    """A drawer of lists with `low` to `high` words of the asked kind among others."""

    def drawer(rng: random.Random, size: int, rare: bool) -> Drawn:
        kind = rng.choice(list(KINDS))
        inside = draw(rng, KINDS[kind], rng.randint(low, min(high, size - 1)), rare)
        other = tuple(w for w in VALUES["word"] if KIND[w] != kind)
        items = inside + draw(rng, other, size - len(inside), rare)
        rng.shuffle(items)
        return {"kind": kind}, items

    return drawer


def _words(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {}, draw(rng, VALUES["word"], size, rare)


def _name(rng: random.Random, size: int, rare: bool) -> Drawn:
    kind = rng.choice(list(KINDS))
    return {"kind": kind, "n": rng.choice(list(COUNTS))}, draw(rng, KINDS[kind], min(size, 4), rare)


def _place(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {"which": rng.choice(list(ORDINALS))}, draw(rng, VALUES["word"], max(size, 3), rare)


def _member(rng: random.Random, size: int, rare: bool) -> Drawn:
    items = draw(rng, VALUES["word"], size, rare)
    return {"word": rng.choice(items) if rng.random() < 0.5 else _word(rng, tuple(items))}, items


def _range(rng: random.Random, size: int, rare: bool) -> Drawn:
    end = rng.randint(17 if rare else size + 1, 20)
    return {}, [str(end - size + rng.randint(0, 1)), str(end)]


def _numbers(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {}, draw(rng, NUMBERS, min(size, 4), rare)


def _extreme(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {"which": rng.choice(["largest", "smallest"])}, draw(rng, NUMBERS, size, rare)


def _facts(slot: str) -> Callable[[random.Random, int, bool], Drawn]:
    def drawer(rng: random.Random, size: int, rare: bool) -> Drawn:
        owners, things = draw(rng, WORDS["people"], min(size, 4), rare), draw(rng, VALUES["word"], min(size, 4), rare)
        return {slot: rng.choice(owners if slot == "name" else things)}, [
            f"{o} has the {t}" for o, t in zip(owners, things, strict=True)]

    return drawer


def _inside(a: Args, items: Items) -> Items:
    return tuple(i for i in items if KIND[i] == a["kind"])


def _names(a: Args, items: Items) -> Iterator[Items]:
    return itertools.permutations([w for w in KINDS[a["kind"]] if w not in items], COUNTS[a["n"]])


def _one(parts: list[str] | Items, valid: bool = True) -> Iterator[Items]:
    if valid and parts:
        yield tuple(parts)


def _count(a: Args, items: Items) -> Iterator[Items]:
    n = [int(i) for i in items]
    return _one([str(i) for i in range(n[0], n[-1] + 1)], n == sorted(n))


def _look(a: Args, items: Items) -> Iterator[Items]:
    pairs = [facts(i) for i in items]
    found = [o for o, t in pairs if t == a.get("word")] + [t for o, t in pairs if o == a.get("name")]
    return _one(found, len(found) == 1)


_ROWS = (
    Family("pick", "kinds", ("Which word in {list} belongs to the {kind}: {items}?",
                             "Find the word in {list} that belongs to the {kind}: {items}."),
           _kinds(1, 1), lambda a, i: _one(_inside(a, i), len(_inside(a, i)) == 1), _word),
    Family("filter", "kinds", ("Write only the {kind} from {list}: {items}.",
                               "Which words in {list} are {kind}: {items}?"),
           _kinds(1, 3), lambda a, i: _one(_inside(a, i)), _word, many=True),
    Family("tally", "kinds", ("How many {kind} are in {list}: {items}?", "Count the {kind} in {list}: {items}."),
           _kinds(1, 3), lambda a, i: _one([str(len(_inside(a, i)))]), _word),
    Family("name", "kinds", ("Name {n} {kind} that are not in {list}: {items}.",
                             "Think of {n} {kind} that {list} does not have: {items}."),
           _name, _names, _word, many=True),
    Family("place", "order", ("What is the {which} word in {list}: {items}?",
                              "Give the {which} word of {list}: {items}."),
           _place, lambda a, i: _one([i[ORDINALS[a["which"]]]]), _word, {"which": tuple(ORDINALS)}),
    Family("reverse", "order", ("Write {list} in reverse order: {items}.",
                                "Turn {list} around, from the last word to the first: {items}."),
           _words, lambda a, i: _one(i[::-1]), _word, many=True),
    Family("member", "order", ("Is the word {word} in {list}: {items}?",
                               "Does {list} contain the word {word}: {items}?"),
           _member, lambda a, i: _one(["Yes" if a["word"] in i else "No"]), _word),
    Family("capitals", "order", ("Write {list} in capital letters: {items}.",
                                 "Turn every word of {list} into capital letters: {items}."),
           _words, lambda a, i: _one([w.upper() for w in i]), _word, many=True),
    Family("double", "order", ("Write each word of {list} twice: {items}.",
                               "Repeat every word of {list} one time: {items}."),
           _words, lambda a, i: _one([w for w in i for _ in range(2)]), _word, many=True),
    Family("count", "numbers", (("Count from {items}.", "Count from the first to the last number in {list}."),
                                ("Write all numbers from {items}.",
                                 "Write all numbers from the first to the last in {list}.")),
           _range, _count, _larger, many=True, joiner=" to "),
    Family("extreme", "numbers", ("What is the {which} number in {list}: {items}?",
                                  "Find the {which} number in {list}: {items}."), _extreme,
           lambda a, i: _one([(max if a["which"] == "largest" else min)(i, key=int)]), _number,
           {"which": ("largest", "smallest")}),
    Family("sort", "numbers", ("Sort the numbers in {list} from small to large: {items}.",
                               "Put {list} in order, the smallest number first: {items}."),
           _numbers, lambda a, i: _one(sorted(i, key=int)), _number, many=True),
    Family("who", "facts", ("Who has the {word} in {list}: {items}?",
                            "Look at {list} and say who has the {word}: {items}."), _facts("word"), _look, _fact),
    Family("what", "facts", ("What does {name} have in {list}: {items}?",
                             "Look at {list} and say what {name} has: {items}."), _facts("name"), _look, _fact),
)
FAMILIES: dict[str, Family] = {f.name: f for f in _ROWS}
