"""What every training here shares: its optimizers, and the loss on replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Row = tuple[str, list[int], int]
"""What is learned at once: its name, its ids, and how many of them are given and not learned."""


def optimizers(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the rest and the embeddings."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    outer = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [torch.optim.Muon(inner, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)]


def reply_loss(model: Any, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Mean loss per reply token of each row, and the sum to minimise: rows count by the root of
    their reply's length, so that one-word replies are not drowned by long ones. Padding stands on
    the right, where causal attention keeps it out of sight."""
    starts, sizes = torch.tensor([r[2] for r in rows]), torch.tensor([len(r[1]) for r in rows])
    width = int(sizes.max())
    ids = torch.tensor([ids + [model.config.pad_token_id] * (width - len(ids)) for _, ids, _ in rows])
    place = torch.arange(1, width)
    mask = (place >= starts[:, None]) & (place < sizes[:, None])
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    losses = torch.nn.functional.cross_entropy(
        model.lm_head(hidden[mask]).float(), ids[:, 1:][mask], reduction="none")
    owner, lengths = mask.nonzero()[:, 0], mask.sum(1)
    each = torch.zeros(len(rows)).index_add(0, owner, losses) / lengths.clamp(min=1)
    return each.detach(), (each * lengths.sqrt()).sum() / 2
