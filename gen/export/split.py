"""Train and test apart by family: what descends from one seed is never on both sides, nor are two families that share
a prompt (equal up to case, width, white space and outer punctuation). What is alike but not equal in two families is
the gate's business: `rouge` and `semantic` drop it before it gets here.

A family's side hangs on a hash of its root alone. So a fraction, being a threshold on that hash, holds for ever: more
rounds and more seeds move no family to the other side. A number takes whole families in the order of that hash, at
most so many rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gen.core import Sample, digest, replace
from gen.errors import InputError
from gen.text import normalise

Amount = int | float
"""Rows, or a share of the families between 0 and 1."""


def amount(text: str) -> Amount:
    """`0.1` is a fraction, `200` a number of rows. Raises InputError for anything else."""
    try:
        value: Amount = int(text) if text.isdecimal() else float(text)
    except ValueError:
        value = 0
    if not (0 < value < 1 or (isinstance(value, int) and value >= 1)):
        raise InputError(f"--test {text}: expected a fraction such as 0.1, or a number of rows such as 200")
    return value


def held_out(samples: Iterable[Sample], test: Amount) -> set[str]:
    """The roots of the families that make the test split. Raises InputError where either side would be empty."""
    parent, first, rows = dict[str, str](), dict[str, str](), Counter[str]()

    def find(root: str) -> str:
        while (above := parent.setdefault(root, root)) != root:
            parent[root] = root = parent[above]
        return root

    for sample in samples:
        root = sample.lineage.root
        rows[root] += 1
        one, other = find(root), find(first.setdefault(_key(sample), root))
        parent[max(one, other)] = min(one, other)  # the smaller id stands for both, in whatever order they come
    group = {root: find(root) for root in rows}
    sizes = Counter[str]()
    for root, count in rows.items():
        sizes[group[root]] += count
    chosen = _chosen(sizes, test)
    if not chosen or len(chosen) == len(sizes):
        side = "test" if not chosen else "train"
        raise InputError(
            f"--test {test}: nothing would be left for {side} ({rows.total():,} rows in {len(sizes):,} families, which "
            "are never cut); name another fraction or number, or export without --test"
        )
    return {root for root in rows if group[root] in chosen}


def _chosen(sizes: Counter[str], test: Amount) -> set[str]:
    place = {group: int(digest("split", group), 16) for group in sizes}
    if isinstance(test, float):
        return {group for group in sizes if place[group] < test * 16**16}
    chosen, left = set[str](), test
    for group in sorted(sizes, key=lambda group: (place[group], group)):
        if sizes[group] <= left:
            chosen.add(group)
            left -= sizes[group]
    return chosen


def _key(sample: Sample) -> str:
    asked = replace(sample, response=None).messages
    return digest([(message.role, normalise(message.content)) for message in asked])
