"""The tables of the world's page, from the world itself: `python -m gen.world.page docs/world.md` writes them anew."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gen.world.clauses import RULES, Clause, slots
from gen.world.families import FAMILIES, UNSEEN
from gen.world.levels import LEVELS, difficulty, graded
from gen.world.lexicon import KINDS, VALUES, WORDS
from gen.world.task import Task, draw, parse, solve

PLAIN = "Which words in this list are fruits: plum, pear, cat?"


def cell(text: str) -> str:
    """Text as code in a cell of a table; ⏎ stands for a line end."""
    return "`" + text.replace("|", "\\|").replace("\n", " ⏎ ") + "`"


def table(head: str, rows: Sequence[tuple[str, ...]]) -> str:
    names = head.split(" | ")
    return "\n".join(["| " + " | ".join(row) + " |" for row in [tuple(names), ("---",) * len(names), *rows]])


def _families() -> str:
    rows = []
    for number, (name, family) in enumerate(FAMILIES.items()):
        task = replace(draw(random.Random(number), name, 2), phrasing=number % len(family.phrasings))
        mark = " *" if name in UNSEEN else ""
        rows.append((name + mark, family.field, cell(task.text), cell(solve(task))))
    return table("family | items | an example | its ideal answer", rows)


def _clauses() -> str:
    plain, rows = parse(PLAIN), []
    assert plain is not None
    for name, rule in RULES.items():
        clause = Clause(name, 0, tuple((slot, VALUES[slot][0]) for slot in slots(rule.phrasings[0])))
        scene = rule.sort == "scene"
        task = replace(plain, scenes=(clause,) * scene, clauses=(clause,) * (not scene))
        rows.append((name, rule.sort, cell(clause.text), cell(solve(task))))
    return table("rule | sort | a wording | what becomes of `plum, pear`", rows)


def _levels() -> str:
    def example(level: int) -> Task:
        return graded(random.Random(level), level, "filter")

    return table("level | difficulty | an example | its ideal answer", [
        (str(level), str(difficulty(example(level))), cell(example(level).text), cell(solve(example(level))))
        for level in LEVELS])


def _words() -> str:
    rows = [(kind, ", ".join(words)) for kind, words in (*KINDS.items(), *WORDS.items())]
    return table("kind | words", rows)


BLOCKS: dict[str, Callable[[], str]] = {"families": _families, "clauses": _clauses, "levels": _levels, "words": _words}


def filled(page: str) -> str:
    """The page with each block between `<!-- NAME -->` and `<!-- end -->` written anew."""
    for name, write in BLOCKS.items():
        block = f"<!-- {name} -->\n{write()}\n<!-- end -->"
        before, mark, rest = page.partition(f"<!-- {name} -->")
        if mark:
            page = before + block + rest.partition("<!-- end -->")[2]
    return page



if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
