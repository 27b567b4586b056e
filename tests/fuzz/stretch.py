"""Looks for texts that a reader needs more than linear time for: `python tests/fuzz/stretch.py [NAME ...]`.

Every reader of texts gets begin + unit * n + end, for units of single signs and of the marks that it looks for, at 3,000
and 12,000 characters; where that takes more than eight times as long (and it is no noise), at 48,000 as well. Prints what
grows too fast, with the seconds of CPU at the last two sizes. What was found so is in test_long_texts.py, at a million."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from gen import blocks, fences, prompts, remarks, repeats, segments, text, verb_noun  # noqa: E402
from gen.core import Completion  # noqa: E402
from gen.engines import reasoning, watchdog, wire  # noqa: E402
from gen.errors import GenError  # noqa: E402
from gen.export.redact import Redaction  # noqa: E402
from gen.loop import Document  # noqa: E402
from gen.loops import _chain, _invert, _listed, _method, _notes, _official, _pairs, _triples, curate, extract  # noqa: E402
from gen.loops._trials import fault_of_feedback  # noqa: E402
from gen.seeds import chat  # noqa: E402
from gen.world import task as world  # noqa: E402

TEXTS = "count_words normalise is_hollow says_sorry says_no_input spoken_scripts named_scripts is_prose find_refusal find_leak find_pointer find_evasion find_tag has_open_fence dangles asks_for_code find_solution scripts_of_language"


def _document(said: str) -> Document:
    return Document("x", said, "n", "T")


def _told(said: str) -> str:
    return wire.complaint(json.dumps({"error": {"message": said}}).encode("utf-8", "surrogatepass"))


READERS: dict[str, Callable[[str], object]] = {
    **{f"text.{name}": getattr(text, name) for name in TEXTS.split()},
    "text.lost_fences": lambda s: text.lost_fences(s, s), "text.find_word": lambda s: text.find_word(s, ("foo", "甲")),
    "fences.blocks": fences.blocks, "fences.prose": fences.prose, "fences.python_of": fences.python_of, "fences.python_error": fences.python_error,
    "repetition": repeats.repetition, "find_loop": repeats.find_loop,
    "remarks.strip": remarks.strip_remarks, "remarks.find": remarks.find_remark, "verb_noun": verb_noun.pair,
    "blocks": blocks.blocks, "sentences": lambda s: [*blocks.sentences(s)], "windows": lambda s: [*segments.windows(_document(s), 300)],
    "segments": lambda s: [*segments.segments(_document(s), min_chars=10, max_chars=300)],
    "segments.packed": lambda s: [*segments.segments(_document(s), min_chars=10, max_chars=300, pack_long=True)],
    "navigation": segments.is_navigation, "sections": lambda s: prompts.parse_sections(s, ("instruction",), ("input",)),
    "last": lambda s: prompts.parse_last(s, ("instruction", "answer")), "choice": lambda s: prompts.parse_choice(s, ("equal", "not equal")),
    "overflow": lambda s: wire.overflow(_told(s)), "unknown": lambda s: wire.unknown_field(_told(s), dict.fromkeys(wire.DROPPABLE)),
    "presentable": wire.presentable, "basename": wire.basename, "reasoning": reasoning.split_reasoning, "metrics": lambda s: watchdog.TOKENS.findall(s.encode("utf-8", "replace")),
    "critique": _chain.read_critique, "chain": _chain.parse, "gives_away": lambda s: _chain.gives_away(s, "x", ()), "render": lambda s: _chain.render([(s, s)]),
    "instruction": lambda s: _invert._read(Completion(s), "x"), "listed": lambda s: _listed.items(s, 1), "gap": _listed.until_gap,
    "method": lambda s: _method.fault_of(_method.tidy(s), 100), "scores": lambda s: _notes.read_scores(s, ("correctness", "clarity"), 5), "score": lambda s: _notes.read_score(s, 5),
    "pairs": lambda s: _pairs.read(s, cut=False, is_classification=False), "labels": lambda s: _pairs.read(s, cut=False, is_classification=True),
    "triples": lambda s: _triples.read(s, cut=False), "triples.base": lambda s: _triples.read(s, cut=True, shown=2), "official": lambda s: _official.instances(s, cut=False, is_classification=False),
    "official.new": _official.new_instructions, "official.triples": lambda s: _official.triples(s, 2, cut=False), "rating": curate.parse_score, "feedback": lambda s: fault_of_feedback(s, 3),
    "locate": lambda s: extract.locate(s, "a b c d e"), "conversation": chat.exchanges, "redact": lambda s: Redaction().text(s, {}), "world": world.parse,
    "world.base": lambda s: world.base(s, "inline"),
}  # fmt: skip
UNITS = [*"a \n\t1-*_#`~.!?,:;()[]{}<>|\\\"'=/@+。甲é“0:", "\u3042", "\u00a0", "\r", "\u2028", "\x85", "\x1c"]
UNITS += ["a ", "1 ", "- ", "* ", "# ", "| ", "|a", "\n ", "\n\n", "\n- ", "\n# ", "\n|", "\n> ", "a.\n", "a. ", "A. ", "[a](", "![", "](", "**", "<a>", "</a>", "<input>", "<input>\n", "<output>\n", "\n<input>x", "</input>", "<instruction>", "</instruction>\n", "<instruction> ", "<answer>", "<comments>", "<score>",
          "```\n", "```a\n", "x```\n", "~~~\n", "\n```", "```\n```a\n", "````\n", "```md\n", "```md\n```a\n", "```a\nx```\n", "<think>", "</think>", "[THINK]", "<|channel|>", "<|channel|>a<|message|>", "analysis", "assistantfinal",
          '{"instruction":', '{"tasks":[', '{"instruction":"', "\\u", "\\\\", "1. Instruction: ", "\n1. Instruction: ", "\nInput: ", "\nOutput: ", "\nExample 1\n", "Example ", "\nClass label: ", "Task: ", "\n1. ", "1.", "\n2) ", "### Feedback 1\n", "\\### Feedback 1\n", "revision is needed ", "no revision ", "need ", "a any ", "does not need a ",
          "Sorry, ", "I'm sorry ", "I cannot ", "as an AI ", "model ", "answer", "correctness: ", "correctness: 4\n", "4/5 ", "1 of ", "-1", "1.1", "score ", "score: 4 ", "case ", "none ", "please ", "can you ", "write a ", "code ", "write ", "here's ", "here is ", "a, ", "the ", "title: x\n", "---\n", "--- \na: b\n", "===\n", "a\n===\n", "a\n---\n",
          "...\n", "“a”", "(a)", "{#", "{#a}", "`a", "a`", "://", "a://", "/a", "n/a ", "no input", "no_input ", "ha ", "好", "无", "抱歉，", "it seems ", "above ", "the text ", "user: ", "instruction: ", " of ", "the given ", "rewritten prompt ", "e.g. ", "Dr. ", "A", "a'", "-a", "< ", "Human: ", "\nHuman: ", "### Human: ", "1 2", "a@", "a@b.", "1-", "1 ", "A1", "::", "eyJa.", "sk-", "-----BEGIN PRIVATE KEY-----"]  # fmt: skip
BEGINS = ["", "x", "a\n", "# ", "#", "<instruction>", "Instruction", "```\n", "context length ", "cannot be greater than max_model_len ", "{", "[", "| ", "Solution", "I", "Sorry, I", "correctness", "<input>\n", "1. ", "score", "Write ", "a@b", "+1"]
ENDS = ["", "x", "!x", "\n"]


def seconds(read: Callable[[str], object], said: str) -> float:
    began = time.process_time()
    with contextlib.suppress(GenError, ValueError, RecursionError):
        read(said)
    return time.process_time() - began


def main(names: list[str]) -> int:
    found = 0
    for name in names or READERS:
        read, bad = READERS[name], 0
        for begin in BEGINS:
            for unit in UNITS:
                for end in ENDS if not begin else ENDS[:2]:
                    said = [begin + unit * (n // len(unit)) + end for n in (3000, 12000, 48000)]
                    few = seconds(read, said[0])
                    many = seconds(read, said[1])
                    if many < 0.008 or many < 8 * few:
                        continue
                    many, most = min(many, seconds(read, said[1])), seconds(read, said[2])
                    if most > 8 * many and bad < 6:
                        bad += 1
                        print(f"{name}: {begin!r} + {unit!r} * n + {end!r}: {many:.2f} s, {most:.2f} s", flush=True)
                if bad >= 6:
                    break
            if bad >= 6:
                break
        found += bad
        print(f"{name}: {'fine' if not bad else 'grows too fast'}", flush=True)
    return found > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
