"""Another gate over the candidates that are stored: thresholds move, no model is asked anything."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gen import recipe as recipes
from gen.errors import RecipeError, UserError
from gen.export import atomic
from gen.gate import Admission
from gen.material import deciding, open_gate, read_material
from gen.pool import Pool
from gen.publish import Report, publish, report_of


def regate(folder: Path, new: Path) -> tuple[Report, Report]:
    """Judge all stored candidates by another gate, asking no model anything; returns before and after.

    `new` is a recipe, or only its `[gate]`; every other deciding key must be that of the run."""
    run_recipe = folder / "recipe.toml"
    if not run_recipe.is_file():
        raise UserError(f"{folder}: no run is here (no recipe.toml); expected a folder that `gen` made")
    base, change = recipes.read(run_recipe), tomllib.loads(_read(new))
    merged = recipes.build({**recipes.table_of(base), **change}, where=str(new))
    material = read_material(merged)
    with Pool.open(folder) as pool:
        _check_only_gate(pool.state("deciding", {}), deciding(merged, material), new)
        before = report_of(pool, folder, "before")
        number, finished = pool.state("gate_runs", 1) + 1, pool.state("finished")
        pool.set_state("gate_runs", number)  # taken first: a number is never used by two gates, killed or not
        admission = Admission(open_gate(merged, material), number, merged.budget)
        while rows := admission.pending(pool, 0, None):
            admission.judge(pool, rows)
        for name, value in {"finished": None, "gate_run": number, "deciding": deciding(merged, material)}.items():
            pool.set_state(name, value)
        with atomic(run_recipe) as file:
            file.write(recipes.to_toml(merged))
        publish(pool, folder, merged, material)
        pool.set_state("finished", finished)
        return before, report_of(pool, folder, "regated")


def _check_only_gate(old: Mapping[str, Any], new: Mapping[str, Any], where: Path) -> None:
    lines = [x for x in recipes.difference(old, new) if not x.startswith(("gate", "content.against"))]
    if lines:
        shown = "\n  ".join(lines)
        raise RecipeError(f"{where}: regate changes [gate] and nothing else; these differ too:\n  {shown}")


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); expected a TOML file with [gate]") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    return text


