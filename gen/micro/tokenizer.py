"""The model's own tokenizer: byte-level, so that any text comes back exactly, with one token for each
fixed passage of the prompts, of the replies and of the world's sentences, and for each of its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from gen.micro.corpus.example import DEFAULTS, ask
from gen.micro.corpus.mixture import NAMES, PASSAGES
from gen.prompts import Prompt, Prompts
from gen.world import FAMILIES
from gen.world.clauses import RULES
from gen.world.lexicon import KINDS, LARGEST, VALUES
from gen.world.task import FORMS, POINTERS, template
from gen.world.wordwork import HEAD, VERBS

END, PAD = "<|end|>", "<|pad|>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
WORDS = r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]|\n+|\s"
"""How text that is no fixed passage falls into pieces."""
MERGES = 400
REPLIES = ("<instruction>\n", "\n</instruction>", "\n</instruction>\n<input>\n", "\n</input>", "Not equal", "My answer",
           " has the", "\n-", " |", *(f"{n}| {i} |" for i in range(1, 10) for n in ("", "\n")), HEAD,
           *(n + lead for lead in ("put in the", "take out the", "x =", "x = x +", "x = x -") for n in ("", " ")))


BLANK = "\0"
BLANKS: dict[str, Any] = {
    "tasks": [BLANK] * 8, "examples": [{"text": BLANK, "instruction": BLANK}] * 2, "count": 777, "max_words": BLANK,
    "scale": BLANK, "threshold": BLANK, "aspects": [BLANK], "versions": [{"answer": BLANK, "feedback": BLANK}] * 2,
    "context": ""}
"""What is put into the inputs of a prompt to see what stays; others are left empty or get a blank."""
GAP = f"{BLANK}|777|785|780"
SHORTEST = 6
"""Fewest characters of what is fixed in a prompt of another loop than evolve: shorter ones occur in anything."""


def _fixed(prompts: Prompts) -> set[str]:
    """What stays the same in every use of a prompt, whole paragraphs and, for edited ones, lines."""
    found = set()
    for name in [*NAMES, "auto_evol/initial"]:
        prompt, evolves = prompts.get(name), name.startswith("evolve/")
        for values in _blanks(prompt):
            text = "".join(m.content for m in ask(prompt, **values))
            for piece in re.split(GAP, text):
                pieces = {*re.split(r"(?<=\n\n)", piece), *piece.splitlines(keepends=True)}
                found |= {p for p in pieces if evolves or len(p) >= SHORTEST}
    return found


def _blanks(prompt: Prompt) -> Iterator[dict[str, Any]]:
    """Values that show each form of a prompt: with and without data, with one item in its lists and with two."""
    given = {n: DEFAULTS.get(n, BLANK) for n in prompt.inputs} | {n: v for n, v in BLANKS.items() if n in prompt.inputs}
    for data in ("", BLANK):
        for short in (False, True):
            one = {n: v[:1] for n, v in given.items() if short and isinstance(v, list) and n != "tasks"}
            yield {**given, **one, **({"input": data} if "input" in given else {})}


def _sentences() -> set[str]:
    """The literal parts of the world's sentences, at the start of a text and further on."""
    wordings = {template(n, i, form) for n, f in FAMILIES.items() for i in range(len(f.phrasings)) for form in FORMS}
    wordings |= {p for rule in RULES.values() for p in rule.phrasings}
    found = {" " + pointer for pointer in POINTERS.values()}
    for wording in wordings:
        first, *rest = re.split(r"\{\w+\}", wording)
        found |= {part.rstrip() for part in (first, " " + first, *rest)}
    return found


def _vocabulary() -> list[str]:
    """The single words: those of the world, in small and capital letters."""
    words = [w for v in VALUES.values() for w in v] + ["Yes", "No", "Equal", "second", "largest", "smallest", "last"]
    words += [*KINDS, *VERBS, *(str(n) for n in range(LARGEST + 1)), "numbers", "facts", "steps", "first", "Answer"]
    return [lead + form for w in words for form in (w, w.upper()) for lead in ("", " ")]


def build(prompts: Prompts) -> PreTrainedTokenizerFast:
    """The tokenizer for these prompts and this version of the world."""
    found = {p for p in _fixed(prompts) | _sentences() | {*REPLIES, *PASSAGES} if len(p) > 1}
    passages = sorted(found, key=lambda p: (-len(p), p))  # the longest first, for the first that matches is taken
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = cut_along(WORDS)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base.train_from_iterator(passages, trainers.BpeTrainer(vocab_size=256 + MERGES, initial_alphabet=alphabet,
                                                           show_progress=False))
    model: dict[str, Any] = json.loads(base.to_str())["model"]
    tokens = [END, PAD, *ROLES.values(), *model["vocab"], *bytes_of([*passages, *_vocabulary()])]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    done = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in model["merges"]], ignore_merges=True))
    done.pre_tokenizer = cut_along("|".join([*map(escaped, passages), WORDS]))
    done.decoder = decoders.ByteLevel()
    done.add_special_tokens([END, PAD, *ROLES.values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=done, eos_token=END, pad_token=PAD, chat_template=TEMPLATE, model_max_length=4096,
        clean_up_tokenization_spaces=False)


def cut_along(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Cuts text along `pattern`, and writes the pieces in the byte alphabet."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])


def escaped(text: str) -> str:
    """A pattern of just this text, which ends no earlier than a word that it ends in."""
    literal = re.sub(r"([^\w\s<>\"',;:!%/-])", r"\\\1", text).replace("\n", r"\n")
    return literal + (r"(?!\p{L})" if text[-1].isalpha() else "")


def bytes_of(texts: Iterable[str]) -> list[str]:
    """The texts in the byte alphabet of the vocabulary."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [level.pre_tokenize_str(t)[0][0] for t in texts]
