"""Reading and cleaning instances: the inputs and outputs that a model wrote for one task."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from gen import text as texts

OPEN = re.compile(r"(?:^|(?<=>))[ \t]*<(input|output)>", re.M | re.I)
CLOSE = {kind: re.compile(rf"</{kind}>(?=[ \t]*(?:$|<))", re.M | re.I) for kind in ("input", "output")}
"""A section opens a line, or follows another, and closes at the end of a line, or before another."""
NEXT_TASK = re.compile(r"^[ \t]*Task[ \t]*+\d*+[ \t]*:", re.M)
EXAMPLE = re.compile(r"^[ \t*#]*Example[ \t]*+\d*+[ \t]*+[.:]?[ \t*]*$", re.M)
FIELD = re.compile(r"^[ \t*]*(Input|Output)[ \t]*+\d*+[ \t]*:\**", re.M)
LABEL = re.compile(r"^[ \t*]*Class label[ \t]*+\d*+[ \t]*:\**", re.M | re.I)


class Pair(NamedTuple):
    """One instance; `reason` says why it is dropped."""

    input: str
    output: str
    reason: str = ""


def read(text: str, *, cut: bool, is_classification: bool) -> list[Pair]:
    """The instances of a reply, in order: tagged sections, else labelled text (`Example`, `Input:`, `Output:`; or
    `Class label:`), up to where another task begins. Of a reply that was cut the last one is `instance_truncated`."""
    pairs = list(_tagged(text, output_first=is_classification))
    if not pairs:
        own = NEXT_TASK.search(text)
        body, cut = (text[: own.start()], False) if own else (text, cut)
        pairs = list(_classified(body) if is_classification else _labelled(body))
    if cut and pairs:
        pairs[-1] = pairs[-1]._replace(reason="instance_truncated")
    return [p._replace(input="" if texts.says_no_input(p.input) else p.input) for p in pairs]


def _tagged(text: str, *, output_first: bool) -> Iterator[Pair]:
    """Pairs of sections. A section that is never closed goes to the end; tags inside a line are part of the text."""
    parts, at = [], 0
    while found := OPEN.search(text, at):
        kind = found[1].lower()
        closed = CLOSE[kind].search(text, found.end())
        parts.append((kind, text[found.end() : closed.start() if closed else len(text)].strip()))
        at = closed.end() if closed else len(text)
    kinds = [kind for kind, _ in parts]
    if 2 * kinds.count("output") == len(kinds) and all(a != b for a, b in pairwise(kinds)):
        output_first = bool(kinds) and kinds[0] == "output"  # whatever was asked for
    return _paired(parts, "output" if output_first else "input")


def _paired(parts: Sequence[tuple[str, str]], opens: str) -> Iterator[Pair]:
    """Each pair has at most one section of a kind. One that opens with its input ends with its output."""
    begun: dict[str, str] = {}
    for kind, body in parts:
        if kind in begun:
            yield _pair(begun)
            begun = {}
        begun[kind] = body
        if (opens, kind) == ("input", "output"):
            yield _pair(begun)
            begun = {}
    if begun:
        yield _pair(begun)


def _pair(begun: Mapping[str, str]) -> Pair:
    return Pair(begun.get("input", ""), begun.get("output", ""))


def _labelled(text: str) -> Iterator[Pair]:
    """Labels and headers count at the beginning of a line. What stands before the first label is input, too: tasks
    name their fields as they like."""
    for piece in EXAMPLE.split(text):
        before, *fields = FIELD.split(piece)
        given, has_output = before.strip(), False
        for kind, body in zip(fields[::2], fields[1::2], strict=True):
            if kind == "Input":
                given, has_output = (body.strip() if has_output else f"{given}\n{body.strip()}".strip()), False
            elif not has_output:
                yield Pair(given, body.strip())
                has_output = True


def _classified(text: str) -> Iterator[Pair]:
    """The label stands on the line of its mark, the input below; what stands before the first mark is nothing."""
    for piece in LABEL.split(text)[1:]:
        label, _, given = piece.strip().partition("\n")
        own = FIELD.match(given.strip())
        yield Pair(given.strip()[own.end() if own else 0 :].strip(), label.strip())


def clean(pairs: Iterable[Pair], most: int, rng: random.Random) -> list[Pair]:
    """The same pairs, with a reason each where it is dropped: what is no instance, then all if two of them say
    different things of one input, then repetitions, then what is more than `most`, drawn by `rng`."""
    found = [p if p.reason else p._replace(reason=_fault(p)) for p in pairs]
    outputs: dict[str, str] = {}
    good = [p for p in found if not p.reason]
    if any(p.input and outputs.setdefault(p.input, p.output) != p.output for p in good):
        return [p if p.reason else p._replace(reason="contradictory_instances") for p in found]
    seen: set[Pair] = set()
    for i, pair in enumerate(found):
        if not pair.reason and pair in seen:
            found[i] = pair._replace(reason="duplicate_instance")
        seen.add(pair)
    left = [i for i, p in enumerate(found) if not p.reason]
    for i in sorted({*left} - {*rng.sample(left, min(most, len(left)))}):
        found[i] = found[i]._replace(reason="surplus_instance")
    return found


def _fault(pair: Pair) -> str:
    if not pair.output:
        return "empty_output"
    if pair.input == pair.output:
        return "input_equals_output"
    ends = any(side.endswith((":", "：")) for side in pair[:2])
    return "trailing_colon" if ends else ""
