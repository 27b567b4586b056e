"""What every target is made of, and how one is run: `Target(name, run, watched, words, runs)`."""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. `run` gets any bytes, catches the errors of the parser's contract and no other, and asserts what must
    hold of what comes out."""

    name: str
    run: Callable[[bytes], None]
    watched: tuple[str, ...]
    """Modules whose lines are counted."""
    words: Sequence[str] = ()
    """Passages that the fuzzer puts in: tags, keys, signs."""
    runs: int = 100_000
    """Executions of a full run."""
    most: int = 512
    """Bytes of the longest input."""


@cache
def folder() -> Path:
    """A folder for the files of one process, in memory where there is such a place."""
    place = Path("/dev/shm")
    made = tempfile.TemporaryDirectory(prefix="gen-fuzz-", dir=place if place.is_dir() else None)
    _kept.append(made)
    return Path(made.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def corpus(name: str) -> list[bytes]:
    """The inputs of a target that are kept: one literal of bytes a line."""
    with contextlib.suppress(FileNotFoundError):
        return [ast.literal_eval(line) for line in (CORPUS / f"{name}.txt").read_text().splitlines() if line]
    return []


def write_corpus(name: str, inputs: Sequence[bytes]) -> None:
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{name}.txt").write_text("".join(f"{one!r}\n" for one in sorted(set(inputs), key=lambda b: (len(b), b))))


FAMILIES = {
    "seeds": "fuzz_seed_files", "corpora": "fuzz_corpora", "recipes": "fuzz_recipes", "prompts": "fuzz_prompt_files", "server": "fuzz_server_replies",
    "model": "fuzz_model_replies", "loops": "fuzz_loops", "stored": "fuzz_stored",
}  # fmt: skip
"""How the names of targets begin, and the module that holds them."""


def targets(*families: str) -> Iterator[Target]:
    """Those of some families, or all of them, in the order of the table."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    for family in families or FAMILIES:
        yield from importlib.import_module(FAMILIES[family]).TARGETS
