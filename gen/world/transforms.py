"""What may become of a task: each transform has a name, makes a new task of an old one (None when there
is no room for it), and has a test that says whether a new task differs from an old one in that way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from gen.world.clauses import RULES, Sort, draw_clause
from gen.world.families import FAMILIES
from gen.world.lexicon import RARE
from gen.world.task import FORMS, Task, draw, valid

MOST_ITEMS = 7


@dataclass(frozen=True, slots=True)
class Transform:
    apply: Callable[[Task, random.Random], Task | None]
    differs: Callable[[Task, Task], bool]
    """(old, new) -> whether new is old changed in this way, and in no other but wording."""


def gained(old: Task, new: Task) -> Counter[Sort] | None:
    """How many clauses of each sort `new` has beyond those of `old`; None when it lost one."""
    before, after = (Counter((c.rule, c.args) for c in (*t.scenes, *t.clauses)) for t in (old, new))
    return None if before - after else Counter(RULES[rule].sort for rule, _ in (after - before).elements())


def _same(old: Task, new: Task) -> bool:
    return (old.family, old.args, old.items, old.form) == (new.family, new.args, new.items, new.form)


def equal(old: Task, new: Task) -> bool:
    """Whether two tasks ask for the same, whatever their wording."""
    steps = [[(c.rule, c.args) for c in t.clauses if c.sort == "step"] for t in (old, new)]
    return _same(old, new) and gained(old, new) == Counter() and steps[0] == steps[1]


def _adds(sort: Sort) -> Transform:
    def apply(task: Task, rng: random.Random) -> Task | None:
        clause = draw_clause(rng, sort, (*task.scenes, *task.clauses), FAMILIES[task.family].many)
        if clause is None:
            return None
        if sort == "scene":
            return replace(task, scenes=(clause, *task.scenes))
        return replace(task, clauses=(*task.clauses, clause))

    def differs(old: Task, new: Task) -> bool:
        more = gained(old, new)
        return _same(old, new) and more is not None and set(more) == {sort}

    return Transform(apply, differs)


def _richer(task: Task, rng: random.Random) -> Task | None:
    """The same task on more data, as a list in the input section, or as a table if it was a list."""
    family, form = FAMILIES[task.family], FORMS[min(FORMS.index(task.form) + 1, 2)]
    for _ in range(20):
        items = task.items
        for _ in range(rng.randint(1, 2)):
            items = (*items, family.item(rng, items)) if len(items) < MOST_ITEMS else items
        new = replace(task, items=items, form=form)
        if items != task.items and valid(new):
            return new
    return replace(task, form=form) if form != task.form else None


def _is_richer(old: Task, new: Task) -> bool:
    left = iter(new.items)
    kept = all(item in left for item in old.items)  # all of them, in the old order
    rank = FORMS.index(new.form) - FORMS.index(old.form)
    more = rank > 0 or (rank == 0 and new.form != "inline" and len(new.items) > len(old.items))
    return (old.family, old.args) == (new.family, new.args) and kept and more and gained(old, new) == Counter()


def _rarer(task: Task, rng: random.Random) -> Task | None:
    names = [f for f in FAMILIES if FAMILIES[f].field == task.field and f != task.family]
    new = draw(rng, rng.choice(names), rng.randint(1, 3), rare=True)
    return new if _is_rarer(task, new) else None


def _is_rarer(old: Task, new: Task) -> bool:
    words = {w for item in new.items for w in item.split()}
    return (old.field == new.field and (old.family, old.args) != (new.family, new.args)
            and bool(words & RARE) and 2 * len(set(old.items) & set(new.items)) <= len(new.items))


TRANSFORMS: dict[str, Transform] = {
    "add_demand": _adds("demand"), "ask_also": _adds("ask"), "make_specific": _adds("scene"),
    "add_step": _adds("step"), "give_data": Transform(_richer, _is_richer), "sibling": Transform(_rarer, _is_rarer),
}
