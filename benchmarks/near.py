"""Near-duplicates of long texts: `python benchmarks/near.py [LARGEST]`.

What `jaccard` costs and drops beside datasketch and rensa, which are used as their guides show (MinHash of 128
permutations, LSH at 0.7) on the same n-grams, and are given the words, while ours begins with the text, judged as the
gate does it: one after the other, a batch announced at a time. A dropped row is right where its Jaccard similarity with
a row kept before it, by the same side, is 0.7 or more, and a kept one is missed where it is. Both are counted by
comparing with all through an inverted index of all n-grams, which `jaccard` must equal row by row. Then its growth, to
LARGEST rows: beyond the file they are its rows, in each of which a tenth of the words are drawn anew from all words as
they occur."""

from __future__ import annotations

import gzip
import json
import random
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from bench import ROOT, data, peer_python, spent

from filters.dedup.jaccard import Jaccard, JaccardIndex
from gen.core import Lineage, Sample
from gen.gate import BATCH
from gen.text import rouge_tokens

SIZES = (10_000, 52_002, 100_000, 200_000, 500_000)
SOURCES = (("alpaca", 5), ("alpaca", 3), ("pep_sections", 5), ("tldr_pages_en", 5))
THRESHOLD = Jaccard().threshold


def read(name: str) -> list[str]:
    if name == "alpaca":
        with gzip.open(data("alpaca/alpaca_data.json.gz")) as file:
            return ["\n".join([row["instruction"], row["input"], row["output"]]) for row in json.load(file)]
    with gzip.open(data(f"corpus/{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def sample(number: int, text: str) -> Sample:
    return Sample(str(number), text, Lineage(str(number)))


def ours(rows: list[str], n: int) -> tuple[float, list[int]]:
    """CPU seconds, and the rows dropped."""
    samples = [sample(number, text) for number, text in enumerate(rows)]
    began = time.process_time()
    kept = [*judged(Jaccard(n=n).open(), samples)]
    return time.process_time() - began, [number for number, keep in enumerate(kept) if not keep]


def judged(index: JaccardIndex, samples: Iterable[Sample]) -> Iterator[bool]:
    """Whether each is kept, as the gate has it: batches that are announced, what is kept is admitted."""
    left = iter(samples)
    while batch := [*islice(left, BATCH)]:
        index.expect(batch)
        for one in batch:
            if keep := index.judge(one).keep:
                index.admit(one)
            yield keep


def largest(grams: list[Any], is_kept: Callable[[int, float], bool]) -> list[float]:
    """Of each row: the largest similarity with those kept before. `grams`: distinct numbers of n-grams of each row;
    only those that two rows have are counted one by one."""
    shared = np.bincount(np.concatenate(grams)) > 1
    lists = {gram: array("i") for gram in np.flatnonzero(shared).tolist()}
    sizes, found = np.array([len(row) for row in grams]), []
    for number, row in enumerate(grams):
        common = row[shared[row]].tolist()
        both = np.concatenate(
            [np.zeros(0, "i4"), *(np.frombuffer(lists[gram], "i4") for gram in common if lists[gram])]
        )
        others, counts = np.unique(both, return_counts=True)
        found.append(float((counts / (sizes[others] + len(row) - counts)).max(initial=0)))
        if is_kept(number, found[-1]):
            for gram in common:
                lists[gram].append(number)
    return found


def compare(name: str, n: int, python: str) -> None:
    rows = read(name)
    words = [rouge_tokens(text) for text in rows]
    keys = dict[tuple[str, ...], int]()
    grams = [
        np.unique(
            [keys.setdefault((*row[i : i + n],), len(keys)) for i in range(max(len(row) - n + 1, min(1, len(row))))]
        )
        for row in words
    ]
    grams = [row.astype(int) for row in grams]
    keys.clear()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        lines = (json.dumps({"text": text, "words": row}) for text, row in zip(rows, words, strict=True))
        file.write_text("\n".join(lines), encoding="utf-8")
        sides = {"gen": [sys.executable, __file__, "--side", str(file), str(n)]}
        for peer in ("datasketch", "rensa") if python else ():
            sides[peer] = [python, str(ROOT / "benchmarks/peers/near.py"), peer, str(file), str(n)]
        sys.stdout.write(
            f"\n{name}, n = {n}: {len(rows):,} rows, {sum(map(len, grams)) / len(rows):.0f} n-grams each\n"
        )
        sys.stdout.write(f"{'':12}{'CPU s':>8}{'peak MB':>10}{'dropped':>10}{'rightly':>10}{'missed':>8}\n")
        for side, command in sides.items():
            took = spent(command, {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
            said = json.loads(took.said.splitlines()[-1])
            dropped = set(said["dropped"])
            likes = largest(grams, lambda number, _, dropped=dropped: number not in dropped)  # type: ignore[misc]
            near = {number for number, like in enumerate(likes) if like >= THRESHOLD}
            sys.stdout.write(f"{side:12}{said['cpu']:8.1f}{took.peak_mb:10,.0f}{len(dropped):10,}")
            sys.stdout.write(f"{len(near & dropped):10,}{len(near - dropped):8,}\n")
            sys.stdout.flush()
            assert side != "gen" or near == dropped, "not the rows that a comparison with all drops"


def variants() -> Iterator[str]:
    rows = read("alpaca")
    yield from rows
    rng, words = random.Random(0), [word for row in rows for word in row.split()]
    while True:
        text = rng.choice(rows).split()
        for at in rng.sample(range(len(text)), (len(text) + 9) // 10):
            text[at] = rng.choice(words)
        yield " ".join(text)


def growth(most: int) -> None:
    sys.stdout.write(f"\n{'rows':>10}{'kept':>10}{'us a row':>10}{'MB':>8}\n")
    index, source, number, kept = Jaccard().open(), variants(), 0, 0
    before = resident()
    for size in [size for size in SIZES if size <= most]:
        samples = [sample(i, text) for i, text in enumerate(islice(source, size - number), number)]
        began = time.process_time()
        kept += sum(judged(index, samples))
        cost = (time.process_time() - began) / len(samples)
        number = size
        del samples
        sys.stdout.write(f"{size:10,}{kept:10,}{cost * 1e6:10.0f}{resident() - before:8,.0f}\n")
        sys.stdout.flush()


def resident() -> float:
    """MB that this process holds now; 0 where there is no /proc."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * 4096 / 2**20 if path.exists() else 0.0


def side(file: str, n: str) -> None:
    rows = [json.loads(line)["text"] for line in Path(file).read_text(encoding="utf-8").splitlines()]
    cpu, dropped = ours(rows, int(n))
    sys.stdout.write(json.dumps({"cpu": cpu, "dropped": dropped}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        side(*sys.argv[2:])
    else:
        found = peer_python()
        for source, n in SOURCES:
            compare(source, n, found)
        growth(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
