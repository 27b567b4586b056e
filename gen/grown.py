"""What a conversation came to, as the pool keeps it: signed by who was asked, ids made of family, path and content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gen.core import Candidate, Engine, Grown, Sample, Verdict, child, place, replace
from gen.errors import GenError
from gen.order import Turn
from gen.pool import GrownRow
from gen.rollout import Told, signed


def row_of(
    stage: int, turn: Turn, seed: Sample, told: Told[Any], grown: Grown, asked: Sequence[Engine], loop: Any
) -> GrownRow:
    """The row of `grown`, which is what it `told`, or what stands for that. `asked` are the engines of its roles."""
    as_it_was, draws = seed.messages, hasattr(loop, "draw")
    # what was only judged is nobody's work but that of whoever wrote it
    made = [c.sample if c.sample.messages == as_it_was else signed(c.sample, asked) for c in grown.candidates]
    name = f"{turn.call}.{{}}".format if draws else int  # what grew from a seed is told apart by its parent
    placed = [place(sample, stage, turn.round, name(i)) for i, sample in enumerate(made)]
    candidates = tuple(_own(replace(c, sample=s), loop) for s, c in zip(placed, grown.candidates, strict=True))
    new = {id(c.sample): s for c, s in zip(grown.candidates, placed, strict=True)}
    heirs = {heir.id: heir for heir in (new.get(id(h), h) for h in grown.heirs)}
    at = (stage, turn.round, turn.call)
    return GrownRow(*at, seed, candidates, tuple(heirs.values()), told.tokens, told.asked, told.error)


def _own(candidate: Candidate, loop: Any) -> Candidate:
    """Seeds that are only drawn from are no part of what is made."""
    shown = candidate.given and hasattr(loop, "draw") and not getattr(loop, "seeds_too", False)
    return replace(candidate, failure=Verdict(False, "seed_only", loop.passport.name)) if shown else candidate


def failed(loop: str, seed: Sample, error: str, failures: int, done: int) -> Grown:
    """A conversation whose own code failed, one of so many: one dropped candidate; too many of them end the run."""
    if failures >= 10 and failures * 2 > done:
        raise GenError(
            f"loop {loop!r}: {failures} conversations failed in its own code, the last with {error}; "
            "expected none; report it, or mend the loop, then run the same command again"
        )
    verdict = Verdict(False, "loop_failed", loop, note=error)
    return Grown((Candidate(child(seed, "failed", ""), verdict),), (seed,))
