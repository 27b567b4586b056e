"""What the ROUGE-L gate costs against a pool: `python benchmarks/rouge.py [LARGEST]`.

Each row: a pool of so many instructions, and CPU milliseconds for one candidate by rouge-score (timed on a part of the
pool, as it takes seconds), by a RapidFuzz scan of the whole pool and by `gen`, whose value and nearest text are checked
against the scan's. Then the whole file as a stream at four thresholds, with the decisions recorded for rouge-score.
Pools beyond the file, up to 500,000, are its rows with half of the words drawn anew from all words as they occur."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench import data
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist
from rouge_score.rouge_scorer import RougeScorer

from filters.dedup.rouge import Rouge, fmeasure
from gen.core import Lineage, Sample
from gen.text import rouge_tokens

SIZES = (1_000, 10_000, 52_002, 200_000, 500_000)
CANDIDATES, PAIRS = 60, 100


def texts(path: Path) -> Iterator[str]:
    """The instructions of the file, then as many as wanted with half of their words drawn anew."""
    with gzip.open(path) as file:
        rows = [row["instruction"] for row in json.load(file)]
    yield from rows
    rng, words = random.Random(0), [word for row in rows for word in row.split()]
    while True:
        yield " ".join(rng.choice(words) if rng.random() < 0.5 else word for word in rng.choice(rows).split())


def timed(call: Callable[[Any], Any], given: list[Any]) -> tuple[float, list[Any]]:
    """Mean CPU milliseconds of a call, and what the calls gave."""
    costs, found = [], []
    for one in given:
        begun = time.process_time()
        found.append(call(one))
        costs.append((time.process_time() - begun) * 1e3)
    return statistics.fmean(costs), found


def scan(pool: list[str], alphabet: dict[str, int]) -> Callable[[Sample], float]:
    """The largest F by comparing with every text."""

    def largest(candidate: Sample) -> float:
        text = encoded(candidate.instruction, alphabet)
        [found] = cdist([text], pool, scorer=LCSseq.similarity)
        return max(fmeasure(int(lcs), len(other), len(text)) for lcs, other in zip(found, pool, strict=True) if other)

    return largest


def encoded(text: str, alphabet: dict[str, int]) -> str:
    return "".join(chr(alphabet.setdefault(token, len(alphabet))) for token in rouge_tokens(text))


def sample(number: int, text: str) -> Sample:
    return Sample(f"s{number}", text, Lineage(f"s{number}"))


def main(largest: int) -> None:
    source, official = texts(data("alpaca/alpaca_data.json.gz")), RougeScorer(["rougeL"])
    index, alphabet = Rouge().open(), dict[str, int]()
    samples, pool = list[Sample](), list[str]()
    sys.stdout.write(f"{'pool':>8}{'rouge-score':>14}{'scan':>10}{'gen':>10}{'times rouge-score':>20}\n")
    for size in [n for n in SIZES if n <= largest]:
        while len(samples) < size:
            samples.append(sample(len(samples), next(source)))
            index.admit(samples[-1])
            pool.append(encoded(samples[-1].instruction, alphabet))
        rng = random.Random(size)
        asked = [Sample("new", old.instruction, old.lineage) for old in rng.sample(samples, CANDIDATES)]
        others = [s.instruction for s in rng.sample(samples, min(size, PAIRS))]
        theirs, _ = timed(lambda one, o=others: [official.score(x, one.instruction) for x in o], asked)  # type: ignore[misc]
        theirs *= size / len(others)
        ours, verdicts = timed(index.judge, asked)
        # the scan knows no families: it is given the pool without the candidate's own text
        scanned, values = 0.0, list[float]()
        for one in asked[:10]:
            rest = [t for t, s in zip(pool, samples, strict=True) if s.lineage != one.lineage]
            cost, [value] = timed(scan(rest, alphabet), [one])
            scanned, values = scanned + cost / 10, [*values, value]
        assert values == [v.value for v in verdicts[:10]], "not the values of the scan"
        sys.stdout.write(f"{size:8,}{theirs:11,.1f} ms{scanned:7,.2f} ms{ours:7,.2f} ms{theirs / ours:20,.0f}\n")
        sys.stdout.flush()
    replays()


def replays() -> None:
    """The whole file as a stream after the 175 seeds of Self-Instruct; what is kept joins the pool. Recorded decisions,
    by rouge-score's values, must be met row by row."""
    recorded = json.loads(data("reference/rouge_l_replay_alpaca.json").read_text())["full"]
    seeds = [json.loads(line) for line in data("self_instruct/seed_tasks.jsonl").read_text().splitlines()]
    tasks = list(islice(texts(data("alpaca/alpaca_data.json.gz")), recorded[0]["candidates"]))
    for row in recorded:
        threshold = float(re.findall(r"> ([\d.]+)", row["rule"])[0])
        index, begun, kept = Rouge(threshold=threshold, tokens="ascii").open(), time.process_time(), list[int]()
        for number, seed in enumerate(seeds):
            index.admit(sample(-1 - number, seed["instruction"]))
        for number, task in enumerate(tasks):
            new = sample(number, task)
            if index.judge(new).keep:
                index.admit(new)
                kept.append(number)
        used = time.process_time() - begun
        hashed = hashlib.sha256(",".join(map(str, kept)).encode()).hexdigest()
        assert hashed == row["sha256_of_kept_indices"], f"{row['rule']}: other rows are kept than recorded"
        sys.stdout.write(f"stream of {len(tasks):,}, F > {threshold:.7g} drops: {used:.1f} CPU s, {len(kept):,} kept\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 52_002)
