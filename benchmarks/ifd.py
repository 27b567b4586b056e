"""IFD of real rows on a CPU: ours against two plain transformers loops, one row at a time (two forwards, the loss of
its logits), and batches in file order padded to their longest. The ways alternate; rows a second are medians, ratios
are medians of the ratios in the same repetition, of wall time and of CPU time; mean losses must agree within 1e-4.

    python benchmarks/ifd.py [DATA] [--rows 100] [--repeat 5]

Measured with the bundled model, and with random weights in the shape of a small real one. For small models ours runs as
many passes at once as there are cores: the ratio of CPU time says what is saved, that of wall time what is waited.
Elsewhere torch shares out each pass; OMP_NUM_THREADS=1 gives one thread to all where the cores have other work."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bench import data, taken

from filters.scores.ifd import Ifd
from gen.core import Sample
from gen.engines.embedder import bundled
from gen.engines.local import Local
from gen.micro.bundled import weights
from gen.seeds import read_rows

BATCH = 32
Ids: TypeAlias = tuple[list[int], list[int]]
"""What is given and what is scored of one half of a row."""
Loss: TypeAlias = tuple[float, float]
"""Mean loss of an answer in nats a token, conditioned and direct."""
TEMPLATE = (
    "{% for m in messages %}[CLS] {{ m['role'] }} {{ m['content'] }} [SEP] {% endfor %}"
    "{% if add_generation_prompt %}[CLS] assistant {% endif %}"
)


def ours(engine: Local, loop: asyncio.AbstractEventLoop, samples: Sequence[Sample]) -> list[Loss]:
    metric, places = Ifd(), asyncio.Semaphore(engine.scoring_width)

    async def one(sample: Sample) -> Loss:
        async with places:
            measurement = metric.measure(sample)
            halves = await asyncio.gather(*map(engine.score, next(measurement)))
            found = metric.compare(*halves)
            return found.s_cond or 0.0, found.s_direct or 0.0

    async def run() -> list[Loss]:
        return await asyncio.gather(*map(one, samples))

    return loop.run_until_complete(run())


def halves(tokenizer: Any, sample: Sample) -> tuple[Ids, Ids]:
    said = [{"role": m.role, "content": m.content} for m in sample.messages[:-1]]
    prompt = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    text = tokenizer(sample.response, add_special_tokens=False)["input_ids"]
    return (tokenizer(prompt, add_special_tokens=False)["input_ids"], text), (text[:1], text[1:])


def plain(model: Any, tokenizer: Any, samples: Sequence[Sample], batch: int) -> list[Loss]:
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
        found += zip(losses([c for c, _ in cut]), losses([d for _, d in cut]), strict=True)
    return found


def small(folder: Path) -> Path:
    """A checkpoint of random weights in the shape of SmolLM2-135M; words are cut as the bundled encoder cuts them."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer.from_file(str(bundled() / "tokenizer.json"))
    core.no_truncation()
    core.no_padding()
    core.post_processor = TemplateProcessing("$A")  # nothing before a text, as most instruct models have it
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "eos_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=2048, chat_template=TEMPLATE, **names)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=2048, tie_word_embeddings=True, eos_token_id=102,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def threaded(count: int, run: Callable[[], list[Loss]]) -> Callable[[], list[Loss]]:
    import torch

    def with_threads() -> list[Loss]:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        found = run()
        torch.set_num_threads(before)
        return found

    return with_threads


def compare(title: str, folder: Path, real: Sequence[Sample], rows: int, repeat: int, threads: int) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    long = (s for s in real if len(tokenizer(s.response, add_special_tokens=False)["input_ids"]) > 1)
    samples = list(itertools.islice(long, rows))
    loop, engine = asyncio.new_event_loop(), Local(folder, device="cpu")
    loop.run_until_complete(engine.open())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    ways: dict[str, Callable[[], list[Loss]]] = {
        "ours": lambda: ours(engine, loop, samples),
        f"one by one, threads: {threads}": threaded(threads, lambda: plain(model, tokenizer, samples, 1)),
        "one by one, one thread": threaded(1, lambda: plain(model, tokenizer, samples, 1)),
        f"padded in file order, threads: {threads}": threaded(threads, lambda: plain(model, tokenizer, samples, BATCH)),
    }
    took, values = taken(ways, repeat)
    loop.run_until_complete(engine.close())
    sys.stdout.write(
        f"\n{title}, {len(samples)} rows\n{'':36}{'rows/s':>8}{'x our time':>12}{'x our CPU':>11}{'apart':>10}\n"
    )
    for name, pairs in took.items():
        wall, cpu = (statistics.median(a[i] / b[i] for a, b in zip(pairs, took["ours"], strict=True)) for i in (0, 1))
        right = values["one by one, one thread"]
        apart = max(abs(x - y) for a, b in zip(values[name], right, strict=True) for x, y in zip(a, b, strict=True))
        rate = len(samples) / statistics.median(seconds for seconds, _ in pairs)
        sys.stdout.write(f"{name:36}{rate:8.1f}{wall:12.2f}{cpu:11.2f}{apart:10.1e}\n")
        assert apart < 1e-4, f"{name}: mean losses differ by {apart}"
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="real rows with answers; Alpaca's where none are named")
    parser.add_argument("--rows", type=int, default=100, help="of the bundled model; a fifth for the other")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    import torch

    threads = torch.get_num_threads()
    found = read_rows([options.data or str(data("alpaca/alpaca_data.json.gz"))])
    good = (sample for _, sample in found if sample and (sample.response or "").strip())
    rows = random.Random(0).sample(list(itertools.islice(good, 5000)), 2 * options.rows)
    compare("micro, 3.6 million weights", weights(), rows, options.rows, options.repeat, threads)
    torch.set_num_threads(threads)  # the small model has set one for all threads to come
    with tempfile.TemporaryDirectory() as folder:
        shape = "random weights in the shape of SmolLM2-135M"
        compare(shape, small(Path(folder)), rows, max(1, options.rows // 5), options.repeat, threads)


if __name__ == "__main__":
    main()
