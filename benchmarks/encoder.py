"""The encoder of the gate: texts a second of the bundled all-MiniLM-L6-v2 on a CPU, asked one by one and concurrently
as a run asks, against plain `SentenceTransformer.encode`.

    python benchmarks/encoder.py [TEXTS] [REPEATS] [--reduced]

Texts are Alpaca's instructions with inputs. The ways alternate; ratios are medians of those in the same repetition, of
wall time and of CPU time. Vectors must be those of `encode` but for the rounding to float16, and the same to the bit in
another order and in small batches. `--reduced` shows instead why they are float32: what int8 and bfloat16 gain on this
CPU, by how much a cosine is off, and how many vectors are still the same alone and in a batch."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from bench import data, taken

from filters.dedup.semantic import Semantic
from gen.core import Embedder
from gen.engines.embedder import bundled, open_embedder
from gen.seeds import read_rows


def main(count: int, repeats: int) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    texts = some(count)
    loop, threads = asyncio.new_event_loop(), torch.get_num_threads()
    wide, narrow = (open_embedder(device="cpu", width=width) for width in (256, 7))
    for embedder in (wide, narrow):
        loop.run_until_complete(embedder.open())
    plain = SentenceTransformer(str(bundled()), device="cpu", local_files_only=True)

    def encode(size: int, threads: int) -> Any:
        torch.set_num_threads(threads)
        return plain.encode(texts, batch_size=size, normalize_embeddings=True, show_progress_bar=False)

    ways: dict[str, Callable[[], Any]] = {"gen": lambda: embedded(loop, wide, texts)}
    for size, used in sorted({(32, threads), (8, threads), (32, 1), (8, 1)}, reverse=True):
        ways[f"encode, batches of {size}, threads: {used}"] = lambda size=size, used=used: encode(size, used)
    took, vectors = taken(ways, repeats)
    sys.stdout.write(f"{count:,} texts\n{'':36}{'texts/s':>9}{'x our time':>12}{'x our CPU':>11}{'apart':>10}\n")
    ours_ND = np.stack([np.frombuffer(vector, "<f2") for vector in vectors["gen"]]).astype("f4")
    for name, pairs in took.items():
        wall, cpu = (statistics.median(a[i] / b[i] for a, b in zip(pairs, took["gen"], strict=True)) for i in (0, 1))
        apart = 0.0 if name == "gen" else float(abs(ours_ND - vectors[name]).max())
        rate = count / statistics.median(seconds for seconds, _ in pairs)
        sys.stdout.write(f"{name:36}{rate:9,.0f}{wall:12.2f}{cpu:11.2f}{apart:10.1e}\n")
        assert apart < 2e-4, f"{name}: vectors differ by {apart}"
    order = random.Random(1).sample(range(count), count)
    others = embedded(loop, narrow, [texts[i] for i in order])
    assert [vectors["gen"][i] for i in order] == others, "a vector depends on what was embedded with it"
    sys.stdout.write("the same to the bit in another order, in batches of 7\n")
    for embedder in (wide, narrow):
        loop.run_until_complete(embedder.close())


def reduced(count: int, repeats: int) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from torch.ao.quantization import quantize_dynamic

    torch.set_num_threads(1)
    texts = some(count)
    models = [SentenceTransformer(str(bundled()), device="cpu", local_files_only=True) for _ in range(3)]
    int8 = quantize_dynamic(models[1], {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    kinds = {"float32": models[0], "int8 (dynamic)": int8, "bfloat16": models[2].bfloat16()}

    def encode(model: Any, texts: Sequence[str]) -> Any:
        found = model.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, "f4")

    took, vectors = taken({name: lambda m=m: encode(m, texts) for name, m in kinds.items()}, repeats)
    head = f"{'':20}{'x float32 CPU':>14}{'cosine off by':>15}{'same alone':>12}"
    sys.stdout.write(f"{count:,} texts, one thread\n{head}\n")
    cosine_NN = vectors["float32"] @ vectors["float32"].T
    for name, model in kinds.items():
        gain = statistics.median(a[1] / b[1] for a, b in zip(took["float32"], took[name], strict=True))
        off = float(abs(vectors[name] @ vectors[name].T - cosine_NN).max())
        alone = sum(np.array_equal(encode(model, [text])[0], vectors[name][i]) for i, text in enumerate(texts[:50]))
        sys.stdout.write(f"{name:20}{gain:14.2f}{off:15.4f}{alone:9} of 50\n")


def some(count: int) -> list[str]:
    found = (sample for _, sample in read_rows([str(data("alpaca/alpaca_data.json.gz"))]) if sample)
    return [Semantic(column="prompt").text(s) for s in random.Random(0).sample(list(islice(found, 10_000)), count)]


def embedded(loop: asyncio.AbstractEventLoop, embedder: Embedder, texts: Sequence[str]) -> list[bytes]:
    async def run() -> list[bytes]:
        return await asyncio.gather(*map(embedder.embed, texts))

    return loop.run_until_complete(run())


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:] if argument != "--reduced"]
    (reduced if "--reduced" in sys.argv else main)(*(given + [600, 5][len(given) :]))
