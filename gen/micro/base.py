"""Trains the base of the students: `python -m gen.micro.base --out training/base --steps 3000 --export gen/micro/base`.

A base has read about the world (`gen.world.telling`) and was never asked anything: no task, no prompt, no chat, and no
instance that is held out. What a statement tells is learned, what it speaks of is given, as of a task and its answer;
so a small model learns the world in minutes. Resumable, and begun with `--begin`, as `gen.micro.train` is. With
`--export` the shipped form is written at the end."""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gen.micro.learning import Row
from gen.micro.tokenizer import END, PAD, ROLES, TEMPLATE, bytes_of, cut_along
from gen.micro.train import Plan, Trainer, run
from gen.world import FAMILIES
from gen.world.clauses import RULES
from gen.world.lexicon import KINDS, LARGEST, VALUES
from gen.world.task import FORMS, template
from gen.world.telling import NAMES, REMARKS, statement

SHAPE = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 224, "max_position_embeddings": 1024, "rope_theta": 10000.0, "tie_word_embeddings": True}
PHRASES = (
    "capital letters", "small letters", "in reverse order", "on a new line", "a new line", "one more part",
    "My answer and a colon", "quotation marks", "quotation mark", "round brackets", "round bracket", "this list",
    "the list below", "the table below", "the list", "each word of", "every word of", "the words of", "the word",
    "the parts", "the answer", "at the end", "has the", "put in the", "take out the", "the box", "x = x +", "x = x -",
    "x =", "at the start", "without a comma", "the first item", "the last item", "the numbers in", "the first",
    "the last", "the whole answer", "row and item")
"""Words that often stand together, one token each."""
SEEN = 20_000
"""Statements whose pieces become tokens, those that occur more than `OFTEN` times."""
OFTEN = 3


def _words() -> list[str]:
    """The words that tasks hold, and the numbers, in small and capital letters; the longest first."""
    words = [w for v in VALUES.values() for w in v] + [*KINDS, *map(str, range(LARGEST + 1))]
    return sorted({form for w in words for form in (w, w.upper())}, key=lambda w: (-len(w), w))


def pattern() -> str:
    """How text falls into pieces. A word that tasks hold is always the same piece, without blanks, so that it is
    easily copied; any other word or phrase takes the blanks around it with it."""
    words = "|".join(map(re.escape, _words()))
    phrases = "|".join(map(re.escape, sorted(PHRASES, key=len, reverse=True)))
    ends, blank = r"(?![\p{L}\p{N}])", r"(?: (?=[\p{L}\p{N}]))?"
    return (rf"(?:{words}){ends}| ?(?i:{phrases}){ends}{blank}| ?\p{{L}}+{blank}|\p{{N}}|"
            r" ?[^\s\p{L}\p{N}]+ ?|\n+|\s")  # fmt: skip


def _texts() -> list[str]:
    """Statements, and each wording of a task and of a clause without its words: their words are tokens from the
    beginning, which no statement may ever hold."""
    rng = random.Random(0)
    wordings = [template(n, i, form) for n, f in FAMILIES.items() for i in range(len(f.phrasings)) for form in FORMS]
    wordings += [p for rule in RULES.values() for p in rule.phrasings]
    filled = [re.sub(r"\{\w+\}", "cat", w) + tail for w in wordings for tail in ("", " Then.")]
    return [*(statement(rng).text for _ in range(SEEN)), *filled * (OFTEN + 1)]


def build() -> PreTrainedTokenizerFast:
    """The tokenizer: bytes, and the pieces of the world's texts; no passage of a prompt."""
    cut = pre_tokenizers.Split(Regex(pattern()), "isolated")
    found = Counter(piece for text in _texts() for piece, _ in cut.pre_tokenize_str(text))
    pieces = sorted({*(p for p, times in found.items() if times > OFTEN), *_words()})
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = dict.fromkeys([END, PAD, *ROLES.values(), *alphabet, *bytes_of(pieces)])
    done = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[], ignore_merges=True))
    done.pre_tokenizer = cut_along(pattern())
    done.decoder = decoders.ByteLevel()
    done.add_special_tokens([END, PAD, *ROLES.values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=done, eos_token=END, pad_token=PAD, chat_template=TEMPLATE, model_max_length=1024,
        clean_up_tokenization_spaces=False)


class Reader(Trainer):
    """Trains on statements instead of examples."""

    def vocabulary(self) -> PreTrainedTokenizerFast:
        return build()

    def drawn(self, rng: random.Random) -> list[Row]:
        return [self._row(rng) for _ in range(self.plan.batch)]

    def _row(self, rng: random.Random) -> Row:
        made = statement(rng)
        given, told = (self.tokenizer.encode(t, add_special_tokens=False) for t in (made.given, made.told))
        return "told", [*given, *told, self.tokenizer.eos_token_id], len(given)

    def training(self) -> dict[str, Any]:
        return {**{k: v for k, v in super().training().items() if k != "prompts"}, "loss": self.state.get("loss")}

    def manifest(self) -> dict[str, Any]:
        return {"saw": "statements of gen/world/telling.py alone: no task, no prompt, no chat, no held-out instance",
                "families": sorted(NAMES), "rules": sorted(REMARKS)}

    def step(self) -> dict[str, float]:
        losses = super().step()
        self.state["loss"] = round(0.95 * (self.state.get("loss") or losses["told"]) + 0.05 * losses["told"], 4)
        return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("training/base"), help="folder of checkpoint and losses")
    parser.add_argument("--minutes", type=float, help="training time in all; the rate falls in its last third")
    parser.add_argument("--steps", type=int, help="instead of --minutes: steps of this training")
    parser.add_argument("--begin", type=Path, help="begin with the weights of the base in this folder")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate at its highest")
    parser.add_argument("--batch", type=int, default=64, help="statements of a step")
    parser.add_argument("--export", type=Path, help="write the shipped form there in the end")
    args = parser.parse_args()
    torch.set_num_threads(1)
    going = (args.out / "checkpoint.pt").exists()
    plan = Plan(rate=args.rate, batch=args.batch, micro=6, shape=dict(SHAPE))
    trainer = Reader.load(args.out) if going else Reader(plan)
    if args.begin and not going:
        trainer.begin(args.begin)
    if args.steps or args.minutes:
        run(trainer, args.out, args.steps, args.minutes)
    if args.export:
        trainer.export(args.export)


if __name__ == "__main__":
    main()
