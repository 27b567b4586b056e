"""Semantic dedup, measured: the greedy exact search against other ways to the same kept set.

    python benchmarks/semantic.py [DATA] [--rows 20000] [--repeats 5]

DATA is whatever `gen evolve` reads (none: the Alpaca file). The ways alternate within each repeat; the table
has the median of their seconds, of their seconds of CPU (all threads), and of the ratios of both to ours in the same
repeat. `product` is the least that an exact search computes: the bare float32 products of each block with what was kept
before it. Vectors are made once and stay in the system's temporary folder."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench import data, taken

from filters.dedup.semantic import Semantic
from gen.core import digest
from gen.engines.embedder import open_embedder
from gen.seeds import read_seeds

BLOCK = 64
"""Samples that are announced and judged together."""
RULE = Semantic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    samples = list(read_seeds([args.data or str(data("alpaca/alpaca_data.json.gz"))], limit=args.rows).samples)
    texts = [RULE.text(sample) for sample in samples]
    vectors = asyncio.run(embedded(texts))
    rows_ND = np.stack([np.frombuffer(vector, "<f2") for vector in vectors]).astype("f4")
    searches(samples, vectors, rows_ND / np.linalg.norm(rows_ND, axis=1)[:, None], args.repeats)


def table(title: str, ways: dict[str, Callable[[], Any]], repeats: int, rate: Callable[[float], str]) -> dict[str, Any]:
    """Runs the ways in turn, prints what each took, returns what each gave."""
    took, gave = taken(ways, repeats)
    own = next(iter(took.values()))
    print(f"\n{title}\n\n| way | seconds | of CPU | rate | ratio | of CPU |\n|---|---|---|---|---|---|")
    for name, each in took.items():
        seconds, cpu = (statistics.median(pair[i] for pair in each) for i in (0, 1))
        ratios = [statistics.median(a[i] / b[i] for a, b in zip(each, own, strict=True)) for i in (0, 1)]
        print(f"| {name} | {seconds:.3f} | {cpu:.3f} | {rate(seconds)} | {ratios[0]:.2f} | {ratios[1]:.2f} |")
    return gave


async def embedded(texts: Sequence[str]) -> list[bytes]:
    embedder = open_embedder()
    await embedder.open()
    width = len(await embedder.embed("width"))
    cache = Path(tempfile.gettempdir()) / f"gen-vectors-{digest(embedder.fingerprint, texts)}"
    if not cache.exists():
        gate = asyncio.Semaphore(embedder.width)

        async def one(text: str) -> bytes:
            async with gate:
                return await embedder.embed(text)

        cache.write_bytes(b"".join(await asyncio.gather(*map(one, texts))))
    await embedder.close()
    data = cache.read_bytes()
    return [data[i : i + width] for i in range(0, len(data), width)]


def searches(samples: Sequence[Any], vectors: Sequence[bytes], unit_ND: Any, repeats: int) -> None:
    n, threshold = len(unit_ND), RULE.threshold
    kept = ours(samples, vectors)
    before = [int(np.searchsorted(kept, i)) for i in range(0, n, BLOCK)]
    flops = 2.0 * unit_ND.shape[1] * sum(count * BLOCK for count in before)

    def sklearn_neighbours(block_BD: Any, kept_MD: Any) -> Any:
        from sklearn.neighbors import NearestNeighbors

        found = NearestNeighbors(n_neighbors=1, metric="cosine", algorithm="brute").fit(kept_MD).kneighbors(block_BD)
        return 1 - found[0][:, 0]

    def sklearn_cosine(block_BD: Any, kept_MD: Any) -> Any:
        from sklearn.metrics.pairwise import cosine_similarity

        return cosine_similarity(block_BD, kept_MD).max(1)

    def product() -> None:
        kept_MD = unit_ND[kept].copy()
        for i, count in zip(range(0, n, BLOCK), before, strict=True):
            unit_ND[i : i + BLOCK] @ kept_MD[:count].T

    ways = {
        "semantic": lambda: ours(samples, vectors),
        "numpy, matrix times vector": lambda: greedy(unit_ND, 1, lambda x_BD, y_MD: (y_MD @ x_BD[0])[None].max(1)),
        "numpy, blocks": lambda: greedy(unit_ND, BLOCK, lambda x_BD, y_MD: (x_BD @ y_MD.T).max(1)),
        "sklearn NearestNeighbors, blocks": lambda: greedy(unit_ND, BLOCK, sklearn_neighbours),
        "sklearn cosine_similarity, blocks": lambda: greedy(unit_ND, BLOCK, sklearn_cosine),
        "product": product,
    }
    title = f"{n:,} vectors of {unit_ND.shape[1]}, {len(kept):,} kept at {threshold}"
    gave = table(title, ways, repeats, lambda seconds: f"{flops / seconds / 1e9:,.1f} GFLOP/s")
    for name, found in gave.items():
        if found is not None and found != kept:
            print(f"{name} keeps others: {sorted({*found} ^ {*kept})[:5]}")


def ours(samples: Sequence[Any], vectors: Sequence[bytes]) -> list[int]:
    index, kept, pairs = RULE.open(), [], list(zip(samples, vectors, strict=True))
    for i in range(0, len(pairs), BLOCK):
        index.expect(pairs[i : i + BLOCK])
        for j, (sample, vector) in enumerate(pairs[i : i + BLOCK], i):
            if index.judge(sample, vector).keep:
                index.admit(sample, vector)
                kept.append(j)
    return kept


def greedy(unit_ND: Any, size: int, nearest: Callable[[Any, Any], Any]) -> list[int]:
    """Without families, without near ties, without the neighbour's name: what the others are spared."""
    kept: list[int] = []
    kept_MD = np.empty_like(unit_ND)
    for i in range(0, len(unit_ND), size):
        block_BD, count = unit_ND[i : i + size], len(kept)
        best_B = nearest(block_BD, kept_MD[:count]) if count else np.full(len(block_BD), -1.0)
        for b, x_D in enumerate(block_BD):
            new_MD = kept_MD[count : len(kept)]
            if max(best_B[b], (new_MD @ x_D).max(initial=-1.0)) <= RULE.threshold:
                kept_MD[len(kept)] = x_D
                kept.append(i + b)
    return kept


if __name__ == "__main__":
    main()
