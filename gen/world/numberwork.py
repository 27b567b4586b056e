"""Families whose items are numbers, facts or steps: counting, comparing, adding, looking up, following a program."""

from __future__ import annotations

import random
from collections.abc import Iterator

from gen.world.family import Args, Drawer, Drawn, Family, Items, facts, one, step, word
from gen.world.lexicon import LARGEST, NUMBERS, VALUES, WORDS, draw


def _number(rng: random.Random, items: Items) -> str:
    return rng.choice([n for n in NUMBERS if n not in items])


def _further(rng: random.Random, items: Items) -> str:
    return str(rng.randint(int(items[-1]) + 1, int(items[-1]) + 3))


def _range(rng: random.Random, size: int, rare: bool) -> Drawn:
    end = rng.randint(17 if rare else size + 1, 20)
    return {}, [str(end - size + rng.randint(0, 1)), str(end)]


def _numbers(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {}, draw(rng, NUMBERS, min(size, 4), rare)


def _extreme(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {"which": rng.choice(["largest", "smallest"])}, draw(rng, NUMBERS, size, rare)


def _over(rng: random.Random, size: int, rare: bool) -> Drawn:
    items = draw(rng, NUMBERS, size, rare)
    return {"number": str(rng.randint(3, max(4, max(map(int, items)) - 1)))}, items


def _addends(rng: random.Random, size: int, rare: bool) -> Drawn:
    """Small numbers, few of them, unless rare ones are asked for."""
    most = 20 if rare else 3 + 3 * min(size, 4)
    return {}, draw(rng, NUMBERS[:most], min(size, 3), rare)


def _count(a: Args, items: Items) -> Iterator[Items]:
    n = [int(i) for i in items]
    return one([str(i) for i in range(n[0], n[-1] + 1)], n == sorted(n))


def _fact(rng: random.Random, items: Items) -> str:
    owners, things = zip(*map(facts, items), strict=True)
    owner = rng.choice([n for n in WORDS["people"] if n not in owners])
    return f"{owner} has the {word(rng, tuple(things))}"


def _facts(slot: str) -> Drawer:
    def drawer(rng: random.Random, size: int, rare: bool) -> Drawn:
        owners, things = draw(rng, WORDS["people"], min(size, 4), rare), draw(rng, VALUES["word"], min(size, 4), rare)
        return {slot: rng.choice(owners if slot == "name" else things)}, [
            f"{o} has the {t}" for o, t in zip(owners, things, strict=True)]

    return drawer


def _look(a: Args, items: Items) -> Iterator[Items]:
    pairs = [facts(i) for i in items]
    found = [o for o, t in pairs if t == a.get("word")] + [t for o, t in pairs if o == a.get("name")]
    return one(found, len(found) == 1)


def _box(rng: random.Random, size: int, rare: bool) -> Drawn:
    """A box into which things come; some are taken out again, never the last one."""
    things, inside, items = iter(draw(rng, VALUES["word"], size, rare)), list[str](), list[str]()
    for _ in range(size):
        if len(inside) > 1 and rng.random() < 0.4:
            items.append(f"take out the {inside.pop(rng.randrange(len(inside)))}")
        else:
            inside.append(next(things))
            items.append(f"put in the {inside[-1]}")
    return {}, items


def _put(rng: random.Random, items: Items) -> str:
    return f"put in the {word(rng, tuple(step(i)[1] for i in items))}"


def _contents(a: Args, items: Items) -> Iterator[Items]:
    """What is in the box at the end, in the order in which it came; nothing where a step cannot be done."""
    inside: list[str] = []
    for does, thing in map(step, items):
        if (does == "put in the") == (thing in inside) or "x" in does.split():
            return iter(())
        inside = [*inside, thing] if does == "put in the" else [i for i in inside if i != thing]
    return one(inside)


def _line(rng: random.Random, items: Items) -> str:
    return f"x = x {rng.choice('+-')} {rng.randint(1, 5)}"


def _program(rng: random.Random, size: int, rare: bool) -> Drawn:
    first = rng.choice(NUMBERS[-4:] if rare else NUMBERS[:10])
    lines = rng.sample([f"x = x {sign} {n}" for sign in "+-" for n in range(1, 6)], min(size, 4) - 1)
    return {}, [f"x = {first}", *lines]


def _run(a: Args, items: Items) -> Iterator[Items]:
    """The last value of x; none where the first line, and no other, does not give it one, or where it leaves 0 to
    the largest number."""
    steps = [step(i) for i in items]
    if [does == "x =" for does, _ in steps] != [True] + [False] * (len(steps) - 1):
        return iter(())
    x = 0
    for does, n in steps:
        if "x" not in does.split():
            return iter(())
        x += -int(n) if does.endswith("-") else int(n)
        if not 0 <= x <= LARGEST:
            return iter(())
    return one([str(x)])


COUNTING = (
    Family("count", "numbers", (("Count from {items}.", "Count from the first to the last number in {list}."),
                                ("Write all numbers from {items}.",
                                 "Write all numbers from the first to the last in {list}."),
                                ("List the numbers from {items}, both ends too.",
                                 "List the numbers from the first to the last in {list}, both ends too."),
                                ("Say every number from {items}, in order.",
                                 "Say every number from the first to the last in {list}, in order.")),
           _range, _count, _further, many=True, joiner=" to "),
    Family("extreme", "numbers", ("What is the {which} number in {list}: {items}?",
                                  "Find the {which} number in {list}: {items}.",
                                  "Which number in {list} is the {which}: {items}?",
                                  "Say which number of {list} is the {which} one: {items}."), _extreme,
           lambda a, i: one([(max if a["which"] == "largest" else min)(i, key=int)]), _number,
           {"which": ("largest", "smallest")}),
    Family("sort", "numbers", ("Sort the numbers in {list} from small to large: {items}.",
                               "Put {list} in order, the smallest number first: {items}.",
                               "Write the numbers of {list} so that they grow from left to right: {items}.",
                               "Arrange {list} by size, from the smallest to the largest: {items}."),
           _numbers, lambda a, i: one(sorted(i, key=int)), _number, many=True),
    Family("larger", "numbers", ("Write only the numbers in {list} that are larger than {number}: {items}.",
                                 "Which numbers in {list} are more than {number}: {items}?",
                                 "Drop from {list} every number up to {number}: {items}.",
                                 "Keep those numbers of {list} that are above {number}: {items}."),
           _over, lambda a, i: one([n for n in i if int(n) > int(a["number"])]), _number, many=True),
    Family("total", "numbers", ("Add the numbers in {list}: {items}.",
                                "What is the sum of the numbers in {list}: {items}?",
                                "How much do the numbers in {list} make together: {items}?",
                                "Give the total of {list}: {items}."),
           _addends, lambda a, i: one([str(sum(map(int, i)))], sum(map(int, i)) <= LARGEST), _number),
)
LOOKING = (
    Family("who", "facts", ("Who has the {word} in {list}: {items}?",
                            "Look at {list} and say who has the {word}: {items}.",
                            "Name the person in {list} with the {word}: {items}.",
                            "To whom does the {word} belong in {list}: {items}?"), _facts("word"), _look, _fact),
    Family("what", "facts", ("What does {name} have in {list}: {items}?",
                             "Look at {list} and say what {name} has: {items}.",
                             "Name the thing of {name} in {list}: {items}.",
                             "What belongs to {name} in {list}: {items}?"), _facts("name"), _look, _fact),
)
FOLLOWING = (
    Family("box", "steps", ("What is in the box after the steps in {list}: {items}?",
                            "Follow {list} with an empty box and say what is in it at the end: {items}.",
                            "Begin with an empty box, do what {list} says and name all that is inside: {items}.",
                            "Which things are in the box when {list} is done: {items}?"),
           _box, _contents, _put, many=True),
    Family("program", "steps", ("What is x after the program in {list}: {items}?",
                                "Run the lines of {list} one by one and give the last value of x: {items}.",
                                "Which value does x have at the end of {list}: {items}?",
                                "Follow the program in {list} and say what x is then: {items}."),
           _program, _run, _line),
)
