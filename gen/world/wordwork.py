"""Families whose items are words: choosing, ordering, rewriting and formatting them."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator

from gen.world.family import Args, Drawn, Family, Items, kinds, one, word, words
from gen.world.lexicon import KIND, KINDS, VALUES, draw

ORDINALS = {"first": 0, "second": 1, "last": -1}
COUNTS = {"two": 2, "three": 3}
VERBS = ("has", "sees", "likes", "wants", "needs", "finds")
HEAD = "| row | item |"


def _name(rng: random.Random, size: int, rare: bool) -> Drawn:
    kind = rng.choice(list(KINDS))
    return {"kind": kind, "n": rng.choice(list(COUNTS))}, draw(rng, KINDS[kind], min(size, 4), rare)


def _place(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {"which": rng.choice(list(ORDINALS))}, draw(rng, VALUES["word"], max(size, 3), rare)


def _member(rng: random.Random, size: int, rare: bool) -> Drawn:
    items = draw(rng, VALUES["word"], size, rare)
    return {"word": rng.choice(items) if rng.random() < 0.5 else word(rng, tuple(items))}, items


def _after(rng: random.Random, size: int, rare: bool) -> Drawn:
    items = draw(rng, VALUES["word"], size, rare)
    return {"word": rng.choice(items[:-1])}, items


def _odd(rng: random.Random, size: int, rare: bool) -> Drawn:
    most, other = rng.sample(list(KINDS), 2)
    items = [*draw(rng, KINDS[most], max(size, 3) - 1, rare), *draw(rng, KINDS[other], 1, rare)]
    rng.shuffle(items)
    return {}, items


def _groups(rng: random.Random, size: int, rare: bool) -> Drawn:
    pair = rng.sample(list(KINDS), 2)
    inside = rng.randint(1, size - 1)
    items = draw(rng, KINDS[pair[0]], inside, rare) + draw(rng, KINDS[pair[1]], size - inside, rare)
    rng.shuffle(items)
    return {}, items


def _about(rng: random.Random, size: int, rare: bool) -> Drawn:
    return {"name": rng.choice(VALUES["name"])}, draw(rng, VALUES["word"], size, rare)


def _akin(rng: random.Random, items: Items) -> str:
    """A word of a kind that the list has most of."""
    kind = Counter(KIND[i] for i in items).most_common(1)[0][0]
    return rng.choice([w for w in KINDS[kind] if w not in items])


def _inside(a: Args, items: Items) -> Items:
    return tuple(i for i in items if KIND[i] == a["kind"])


def _names(a: Args, items: Items) -> Iterator[Items]:
    return itertools.permutations([w for w in KINDS[a["kind"]] if w not in items], COUNTS[a["n"]])


def _stranger(a: Args, items: Items) -> Iterator[Items]:
    """The word whose kind is alone, where all others are of one kind."""
    counts = Counter(KIND[i] for i in items)
    alone = [i for i in items if counts[KIND[i]] == 1]
    return one(alone, len(counts) == 2 and len(alone) == 1)


def _grouped(a: Args, items: Items) -> Iterator[Items]:
    """Each kind with its words; the kinds may come in any order, the words in that of the list."""
    found = list(dict.fromkeys(KIND[i] for i in items))
    groups = [f"{kind}: {', '.join(i for i in items if KIND[i] == kind)}" for kind in found]
    return itertools.permutations(groups) if 1 < len(groups) < 4 else iter(())


def _sentences(a: Args, items: Items) -> Iterator[Items]:
    things = [f"the {i}" for i in items]
    return ((f"{a['name']} {verb} {', '.join(things[:-1])} and {things[-1]}",) for verb in VERBS)


def _replaced(a: Args, items: Items) -> Iterator[Items]:
    return one([a["word"] if KIND[i] == a["kind"] else i for i in items], bool(_inside(a, items)))


def table(parts: Items) -> str:
    return "\n".join([HEAD, *(f"| {n} | {part} |" for n, part in enumerate(parts, 1))])


def bullets(parts: Items) -> str:
    return "\n".join(f"- {part}" for part in parts)


CHOOSING = (
    Family("pick", "kinds", ("Which word in {list} belongs to the {kind}: {items}?",
                             "Find the word in {list} that belongs to the {kind}: {items}.",
                             "Say which of the words in {list} is one of the {kind}: {items}.",
                             "Choose from {list} the word that is one of the {kind}: {items}."),
           kinds(1, 1), lambda a, i: one(_inside(a, i), len(_inside(a, i)) == 1), word),
    Family("filter", "kinds", ("Write only the {kind} from {list}: {items}.",
                               "Which words in {list} are {kind}: {items}?",
                               "Leave out of {list} all that are not {kind}: {items}.",
                               "Keep the {kind} of {list} and nothing else: {items}."),
           kinds(1, 3), lambda a, i: one(_inside(a, i)), word, many=True),
    Family("tally", "kinds", ("How many {kind} are in {list}: {items}?", "Count the {kind} in {list}: {items}.",
                              "Give the number of {kind} in {list}: {items}.",
                              "Say how many words of {list} are {kind}: {items}."),
           kinds(1, 3), lambda a, i: one([str(len(_inside(a, i)))]), word),
    Family("name", "kinds", ("Name {n} {kind} that are not in {list}: {items}.",
                             "Think of {n} {kind} that {list} does not have: {items}.",
                             "Write {n} {kind} that one does not find in {list}: {items}.",
                             "Give {n} more {kind} than those in {list}: {items}."),
           _name, _names, word, many=True),
    Family("odd", "kinds", ("Which word in {list} does not fit the others: {items}?",
                            "Find the word in {list} that is of another kind than the rest: {items}.",
                            "One word in {list} does not belong, say which: {items}.",
                            "Name the only word of {list} that is not like the others: {items}."),
           _odd, _stranger, _akin),
    Family("replace", "kinds", ("Replace all {kind} in {list} with the word {word}: {items}.",
                                "Put the word {word} in the place of the {kind} in {list}: {items}.",
                                "Write {list} with the word {word} instead of the {kind}: {items}.",
                                "Copy {list}, but change all {kind} to the word {word}: {items}."),
           kinds(1, 2, "word"), _replaced, word, many=True),
    Family("group", "kinds", (
        "Group the words in {list} by kind, with a colon behind each kind and semicolons between: {items}.",
        "Write the kinds in {list}, each with a colon and its words, and semicolons between: {items}.",
        "Put the words in {list} into groups of one kind each, as kind, colon and words, with semicolons: {items}.",
        "Sort the words in {list} by what they are, each kind with a colon, semicolons between the kinds: {items}."),
           _groups, _grouped, _akin, shape="; ".join),
)
ORDERING = (
    Family("place", "order", ("What is the {which} word in {list}: {items}?",
                              "Give the {which} word of {list}: {items}.",
                              "Which word comes {which} in {list}: {items}?",
                              "Say what the {which} word of {list} is: {items}."),
           _place, lambda a, i: one([i[ORDINALS[a["which"]]]]), word, {"which": tuple(ORDINALS)}),
    Family("after", "order", ("Which word comes right after {word} in {list}: {items}?",
                              "Give the word that follows {word} in {list}: {items}.",
                              "What stands directly behind {word} in {list}: {items}?",
                              "Look for {word} in {list} and write the next word: {items}."),
           _after, lambda a, i: one([i[i.index(a["word"]) + 1]] if a["word"] in i[:-1] else []), word),
    Family("reverse", "order", ("Write {list} in reverse order: {items}.",
                                "Turn {list} around, from the last word to the first: {items}.",
                                "Give the words of {list} from the end to the start: {items}.",
                                "Write the words of {list} backwards, the last one first: {items}."),
           words, lambda a, i: one(i[::-1]), word, many=True),
    Family("member", "order", ("Is the word {word} in {list}: {items}?",
                               "Does {list} contain the word {word}: {items}?",
                               "Say yes or no, does the word {word} stand in {list}: {items}.",
                               "Can one find the word {word} in {list}: {items}?"),
           _member, lambda a, i: one(["Yes" if a["word"] in i else "No"]), word),
    Family("capitals", "order", ("Write {list} in capital letters: {items}.",
                                 "Turn every word of {list} into capital letters: {items}.",
                                 "Change {list} so that all its letters are capital ones: {items}.",
                                 "Copy the words of {list} with capital letters only: {items}."),
           words, lambda a, i: one([w.upper() for w in i]), word, many=True),
    Family("double", "order", ("Write each word of {list} twice: {items}.",
                               "Repeat every word of {list} one time: {items}.",
                               "Put each word of {list} down two times: {items}.",
                               "Copy {list}, but say every word two times: {items}."),
           words, lambda a, i: one([w for w in i for _ in range(2)]), word, many=True),
)
WRITING = (
    Family("bullets", "order", ("Write {list} with a dash and a blank before each word, one word per line: {items}.",
                                "Make bullet points with dashes out of {list}: {items}.",
                                "Put each word of {list} on its own line behind a dash: {items}.",
                                "Show {list} as lines, each of them a dash and a word: {items}."),
           words, lambda a, i: one(i), word, shape=bullets),
    Family("json", "order", ("Write {list} as a JSON list: {items}.",
                            "Turn {list} into a JSON array of strings: {items}.",
                             "Give the words of {list} in JSON, as one array: {items}.",
                             "Make valid JSON out of {list}, one string per word: {items}."),
           words, lambda a, i: one(i), word, shape=lambda parts: json.dumps(list(parts))),
    Family("rows", "order", ("Write {list} as a table with the columns row and item: {items}.",
                             "Make a table of {list}, with a row number and an item per row: {items}.",
                             "Put {list} into a table whose head is row and item: {items}.",
                             "Show the words of {list} in a table with row and item columns: {items}."),
           words, lambda a, i: one(i), word, shape=table),
    Family("sentence", "order", ("Write a sentence about {name} with the words of {list} in their order: {items}.",
                                 "Make one short sentence that says what {name} has or wants, "
                                 "with all of {list}: {items}.",
                                 "Use all words of {list}, in their order, in one sentence about {name}: {items}.",
                                 "Tell in one sentence about {name} and each thing of {list}: {items}."),
           _about, _sentences, word),
)
