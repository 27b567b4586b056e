"""Two wordings of one prompt on the same seeds (`gen prompts compare`): an operation through the loop that owns it and
the gate, any other prompt by itself. All is drawn alike on both sides, so that they differ in the wording alone."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from gen.assess import Assessor, Record
from gen.core import Candidate, Grown, Rollout, Sample, Verdict, derive_seed, digest, place, replace
from gen.errors import GenError, PromptError
from gen.gate import Gate
from gen.paired import Difference, difference
from gen.pool import Pool
from gen.prompts import Prompt
from gen.recipe import Recipe
from gen.roles import Say, Staff, hire
from gen.rollout import Talk, Told, together
from gen.talking import opened, talking, watched
from gen.tries import Side, summed, took, try_of
from gen.wordings import Wording

Look = Callable[[int], None]
"""Is shown the number of replies that were heard, now and then."""


@dataclass(frozen=True, slots=True)
class Comparison:
    folder: str
    seeds: int
    times: int
    gate: tuple[str, ...]
    """Filters of the gate; none where no gate judges."""
    left_out: Mapping[str, str]
    a: Side
    b: Side
    read: Difference
    kept: Difference | None
    asked: int
    replayed: int


def folder_of(wording: Wording, recipe: Recipe, seeds_digest: str) -> Path:
    return Path("runs") / f"compare-{digest(deciding(recipe), wording.name, seeds_digest, size=8)}"


def deciding(recipe: Recipe) -> dict[str, Any]:
    """What must be the same for replies to be taken from the journal. The wordings may change: that is what for."""
    told = recipe.deciding()
    return {k: told[k] for k in ("seed", "model", "served", "thinking", "roles")} | {"loop": "compare"}


def compare(
    pair: tuple[Wording, Wording], recipe: Recipe, seeds: Sequence[Sample], folder: Path, *, times: int,
    values: Mapping[str, str], command: str, say: Say, look: Look,
) -> Comparison:  # fmt: skip
    """Each wording on each seed, `times` over; what was asked before is not asked again. `values` are inputs of a
    prompt that stands by itself. Raises PromptError for one that nothing fills, Interrupted after Ctrl-C."""
    for side in pair:
        _check(side, seeds, values)
    with opened(folder, deciding(recipe), command) as pool:
        return asyncio.run(_compare(pair, recipe, seeds, folder, pool, times, values, say, look))


def _judges(pair: Sequence[Wording]) -> bool:
    """Whether there is something that a gate can judge: a sample with an answer."""
    return bool(pair[0].style) or all(w.prompt.role == "answerer" and w.prompt.reply.form == "plain" for w in pair)


async def _compare(
    pair: Sequence[Wording], recipe: Recipe, seeds: Sequence[Sample], folder: Path, pool: Pool, times: int,
    values: Mapping[str, str], say: Say, look: Look,
) -> Comparison:  # fmt: skip
    staff = hire(recipe, Gate(recipe.gate if _judges(pair) else ()))
    async with talking(staff, recipe, pool, say) as talk:
        sides = []
        for wording in pair:
            asking = _side(wording, recipe, seeds, talk, pool, staff, times, values, judged=_judges(pair))
            sides.append(await watched(asking, lambda: look(sum(talk.replies.values()))))
    a, b = sides
    kept = None if a.kept is None or b.kept is None else difference(*(_by_seed(s, "kept") for s in sides))
    filters = [f.passport.name for f in recipe.filters(staff.left_out)]
    replayed = talk.replies["replayed"]
    measured = talk.replies["scored"] + talk.replies["embedded"]
    return Comparison(
        str(folder), len(seeds), times, tuple(filters) if _judges(pair) else (), staff.left_out, a, b,
        difference(*(_by_seed(s, "read") for s in sides)), kept,
        sum(talk.replies.values()) - replayed - measured, replayed,
    )  # fmt: skip


def _by_seed(side: Side, what: str) -> list[float]:
    """The share of each seed's tries: what was tried on one seed is no evidence of its own."""
    found: dict[int, list[float]] = {}
    for t in side.tries:
        found.setdefault(t.seed, []).append(float(getattr(t, what)))
    return [fmean(shares) for _, shares in sorted(found.items())]


async def _side(
    wording: Wording, recipe: Recipe, seeds: Sequence[Sample], talk: Talk, pool: Pool, staff: Staff, times: int,
    values: Mapping[str, str], *, judged: bool,
) -> Side:  # fmt: skip
    started, fresh = time.monotonic(), _fresh(talk)
    turns = [(number, turn) for turn in range(times) for number in range(len(seeds))]
    told = await together(*(
        talk.hold(_conversation(wording, recipe, seeds[n], turn, values), (seeds[n].id, turn)) for n, turn in turns
    ))  # fmt: skip
    _note_time(pool, wording, time.monotonic() - started, _fresh(talk) - fresh)
    grown = {at: _grown(one) for at, one in zip(turns, told, strict=True)}
    placed = {
        (n, turn): [replace(c, sample=place(c.sample, 0, turn + 1, n)) for c in candidates]
        for (n, turn), candidates in grown.items()
    }
    known = seeds if wording.style else ()  # an answer to a seed does not repeat it
    verdicts = await _verdicts(recipe, known, placed, talk, pool, staff) if judged else {}
    tries = [
        try_of(at, one, pool, wording, placed[at], verdicts.get(at)) for at, one in zip(turns, told, strict=True)
    ]
    return summed(wording, tries, pool)


def _fresh(talk: Talk) -> int:
    return sum(talk.replies.values()) - talk.replies["replayed"]


def _note_time(pool: Pool, wording: Wording, seconds: float, questions: int) -> None:
    name = took(wording)
    before = pool.state(name, [0.0, 0])
    if questions:
        pool.set_state(name, [before[0] + seconds, before[1] + questions])


def _grown(told: Told[Grown]) -> tuple[Candidate, ...]:
    if told.error or told.result is None:
        raise GenError(f"compare: the loop's own code failed: {told.error}")
    return told.result.candidates


# --- conversations


def _conversation(
    wording: Wording, recipe: Recipe, seed: Sample, turn: int, values: Mapping[str, str]
) -> Rollout[Grown]:
    if not wording.style:
        return _alone(wording.prompt, seed, values)
    step = wording.name.partition("/")[2]
    loop = replace(recipe.params, style=wording.style, operations={step: 1.0}, prompts=wording.prompts)
    return loop.grow(seed, random.Random(derive_seed(recipe.seed, seed.id, turn)))  # type: ignore[no-any-return]


def _alone(prompt: Prompt, seed: Sample, values: Mapping[str, str]) -> Rollout[Grown]:
    """The one question. Where the reply answers the seed, it is judged as its answer."""
    filled = _filled(prompt, seed, values)
    [reply] = yield [prompt.ask(**{name: filled[name] for name in prompt.inputs})]
    return Grown((Candidate(replace(seed, id="", response=reply.text, meta={})),), ())


def _filled(prompt: Prompt, seed: Sample, values: Mapping[str, str]) -> dict[str, Any]:
    own = {"instruction": seed.instruction, "input": seed.input, "response": seed.response or ""}
    optional = {"language": "", "domain": ""}
    return {**optional, **seed.meta, **own, **values}


def _check(wording: Wording, seeds: Sequence[Sample], values: Mapping[str, str]) -> None:
    if not seeds:
        raise PromptError("no seed to compare with; give --seeds FILE")
    if wording.style:
        return
    for seed in seeds:
        if missing := [name for name in wording.prompt.inputs if name not in _filled(wording.prompt, seed, values)]:
            raise PromptError(
                f"{wording.shown}: nothing fills its input {missing[0]!r}; give --set {missing[0]}=TEXT, or a column "
                f"{missing[0]!r} in the seeds"
            )


# --- verdicts


async def _verdicts(
    recipe: Recipe, known: Sequence[Sample], placed: Mapping[tuple[int, int], list[Candidate]], talk: Talk,
    pool: Pool, staff: Staff,
) -> dict[tuple[int, int], Verdict]:  # fmt: skip
    """What the gate says of each; each turn meets a gate of its own, to which `known` were admitted."""
    filters = recipe.filters(staff.left_out)
    assessor = Assessor(Gate(filters), talk)
    await together(*map(assessor.embed, known))
    await assessor.ask(c.sample for found in placed.values() for c in found if c.failure is None)
    verdicts: dict[tuple[int, int], Verdict] = {}
    for now in sorted({turn for _, turn in placed}):
        gate = Gate(filters)
        record = Record(gate, pool, staff.fingerprints)
        for seed in known:
            gate.admit(seed, record.vectors(seed))
        for (number, turn), candidates in placed.items():
            for c in candidates if turn == now else ():
                verdict = c.failure or gate.judge(c.sample, record.facts(c.sample))
                if verdict.keep:
                    gate.admit(c.sample, record.vectors(c.sample))
                verdicts[number, turn] = verdict
    return verdicts
