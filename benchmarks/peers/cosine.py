"""Semantic dedup by others' indexes: `cosine.py faiss|hnswlib|usearch|semhash ROWS.npy`, unit vectors in float32. All
are indexed, all are asked for what has a cosine above 0.9 (an approximate index: for its ten nearest), and a row is
dropped where such a row before it was kept. Says seconds of CPU and of the clock, and the rows dropped."""

import json
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

THRESHOLD = 0.9
THREADS = int(os.environ["OMP_NUM_THREADS"])


def greedy(pairs: Iterable[tuple[int, int]]) -> list[int]:
    near: dict[int, list[int]] = {}
    for a, b in pairs:
        near.setdefault(max(a, b), []).append(min(a, b))
    dropped: set[int] = set()
    for row in sorted(near):
        if any(other != row and other not in dropped for other in near[row]):
            dropped.add(row)
    return sorted(dropped)


def above(labels_NK: Any, cosine_NK: Any) -> Iterable[tuple[int, int]]:
    rows_P, at_P = np.nonzero(cosine_NK > THRESHOLD)
    return zip(rows_P.tolist(), labels_NK[rows_P, at_P].tolist(), strict=True)


def faiss(rows_ND: Any) -> list[int]:
    import faiss as library

    index = library.IndexFlatIP(rows_ND.shape[1])
    index.add(rows_ND)
    limits, _, labels = index.range_search(rows_ND, THRESHOLD)
    rows_P = np.repeat(np.arange(len(rows_ND)), np.diff(limits.astype(int)))
    return greedy(zip(rows_P.tolist(), labels.tolist(), strict=True))


def hnswlib(rows_ND: Any) -> list[int]:
    import hnswlib as library

    index = library.Index(space="ip", dim=rows_ND.shape[1])
    index.init_index(max_elements=len(rows_ND))
    index.set_num_threads(THREADS)
    index.add_items(rows_ND)
    labels_NK, distance_NK = index.knn_query(rows_ND, k=10)
    return greedy(above(labels_NK.astype(int), 1 - distance_NK))


def usearch(rows_ND: Any) -> list[int]:
    from usearch.index import Index

    index = Index(ndim=rows_ND.shape[1], metric="ip", dtype="f32")
    index.add(np.arange(len(rows_ND)), rows_ND, threads=THREADS)
    found = index.search(rows_ND, 10, threads=THREADS)
    return greedy(above(found.keys.astype(int), 1 - found.distances))


def semhash(rows_ND: Any) -> list[int]:
    from semhash import SemHash

    names = [str(number) for number in range(len(rows_ND))]
    made = SemHash.from_embeddings(rows_ND, names, model=None)
    kept = {int(name) for name in made.self_deduplicate(threshold=THRESHOLD).selected}
    return [number for number in range(len(rows_ND)) if number not in kept]


def main(side: str, file: str) -> None:
    rows_ND = np.load(file)
    __import__(side)
    began, burnt = time.perf_counter(), time.process_time()
    dropped = {"faiss": faiss, "hnswlib": hnswlib, "usearch": usearch, "semhash": semhash}[side](rows_ND)
    print(json.dumps({"cpu": time.process_time() - burnt, "wall": time.perf_counter() - began, "dropped": dropped}))


if __name__ == "__main__":
    main(*sys.argv[1:])
