"""How requests share batches of one model without noticing one another.

Sampling is greedy decoding over perturbed logits (Gumbel-max, arXiv 1611.01144 section 2): with E_v drawn
from Exp(1) for each token v, argmax_v(logit_v / T - ln E_v) is distributed as softmax(logit / T). Each row
draws its E from a generator of its own, seeded once and advanced once a step, so that a token depends on
(logits, seed, step) and on nothing else in the batch.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from gen.core import Sampling
from gen.errors import EngineError

HEAD = 256
"""A nucleus is looked for among this many tokens first: sorting a vocabulary of 150k costs ten times as much."""
MAX_TOKENS = 1 << 16
"""Prompt tokens, padding included, that a batch may hold: attention masks grow with their product by length."""
BLOCK = 128
"""Tokens by which a cache grows."""


class Row(NamedTuple):
    """One request inside a batch; `limit` is how many tokens it may generate, at least one."""

    prompt: Sequence[int]
    limit: int
    sampling: Sampling
    seed: int


def generate(
    model: Any, rows: Sequence[Row], is_abandoned: Callable[[int], bool], *, eos: Sequence[int], pad: int
) -> list[list[int]]:
    """The new token ids of each row, up to and with its end token, or cut at its own limit."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width, longest, device = max(len(row.prompt) for row in rows), max(row.limit for row in rows), model.device
    filler = [width - len(row.prompt) for row in rows]

    def stop(ids_BT: Any, _scores: Any, **_: Any) -> Any:
        ended = [ids_BT.shape[1] >= width + row.limit or is_abandoned(i) for i, row in enumerate(rows)]
        return torch.tensor(ended, device=device)

    out_BT = model.generate(
        torch.tensor([[pad] * n + [*row.prompt] for n, row in zip(filler, rows, strict=True)], device=device),
        attention_mask=torch.tensor([[0] * n + [1] * (width - n) for n in filler], device=device),
        generation_config=GenerationConfig(max_new_tokens=longest, eos_token_id=list(eos) or None, pad_token_id=pad),
        logits_processor=LogitsProcessorList([_gumbel_max(rows, width, device)]),
        stopping_criteria=StoppingCriteriaList([stop]),
        **_growing_cache(model),
    )
    found = [ids[: row.limit] for row, ids in zip(rows, out_BT[:, width:].tolist(), strict=True)]
    return [ids[: next((i for i, token in enumerate(ids, 1) if token in eos), None)] for ids in found]


def _gumbel_max(rows: Sequence[Row], width: int, device: Any) -> Callable[[Any, Any], Any]:
    """A logits processor: each row's penalties, temperature, top_p, then noise; none of the last three at temperature
    0. Prompts are `width` tokens long, padding included."""
    import torch

    # temperatures under 1e-5 are greedy, as in vLLM: division would overflow float32
    heats = [row.sampling.temperature if row.sampling.temperature > 1e-5 else 0.0 for row in rows]
    heat_B1 = torch.tensor([[heat or 1.0] for heat in heats], device=device)
    top_p_B1 = torch.tensor([[row.sampling.top_p] for row in rows], device=device)
    generators = [torch.Generator(device).manual_seed(row.seed) for row in rows]

    def process(ids_BT: Any, scores_BV: Any) -> Any:
        scores_BV = penalised(scores_BV, ids_BT[:, width:], [row.sampling.presence_penalty for row in rows])
        noise_BV = torch.ones_like(scores_BV)
        for heat, noise_V, generator in zip(heats, noise_BV, generators, strict=True):
            if heat:
                noise_V.exponential_(generator=generator)
        # an Exp(1) draw that rounds to 0 would make its token certain
        return nucleus(scores_BV / heat_B1, top_p_B1) - noise_BV.clamp_min_(torch.finfo(noise_BV.dtype).tiny).log_()

    return process


def penalised(scores_BV: Any, said_BT: Any, penalties: Sequence[float]) -> Any:
    """The scores with each row's presence penalty taken, once, from those of the tokens that it has already said."""
    if not any(penalties):
        return scores_BV
    scores_BV = scores_BV.clone()
    for scores_V, said_T, penalty in zip(scores_BV, said_BT, penalties, strict=True):
        scores_V[said_T.unique()] -= penalty
    return scores_BV


def nucleus(scores_BV: Any, top_p_B1: Any) -> Any:
    """The scores with -inf outside the smallest set of likeliest tokens whose mass reaches top_p.

    (arXiv 1904.09751 section 3.1.) The likeliest token always stays; so do ties with the last one in."""
    whole_B1 = top_p_B1 >= 1
    if bool(whole_B1.all()):
        return scores_BV
    p_BV = scores_BV.softmax(-1)
    for size in (min(HEAD, p_BV.shape[-1]), p_BV.shape[-1]):
        top_BK = p_BV.topk(size).values
        mass_BK = top_BK.cumsum(-1)
        if bool(((mass_BK[:, -1:] >= top_p_B1) | whole_B1).all()):
            break
    last_B1 = (mass_BK < top_p_B1).sum(-1, keepdim=True).clamp_max(size - 1)
    return scores_BV.masked_fill((p_BV < top_BK.gather(1, last_B1)) & ~whole_B1, float("-inf"))


def _growing_cache(model: Any) -> dict[str, Any]:
    """A cache with room for BLOCK more tokens: transformers' own copies all that it holds at every step, which
    takes half of the time at 32 rows of 800 tokens. Empty for a model that holds more than plain attention."""
    import torch
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    class Growing(DynamicLayer):  # type: ignore[misc]
        room = 0

        def update(self, keys: Any, values: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            used = self.get_seq_length()
            size = used + keys.shape[-2]
            if size > self.room:
                self.stores = [torch.nn.functional.pad(held, (0, 0, 0, BLOCK)) for held in super().update(keys, values)]
                self.room = size + BLOCK
            for store, new in zip(self.stores, (keys, values), strict=True):
                store[:, :, used:size] = new
            self.keys, self.values = (store[:, :, :size] for store in self.stores)
            return self.keys, self.values

    cache = DynamicCache(config=model.config)
    takes = "past_key_values" in inspect.signature(model.forward).parameters
    is_plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    cache.layers = [Growing() for _ in cache.layers]
    return {"past_key_values": cache} if takes and is_plain else {}


@dataclass(eq=False, slots=True)
class _Asked:
    item: Any
    length: int
    answer: asyncio.Future[Any]


class Batcher:
    """Runs what concurrent callers ask in batches of similar length, one after another, in `thread`: at most `most`,
    and `tokens` with their padding.

    The oldest question is always in the next batch. A failure of `run` reaches every caller of its batch
    as EngineError; memory running out halves the batch first. A cancelled caller's question is dropped."""

    def __init__(
        self, run: Callable[[list[Any], Callable[[int], bool]], list[Any]], thread: ThreadPoolExecutor, most: int,
        tokens: int | None = None,
    ) -> None:  # fmt: skip
        self._run, self._thread, self._most, self._tokens = run, thread, most, tokens
        self._pending: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: Any, length: int) -> Any:
        asked = _Asked(item, length, asyncio.get_running_loop().create_future())
        self._pending.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        if isinstance(found := await asked.answer, EngineError):
            raise found
        return found

    async def close(self) -> None:
        """Cancel every question; a generation that runs ends at its next token."""
        for asked in self._pending:
            asked.answer.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        while self._pending:
            if len(self._pending) < self._most:
                await asyncio.sleep(0.003)  # callers answered together ask again together
            if batch := self._take():
                results = await asyncio.get_running_loop().run_in_executor(self._thread, self._halving, batch)
                for asked, result in zip(batch, results, strict=True):
                    if not asked.answer.done():
                        asked.answer.set_result(result)
            self._pending = [asked for asked in self._pending if not asked.answer.done()]

    def _take(self) -> list[_Asked]:
        """The oldest question and those nearest to it in length: among long ones, short ones would be padding."""
        waiting = [asked for asked in self._pending if not asked.answer.done()]
        first = waiting[0].length if waiting else 0
        near = sorted(waiting, key=lambda asked: abs(asked.length - first))[: self._most]
        batch = [asked for asked in near if max(asked.length, first) <= 4 * min(asked.length, first) + 256]
        while len(batch) > 1 and len(batch) * max(asked.length for asked in batch) > (self._tokens or MAX_TOKENS):
            batch.pop()
        return sorted(batch, key=lambda asked: asked.length)

    def _halving(self, batch: list[_Asked]) -> list[Any]:
        """A result for each question, or the failure."""
        try:
            return self._run([asked.item for asked in batch], lambda i: batch[i].answer.done())
        except Exception as error:
            is_full = "out of memory" in str(error) or "can't allocate memory" in str(error)
            if not is_full or len(batch) == 1:
                advice = "lower batch_size or max_tokens" if is_full else "see the cause"
                failure = EngineError(f"local engine: {type(error).__name__}: {first_line(error)}; {advice}")
                failure.__cause__ = error
                return [failure] * len(batch)
        half = len(batch) // 2
        return self._halving(batch[:half]) + self._halving(batch[half:])


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
