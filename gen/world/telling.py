"""What one could read about the world without ever being asked anything: statements that show its operations and
facts. No task, no question and no sentence of a task occurs in it; an instance that is held out as a task is not told
either. `NAMES` says what the answer to a family's task is called, `REMARKS` what a clause makes of it; both are keyed
by the names that `FAMILIES` and `RULES` have."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from gen.world.clauses import Clause, Sort, draw_clause
from gen.world.families import FAMILIES
from gen.world.lexicon import KIND, LARGEST, VALUES
from gen.world.task import Form, Task, draw, held_out, solve, valid


@dataclass(frozen=True, slots=True)
class Statement:
    given: str
    """What is spoken of,"""
    told: str
    """and what there is to say of it."""

    @property
    def text(self) -> str:
        return self.given + self.told


NAMES: dict[str, tuple[str, ...]] = {
    "pick": ("the word in {list} that belongs to the {kind}", "the word of {list} that is one of the {kind}",
             "the one word from {list} that is of the {kind}"),
    "filter": ("only the {kind} from {list}", "the words in {list} that are {kind}",
               "the {kind} of {list} and nothing else", "{list} without all that are not {kind}"),
    "tally": ("the number of {kind} in {list}", "the count of the {kind} in {list}",
              "how many words of {list} are {kind}"),
    "name": ("{n} {kind} that are not in {list}", "{n} more {kind} than those in {list}",
             "{n} {kind} that one does not find in {list}"),
    "odd": ("the word in {list} that does not fit the others", "the only word of {list} that is not like the others",
            "the word in {list} that is of another kind than the rest"),
    "replace": ("{list} with the word {word} instead of the {kind}", "{list} with all {kind} replaced with {word}",
                "{list} with the word {word} in the place of the {kind}"),
    "group": ("the words in {list} by kind, with a colon behind each kind", "the kinds in {list}, each with its words",
              "{list} put into groups of one kind each"),
    "place": ("the {which} word in {list}", "the word that comes {which} in {list}", "the {which} word of {list}"),
    "after": ("the word right after {word} in {list}", "the next word that follows {word} in {list}",
              "the word directly behind {word} in {list}"),
    "reverse": ("{list} in reverse order", "{list} turned around, from the last word to the first",
                "the words of {list} backwards", "the words of {list} from the end to the start"),
    "member": ("a yes or no to the word {word} in {list}", "whether {list} does contain the word {word}",
               "yes if the word {word} is in {list}"),
    "capitals": ("{list} in capital letters", "every word of {list} with capital letters only",
                 "{list} with all its letters turned into capital ones"),
    "double": ("each word of {list} twice", "every word of {list} repeated one time", "each word of {list} two times"),
    "bullets": ("{list} as bullet points with dashes", "each word of {list} on its own line behind a dash",
                "{list} as lines, each of them a dash and a word"),
    "json": ("{list} as a JSON list", "{list} as a JSON array of strings", "the words of {list} in JSON"),
    "rows": ("{list} as a table with row and item", "a table of {list} with the columns row and item",
             "{list} in a table whose head is row and item"),
    "sentence": ("a sentence about {name} with the words of {list}", "one short sentence with {name} and {list}",
                 "one sentence about {name} that has all words of {list}"),
    "count": ("the count from {list}", "all numbers from {list}", "every number from {list}, in order"),
    "extreme": ("the {which} number in {list}", "the number of {list} that is the {which} one"),
    "sort": ("the numbers in {list} from small to large", "{list} in order, the smallest number first",
             "{list} by size, from the smallest to the largest", "the numbers of {list} as they grow"),
    "larger": ("the numbers in {list} that are larger than {number}",
               "the numbers in {list} that are more than {number}",
               "{list} without every number up to {number}", "those numbers of {list} that are above {number}"),
    "total": ("the sum of the numbers in {list}", "the total of {list}", "what the numbers in {list} make together"),
    "who": ("who has the {word} in {list}", "the person in {list} with the {word}",
            "the one to whom the {word} does belong in {list}"),
    "what": ("what {name} has in {list}", "the thing of {name} in {list}", "what belongs to {name} in {list}"),
    "box": ("what is in the box after the steps in {list}", "all that is inside the box at the end of {list}",
            "the things in an empty box when {list} is done"),
    "program": ("the value of x after the program in {list}", "the last value of x in the lines of {list}",
                "what x is at the end of the program in {list}"),
}
REMARKS: dict[str, tuple[str, ...]] = {
    "party": ("The small party of {name} is at the {place}.",),
    "talk": ("{name} has a talk at the {place}.",),
    "hurry": ("On {day} morning {name} was in a hurry.",),
    "game": ("The class of {name} has a word game on {day}.",),
    "upper": ("It is in capital letters, without any small letters.", "All is written with capital letters only."),
    "quote": ("It is put between two quotation marks.", "It has a quotation mark at its start and end."),
    "bracket": ("It is put in one pair of round brackets.", "It has a round bracket at its start and end."),
    "begin": ("It begins with the words My answer and a colon.", "In front are the words My answer and a colon."),
    "end": ("The word {ending} is behind it, without a comma.", "The last word behind it is {ending}."),
    "semicolon": ("A semicolon is between the parts, not a comma.", "Its parts are separated with a semicolon."),
    "dash": ("A dash is between the parts, not a comma.", "Its parts are separated with a dash."),
    "turn": ("The parts are in reverse order.", "The order of the parts is turned around."),
    "again": ("All parts come a second time.", "The whole is repeated one more time."),
    "append": ("The word {word} is added as one more part at the end.", "The word {word} is put behind the last part."),
    "front": ("The word {word} is added as one more part at the start.", "The word {word} is before the first part."),
    "size": ("A new line says how many items the list has.", "On a new line is the number of items in the list."),
    "head": ("A new line has the first item of the list.", "On a new line is the item of the list that comes first."),
    "tail": ("A new line has the last item of the list.", "On a new line is the item of the list that comes last."),
    "sort": ("A new line says what kind the first item is.", "On a new line is the kind of the first item."),
}
SORTS: tuple[Sort, ...] = ("scene", "demand", "step", "ask")
WEIGHTS = (1, 4, 3, 4)
"""How often a clause of each sort is told."""
FACTS = 0.1
"""Share of the statements that are of words and numbers alone."""
TABLES = 0.03
"""Share of the other ones whose items stand in a table."""
OPENINGS = ("Here is {name}", "This is {name}", "We see {name}")
POINTERS: dict[Form, str] = {"inline": "this list", "list": "the list below", "table": "the table below"}


def told(task: Task, rng: random.Random) -> Statement:
    """What task `task` asks for, as a statement: what it is called, the remarks that its clauses make, the answer."""
    items = FAMILIES[task.family].joiner.join(task.items)
    pointed = task.form != "inline" or (task.family != "count" and rng.random() < 0.8)
    pointer = POINTERS[task.form] if pointed else items
    if task.family == "count" and pointed:
        pointer = "the first to the last number in " + pointer
    name = rng.choice(NAMES[task.family]).format(**dict(task.args), list=pointer)
    tail = f": {items}." if pointed and not task.input else "."
    said = [*(_remark(c, rng) for c in task.scenes), rng.choice(OPENINGS).format(name=name) + tail,
            *(_remark(c, rng) for c in task.clauses)]
    below = f"\n\n{task.input}" if task.input else ""
    return Statement(" ".join(said) + below + rng.choice(("\n", "\n\n")), solve(task))


def _remark(clause: Clause, rng: random.Random) -> str:
    return rng.choice(REMARKS[clause.rule]).format(**dict(clause.args))


def subject(rng: random.Random, clauses: tuple[int, ...] = (0, 0, 0, 1, 1, 2)) -> Task:
    """Something to tell: never what is held out as a task."""
    while True:
        task = draw(rng)
        for _ in range(rng.choice(clauses)):
            task = _with_clause(task, rng)
        if rng.random() < TABLES:
            task = replace(task, form="table")
        if valid(task) and not held_out(task):
            return task


def _with_clause(task: Task, rng: random.Random) -> Task:
    sort = rng.choices(SORTS, WEIGHTS)[0]
    clause = draw_clause(rng, sort, (*task.scenes, *task.clauses), FAMILIES[task.family].many)
    if clause is None:
        return task
    if sort == "scene":
        return replace(task, scenes=(clause, *task.scenes))
    return replace(task, clauses=(*task.clauses, clause))


def fact(rng: random.Random) -> Statement:
    """What kind a word is of, whether it is of a kind, and what two numbers make."""
    word = rng.choice(VALUES["word"])
    which = rng.randrange(3)
    if which == 0:
        return Statement(f"The kind of {word}:\n", KIND[word])
    if which == 1:
        kind = rng.choice([KIND[word], rng.choice(VALUES["kind"])])
        return Statement(f"The word {word} is one of the {kind}:\n", "Yes" if KIND[word] == kind else "No")
    a, b = rng.randint(0, LARGEST // 2), rng.randint(1, 20)
    sign = rng.choice("+-") if a >= b else "+"
    return Statement(f"{a} {sign} {b} is:\n", str(a + b if sign == "+" else a - b))


def statement(rng: random.Random) -> Statement:
    return fact(rng) if rng.random() < FACTS else told(subject(rng), rng)
