"""The model behind transformers, asked in batches; and conversations of loops held with it, all of them at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gen.core import Completion, Message, Request, Sampling

GREEDY = Sampling(temperature=0.0)
LONGEST = 240
"""Tokens of a reply, at most: none in the world needs more."""
T = TypeVar("T")


class Model:
    """Alone with its batch."""

    def __init__(self, folder: Path, batch: int = 64) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.batch = batch

    def reply(self, chats: Sequence[Sequence[Message]], sampling: Sampling) -> list[str]:
        return [reply.text for reply in self.complete(chats, sampling)]

    def complete(self, chats: Sequence[Sequence[Message]], sampling: Sampling) -> list[Completion]:
        texts = [self.prompt(chat) for chat in chats]
        how = {"do_sample": False} if sampling.temperature == 0 else {
            "do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: dict[int, Completion] = {}
        for start in range(0, len(texts), self.batch):
            rows = order[start : start + self.batch]
            inputs = self.tokenizer([texts[i] for i in rows], return_tensors="pt", padding=True,
                                    add_special_tokens=False, return_token_type_ids=False)
            with torch.inference_mode():
                output = self.model.generate(**inputs, max_new_tokens=min(LONGEST, sampling.max_tokens), **how)
            found |= dict(zip(rows, map(self._read, output[:, inputs["input_ids"].shape[1]:]), strict=True))
        return [found[i] for i in range(len(texts))]

    def logprobs(self, chats: Sequence[Sequence[Message]], replies: Sequence[str]) -> list[list[float]]:
        """The log-probability (nat, in float32) of each token of a reply as the answer to a chat, and last that of the
        token that ends it. Padding stands on the right, out of sight of what comes before it."""
        found: dict[int, list[float]] = {}
        pairs = [(self._ids(self.prompt(chat)), [*self._ids(reply), self.tokenizer.eos_token_id])
                 for chat, reply in zip(chats, replies, strict=True)]
        order = sorted(range(len(pairs)), key=lambda i: sum(map(len, pairs[i])))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            found |= dict(zip(rows, self._told([pairs[i] for i in rows]), strict=True))
        return [found[i] for i in range(len(pairs))]

    def _told(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        width = max(len(prompt) + len(reply) for prompt, reply in pairs)
        blank = self.tokenizer.pad_token_id
        ids = torch.tensor([p + r + [blank] * (width - len(p) - len(r)) for p, r in pairs])
        with torch.inference_mode():
            scores = self.model(input_ids=ids[:, :-1]).logits.float().log_softmax(-1)
        told = scores.gather(-1, ids[:, 1:, None])[:, :, 0]
        return [row[len(p) - 1 : len(p) + len(r) - 1].tolist() for row, (p, r) in zip(told, pairs, strict=True)]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def prompt(self, chat: Sequence[Message]) -> str:
        """A chat as the text after which the answer begins."""
        turns = [{"role": m.role, "content": m.content} for m in chat]
        return str(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))

    def _read(self, ids: Any) -> Completion:
        ended = self.tokenizer.eos_token_id in ids
        return Completion(self.tokenizer.decode(ids, skip_special_tokens=True), "stop" if ended else "length")


def hold(model: Model, talks: Iterable[Generator[list[Request], list[Completion], T]]) -> list[T]:
    """The results of conversations, which go on side by side: what all of them ask now is one batch."""
    running, results = dict(enumerate(talks)), dict[int, T]()
    replies: dict[int, list[Completion] | None] = dict.fromkeys(running)
    while running:
        asked: dict[int, list[Request]] = {}
        for i, talk in list(running.items()):
            try:
                asked[i] = talk.send(replies[i])  # type: ignore[arg-type]  # None starts it
            except StopIteration as stop:
                results[i] = stop.value
                del running[i]
        replies = {**_answered(model, asked)}
    return [results[i] for i in sorted(results)]


def _answered(model: Model, asked: dict[int, list[Request]]) -> dict[int, list[Completion]]:
    alike = defaultdict(list)
    for i, requests in asked.items():
        for place, request in enumerate(requests):
            alike[request.sampling].append((i, place, request))
    found: dict[int, dict[int, Completion]] = {i: {} for i in asked}
    for sampling, rows in alike.items():
        for (i, place, _), reply in zip(rows, model.complete([r.messages for *_, r in rows], sampling), strict=True):
            found[i][place] = reply
    return {i: [places[place] for place in sorted(places)] for i, places in found.items()}
