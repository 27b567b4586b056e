"""A warm start: a new model begins with the weights of a shipped one, though its tokenizer knows other passages.

A token begins with the vector of its text in the old tokenizer: its own where it was a token there, else the mean of
those of its pieces. All other weights are copied, so that old skills are there from the first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

EMBEDDING = "model.embed_tokens.weight"
TIED = "lm_head.weight"


def weights_of(folder: Path, tokenizer: PreTrainedTokenizerFast, size: int) -> dict[str, Tensor]:
    """The weights of the shipped model in `folder` for another tokenizer, with a vocabulary of `size` rows."""
    old_tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    state = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    state[EMBEDDING] = state[TIED] = embeddings(state[EMBEDDING], old_tokenizer, tokenizer, size)
    return dict(state)


def embeddings(old: Tensor, before: Any, now: PreTrainedTokenizerFast, size: int) -> Tensor:
    """`old` (vocabulary x width) carried over to the `size` rows of another vocabulary; rows without a token are 0."""
    known, special = before.get_vocab(), set(now.all_special_tokens)
    fresh = torch.zeros(size, old.shape[1], dtype=old.dtype)
    for token, row in now.get_vocab().items():
        rows = [known[token]] if token in special else _pieces(token, before)
        fresh[row] = old[rows].mean(0)
    return fresh


def _pieces(token: str, before: Any) -> list[int]:
    """The old tokens that the text of a token falls into: itself alone, if it was one that the old tokenizer gave.
    Half a character has no text: its bytes are then the pieces."""
    text = before.backend_tokenizer.decoder.decode([token])
    ids = before.encode(text, add_special_tokens=False)
    whole = "".join(before.convert_ids_to_tokens(ids)) == token
    return list(ids) if whole else [before.convert_tokens_to_ids(byte) for byte in token]


def history(folder: Path) -> list[dict[str, Any]]:
    """The trainings that made the model in `folder`, the first first."""
    return list(json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["trainings"])
