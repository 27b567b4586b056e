"""Another gate over the candidates that are stored: thresholds move, no model is asked anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gen import recipe as recipes
from gen.assess import Record
from gen.errors import RecipeError, UserError
from gen.export.files import atomic
from gen.gate import Admission, Gate, Position
from gen.material import deciding, read_material
from gen.pool import Pool
from gen.publish import Report, publish, report_of


def regate(folder: Path, new: Path) -> tuple[Report, Report]:
    """Judge by another gate what the newest one has judged; returns before and after. `new` is a recipe, or only
    its `[gate]`, of which nothing but the gate and `--against` is taken; its deciding keys must be the run's. A run
    that was stopped, or misses its target now, goes on later as if it had always had this gate."""
    saved = folder / "recipe.toml"
    if not saved.is_file():
        raise UserError(f"{folder}: no run is here (no recipe.toml); expected a folder that `gen` made")
    base = recipes.read(saved)
    wanted = recipes.with_values(base, recipes.load(new), where=str(new))
    merged = replace(base, gate=wanted.gate, source=replace(base.source, against=wanted.source.against))
    material = read_material(wanted)
    with Pool.open(folder) as pool:
        keys = deciding(wanted, material)
        lines = recipes.difference(pool.state("deciding", {}), keys)
        if other := [line for line in lines if not line.startswith(("gate", "content.against"))]:
            shown = "\n  ".join(other)
            raise RecipeError(f"{new}: regate changes [gate] and nothing else; these differ too:\n  {shown}")
        before, finished = report_of(pool, folder, "before"), pool.state("finished")
        last = Position.stored(pool, pool.state("gate_run", 1))
        number = pool.state("gate_runs", 1) + 1
        pool.set_state("gate_runs", number)  # taken first: a number is never used by two gates, killed or not
        gate = Gate(merged.gate)
        recall = Record(gate, pool, pool.state("fingerprints", {}))
        for sample in material.against:
            gate.admit(sample, recall.vectors(sample))
        admission = Admission(gate, number, merged.budget, recall)
        # Beyond the last gate's position there may be holes, where a straggler is still to come.
        while rows := admission.pending(pool, 0, (last.round, f"{last.call} ")):
            admission.judge(pool, rows)
        pool.add_verdicts(number, (), {"finished": None, "gate_run": number, "deciding": keys})  # in one transaction
        with atomic(saved) as file:
            file.write(recipes.to_toml(merged, folder))
        publish(pool, folder, merged, material)
        if finished and (finished["why"] == "complete" or admission.spent()):
            pool.set_state("finished", finished)
        return before, report_of(pool, folder, "regated")
