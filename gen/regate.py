"""Another gate over the candidates that are stored: thresholds move, no model is asked anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gen import recipe as recipes
from gen.assess import Record
from gen.errors import RecipeError, UserError
from gen.export.files import atomic
from gen.gate import Admission, Gate, Position
from gen.job import measure_all
from gen.material import Material, deciding, read_material
from gen.pool import Pool
from gen.publish import Report, publish, report_of
from gen.roles import Say


def regate(folder: Path, new: Path, *, score_all: bool, say: Say) -> tuple[Report, Report]:
    """Judge by another gate what the newest one has judged; returns before and after. What was never measured is
    dropped as `unscored`, or, with `score_all`, measured first. `new` is a recipe, or only its `[gate]`, of which
    nothing but the gate and `--against` is taken; its deciding keys must be the run's. A run that was stopped, or
    misses its target now, goes on later as if it had always had this gate."""
    saved = folder / "recipe.toml"
    if not saved.is_file():
        raise UserError(f"{folder}: no run is here (no recipe.toml); expected a folder that `gen` made")
    base = recipes.read(saved)
    wanted = recipes.with_values(base, recipes.load(new), where=str(new))
    source = replace(base.source, against=wanted.source.against)
    merged = replace(base, gate=wanted.gate, optional=wanted.optional, source=source)
    material = read_material(wanted)
    with Pool.open(folder) as pool:
        keys = deciding(wanted, material)
        _check_same(pool, keys, new)
        before, finished = report_of(pool, folder, "before"), pool.state("finished")
        if score_all:
            measure_all(merged, pool, material, say)
        left_out = {k: v for k, v in (pool.state("left_out") or {}).items() if k in merged.optional and not score_all}
        number = pool.state("gate_runs", 1) + 1
        pool.set_state("gate_runs", number)  # taken first: a number is never used by two gates, killed or not
        gate = Gate([f for f in merged.gate if f.passport.name not in left_out])
        admission = Admission(gate, number, merged.budget, Record(gate, pool, pool.state("fingerprints", {})))
        _judge(pool, admission, material)
        state = {"finished": None, "gate_run": number, "deciding": keys, "left_out": left_out}
        pool.add_verdicts(number, (), state)  # in one transaction
        with atomic(saved) as file:
            file.write(recipes.to_toml(merged, folder))
        publish(pool, folder, merged, material)
        if finished and (finished["why"] == "complete" or admission.spent()):
            pool.set_state("finished", finished)
        return before, report_of(pool, folder, "regated")


def _check_same(pool: Pool, keys: Any, new: Path) -> None:
    lines = recipes.difference(pool.state("deciding", {}), keys)
    if other := [line for line in lines if not line.startswith(("gate", "content.against"))]:
        shown = "\n  ".join(other)
        raise RecipeError(f"{new}: regate changes [gate] and nothing else; these differ too:\n  {shown}")


def _judge(pool: Pool, admission: Admission, material: Material) -> None:
    """All that the newest gate has judged. Beyond its position there may be holes, where a straggler is still to
    come."""
    last = Position.stored(pool, pool.state("gate_run", 1))
    for sample in material.against:
        admission.gate.admit(sample, admission.recall.vectors(sample))
    while rows := admission.pending(pool, 0, (last.round, f"{last.call} ")):
        admission.judge(pool, rows)
