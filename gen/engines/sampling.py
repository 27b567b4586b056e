"""How requests share batches of one model without noticing one another: `Batcher` groups them, `generate`
and `logprobs` run a batch on the device, `GumbelMax` makes draws that belong to a request, not to its batch.

Sampling is greedy decoding over perturbed logits (Gumbel-max, arXiv 1611.01144 section 2): with E_v drawn
from Exp(1) for each token v, argmax_v(logit_v / T - ln E_v) is distributed as softmax(logit / T). Each row
draws its E from a generator of its own, seeded once and advanced once a step, so that a token depends on
(logits, seed, step) and on nothing else in the batch. Against inverting one uniform number: a rounding
difference of size d between two batch shapes changes the pick with probability of order d, not of order
d times the number of tokens ahead of it.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gen.core import Sampling
from gen.errors import EngineError

GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy, as in vLLM; division would overflow float32."""
HEAD = 256
"""A nucleus is looked for among this many tokens first: sorting a vocabulary of 150k costs ten times as much."""
MAX_LOGITS = 1 << 27
"""Logits that scoring may hold at once (512 MiB in float32); one sequence is always allowed."""
MAX_TOKENS = 1 << 16
"""Prompt tokens, padding included, that a batch may hold: attention masks grow with their product by length."""
LINGER_S = 0.003
"""A batch that could still grow waits this long: callers answered together ask again together."""
A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Row:
    """One request inside a batch."""

    prompt: Sequence[int]
    limit: int
    """Tokens that it may generate, at least one."""
    sampling: Sampling
    seed: int


class GumbelMax:
    """A logits processor (called with ids_BT, float32 scores_BV): per row temperature, top_p, then noise.

    Rows of temperature 0 pass unchanged. To be decoded greedily."""

    def __init__(self, rows: Sequence[Row], device: Any) -> None:
        import torch

        hot = [i for i, row in enumerate(rows) if row.sampling.temperature >= GREEDY_BELOW]
        cut = [j for j, i in enumerate(hot) if rows[i].sampling.top_p < 1.0]
        self._hot = torch.tensor(hot, dtype=torch.long, device=device)
        self._cut = torch.tensor(cut, dtype=torch.long, device=device)
        self._temperature_H1 = torch.tensor([[rows[i].sampling.temperature] for i in hot], device=device)
        self._top_p_C1 = torch.tensor([[rows[hot[j]].sampling.top_p] for j in cut], device=device)
        self._generators = [torch.Generator(device).manual_seed(rows[i].seed) for i in hot]

    def __call__(self, ids_BT: Any, scores_BV: Any) -> Any:
        import torch

        if not self._generators:
            return scores_BV
        scores_HV = scores_BV[self._hot] / self._temperature_H1
        if len(self._cut):
            scores_HV[self._cut] = nucleus(scores_HV[self._cut], self._top_p_C1)
        noise_HV = torch.empty_like(scores_HV)
        for noise_V, generator in zip(noise_HV, self._generators, strict=True):
            noise_V.exponential_(generator=generator)
        # an Exp(1) draw that rounds to 0 would make its token certain
        scores_BV[self._hot] = scores_HV - noise_HV.clamp_min_(torch.finfo(noise_HV.dtype).tiny).log_()
        return scores_BV


def nucleus(scores_RV: Any, top_p_R1: Any) -> Any:
    """The scores with -inf outside the smallest set of likeliest tokens whose mass reaches top_p.

    (arXiv 1904.09751 section 3.1.) The likeliest token always stays; so do ties with the last one in."""
    vocabulary = scores_RV.shape[-1]
    total_R1 = scores_RV.logsumexp(-1, keepdim=True)
    top_RK = scores_RV.topk(min(HEAD, vocabulary)).values
    mass_RK = (top_RK - total_R1).exp().cumsum(-1)
    if not bool((mass_RK[:, -1:] >= top_p_R1).all()):
        top_RK = scores_RV.sort(descending=True).values
        mass_RK = (top_RK - total_R1).exp().cumsum(-1)
    last_R1 = (mass_RK < top_p_R1).sum(-1, keepdim=True).clamp_max(vocabulary - 1)
    return scores_RV.masked_fill(scores_RV < top_RK.gather(1, last_R1), float("-inf"))


class RowStops:
    """A stopping criterion: a row ends at its own limit, or when nobody waits for it any more."""

    def __init__(self, rows: Sequence[Row], width: int, is_abandoned: Callable[[int], bool], device: Any) -> None:
        import torch

        self._ends_B = torch.tensor([width + row.limit for row in rows], device=device)
        self._is_abandoned = is_abandoned

    def __call__(self, ids_BT: Any, scores: Any, **_: Any) -> Any:
        import torch

        done_B = self._ends_B <= ids_BT.shape[1]
        gone = [self._is_abandoned(i) for i in range(len(done_B))]
        return done_B | torch.tensor(gone, device=done_B.device) if any(gone) else done_B


def generate(
    model: Any, rows: Sequence[Row], *, eos: Sequence[int], pad: int, is_abandoned: Callable[[int], bool],
) -> list[list[int]]:
    """The new token ids of each row, up to and with its end token, or cut at its own limit."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

    width = max(len(row.prompt) for row in rows)
    filler = [width - len(row.prompt) for row in rows]
    ids_BT = torch.tensor([[pad] * n + [*row.prompt] for n, row in zip(filler, rows, strict=True)], device=model.device)
    mask_BT = torch.tensor([[0] * n + [1] * (width - n) for n in filler], device=model.device)
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max(row.limit for row in rows), eos_token_id=list(eos) or None, pad_token_id=pad
    )
    with torch.inference_mode():
        out_BT = model.generate(
            ids_BT,
            attention_mask=mask_BT,
            generation_config=config,
            logits_processor=LogitsProcessorList([GumbelMax(rows, model.device)]),
            stopping_criteria=StoppingCriteriaList([RowStops(rows, width, is_abandoned, model.device)]),
        )
    return [_cut(new[: row.limit], eos) for new, row in zip(out_BT[:, width:].tolist(), rows, strict=True)]


def _cut(ids: list[int], eos: Sequence[int]) -> list[int]:
    end = next((i for i, token in enumerate(ids) if token in eos), None)
    return ids if end is None else ids[: end + 1]


Pair = tuple[Sequence[int], Sequence[int]]


def logprobs(model: Any, pairs: Sequence[Pair], *, pad: int) -> list[list[float]]:
    """Natural-log probability of each continuation token of each (prompt, continuation), in float32.

    Right-padded; neither part may be empty. Logits are computed from the shortest prompt's end on only,
    and never more than MAX_LOGITS of them at once."""
    vocabulary = int(model.config.get_text_config().vocab_size)
    groups: list[list[Pair]] = []
    for pair in pairs:
        grown = [*groups[-1], pair] if groups else [pair]
        if len(grown) > 1 and len(grown) * _span(grown) * vocabulary <= MAX_LOGITS:
            groups[-1] = grown
        else:
            groups.append([pair])
    return [found for group in groups for found in _logprobs(model, group, pad)]


def _span(pairs: Sequence[Pair]) -> int:
    """Positions from the last one of the shortest prompt to the end of the longest sequence."""
    return max(len(p) + len(c) for p, c in pairs) - min(len(p) for p, _ in pairs) + 1


def _logprobs(model: Any, pairs: Sequence[Pair], pad: int) -> list[list[float]]:
    import torch

    width = max(len(p) + len(c) for p, c in pairs)
    rows = [[*p, *c] for p, c in pairs]
    ids_BT = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=model.device)
    mask_BT = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    can_keep = "logits_to_keep" in inspect.signature(model.forward).parameters
    keep = {"logits_to_keep": _span(pairs)} if can_keep else {}
    with torch.inference_mode():
        logits_BKV = model(ids_BT, attention_mask=mask_BT, use_cache=False, **keep).logits
        first = width - logits_BKV.shape[1]
        return [
            _picked(logits_KV[len(p) - 1 - first : len(p) - 1 - first + len(c)].float(), c)
            for logits_KV, (p, c) in zip(logits_BKV, pairs, strict=True)
        ]


def _picked(logits_CV: Any, tokens: Sequence[int]) -> list[float]:
    import torch

    tokens_C1 = torch.tensor(list(tokens), device=logits_CV.device)[:, None]
    picked_C = logits_CV.gather(1, tokens_C1)[:, 0] - logits_CV.logsumexp(-1)
    return picked_C.tolist()  # type: ignore[no-any-return]


@dataclass(eq=False, slots=True)
class _Asked(Generic[A, R]):
    item: A
    size: tuple[int, int]
    """Tokens given, tokens that may be generated."""
    answer: asyncio.Future[R]


class Batcher(Generic[A, R]):
    """Groups what concurrent callers ask into batches of similar size and runs them one after another.

    The oldest question is always in the next batch. A failure of `run` reaches every caller of its batch
    as EngineError; memory running out halves the batch first. A cancelled caller's question is dropped."""

    def __init__(
        self, run: Callable[[list[A], Callable[[int], bool]], list[R]], thread: ThreadPoolExecutor, most: int
    ) -> None:
        self._run, self._thread, self._most = run, thread, most
        self._pending: list[_Asked[A, R]] = []
        self._batch: list[_Asked[A, R]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: A, size: tuple[int, int]) -> R:
        asked: _Asked[A, R] = _Asked(item, size, asyncio.get_running_loop().create_future())
        self._pending.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await asked.answer

    async def close(self) -> None:
        """Cancel every question; a generation that runs ends at its next token."""
        self._cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _cancel(self) -> None:
        for asked in (*self._batch, *self._pending):
            asked.answer.cancel()
        self._pending.clear()

    async def _drain(self) -> None:
        try:
            while self._pending:
                if len(self._pending) < self._most:
                    await asyncio.sleep(LINGER_S)
                self._batch = self._take()
                if self._batch:
                    await self._settle(self._batch)
        finally:
            self._cancel()

    def _take(self) -> list[_Asked[A, R]]:
        waiting = [asked for asked in self._pending if not asked.answer.done()]
        alike = (asked for asked in waiting if _alike(asked.size, waiting[0].size))
        batch = heapq.nsmallest(self._most, alike, key=lambda asked: _apart(asked.size, waiting[0].size))
        while len(batch) > 1 and len(batch) * max(asked.size[0] for asked in batch) > MAX_TOKENS:
            batch.pop()
        taken = set(batch)
        self._pending = [asked for asked in waiting if asked not in taken]
        return sorted(batch, key=lambda asked: asked.size)

    async def _settle(self, batch: list[_Asked[A, R]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, self._halving, batch)
        except Exception as error:
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(_failure(error))
            return
        for asked, result in zip(batch, results, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(result)

    def _halving(self, batch: list[_Asked[A, R]]) -> list[R]:
        try:
            return self._run([a.item for a in batch], lambda i: batch[i].answer.done())
        except RuntimeError as error:
            if not _is_out_of_memory(error) or len(batch) == 1:
                raise
        half = len(batch) // 2
        return self._halving(batch[:half]) + self._halving(batch[half:])


def _alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two questions may share a batch: a long one would make the others wait or be padded."""
    return all(max(x, y) <= 4 * min(x, y) + 256 for x, y in zip(a, b, strict=True))


def _apart(a: tuple[int, int], b: tuple[int, int]) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def _is_out_of_memory(error: BaseException) -> bool:
    return "out of memory" in str(error) or "can't allocate memory" in str(error)


def _failure(error: Exception) -> EngineError:
    advice = "lower batch_size or max_tokens" if _is_out_of_memory(error) else "see the cause"
    failure = EngineError(f"local engine: {type(error).__name__}: {first_line(error)}; {advice}")
    failure.__cause__ = error
    return failure


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
