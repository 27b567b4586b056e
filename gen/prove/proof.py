"""The whole proof in a folder: what was asked for, the parts of the checkpoints, and `results.json`, which joins those
that are there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gen.errors import InputError
from gen.export.files import atomic
from gen.job import Watch
from gen.micro.bundled import NAMES, folder
from gen.prove.effects import joined
from gen.prove.inputs import prepare
from gen.prove.students import School, Teach, teaching
from gen.prove.trial import Trial
from gen.world import VERSION

Group = Literal["rounds", "gates", "selection", "loops", "students"]
ONLY: tuple[Group, ...] = get_args(Group)
Loop = Literal["refine-drafts", "refine-answers", "selfee-drafts", "selfee-answers", "curate-drafts", "backtranslate",
               "extract", "instances", "self-instruct", "alpaca", "code", "first-method"]  # fmt: skip
LOOPS: tuple[Loop, ...] = get_args(Loop)
"""Runs of the group `loops` (`gen.prove.runs`)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides the results."""

    k: int
    seeds: int
    seed_tasks: int
    test_tasks: int
    only: tuple[Group, ...] = ONLY
    loops: tuple[Loop, ...] = LOOPS

    def settings(self) -> dict[str, Any]:
        some = self.loops if self.loops != LOOPS else ()
        return {"world": VERSION, "k": self.k, "students": self.seeds, "seed tasks": self.seed_tasks,
                "test tasks": self.test_tasks, "only": " ".join((*self.only, *some)),
                "torch": importlib.metadata.version("torch")}


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears of what goes on."""

    watch: Callable[[], Watch]
    """Makes what watches a run."""
    say: Callable[[str], None]
    tell: Callable[[str], None]


def trial(checkpoint: str, plan: Plan, out: Path, ears: Ears, teach: Teach | None = None) -> Trial:
    """What is to be done with a checkpoint: one of the bundled ones, or a folder with a model. `teach` stands for the
    student of `gen.micro`."""
    inputs = prepare(out / f"inputs-{plan.seed_tasks}-{plan.test_tasks}", plan.seed_tasks, plan.test_tasks)
    models = {kept: name for name, kept in NAMES.items()}
    model = models.get(checkpoint, checkpoint)  # type: ignore[call-overload]
    where = out / Path(checkpoint).name / f"{plan.seed_tasks}-{_weights(model)}"
    school = School(
        out / Path(checkpoint).name / "students.jsonl", checkpoint, inputs.tests, plan.k,
        teach or teaching(inputs.tests), about_student() if teach is None else "",
    )  # fmt: skip
    return Trial(checkpoint, model, where, inputs, school, plan.seeds, frozenset(plan.only), frozenset(plan.loops),
                 ears.watch, ears.say, ears.tell)


def _weights(model: str) -> str:
    """A hash of what the checkpoint is, so that new weights begin new runs."""
    where = folder(model) if model in NAMES else Path(model)
    if not (where / "config.json").is_file():
        raise InputError(f"--checkpoints {model}: no model is there; expected strong, weak or a folder with a model")
    return _content(where)


def _content(folder: Path) -> str:
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json") and p.name != "manifest.json")
    content = hashlib.blake2b(digest_size=4)
    for file in files:
        content.update(file.read_bytes())
    return content.hexdigest()


def about_student() -> str:
    """What decides a student besides its lessons and seed."""
    from gen.micro import student

    return f"{student.STEPS} steps of {student.TOKENS} tokens, from {_content(student.folder())}"


def store(found: Trial, plan: Plan, out: Path) -> dict[str, Any]:
    """Write the results of a checkpoint, and those of all that were asked for the same; returns these."""
    _write(out / Path(found.checkpoint).name / "results.json", {"settings": plan.settings()} | found.results())
    return join(plan, out)


def join(plan: Plan, out: Path) -> dict[str, Any]:
    """The results of all checkpoints of this folder with the settings of `plan`, in one file."""
    files = sorted(out.glob("*/results.json"))
    sides = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in files}
    sides = {name: side for name, side in sides.items() if side["settings"] == plan.settings()}
    effects = joined({name: side["effects"] for name, side in sides.items()})
    shown = ("weights", "groups")
    results = {"settings": plan.settings(), "effects": effects,
               "checkpoints": {name: {n: side[n] for n in shown} for name, side in sides.items()}}  # fmt: skip
    _write(out / "results.json", results)
    return results


def _write(path: Path, results: Mapping[str, Any]) -> None:
    with atomic(path) as file:
        file.write(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def steps(found: Trial) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """Titles and rows of tables, as soon as they are known; students come last."""
    for group, rows in found.tables():
        yield f"{group}, {found.checkpoint}", rows
    if "students" in found.only:
        for group, rows in found.teach():
            yield f"{group}, {found.checkpoint}, with students of {found.school.k} samples", rows
