"""A recipe fully describes a run: a TOML file, or the flags that amount to one. Its keys are *deciding*
(they make another dataset) or *running* (where, how fast, how long); only deciding keys tell runs apart."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from gen import catalog
from gen.errors import PromptError, RecipeError, nearest
from gen.loop import MEASURED, gate_of, parts_of
from gen.plain import difference, moved, table_of, to_toml
from gen.plan import SECTIONS, Recipe, Stage, values
from gen.prompts import Prompts
from gen.sections import Budget, Roles

__all__ = [
    "FILTER_KINDS",
    "SECTIONS",
    "Recipe",
    "Stage",
    "build",
    "difference",
    "load",
    "read",
    "table_of",
    "to_toml",
    "values",
    "with_values",
]
FILTER_KINDS = ("rule", "score", "dedup")
KINDS = {"array": 'a list, such as ["a"]', "object": "a table, such as {a = 1}", "str": 'a text, such as "a"',
         "bool": "true or false", "int": "a whole number", "float": "a number"}  # fmt: skip
"""What msgspec calls a kind of value, as TOML writes it."""
MOST = 1 << 20
"""Bytes of the longest recipe."""


def read(path: Path) -> Recipe:
    """The recipe of a file. Raises RecipeError naming file, section and key for what is not understood."""
    return build(load(path), where=str(path))


def load(path: Path) -> dict[str, Any]:
    """The tables of a recipe file, unchecked. Paths in it that exist beside the file mean what is there."""
    try:
        if path.exists() and not path.is_file():
            raise RecipeError(f"{path}: a folder, pipe or device; expected a TOML recipe in a file")
        with path.open("rb") as file:
            data = file.read(MOST + 1)
        if len(data) > MOST:
            raise RecipeError(f"{path}: more than {MOST >> 20} MiB; expected a TOML recipe")
        table = tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); expected a TOML recipe") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a bare ValueError
        known = isinstance(error, tomllib.TOMLDecodeError | UnicodeDecodeError)
        said = error if known else "a number of too many digits, or tables nested too deeply"
        raise RecipeError(f"{path}: not valid TOML: {said}; `gen evolve --print-recipe` prints one that is") from error
    return moved(table, lambda found, rest: f"{found}{rest}", path.parent)


def build(table: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """A checked recipe from plain values. `where` opens every error message."""
    if "stages" in table:
        return _chain(table, where)
    loop = str(table.get("loop", "evolve"))
    cls = _named(loop, where, "loop")
    _check_keys(table, {*SECTIONS, loop, "gate"}, where)
    plain = _make(Recipe, {"rounds": getattr(cls, "ROUNDS", 0), **_plain(table)}, where)
    if plain.rounds and not hasattr(cls, "ROUNDS"):
        raise RecipeError(f"{where}: rounds = {plain.rounds}, but {loop!r} has no rounds; leave it out")
    params = _params(cls, table.get(loop, {}), plain.prompts, where, loop)
    sections = {name: _make(part, table.get(name, {}), f"{where}, [{name}]") for name, part in SECTIONS.items()}
    if any(hasattr(part.loop, "draw") for part in parts_of(params)):
        sections["budget"] = _bounded(sections["budget"])
    gates = _gates(params, table.get("gate", {}), where)
    optional = _names(table.get("gate", {}), "optional", () if "filters" in table.get("gate", {}) else MEASURED, where)
    kept = tuple(name for name in optional if any(catalog.name_of(f) == name for gate in gates for f in gate))
    return replace(plain, params=params, gate=gates[-1], gates=gates, optional=kept, **sections)  # type: ignore[no-any-return]


def _params(cls: type[Any], table: Mapping[str, Any], folder: str, where: str, loop: str) -> Any:
    """The loop's own parameters. Every prompt that can be asked is read and checked now, not in round 3."""
    if not hasattr(cls, "asks"):
        raise RecipeError(f"{where}: {loop!r} is no loop; see gen/loop.py")
    try:
        prompts = Prompts(Path(folder) if folder else None)
        own = {"prompts": prompts} if "prompts" in {f.name for f in fields(cls)} else {}
        params = _make(cls, table, f"{where}, [{loop}]", **own)
        for part in parts_of(params):
            part.loop.asks()
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from error
    return params


def _names(gate: Mapping[str, Any], key: str, default: Sequence[str], where: str) -> Sequence[str]:
    """A list of filters in [gate]."""
    found = gate.get(key, default)
    if not isinstance(found, (list, tuple)) or not all(isinstance(n, str) for n in found):
        raise RecipeError(f"{where}, [gate]: {key} = {found!r:.100}; expected a list of filter names")
    return found


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that are no tables."""
    return {k: v for k, v in table.items() if not isinstance(v, Mapping) and k != "stages"}


TARGET = 100
"""Samples that a loop is asked for which would go on for ever, where no budget says otherwise."""


def _bounded(budget: Budget) -> Budget:
    free = budget.target is None and budget.max_tokens is None and budget.max_time is None
    return replace(budget, target=TARGET) if free else budget


def _check_keys(table: Mapping[str, Any], tables: set[str], where: str) -> None:
    for key, value in table.items():
        allowed = {*tables, *(p.name for p in catalog.parameters(Recipe))}
        if key not in allowed or (key in tables) != isinstance(value, Mapping):
            wanted = f"expected a {'table' if key in tables else 'value'}" if key in allowed else nearest(key, allowed)
            raise RecipeError(f"{where}: key {key[:100]!r} is not understood here; {wanted}")


STAGE_KEYS = ("loop", "rounds", "target", "roles", "gate")
"""What a stage may say besides its loop's own table; all else is said once for the run."""


def _chain(table: Mapping[str, Any], where: str) -> Recipe:
    """A recipe of `[[stages]]`, each of which is a recipe with what is said above them."""
    given = table["stages"]
    if not isinstance(given, list) or not given or not all(isinstance(stage, Mapping) for stage in given):
        shown = f"{where}: stages = {given!r:.100}"
        raise RecipeError(f"{shown}; expected one table [[stages]] or more, each with its loop")
    above = {k: v for k, v in table.items() if k not in ("stages", "loop")}
    _check_keys(above, {*SECTIONS}, where)
    if "rounds" in above:
        raise RecipeError(f"{where}: rounds = {above['rounds']}; expected it inside the stage that has rounds")
    chain = []
    for number, stage in enumerate(given, 1):
        place, loop = f"{where}, stage {number}", str(stage.get("loop", "evolve"))
        for key in stage:
            if key not in (*STAGE_KEYS, loop):
                raise RecipeError(f"{place}: unknown key {key[:100]!r}; {nearest(key, (*STAGE_KEYS, loop))}")
        own = {k: v for k, v in stage.items() if k not in ("target", "roles")}
        last = number == len(given) and "target" not in stage
        target = above.get("budget", {}).get("target") if last else stage.get("target")
        budget = {k: v for k, v in above.get("budget", {}).items() if k != "target"}
        budget |= {} if target is None else {"target": target}
        if not isinstance(own_roles := stage.get("roles", {}), Mapping):
            raise RecipeError(f"{place}: roles = {own_roles!r}; expected a table of roles")
        roles = {**above.get("roles", {}), **own_roles}
        chain.append(build({**above, **own, "loop": loop, "roles": roles, "budget": budget}, where=place))
    plain = _make(Recipe, {**_plain(above), "rounds": 0}, where)
    last_one = chain[-1]
    sections = {name: getattr(last_one, name) for name in ("source", "model", "budget")}
    roles = _make(Roles, above.get("roles", {}), f"{where}, [roles]")
    return replace(  # type: ignore[no-any-return]
        plain, loop="chain", roles=roles, gate=last_one.gate, optional=last_one.optional, params=last_one.params,
        chain=tuple(chain), **sections,
    )  # fmt: skip


def _gates(params: Any, table: Mapping[str, Any], where: str) -> tuple[tuple[Any, ...], ...]:
    """The filters of each part of a loop, opened with what `[gate.NAME]` says."""
    own, parts = _names(table, "filters", gate_of(params), where), parts_of(params)
    names = list(dict.fromkeys((*own, *(n for part in parts for n in part.gate or ()))))
    for key in table:
        if key not in ("filters", "optional", *names):
            raise RecipeError(f"{where}, [gate.{key[:100]}]: this filter is not in the gate; {nearest(key, names)}")
    if doubled := {n for n in own if list(own).count(n) > 1}:
        raise RecipeError(f"{where}, [gate]: {sorted(doubled)[0]!r} is named twice; once is enough")
    made = {name: _filter(name, table.get(name, {}), where) for name in names}
    return tuple(tuple(made[n] for n in (own if part.gate is None else part.gate)) for part in parts)


def _filter(name: str, table: Mapping[str, Any], where: str) -> Any:
    cls = _named(name, f"{where}, [gate]", *FILTER_KINDS)
    if not {"check", "open", "score"} & set(dir(cls)):
        raise RecipeError(f"{where}, [gate]: {name!r} has no check, open or score; see filters/base.py")
    return _make(cls, table, f"{where}, [gate.{name}]")


def _named(name: str, where: str, *kinds: str) -> type[Any]:
    try:
        return catalog.load(name, *kinds)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _make(cls: type[Any], table: Mapping[str, Any], where: str, **extra: Any) -> Any:
    """An instance of a parameter dataclass: unknown keys refused, types and ranges checked."""
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where}: {table!r:.100}; expected a table of parameters")
    known, checked = {p.name: p for p in catalog.parameters(cls)}, {}
    for key, value in table.items():
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key[:100]!r}; {nearest(key, known)}")
        try:
            checked[key] = msgspec.convert(value, known[key].type, strict=True)
            msgspec.json.encode(value)
        except msgspec.ValidationError as error:
            wanted = re.match(r"Expected `(\w+)", str(error))
            range_ = known[key].range or KINDS.get(wanted[1] if wanted else "", "")
            allowed = f"; allowed: {range_}" if range_ else ""
            raise RecipeError(f"{where}: {key} = {value!r:.100}: {error}{allowed}") from error
        except UnicodeEncodeError as error:
            raise RecipeError(f"{where}: {key} = {value!r:.100}: not UTF-8 text; write it as UTF-8") from error
    try:
        return cls(**checked, **extra)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def with_values(recipe: Recipe, changes: Mapping[str, Any], *, where: str = "changes") -> Recipe:
    """The recipe with other keys, re-checked as a whole. A gate that names its filters is a whole new gate."""
    merged = table_of(recipe)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and not (key == "gate" and "filters" in value):
            value = {**old, **value}
        merged[key] = value
    return build(merged, where=where)
