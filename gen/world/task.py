"""One task of the world: its text, the way back from the text, and its right answers."""

from __future__ import annotations

import functools
import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gen.core import digest
from gen.world.clauses import LIMITS, RULES, Clause, Sort, slots
from gen.world.families import FAMILIES, Items, sound
from gen.world.lexicon import VALUES
from gen.world.wordwork import HEAD, bullets, table

Form = Literal["inline", "list", "table"]
FORMS: tuple[Form, ...] = ("inline", "list", "table")
LONGEST = 2_000
"""Characters of a sentence that may be one of ours: on longer ones the expressions would take seconds."""
POINTERS: dict[Form, str] = {"inline": "this list", "list": "the list below", "table": "the table below"}


@dataclass(frozen=True, slots=True)
class Task:
    family: str
    args: tuple[tuple[str, str], ...]
    items: Items
    phrasing: int = 0
    form: Form = "inline"
    """Whether the items stand in the sentence or, as a list or a table, in the input section."""
    scenes: tuple[Clause, ...] = ()
    clauses: tuple[Clause, ...] = ()
    """Demands, steps and further questions, in the order of the text."""

    @property
    def field(self) -> str:
        return FAMILIES[self.family].field

    @property
    def instruction(self) -> str:
        base = template(self.family, self.phrasing, self.form)
        items = FAMILIES[self.family].joiner.join(self.items)
        base = base.format(**dict(self.args), items=items, list=POINTERS[self.form])
        return " ".join([*(c.text for c in self.scenes), base, *(c.text for c in self.clauses)])

    @property
    def input(self) -> str:
        if self.form == "list":
            return bullets(self.items)
        return table(self.items) if self.form == "table" else ""

    @property
    def text(self) -> str:
        """Instruction and input as one text, as `Sample.prompt` has it."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    def count(self, sort: Sort) -> int:
        return sum(c.sort == sort for c in (*self.scenes, *self.clauses))


def template(family: str, phrasing: int, form: Form) -> str:
    """The base sentence; with data in the input section it ends where the inline items would begin."""
    wording = FAMILIES[family].phrasings[phrasing]
    inline, below = wording if isinstance(wording, tuple) else (wording, wording.replace(": {items}", ""))
    return inline if form == "inline" else below


def draw(rng: random.Random, family: str | None = None, level: int | None = None, rare: bool = False) -> Task:
    """A plain task of one sentence: level 1 has 2 or 3 items, 3 has 4 or 5, inline or as a list."""
    name = family or rng.choice(list(FAMILIES))
    row, level = FAMILIES[name], level or rng.randint(1, 3)
    while True:
        args, items = row.draw(rng, level + rng.randint(1, 2), rare)
        phrasing, form = rng.randrange(len(row.phrasings)), rng.choice(FORMS[: 1 + (rng.random() < 0.25)])
        task = Task(name, tuple(sorted(args.items())), tuple(items), phrasing, form)
        if valid(task):
            return task


def valid(task: Task) -> bool:
    """Whether the task makes sense: sound items, clauses within their limits, and a right answer."""
    clauses, family = (*task.scenes, *task.clauses), FAMILIES[task.family]
    between = sum(RULES[c.rule].between is not None for c in clauses)
    return (
        sound(family, task.items) and between < (1 if family.shape else 2)
        and len({c.rule for c in clauses}) == len(clauses)
        and (len(task.items) == 2 or task.form != "inline" or family.joiner != " to ")
        and all(task.count(sort) <= limit for sort, limit in LIMITS.items())
        and next(_parts(task), None) is not None
    )


def _pattern(wording: str) -> re.Pattern[str]:
    """A regular expression that reads the slots of a template back."""
    parts = re.split(r"\{(\w+)\}", wording)
    return re.compile("".join(f"(?P<{p}>.+?)" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


@functools.cache
def _clause_patterns() -> list[tuple[str, int, re.Pattern[str]]]:
    return [(n, i, _pattern(p)) for n, r in RULES.items() for i, p in enumerate(r.phrasings)]


@functools.cache
def _base_patterns(form: Form) -> list[tuple[str, int, re.Pattern[str]]]:
    found = []
    for name, family in FAMILIES.items():
        for i in range(len(family.phrasings)):
            wording = template(name, i, form).replace("{list}", POINTERS[form])
            found.append((name, i, _pattern(wording)))
    return found


def _clause(sentence: str) -> Clause | None:
    for name, i, pattern in _clause_patterns() if len(sentence) <= LONGEST else ():
        if match := pattern.fullmatch(sentence):
            args = tuple((n, match[n]) for n in slots(RULES[name].phrasings[i]))
            if all(value in VALUES[n] for n, value in args):
                return Clause(name, i, args)
    return None


def _data(text: str) -> tuple[Form, Items]:
    lines = text.split("\n")
    if lines[0] == HEAD:
        return "table", tuple(line.removeprefix(f"| {n} | ").removesuffix(" |") for n, line in enumerate(lines[1:], 1))
    return ("list" if text else "inline"), tuple(line.removeprefix("- ") for line in lines if text)


def base(instruction: str, form: Form) -> tuple[str, dict[str, str]] | None:
    """Family and arguments of the one sentence of a text that is no clause, read as of this form; None where it is
    not of the world. Of an inline task the items are among the arguments."""
    rest = [s for s in re.split(r"(?<=[.?]) ", tidy(instruction)) if _clause(s) is None]
    if any(len(sentence) > LONGEST for sentence in rest):
        return None
    for name, _, pattern in _base_patterns(form):
        if len(rest) == 1 and (match := pattern.fullmatch(rest[0])):
            found = match.groupdict()
            if all(FAMILIES[name].holds(slot, value) for slot, value in found.items() if slot != "items"):
                return name, found
    return None


def tidy(text: str) -> str:
    """The text with one blank for each stretch of blanks and line ends."""
    return " ".join(text.split())


def parse(instruction: str, input: str = "") -> Task | None:
    """The task that a text means, or None when the text does not belong to the world. Exact: what comes back renders
    to the same text, but for blanks, and for the line ends of the instruction and the empty lines of the input."""
    instruction, input = tidy(instruction), "\n".join(filter(None, map(tidy, input.splitlines())))
    form, data = _data(input)
    sentences = re.split(r"(?<=[.?]) ", instruction)
    clauses = [_clause(s) for s in sentences]
    bases = [i for i, c in enumerate(clauses) if c is None]
    if len(bases) != 1 or len(sentences[bases[0]]) > LONGEST:
        return None
    scenes = tuple(c for c in clauses[: bases[0]] if c)
    after = tuple(c for c in clauses[bases[0] + 1 :] if c)
    if any(c.sort != "scene" for c in scenes) or any(c.sort == "scene" for c in after):
        return None
    for name, phrasing, pattern in _base_patterns(form):
        if match := pattern.fullmatch(sentences[bases[0]]):
            found, family = match.groupdict(), FAMILIES[name]
            items = data or tuple(found.pop("items").split(family.joiner))
            task = Task(name, tuple(sorted(found.items())), items, phrasing, form, scenes, after)
            sane = all(family.holds(slot, value) for slot, value in task.args) and valid(task)
            if sane and (task.instruction, task.input) == (instruction, input):
                return task
    return None


def _parts(task: Task) -> Iterator[Items]:
    """Every right answer as parts, steps done."""
    for parts in FAMILIES[task.family].answers(dict(task.args), task.items):
        for clause in task.clauses:
            if step := RULES[clause.rule].step:
                parts = step(parts, clause.slot)
        yield parts


def _wrapped(text: str, order: tuple[Clause, ...]) -> str:
    for clause in order:
        if wrap := RULES[clause.rule].wrap:
            text = wrap(text, clause.slot)
    return text


def _answers(task: Task) -> Iterator[tuple[str, str]]:
    """Every right answer, ideal first: the wrapped text, and the lines of the further questions.
    Demands that wrap the answer may be met in any order."""
    between = next((b for c in task.clauses if (b := RULES[c.rule].between)), ", ")
    shape = FAMILIES[task.family].shape or between.join
    wraps = [c for c in task.clauses if RULES[c.rule].wrap]
    lines = "".join("\n" + ask(task.items) for c in task.clauses if (ask := RULES[c.rule].ask))
    for parts in _parts(task):
        for order in itertools.permutations(wraps):
            yield _wrapped(shape(parts), order), lines


def solve(task: Task) -> str:
    """The ideal answer."""
    return next(solutions(task))


def solutions(task: Task) -> Iterator[str]:
    """Every right answer, the ideal one first."""
    return ("".join(found) for found in _answers(task))


def check(task: Task, answer: str) -> bool:
    """Whether `answer` is right: exactly one of the right answers, whatever its surrounding blanks and,
    unless capital letters are demanded or asked for, its case; a full stop behind it or at the end of all is forgiven,
    and JSON may do without blanks."""
    answer = answer.strip().replace('","', '", "') if task.family == "json" else answer.strip()
    said = {answer, answer.removesuffix(".")}
    strict = task.family == "capitals" or any(c.rule == "upper" for c in task.clauses)
    for main, lines in _answers(task):
        for text in said:
            head, rest = text[: len(main)], text[len(main) :]
            rest = rest.removeprefix(".") if lines else rest
            if rest.casefold() == lines.casefold() and (head == main if strict else head.casefold() == main.casefold()):
                return True
    return False


def key(task: Task) -> str:
    """What the task is about, whatever its wording, form and clauses: a hash of its argument values."""
    return digest(task.family, task.args, task.items)


def held_out(task: Task) -> bool:
    """Whether the instance is kept out of training (one in eight)."""
    return int(key(task)[:4], 16) % 8 == 0
