"""Another gate over the candidates that are stored: thresholds move, no model is asked anything."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gen import recipe as recipes
from gen.assess import Record
from gen.core import Sample, replace
from gen.errors import RecipeError, UserError
from gen.export.files import atomic
from gen.gate import Admission, Gate, Position
from gen.insight import LIVE, note
from gen.job import measure_all
from gen.material import Material, deciding, read_material
from gen.plan import Recipe
from gen.pool import Pool, of_stage
from gen.publish import Report, publish, report_of
from gen.roles import Say
from gen.watch import Watch


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
    newer = {"gate": wanted.gate, "gates": wanted.gates, "optional": wanted.optional, "chain": wanted.chain}
    merged = replace(base, source=source, **newer)
    material = read_material(wanted)
    with Pool.open(folder) as pool:
        keys = deciding(wanted, material)
        run, last = pool.newest()
        _check_same(pool, keys, new, wanted)
        before, finished = report_of(pool, folder, "before"), pool.state("finished")
        if score_all:
            measure_all(merged, pool, material, say)
        left_out = pool.state(of_stage("left_out", last)) or {}
        left_out = {k: v for k, v in left_out.items() if k in merged.optional and not score_all}
        number = pool.state(of_stage("gate_runs", last), run) + 1
        pool.set_state(of_stage("gate_runs", last), number)  # first: no two gates have one number, killed or not
        record = Record(gate := Gate(merged.filters(left_out)), pool, pool.state(of_stage("fingerprints", last), {}))
        watch = Watch(record.vector)
        admission = Admission(gate, number, merged.budget, record, last, told=[watch.hear])
        _judge(pool, admission, _known(merged, material))
        own = {of_stage("gate_run", last): number, of_stage("left_out", last): left_out}
        state = {"finished": None, of_stage("ended", last): None, "deciding": keys, **own}
        pool.add_verdicts(number, (), state)  # in one transaction
        if admission.position.kept > LIVE:
            note(pool, last, watch)
        with atomic(saved) as file:
            file.write(recipes.to_toml(merged, folder))
        publish(pool, folder, merged, material)
        if finished and (finished["why"] == "complete" or admission.spent()):
            pool.set_state("finished", finished)
        return before, report_of(pool, folder, "regated")


def _known(recipe: Recipe, material: Material) -> Iterable[Sample]:
    """What the gate of the last stage knew before its first conversation."""
    draws = hasattr(recipe.stages[-1].recipe.params, "draw")
    return itertools.chain(material.against, material.seeds.samples if draws else ())


def _check_same(pool: Pool, keys: Any, new: Path, wanted: Recipe) -> None:
    lines = recipes.difference(pool.state("deciding", {}), keys)
    stages = [stage.recipe.gate for stage in wanted.stages]
    # of a loop with several parts, all that have the recipe's gate: what only the last one keeps is the dataset
    like = [n for n, gate in enumerate(stages, 1) if n == len(stages) or (gate == wanted.gate and not wanted.chain)]
    own = ("gate", "content.against", *(f"stage {n}.gate" for n in like))
    if other := [line for line in lines if not line.startswith(own)]:
        shown = "\n  ".join(other)
        raise RecipeError(f"{new}: regate changes [gate] and nothing else; these differ too:\n  {shown}")


def _judge(pool: Pool, admission: Admission, known: Iterable[Sample]) -> None:
    """All that the newest gate has judged. Beyond its position there may be holes, where a straggler is still to
    come."""
    last = Position.stored(pool, *pool.newest(admission.stage))
    for sample in known:
        admission.gate.admit(sample, admission.recall.vectors(sample))
    while rows := admission.pending(pool, (last.round, f"{last.call} ")):
        admission.judge(pool, rows)
