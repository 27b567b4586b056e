"""Log-probabilities of many texts: few and full passes through one model, its head only where a text is scored.

Texts of similar length share a pass, padded at their end: what comes later changes nothing that a causal model says
before, so no mask is needed, and attention skips the half above the diagonal. The head, which for small models with a
wide vocabulary costs more than all the rest, sees no prompt and no padding.

A small model leaves a core's threads nothing to share, so on a CPU as many passes run at once as there are cores, each
in one thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeAlias

MAX_TOKENS = {"cpu": 1 << 10, "cuda": 1 << 16}
"""Of a pass, padding included. On CPUs more leave the caches."""
MAX_LOGITS = {"cpu": 1 << 25, "cuda": 1 << 27}
"""Of a pass (128 and 512 MiB in float32); one text is always allowed."""
CHUNK = {"cpu": 1 << 18, "cuda": 1 << 25}
"""Logits that are turned into probabilities together: 1 MiB stays in a core's cache."""
Pair: TypeAlias = tuple[Sequence[int], Sequence[int]]
"""Token ids: what is given and what is scored; neither is empty."""


class Logprobs:
    """Natural-log probability of each token of each continuation, in float32. `workers` are threads that have one
    thread of torch each, or None: passes run one after another."""

    def __init__(self, model: Any, *, pad: int, workers: ThreadPoolExecutor | None = None) -> None:
        self._model, self._pad, self._workers = model, pad, workers
        self._vocabulary = int(model.config.get_text_config().vocab_size)
        self._scored = threading.local()
        if (head := model.get_output_embeddings()) is not None:
            head.register_forward_pre_hook(self._only_scored)

    def __call__(self, pairs: Sequence[Pair]) -> list[list[float]]:
        device = self._model.device.type
        most = (
            MAX_TOKENS.get(device, MAX_TOKENS["cuda"]),
            MAX_LOGITS.get(device, MAX_LOGITS["cuda"]) // self._vocabulary,
        )
        rows = passes(pairs, *most)
        given = [[pairs[row] for row in each] for each in rows]
        told = self._workers.map(self._forward, given) if self._workers else map(self._forward, given)
        found = {
            row: values for each, many in zip(rows, told, strict=True) for row, values in zip(each, many, strict=True)
        }
        return [found[row] for row in range(len(pairs))]

    def _only_scored(self, _: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Before the head: of the hidden states (B, T, D) only those that foretell a scored token, as (1, N, D)."""
        if (places := getattr(self._scored, "places", None)) is None or not given:
            return None
        self._scored.were_taken = True
        return (given[0][places][None], *given[1:])

    def _forward(self, pairs: Sequence[Pair]) -> list[list[float]]:
        import torch

        device, width = self._model.device, max(len(p) + len(c) for p, c in pairs)
        ids = [[*p, *c, *[self._pad] * (width - len(p) - len(c))] for p, c in pairs]
        row_N = [row for row, (_, c) in enumerate(pairs) for _ in c]
        last_N = [len(p) - 1 + i for p, c in pairs for i in range(len(c))]
        places = torch.tensor(row_N, device=device), torch.tensor(last_N, device=device)
        self._scored.places, self._scored.were_taken = places, False
        try:
            with torch.inference_mode():
                logits = self._model(torch.tensor(ids, device=device), use_cache=False).logits
                # a model that multiplies by its head's weights itself has told all of them
                logits_NV = logits[0] if self._scored.were_taken else logits[places]
                wanted_N = torch.tensor([token for _, c in pairs for token in c], device=device)
                told = self._of(logits_NV, wanted_N)
        finally:
            self._scored.places = None
        values = iter(told)
        return [list(islice(values, len(c))) for _, c in pairs]

    def _of(self, logits_NV: Any, wanted_N: Any) -> list[float]:
        """Log-softmax at the wanted tokens. The largest logit is taken away first, so that a token that is all but
        certain keeps its digits. Overwrites the logits."""
        size = max(1, CHUNK.get(logits_NV.device.type, CHUNK["cuda"]) // logits_NV.shape[-1])
        told: list[float] = []
        for logits_CV, wanted_C in zip(logits_NV.split(size), wanted_N.split(size), strict=True):
            logits_CV = logits_CV.float()
            logits_CV.sub_(logits_CV.amax(-1, keepdim=True))
            picked_C = logits_CV.gather(1, wanted_C[:, None])[:, 0]
            told += (picked_C - logits_CV.exp_().sum(-1).log()).tolist()
        return told


def passes(pairs: Sequence[Pair], tokens: int, scored: int) -> list[list[int]]:
    """Which pairs go through the model together: neighbours in length, at most so many tokens, padding included, and
    so many scored ones. The longest come first, so that none is left to the end while other threads wait."""
    found: list[list[int]] = []
    width = count = 0
    for row in sorted(range(len(pairs)), key=lambda row: -sum(map(len, pairs[row]))):
        more = len(pairs[row][1])
        if found and (len(found[-1]) + 1) * width <= tokens and count + more <= scored:
            found[-1].append(row)
            count += more
        else:
            found.append([row])
            width, count = sum(map(len, pairs[row])), more
    return found
