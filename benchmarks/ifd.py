"""IFD of real rows with the bundled model: ours against two plain transformers loops, one row at a time, and batches
in file order padded to their longest. The three alternate; medians over the repetitions; the numbers must agree within
1e-4.

    python benchmarks/ifd.py [DATA] [--rows 300] [--repeat 3]"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench import data

from filters.scores.ifd import Ifd
from gen.core import Sample
from gen.engines.local import Local
from gen.micro.bundled import weights
from gen.seeds import read_rows

BATCH = 32
Ids = tuple[list[int], list[int]]
"""What is given and what is scored of one half of a row."""


def ours(engine: Local, loop: asyncio.AbstractEventLoop, samples: Sequence[Sample]) -> list[float]:
    metric, places = Ifd(), asyncio.Semaphore(engine.scoring_width)

    async def one(sample: Sample) -> float:
        async with places:
            measurement = metric.measure(sample)
            halves = await asyncio.gather(*map(engine.score, next(measurement)))
            return metric.compare(*halves).ifd or 0.0

    async def run() -> list[float]:
        return await asyncio.gather(*map(one, samples))

    return loop.run_until_complete(run())


def halves(tokenizer: Any, sample: Sample) -> tuple[Ids, Ids]:
    said = [{"role": m.role, "content": m.content} for m in sample.messages[:-1]]
    prompt = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    text = tokenizer(sample.response, add_special_tokens=False)["input_ids"]
    return (tokenizer(prompt, add_special_tokens=False)["input_ids"], text), (text[:1], text[1:])


def plain(model: Any, tokenizer: Any, samples: Sequence[Sample], batch: int) -> list[float]:
    """The loss of transformers' logits; right-padded where `batch` is above 1."""
    import torch

    def losses(group: Sequence[Ids]) -> list[float]:
        width = max(len(p) + len(t) for p, t in group)
        rows = [[*p, *t] + [0] * (width - len(p) - len(t)) for p, t in group]
        mask = [[1] * (len(p) + len(t)) + [0] * (width - len(p) - len(t)) for p, t in group]
        labels = [[-100] * len(p) + [*t] + [-100] * (width - len(p) - len(t)) for p, t in group]
        with torch.no_grad():
            logits = model(torch.tensor(rows), attention_mask=torch.tensor(mask)).logits.float()
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), torch.tensor(labels)[:, 1:], ignore_index=-100, reduction="none"
        )
        return [row.sum().item() / len(t) for row, (_, t) in zip(loss, group, strict=True)]

    found = []
    for group in (samples[i : i + batch] for i in range(0, len(samples), batch)):
        cut = [halves(tokenizer, sample) for sample in group]
        found += [c / d for c, d in zip(losses([c for c, _ in cut]), losses([d for _, d in cut]), strict=True)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="IFD: ours against plain transformers loops")
    parser.add_argument("data", nargs="?", help="real rows with answers; Alpaca's where none are named")
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    good = (
        sample
        for _, sample in read_rows([options.data or str(data("alpaca/alpaca_data.json.gz"))])
        if sample and sample.response
    )
    tokenizer = AutoTokenizer.from_pretrained(weights())
    long = (s for s in good if len(tokenizer(s.response, add_special_tokens=False)["input_ids"]) > 1)
    samples = list(itertools.islice(long, options.rows))
    loop, engine = asyncio.new_event_loop(), Local(weights())
    loop.run_until_complete(engine.open())  # sets the threads of torch, for all three alike
    model = AutoModelForCausalLM.from_pretrained(weights(), dtype="float32").eval()
    ways: dict[str, Callable[[], list[float]]] = {
        "ours": lambda: ours(engine, loop, samples),
        "one by one": lambda: plain(model, tokenizer, samples, 1),
        "padded in file order": lambda: plain(model, tokenizer, samples, BATCH),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, list[float]] = {}
    for _ in range(options.repeat):
        for name, run in ways.items():
            began = time.perf_counter()
            values[name] = run()
            took[name].append(time.perf_counter() - began)
    loop.run_until_complete(engine.close())
    medians = {name: statistics.median(seconds) for name, seconds in took.items()}
    for name, median in medians.items():
        apart = max(abs(a - b) for a, b in zip(values[name], values["one by one"], strict=True))
        print(
            f"{name:22} {len(samples) / median:7.1f} rows/s  {median / medians['ours']:5.2f} x ours' time  "
            f"largest difference {apart:.1e}"
        )
        assert apart < 1e-4, f"{name}: IFD differs by {apart}"


if __name__ == "__main__":
    main()
