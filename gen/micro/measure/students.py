"""How good an instrument students are: `python -m gen.micro.measure.students [--seeds 8] [--out FILE]`.

Students of few and many ideal lessons, of lessons some of which are wrong, and of lessons of few families, each for
the same seeds and asked the same held-out questions. The same seed draws the same tasks, so that differences are
paired. Each student is a line of the file as soon as it is there; run again, the command goes on behind it."""

from __future__ import annotations

import argparse
import functools
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from gen.core import digest
from gen.micro import ledger
from gen.micro.corpus.drafts import wrong
from gen.micro.student import STEPS, TOKENS, K, Lesson, folder, taught
from gen.paired import t_interval
from gen.world import Task, families, graded, held_out, solve

LEVELS = (1, 2, 3)
FEW = 6
"""Families of the students that have seen few."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What the lessons of a student are: so many, this share of them wrong, of this many families (0: of all)."""

    k: int = K
    wrong: float = 0.0
    families: int = 0

    @property
    def name(self) -> str:
        few = f", {self.families} families" if self.families else ""
        return f"{self.k} lessons, {self.wrong:.0%} wrong{few}"


WITHOUT = Condition()
"""What all others are compared with."""
CONDITIONS = (WITHOUT, *(Condition(wrong=share) for share in (0.1, 0.3, 0.5)), Condition(families=FEW),
              *(Condition(k) for k in (100, 200, 400, 800) if k != K))


def tasks(count: int, seed: int, held: bool, names: Sequence[str]) -> list[Task]:
    """Tasks of the levels and of these families in turn, among the held-out instances or not."""
    rng, found = random.Random(seed), list[Task]()
    while len(found) < count:
        level, name = LEVELS[len(found) % 3], names[len(found) // 3 % len(names)]
        while held_out(task := graded(rng, level, name)) != held:
            pass
        found.append(task)
    return found


def lessons(condition: Condition, seed: int) -> list[Lesson]:
    """The lessons of one student: by the seed, which families and tasks, and which of the answers are wrong."""
    rng = random.Random(seed)
    names = rng.sample(families(), condition.families or len(families()))
    drawn = tasks(condition.k, seed, False, names)
    faulty = set(rng.sample(range(condition.k), round(condition.k * condition.wrong)))
    return [Lesson(t.instruction, t.input, wrong(t, rng).text if i in faulty else solve(t))
            for i, t in enumerate(drawn)]  # fmt: skip


@functools.cache
def questions(count: int) -> tuple[Task, ...]:
    return tuple(tasks(count, 0, True, families()))


def measured(
    file: Path, conditions: Sequence[Condition], seeds: Sequence[int], count: int
) -> Iterator[dict[str, object]]:
    """The row of each student, seed by seed: those of the file, and those that are still to be taught."""
    about = digest(STEPS, TOKENS, digest((folder() / "model.safetensors").read_bytes().hex()), count)
    done = {row["key"]: row for row in ledger.rows(file)}
    for seed in seeds:
        for condition in conditions:
            key = digest(about, asdict(condition), seed)
            if key not in done:
                start = time.process_time()
                right = taught(lessons(condition, seed), seed).right(questions(count))
                done[key] = {"key": key, "condition": condition.name, "seed": seed, "right": fmean(right),
                             "seconds": round(time.process_time() - start, 1)}  # fmt: skip
                ledger.note(file, done[key])
            yield done[key]


def table(rows: Sequence[dict[str, object]]) -> str:
    """Each condition: its mean accuracy, and the difference to the students of `WITHOUT` of the same seeds."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        found.setdefault(str(row["condition"]), {})[int(str(row["seed"]))] = float(str(row["right"]))
    lines = []
    for name, right in found.items():
        deltas = [right[seed] - found[WITHOUT.name][seed] for seed in right if seed in found[WITHOUT.name]]
        mean, low, high = t_interval(deltas)
        told = "" if low is None or high is None or name == WITHOUT.name else f"{mean:+7.1%}  [{low:+.1%}, {high:+.1%}]"
        lines.append(f"{name:32}{fmean(right.values()):7.1%}  {told}")
    return "\n".join([*lines, f"{fmean(float(str(r['seconds'])) for r in rows):.1f} s of one core a student", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 9)), help="one student each a condition")
    parser.add_argument("--questions", type=int, default=312, help="held-out questions of levels 1 to 3")
    names = "; ".join(f"{i}: {c.name}" for i, c in enumerate(CONDITIONS)).replace("%", "%%")
    parser.add_argument("--only", type=int, nargs="+", default=list(range(len(CONDITIONS))), metavar="N", help=names)
    parser.add_argument("--out", type=Path, default=Path("training/students.jsonl"), help="file of results")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    rows = list(measured(args.out, [CONDITIONS[i] for i in args.only], args.seeds, args.questions))
    sys.stdout.write(table(rows))


if __name__ == "__main__":
    main()
