"""Evol stop: how many rounds of a finished run to train on (arXiv 2306.08568, section 3).

After each round, the paper merges all rounds so far with the seeds, trains, measures on a development set, stops when
the score falls, and keeps the best round. Training is not our business: a command is given the merged file and prints a
score. Lineages do not wait for rounds, so the rounds are there already; what stops is the scoring. Choose the data that
it measures on apart from what the model is judged by in the end: the paper's first version was criticised for that."""

from __future__ import annotations

import hashlib
import math
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gen.core import Sample, digest
from gen.errors import GenError, UserError
from gen.export.rows import dataset_row
from gen.export.tables import EXAMPLE, table
from gen.pool import Pool

ROUNDS = 3
"""Where nothing is measured: the paper's best."""
STATE = "evol_stop"


@dataclass(frozen=True, slots=True)
class Merge:
    """The seeds and all that was kept of rounds 1 to `round`."""

    round: int
    rows: int
    score: float | None = None
    known: bool = False
    """Its score was measured before, by the same command on the same rows."""


@dataclass(frozen=True, slots=True)
class Stop:
    merges: tuple[Merge, ...]
    """Those that were scored, in order, or, without a command, all."""
    chosen: int
    """The round to train on."""
    fell: bool
    """The scores fell, so that later rounds were not looked at."""


def best(scores: Sequence[float], patience: int = 1) -> tuple[int, bool]:
    """The index of the first largest score, and whether the last `patience` scores lie below it. Equal is no fall.

    >>> best([40, 45, 44]), best([40, 45, 46, 46])
    ((1, True), (2, False))
    """
    top = max(range(len(scores)), key=lambda i: (scores[i], -i))
    last = scores[len(scores) - patience :]
    return top, len(scores) > patience and all(score < scores[top] for score in last)


def evol_stop(
    folder: Path, command: str = "", patience: int = 1, watch: Callable[[Merge], None] = lambda _: None
) -> Stop:
    """Score the rounds of a run one after another until they fall, and choose the best; without a command the third,
    or the last of fewer. A score that was told is stored with the run, and never asked for again. Raises UserError
    where there is no finished run, GenError where the command fails."""
    rounds = _rounds(folder)
    if not command:
        merges = tuple(Merge(r, sum(1 for _ in _kept(folder, r))) for r in range(1, rounds + 1))
        return Stop(merges, min(ROUNDS, rounds), fell=False)
    merges, fell = (), False
    for number in range(1, rounds + 1):
        merge = _scored(folder, number, command)
        watch(merge)
        merges = (*merges, merge)
        top, fell = best([m.score for m in merges if m.score is not None], patience)
        if fell:
            break
    return Stop(merges, merges[top].round, fell)


def write_merge(folder: Path, round: int, to: Path) -> int:
    """Write the seeds and what was kept up to a round, as `dataset.jsonl` has them; returns the rows."""
    rows = 0
    with table(to, dataset_row(EXAMPLE)) as write:
        for sample in _kept(folder, round):
            write(dataset_row(sample))
            rows += 1
    return rows


def _rounds(folder: Path) -> int:
    with Pool.open(folder, readonly=True) as pool:
        if not pool.state("finished"):
            raise UserError(f"{folder}: the run is not finished; go on with it (`gen run {folder}/recipe.toml`)")
        deepest = max((s.lineage.round for s in pool.kept(*pool.newest())), default=0)
    if not deepest:
        raise UserError(f"{folder}: nothing was kept of any round, so none can be chosen; see `gen funnel {folder}`")
    return deepest


def _kept(folder: Path, round: int) -> Iterator[Sample]:
    with Pool.open(folder, readonly=True) as pool:
        yield from (s for s in pool.kept(*pool.newest()) if s.lineage.round <= round)


def _scored(folder: Path, round: int, command: str) -> Merge:
    (folder / "evol-stop").mkdir(exist_ok=True)
    path = folder / "evol-stop" / f"round-{round}.jsonl"
    rows = write_merge(folder, round, path)
    with path.open("rb") as file:
        key = digest(command, hashlib.file_digest(file, "blake2b").hexdigest())
    with Pool.open(folder, readonly=True) as pool:
        known = pool.state(STATE, {})
    if key in known:
        return Merge(round, rows, known[key], known=True)
    score = _ask(command, path.resolve())
    with Pool.open(folder) as pool:
        pool.set_state(STATE, {**pool.state(STATE, {}), key: score})
    return Merge(round, rows, score)


def _ask(command: str, path: Path) -> float:
    """What the command prints last: a number. It gets the path where it says `{}`, else at its end."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--command {command!r}: {error}; expected a command as in a shell") from error
    told = [word.replace("{}", str(path)) for word in words] if "{}" in command else [*words, str(path)]
    try:
        done = subprocess.run(told, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    except OSError as error:
        raise UserError(f"--command {told[0]}: cannot be started ({error.strerror}); name a program") from error
    last = (done.stdout.strip().splitlines() or [""])[-1].strip()
    if done.returncode:
        raise GenError(f"--command: ended with {done.returncode} on {path}; mend it, and the same command goes on")
    try:
        score = float(last)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise GenError(f"--command: its last line on {path} is {last[:80]!r}; expected a number, the larger the better")
    return score
