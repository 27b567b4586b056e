"""Semantic dedup at size: `python benchmarks/cosine.py [LARGEST]`.

First 10,000 and 52,002 vectors of 384 as one stream, announced and judged by 64, beside faiss (flat), hnswlib, usearch
and semhash, each in a process of its own (with one thread; at 52,002 with one a core), and beside a bare triangle of
float32 products. Other: rows that a side drops and `semantic` keeps, or the reverse; at 10,000 `semantic` must equal a
plain exact loop in float64, value by value. Then what is found of that where only the nearest clusters are searched,
from the first 4,096 kept on, at two thresholds. Then pools up to LARGEST, searched exactly and, from 50,000 on, in
clusters: the time for one candidate with all threads, memory, which part of the drops is found, and the size up to
which 1,000 candidates a second are judged exactly.

The first 10,000 vectors are those of Alpaca's tasks by the bundled encoder, made once (a minute or two) and left in
the system's temporary folder. The others are made of these: between two of them, so near to the first as a random one
of the file is to its nearest."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench import ROOT, data, peer_python, spent
from near import resident
from semantic import embedded

from filters.dedup.semantic import Semantic, SemanticIndex
from gen.core import Lineage, Sample, Vector
from gen.seeds import read_seeds

REAL, BATCH = 10_000, 64
SIZES = (52_002, 100_000, 200_000, 250_000)
RULE = Semantic(exact_to=0)
CLUSTERED_FROM = 50_000


def sample(number: int) -> Sample:
    return Sample(str(number), "", Lineage(str(number)))


def unit(rows_ND: Any) -> Any:
    return rows_ND / np.linalg.norm(rows_ND, axis=1)[:, None]


def real() -> Any:
    source = str(data("alpaca/alpaca_data.json.gz"))
    texts = [RULE.text(one) for one in read_seeds([source], limit=REAL).samples]
    return np.stack([np.frombuffer(vector, "<f2") for vector in asyncio.run(embedded(texts))])


def vectors(rows_ND: Any, count: int, seed: int = 0) -> Any:
    """So many rows in float16, the given ones first."""
    like_ND = rows_ND[:2000].astype("f4") @ rows_ND.astype("f4").T
    np.fill_diagonal(like_ND, 0)
    nearest_N, rng = like_ND.max(1).clip(0, 1), np.random.default_rng(seed)
    parts = [rows_ND]
    while (missing := count - sum(map(len, parts))) > 0:
        size = min(missing, 20_000)
        a_ND, b_ND = (rows_ND[rng.integers(len(rows_ND), size=size)].astype("f4") for _ in range(2))
        away_ND = unit(b_ND - (a_ND * b_ND).sum(1)[:, None] * a_ND + 1e-6)
        cosine_N1 = rng.choice(nearest_N, size)[:, None]
        parts.append(unit(cosine_N1 * a_ND + np.sqrt(1 - cosine_N1**2) * away_ND).astype("<f2"))
    return np.concatenate(parts)[:count]


def judged(rows: list[Vector], rule: Semantic = RULE) -> Iterator[tuple[bool, float | None]]:
    index = rule.open()
    for i in range(0, len(rows), BATCH):
        coming = [(sample(n), row) for n, row in enumerate(rows[i : i + BATCH], i)]
        index.expect(coming)
        for one, row in coming:
            verdict = index.judge(one, row)
            if verdict.keep:
                index.admit(one, row)
            yield verdict.keep, verdict.value


def plain(rows_ND: Any) -> list[tuple[bool, float | None]]:
    """By comparing each with all that were kept, in float64, where these sums are exact."""
    float_ND = rows_ND.astype("f8")
    square_N, found = np.square(float_ND).sum(1), list[tuple[bool, float | None]]()
    kept_N = np.zeros(len(rows_ND), bool)
    for i in range(0, len(rows_ND), 500):
        like_BN = float_ND[i : i + 500] @ float_ND[: i + 500].T
        like_BN /= np.sqrt(square_N[i : i + 500, None] * square_N[None, : i + 500])
        for n, like_N in enumerate(like_BN, i):
            others_K = like_N[:n][kept_N[:n]]
            value = round(float(others_K.max()), 6) if len(others_K) else None
            kept_N[n] = value is None or value <= RULE.threshold
            found.append((bool(kept_N[n]), value))
    return found


def side(name: str, file: str) -> None:
    rows_ND = np.load(file)
    rows, dropped = [row.tobytes() for row in rows_ND], list[int]()
    float_ND = rows_ND.astype("f4")
    began, burnt = time.perf_counter(), time.process_time()
    if name == "products":
        for i in range(0, len(rows), BATCH):
            float_ND[i : i + BATCH] @ float_ND[: i + BATCH].T
    else:
        dropped = [n for n, (keep, _) in enumerate(judged(rows)) if not keep]
    took = {"cpu": time.process_time() - burnt, "wall": time.perf_counter() - began, "dropped": dropped}
    sys.stdout.write(json.dumps(took))


def compare(rows_ND: Any, python: str, threads: int) -> None:
    env = {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        half, whole = Path(folder) / "half.npy", Path(folder) / "whole.npy"
        np.save(half, rows_ND)
        np.save(whole, unit(rows_ND.astype("f4")))
        sides = {name: [sys.executable, __file__, "--side", name, str(half)] for name in ("gen", "products")}
        for peer in ("faiss", "hnswlib", "usearch", "semhash") if python else ():
            sides[peer] = [python, str(ROOT / "benchmarks/peers/cosine.py"), peer, str(whole)]
        sys.stdout.write(
            f"\n{len(rows_ND):,} vectors\n{'':10}{'CPU s':>8}{'s':>8}{'peak MB':>9}{'dropped':>9}{'other':>7}\n"
        )
        ours = set[int]()
        for name, command in sides.items():
            took = spent(command, env)
            said = json.loads(took.said.splitlines()[-1])
            dropped = set(said["dropped"])
            ours = dropped if name == "gen" else ours
            counts = "\n" if name == "products" else f"{len(dropped):9,}{len(dropped ^ ours):7,}\n"
            sys.stdout.write(f"{name:10}{said['cpu']:8.1f}{said['wall']:8.1f}{took.peak_mb:9,.0f}{counts}")
            sys.stdout.flush()


def recall(rows_ND: Any) -> None:
    """What clusters find of what the exact search drops."""
    rows = [row.tobytes() for row in rows_ND]
    sys.stdout.write(f"\nin clusters from the first 4,096 on, {len(rows):,} vectors\n")
    for threshold in (RULE.threshold, 0.7):
        exact, near = (
            {n for n, (keep, _) in enumerate(judged(rows, Semantic(threshold, exact_to=to))) if not keep}
            for to in (0, 4096)
        )
        more = f"{len(near - exact):,} that it keeps"
        sys.stdout.write(f"above {threshold}: {len(near & exact):,} of {len(exact):,} that the exact drops, {more}\n")


def asked_for(index: SemanticIndex, asked: list[Vector]) -> tuple[float, float, set[int]]:
    """Milliseconds for one, of the clock and of CPU, and who is dropped."""
    began, burnt, dropped = time.perf_counter(), time.process_time(), set[int]()
    for i in range(0, len(asked), BATCH):
        coming = [(sample(-n), row) for n, row in enumerate(asked[i : i + BATCH], i + 1)]
        index.expect(coming)
        dropped |= {n for n, (one, row) in enumerate(coming, i) if not index.judge(one, row).keep}
    wall, cpu = time.perf_counter() - began, time.process_time() - burnt
    return wall / len(asked) * 1e3, cpu / len(asked) * 1e3, dropped


def growth(rows_ND: Any) -> None:
    columns = f"{'ms a candidate':>16}{'of CPU':>8}{'candidates/s':>14}{'bytes a vector':>16}"
    sys.stdout.write(f"\n{'pool':>9}{'':10}{columns}{'found':>9}\n")
    asked = [row.tobytes() for row in vectors(rows_ND[:REAL], REAL + 10 * BATCH, seed=1)[REAL:]]
    sides = {"exact": RULE.open(), "clusters": Semantic(exact_to=CLUSTERED_FROM).open()}
    held, last, enough = dict.fromkeys(sides, 0.0), (0, 0.0), 0.0
    for size in [size for size in SIZES if size <= len(rows_ND)]:
        drops = set[int]()
        for name, index in sides.items():
            before = resident()
            for number in range(len(index.ids), size):
                index.admit(sample(number), rows_ND[number].tobytes())
            held[name] += (resident() - before) * 2**20
            if name == "clusters" and not index.clusters:
                continue
            cost, of_cpu, dropped = asked_for(index, asked)
            drops = drops or dropped
            part = f"{len(dropped & drops) / len(drops):9.2%}" if name == "clusters" else ""
            sys.stdout.write(
                f"{size:9,}  {name:8}{cost:16.2f}{of_cpu:8.2f}{1e3 / cost:14,.0f}{held[name] / size:16,.0f}{part}\n"
            )
            sys.stdout.flush()
            if name == "exact":
                if last[1] < 1 <= cost:
                    enough = last[0] + (size - last[0]) * (1 - last[1]) / (cost - last[1])
                last = size, cost
    limit = f"{enough:,.0f}" if enough else f"more than {last[0]:,}"
    sys.stdout.write(f"1,000 candidates/s exactly, up to a pool of {limit}\n")


def main(most: int) -> None:
    rows_ND, python = real(), peer_python()
    assert [*judged([row.tobytes() for row in rows_ND])] == plain(rows_ND), "not the values of a plain loop"
    sys.stdout.write("values and verdicts at 10,000 are those of a plain exact loop\n")
    recall(rows_ND)
    compare(rows_ND, python, 1)
    if most > REAL:
        compare(vectors(rows_ND, 52_002), python, os.cpu_count() or 1)
        growth(vectors(rows_ND, most))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        side(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1])
