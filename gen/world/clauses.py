"""The sentences that make a task harder, around its base sentence: scenes before, and demands, steps
and further questions after it. All of them fit every family."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gen.world.family import Items, kind_of
from gen.world.lexicon import VALUES

Sort = Literal["scene", "demand", "step", "ask"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of clause. Exactly one of the four functions says what it does to the answer."""

    sort: Sort
    phrasings: tuple[str, ...]
    wrap: Callable[[str, str], str] | None = None
    """Demand on the finished text: (text, slot) -> text."""
    between: str | None = None
    """Demand on what stands between the parts; two such exclude each other."""
    step: Callable[[Items, str], Items] | None = None
    """What becomes of the parts: (parts, slot) -> parts."""
    ask: Callable[[Items], str] | None = None
    """Answer to a further question about the list, on a line of its own."""
    many: bool = False
    """Only sensible where the answer has several parts."""


@dataclass(frozen=True, slots=True)
class Clause:
    rule: str
    phrasing: int = 0
    args: tuple[tuple[str, str], ...] = ()

    @property
    def sort(self) -> Sort:
        return RULES[self.rule].sort

    @property
    def slot(self) -> str:
        return self.args[0][1] if self.args else ""

    @property
    def text(self) -> str:
        return RULES[self.rule].phrasings[self.phrasing].format(**dict(self.args))


RULES: dict[str, Rule] = {
    "party": Rule("scene", ("{name} plans a small party at the {place}.",)),
    "talk": Rule("scene", ("{name} needs this for a talk at the {place}.",)),
    "hurry": Rule("scene", ("It is {day} morning and {name} is in a hurry.",)),
    "game": Rule("scene", ("On {day} the class of {name} plays a word game.",)),
    "upper": Rule("demand", ("Write the whole answer in capital letters, without any small letters.",
                             "Use only capital letters in the whole answer."), wrap=lambda t, s: t.upper()),
    "quote": Rule("demand", ("Put the whole answer between two quotation marks.",
                             "Begin and end the answer with a quotation mark."), wrap=lambda t, s: f'"{t}"'),
    "bracket": Rule("demand", ("Put the whole answer in one pair of round brackets.",
                               "Begin and end the answer with a round bracket."), wrap=lambda t, s: f"({t})"),
    "begin": Rule("demand", ("Begin the answer with the words My answer and a colon.",
                             "Put the words My answer and a colon in front."), wrap=lambda t, s: f"My answer: {t}"),
    "end": Rule("demand", ("Write the word {ending} behind the answer, without a comma.",
                           "The last word behind the answer must be the word {ending}."), wrap=lambda t, s: f"{t} {s}"),
    "semicolon": Rule("demand", ("Put a semicolon between the parts instead of a comma.",
                                 "Separate the parts of the answer with a semicolon."), between="; ", many=True),
    "dash": Rule("demand", ("Put a dash between the parts instead of a comma.",
                            "Separate the parts of the answer with a dash."), between=" - ", many=True),
    "turn": Rule("step", ("Then put the parts of the answer in reverse order.",
                          "After that, turn the order of the parts around."), step=lambda p, s: p[::-1], many=True),
    "again": Rule("step", ("Then write all parts of the answer a second time.",
                           "After that, repeat the whole answer one more time."), step=lambda p, s: p * 2),
    "append": Rule("step", ("Then add the word {word} as one more part at the end.",
                            "After that, put the word {word} behind the last part."), step=lambda p, s: (*p, s)),
    "front": Rule("step", ("Then add the word {word} as one more part at the start.",
                           "After that, put the word {word} before the first part."), step=lambda p, s: (s, *p)),
    "size": Rule("ask", ("Also say on a new line how many items the list has.",
                         "On a new line, give the number of items in the list."), ask=lambda i: str(len(i))),
    "head": Rule("ask", ("Also write the first item of the list on a new line.",
                         "On a new line, say which item of the list comes first."), ask=lambda i: i[0]),
    "tail": Rule("ask", ("Also write the last item of the list on a new line.",
                         "On a new line, say which item of the list comes last."), ask=lambda i: i[-1]),
    "sort": Rule("ask", ("Also say on a new line what kind the first item of the list is.",
                         "On a new line, name the kind of the first item of the list."),
                 ask=lambda i: kind_of(i[0])),
}
LIMITS: dict[Sort, int] = {"scene": 2, "demand": 3, "step": 2, "ask": 2}
"""How many clauses of a sort one task may carry."""


def slots(template: str) -> list[str]:
    """The names between braces, in order."""
    return [part.partition("}")[0] for part in template.split("{")[1:]]


def draw_clause(rng: random.Random, sort: Sort, have: tuple[Clause, ...], many: bool) -> Clause | None:
    """A clause of `sort` that fits beside those that a task has; None when there is no room."""
    if sum(c.sort == sort for c in have) >= LIMITS[sort]:
        return None
    taken = {c.rule for c in have}
    joined = any(RULES[c.rule].between for c in have)
    free = [n for n, r in RULES.items() if r.sort == sort and n not in taken
            and (many or not r.many) and not (joined and r.between)]
    rule = rng.choice(free)
    phrasing = rng.randrange(len(RULES[rule].phrasings))
    names = slots(RULES[rule].phrasings[phrasing])
    return Clause(rule, phrasing, tuple((n, rng.choice(VALUES[n])) for n in names))
