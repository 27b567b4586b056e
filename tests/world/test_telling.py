"""What a base model may read of the world: true, complete, and never a task."""

import random
import re

import pytest

from gen.world import FAMILIES, Task, check, held_out, parse
from gen.world.clauses import RULES, Clause
from gen.world.lexicon import KIND
from gen.world.task import FORMS, POINTERS, base, template
from gen.world.telling import NAMES, REMARKS, fact, statement, subject, told

STATEMENTS = [statement(random.Random(n)) for n in range(4000)]


class First(random.Random):
    """Takes the first of everything, and points to nothing."""

    def choice(self, seq):
        return seq[0]

    def random(self):
        return 0.9


def test_every_family_has_a_name_and_every_rule_a_remark():
    assert NAMES.keys() == FAMILIES.keys()
    assert REMARKS.keys() == RULES.keys()


def sentences(text):
    return [s for line in text.split("\n") for s in re.split(r"(?<=[.?:]) ", line)]


def test_nothing_told_is_a_task_or_a_part_of_one():
    for made in STATEMENTS:
        head, _, rest = made.text.partition("\n\n")
        readings = [(made.text, ""), (made.given, ""), (made.given.strip(), rest), (head, rest), (head, rest.rpartition("\n")[0])]
        assert [parse(*reading) for reading in readings] == [None] * 5, made.text
        assert not any(base(made.given.strip(), form) for form in FORMS), made.text
        assert not any(parse(s) or base(s, form) for s in sentences(made.text) for form in FORMS), made.text


def test_no_wording_of_a_task_or_clause_occurs_and_nothing_is_asked():
    wordings = {template(n, i, form).replace("{list}", POINTERS[form])
                for n, family in FAMILIES.items() for i in range(len(family.phrasings)) for form in FORMS}
    openings = {re.split(r" ?\{\w+\}|:", wording)[0] for wording in wordings}  # "Write only the", "Is the word"
    assert min(map(len, openings)) > 3
    clauses = [re.sub(r"\\{\w+\\}", r"\\w+", re.escape(w)) for rule in RULES.values() for w in rule.phrasings]
    assert re.search(clauses[0], "Now Tom plans a small party at the lake. So")
    never = re.compile("|".join([*(rf"\b{re.escape(o)}\b" for o in openings), *clauses]))
    for made in STATEMENTS:
        assert "?" not in made.text
        assert not never.search(made.text), made.text


def test_held_out_instances_are_not_told_and_what_is_told_is_right():
    rng, seen = random.Random(0), set()
    for _ in range(3000):
        task = subject(rng)
        assert not held_out(task)
        assert check(task, told(task, rng).told)
        seen |= {task.family, *(c.rule for c in (*task.scenes, *task.clauses))}
    assert seen == {*FAMILIES, *RULES}


def test_facts_are_true():
    rng, kinds = random.Random(0), set()
    for _ in range(2000):
        made = fact(rng)
        if found := re.fullmatch(r"The kind of (\w+):\n(\w+)", made.text):
            assert KIND[found[1]] == found[2]
        elif found := re.fullmatch(r"The word (\w+) is one of the (\w+):\n(Yes|No)", made.text):
            assert (KIND[found[1]] == found[2]) == (found[3] == "Yes")
        else:
            a, sign, b, total = re.fullmatch(r"(\d+) ([+-]) (\d+) is:\n(\d+)", made.text).groups()
            assert int(a) + (int(b) if sign == "+" else -int(b)) == int(total)
        kinds.add(made.given.split()[1])
    assert {"kind", "word", "+", "-"} <= kinds


CASES = [
    (Task("filter", (("kind", "fruits"),), ("cat", "apple", "plum")), "Here is only the fruits from cat, apple, plum.", "apple, plum"),
    (Task("tally", (("kind", "fruits"),), ("cat", "apple", "plum"), form="list"),
     "Here is the number of fruits in the list below.\n\n- cat\n- apple\n- plum", "2"),
    (Task("reverse", (), ("cat", "dog", "saw"), form="table"),
     "Here is the table below in reverse order.\n\n| row | item |\n| 1 | cat |\n| 2 | dog |\n| 3 | saw |", "saw, dog, cat"),
    (Task("count", (), ("3", "6")), "Here is the count from 3 to 6.", "3, 4, 5, 6"),
    (Task("count", (), ("3", "6"), form="list"), "Here is the count from the first to the last number in the list below.\n\n- 3\n- 6", "3, 4, 5, 6"),
    (Task("who", (("word", "saw"),), ("Tom has the cat", "Mia has the saw")), "Here is who has the saw in Tom has the cat, Mia has the saw.", "Mia"),
    (Task("json", (), ("cat", "dog")), "Here is cat, dog as a JSON list.", '["cat", "dog"]'),
    (Task("sentence", (("name", "Mia"),), ("cat", "dog")), "Here is a sentence about Mia with the words of cat, dog.", "Mia has the cat and the dog"),
    (Task("program", (), ("x = 4", "x = x + 3")), "Here is the value of x after the program in x = 4, x = x + 3.", "7"),
    (Task("box", (), ("put in the cat", "put in the saw", "take out the cat")),
     "Here is what is in the box after the steps in put in the cat, put in the saw, take out the cat.", "saw"),
    (Task("place", (("which", "last"),), ("cat", "dog"), scenes=(Clause("talk", 0, (("name", "Tom"), ("place", "lake"))),),
          clauses=(Clause("upper"), Clause("append", 0, (("word", "oak"),)), Clause("size"))),
     "Tom has a talk at the lake. Here is the last word in cat, dog. It is in capital letters, without any small letters. "
     "The word oak is added as one more part at the end. A new line says how many items the list has.", "DOG, OAK\n2"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "given", "answer"), CASES, ids=lambda v: getattr(v, "family", None))
def test_what_is_told_by_hand(task, given, answer):
    made = told(task, First())
    assert (made.given, made.told) == (given + "\n", answer)
