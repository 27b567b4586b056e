"""What a loop is: one file in `gen/loops`, a frozen dataclass of parameters marked with `@component`, and conversations
without I/O. Whoever holds an engine can drive it (`gen.rollout`); `gen.rounds` decides which is held when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gen.core import Grown, Rollout, Sample

RULES = ("empty", "length", "refusal", "leakage", "repetition", "truncation", "script")
MEASURED = ("semantic", "ifd")
"""Filters that leave the default gate, with a word, where nothing here can measure what they need."""
GATE = (*RULES, "exact", *MEASURED)
"""The gate where neither the recipe nor the loop names one."""


class Loop(Protocol):
    """An algorithm that proposes samples. `answer` is round 0: what becomes of a seed. `grow` is one later round of one
    heir; only loops with `ROUNDS` have it. All randomness comes from `rng`. `asks` names every prompt (with its `ref`)
    that can be sent.

    A loop may declare, as ClassVars: `GATE`, names of its default gate's filters (or the property `default_gate`);
    `ROUNDS`, its default number of rounds after round 0 (without it: none); `GROWING`, names of fields of which a
    larger value only appends stages, so that a run may go on with it. As dataclass fields: `prompts: Prompts`;
    `demos: Sequence[Sample]` (metadata parameter=False), the samples of `--demos`; `seeds_too: bool`, whether seeds
    are candidates."""

    def answer(self, seed: Sample) -> Rollout[Grown]: ...

    def grow(self, seed: Sample, rng: random.Random) -> Rollout[Grown]: ...

    def asks(self) -> Sequence[Any]: ...


class Drawing(Protocol):
    """A loop whose conversations do not begin with one seed but draw from all of them, and from what was made and kept
    so far: in batches, of which batch b sees the pool as of batch b - 2. Its seeds are the pool's first samples, kept
    as they are: `answer` has them as `Candidate(seed, given=True)`, and asks nothing. It ends at a target, or after
    `dry_batches` (a field) batches in a row that brought nothing new."""

    def batch(self, seeds: int, made: int) -> int:
        """Conversations of the next batch, at least 1, where so many samples were made and kept."""
        ...

    def draw(self, seeds: Sequence[Sample], made: Sequence[Sample], rng: random.Random) -> Rollout[Grown]: ...

    def answer(self, seed: Sample) -> Rollout[Grown]: ...

    def asks(self) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True)
class Document:
    """A text that a person wrote, as a corpus has it."""

    id: str
    """Hash of the text."""
    text: str
    """Characters as they stand in the source; of HTML and PDF, what the extractor found. Headings as Markdown."""
    name: str = ""
    """File name and place, for people."""
    title: str = ""


class Reading(Protocol):
    """A loop whose seeds are pieces of documents: its command takes a corpus. A piece has no instruction, the text as
    `response`, and its place as `meta`: document (id), name, start, end (characters); `gen.segments` makes it. What is
    left out is counted in `dropped`, by reason."""

    def split(self, document: Document, dropped: Counter[str]) -> Iterable[Sample]: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A stage of a loop that has several (`parts() -> tuple[Part, ...]`): another begins with what one keeps."""

    loop: Any
    gate: tuple[str, ...] | None = None
    """Names of its filters; None: the gate of the recipe."""
    of: int = -1
    """The part whose kept samples are its seeds; -1: the one before, or, of the first, the user's."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Who is asked in a role, where that is another than everywhere, as `gen.sections.Roles` names them."""


def parts_of(loop: Any) -> tuple[Part, ...]:
    """The stages of a loop; most have one."""
    return tuple(loop.parts()) if hasattr(loop, "parts") else (Part(loop),)


def gate_of(loop: Any) -> tuple[str, ...]:
    """Names of the filters of a loop's default gate; it may depend on the loop's parameters (`default_gate`)."""
    return tuple(getattr(loop, "default_gate", ()) or getattr(loop, "GATE", GATE))
