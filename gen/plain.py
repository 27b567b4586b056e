"""A recipe as plain values again: as a table, as a TOML file, and how two of them differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from gen import catalog
from gen.plan import SECTIONS, Recipe, values
from gen.seeds.folder import local


def table_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, complete: every key with its value, in reading order."""
    sections = {name: values(getattr(recipe, name)) for name in SECTIONS}
    if recipe.chain:
        shared = {k: v for k, v in values(recipe).items() if k not in ("loop", "rounds")}
        stages = [_stage_table(stage, sections["roles"]) for stage in recipe.chain]
        return {**shared, **sections, "stages": stages}
    return {**values(recipe), **sections, recipe.loop: values(recipe.params), "gate": _gate_table(recipe)}


def _gate_table(recipe: Recipe) -> dict[str, Any]:
    gate: dict[str, Any] = {"filters": [catalog.name_of(f) for f in recipe.gate]}
    gate |= {"optional": list(recipe.optional)} if recipe.optional else {}
    return gate | {catalog.name_of(f): values(f) for one in recipe.gates for f in one if values(f)}


def _stage_table(recipe: Recipe, above: Mapping[str, Any]) -> dict[str, Any]:
    roles = {role: name for role, name in values(recipe.roles).items() if name != above[role]}
    told: dict[str, Any] = {"loop": recipe.loop} | (
        {"rounds": recipe.rounds} if hasattr(recipe.params, "ROUNDS") else {}
    )
    told |= {"target": recipe.budget.target} if recipe.budget.target else {}
    told |= {"roles": roles} if roles else {}
    return {**told, recipe.loop: values(recipe.params), "gate": _gate_table(recipe)}


def to_toml(recipe: Recipe, folder: Path | None = None) -> str:
    """The recipe as a file that `read` turns into the same recipe; with a `folder` for the file, its paths
    are written from there, so that it means the same wherever it is read from."""
    table = table_of(recipe)
    if folder:
        table = moved(table, lambda path, rest: os.path.relpath(path.resolve(), folder.resolve()) + rest, Path())
    return tomli_w.dumps(table)


def difference(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """The keys in which two plain recipes differ, as `key: old -> new` lines."""
    lines = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if key == "stages" and a and b:  # more of them is the same run, further on
            if len(b) < len(a):
                lines.append(f"stages: {len(a)} -> {len(b)}; a run can only go on with more")
            for number, (x, y) in enumerate(zip(a, b, strict=False), 1):
                lines += difference(x, y, f"{path}stage {number}.")
        elif isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += difference(a, b, f"{path}{key}.")
        elif a != b:
            lines.append(f"{path}{key}: {a!r} -> {b!r}")
    return lines


def moved(table: Mapping[str, Any], change: Callable[[Path, str], str], base: Path) -> dict[str, Any]:
    """The table with the paths in it changed, as far as they exist, seen from `base`: the folder of prompts, the data
    of [source]. `change` gets a path and what follows it (`:CONFIG#SPLIT`)."""

    def each(value: Any) -> Any:
        if isinstance(value, list):
            return [each(v) for v in value]
        parts = local(value, base) if value and isinstance(value, str) else None
        return change(*parts) if parts else value

    source = table.get("source")
    moved = {key: each(value) if key == "prompts" else value for key, value in table.items()}
    if isinstance(source, Mapping):
        moved["source"] = {k: each(v) if k in ("seeds", "against", "demos") else v for k, v in source.items()}
    return moved
