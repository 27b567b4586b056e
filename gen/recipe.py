"""A recipe fully describes a run: a TOML file, or the flags that amount to one. Its keys are *deciding*
(they make another dataset) or *running* (where, how fast, how long); only deciding keys tell runs apart."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomli_w
from msgspec import Meta

from gen import catalog
from gen.core import digest
from gen.errors import RecipeError, nearest
from gen.prompts import Prompts
from gen.sections import Budget, Model, Roles, Source, split_engine
from gen.seeds.folder import local

PART: Any = {"parameter": False}
FILTER_KINDS = ("rule", "score", "dedup")
OPTIONAL = ("semantic", "ifd")
"""Filters that leave the default gate, with a word, where nothing here can measure what they need."""
RULES = ("empty", "length", "refusal", "leakage", "repetition", "truncation", "script")
DEFAULT_GATES = {"evolve": (*RULES, "exact", *OPTIONAL)}


@dataclass(frozen=True, slots=True)
class Recipe:
    loop: str = "evolve"
    rounds: Annotated[int, Meta(ge=0, le=100)] = 3
    """Passes of the loop; raise it later to go on."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Seed of everything random."""
    prompts: str = ""
    """Folder whose files override the shipped prompts path by path."""
    score_all: bool = False
    """Measure, too, what a cheaper filter drops, so that another gate can judge it later."""
    source: Source = field(default_factory=Source, metadata=PART)
    model: Model = field(default_factory=Model, metadata=PART)
    roles: Roles = field(default_factory=Roles, metadata=PART)
    budget: Budget = field(default_factory=Budget, metadata=PART)
    params: Any = field(default=None, metadata=PART)
    """The loop's own parameters: an instance of its dataclass."""
    gate: tuple[Any, ...] = field(default=(), metadata=PART)
    """Filters in order: instances of their dataclasses."""
    optional: tuple[str, ...] = field(default=(), metadata=PART)
    """Filters of the gate that may be left out where nothing can measure what they need."""

    def deciding(self) -> dict[str, Any]:
        """The keys that make another dataset, without rounds (a run can go on) and without the seeds'
        paths (their content decides, see `run_name`)."""
        return {
            "loop": self.loop, "seed": self.seed, "limit": self.source.limit, "map": dict(self.source.map),
            "model": self.model.name, "served": bool(self.model.server) or self.model.engine == "vllm",
            "thinking": self.model.thinking,
            **({"thinking_budget": self.model.thought} if self.model.thought else {}),
            "roles": {role: split_engine(name)[0] or "served" for role, name in values(self.roles).items() if name},
            "params": weighty(self.params), "prompts": [p.ref for p in self.params.asks()],
            "gate": [[catalog.name_of(f), values(f)] for f in self.gate],
        }  # fmt: skip

    def run_name(self, content: str) -> str:
        """`<loop>-<8 hex>`; `content` is the hash of the seeds and of `--against`."""
        return f"{self.loop}-{digest(self.deciding(), content, size=8)}"


SECTIONS = {"source": Source, "model": Model, "roles": Roles, "budget": Budget}


def values(component: Any) -> dict[str, Any]:
    """The parameters of a component or section as plain values, None left out."""
    found = {p.name: getattr(component, p.name) for p in catalog.parameters(type(component))}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v is not None}


def weighty(component: Any) -> dict[str, Any]:
    """The values that decide: a parameter that came later (`metadata={"later": True}`) is none of them while it is at
    its default, so that what was begun before it came can go on."""
    later = {f.name: f.default for f in fields(component) if f.metadata.get("later")}
    return {k: v for k, v in values(component).items() if k not in later or v != later[k]}


def read(path: Path) -> Recipe:
    """The recipe of a file. Raises RecipeError naming file, section and key for what is not understood."""
    return build(load(path), where=str(path))


def load(path: Path) -> dict[str, Any]:
    """The tables of a recipe file, unchecked. Paths in it that exist beside the file mean what is there."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); expected a TOML recipe") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    return _moved(table, lambda found, rest: f"{found}{rest}", path.parent)


def _moved(table: Mapping[str, Any], change: Callable[[Path, str], str], base: Path) -> dict[str, Any]:
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
        moved["source"] = {k: each(v) if k in ("seeds", "against") else v for k, v in source.items()}
    return moved


def build(table: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """A checked recipe from plain values. `where` opens every error message."""
    loop = str(table.get("loop", "evolve"))
    cls = _named(loop, where, "loop")
    tables = {*SECTIONS, loop, "gate"}
    for key, value in table.items():
        allowed = {*tables, *(p.name for p in catalog.parameters(Recipe))}
        if key not in allowed or (key in tables) != isinstance(value, Mapping):
            wanted = f"expected a {'table' if key in tables else 'value'}"
            raise RecipeError(
                f"{where}: key {key!r} is not understood here; {wanted if key in allowed else nearest(key, allowed)}"
            )
    plain = _make(Recipe, {k: v for k, v in table.items() if k not in tables}, where)
    prompts = Prompts(Path(plain.prompts) if plain.prompts else None)
    params = _make(cls, table.get(loop, {}), f"{where}, [{loop}]", prompts=prompts)
    params.asks()  # every prompt that can be asked is read and checked now, not in round 3
    sections = {name: _make(part, table.get(name, {}), f"{where}, [{name}]") for name, part in SECTIONS.items()}
    gate = tuple(_gate(loop, table.get("gate", {}), where))
    optional = table.get("gate", {}).get("optional", () if "filters" in table.get("gate", {}) else OPTIONAL)
    kept = tuple(name for f in gate if (name := catalog.name_of(f)) in optional)
    return replace(plain, params=params, gate=gate, optional=kept, **sections)  # type: ignore[no-any-return]


def _gate(loop: str, table: Mapping[str, Any], where: str) -> Iterator[Any]:
    names = table.get("filters", DEFAULT_GATES.get(loop, ("empty", "exact")))
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise RecipeError(f"{where}, [gate]: filters = {names!r}; expected a list of filter names")
    for key in table:
        if key not in ("filters", "optional", *names):
            raise RecipeError(f"{where}, [gate.{key}]: this filter is not in the gate; {nearest(key, names)}")
    if doubled := {n for n in names if list(names).count(n) > 1}:
        raise RecipeError(f"{where}, [gate]: {sorted(doubled)[0]!r} is named twice; once is enough")
    for name in names:
        cls = _named(name, f"{where}, [gate]", *FILTER_KINDS)
        if not {"check", "open", "score"} & set(dir(cls)):
            raise RecipeError(f"{where}, [gate]: {name!r} has no check, open or score; see filters/base.py")
        yield _make(cls, table.get(name, {}), f"{where}, [gate.{name}]")


def _named(name: str, where: str, *kinds: str) -> type[Any]:
    try:
        return catalog.load(name, *kinds)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _make(cls: type[Any], table: Mapping[str, Any], where: str, **extra: Any) -> Any:
    """An instance of a parameter dataclass: unknown keys refused, types and ranges checked."""
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where}: {table!r}; expected a table of parameters")
    known, checked = {p.name: p for p in catalog.parameters(cls)}, {}
    for key, value in table.items():
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}; {nearest(key, known)}")
        try:
            checked[key] = msgspec.convert(value, known[key].type, strict=True)
            msgspec.json.encode(value)
        except msgspec.ValidationError as error:
            allowed = f"; allowed: {known[key].range}" if known[key].range else ""
            raise RecipeError(f"{where}: {key} = {value!r}: {error}{allowed}") from error
        except UnicodeEncodeError as error:
            raise RecipeError(f"{where}: {key} = {value!r}: not UTF-8 text; write it as UTF-8") from error
    try:
        return cls(**checked, **extra)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def table_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, complete: every key with its value, in reading order."""
    gate: dict[str, Any] = {"filters": [catalog.name_of(f) for f in recipe.gate]}
    gate |= {"optional": list(recipe.optional)} if recipe.optional else {}
    gate |= {catalog.name_of(f): values(f) for f in recipe.gate if values(f)}
    sections = {name: values(getattr(recipe, name)) for name in SECTIONS}
    return {**values(recipe), **sections, recipe.loop: values(recipe.params), "gate": gate}


def to_toml(recipe: Recipe, folder: Path | None = None) -> str:
    """The recipe as a file that `read` turns into the same recipe; with a `folder` for the file, its paths
    are written from there, so that it means the same wherever it is read from."""
    table = table_of(recipe)
    if folder:
        table = _moved(table, lambda path, rest: os.path.relpath(path.resolve(), folder.resolve()) + rest, Path())
    return tomli_w.dumps(table)


def difference(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """The keys in which two plain recipes differ, as `key: old -> new` lines."""
    lines = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += difference(a, b, f"{path}{key}.")
        elif a != b:
            lines.append(f"{path}{key}: {a!r} -> {b!r}")
    return lines


def with_values(recipe: Recipe, changes: Mapping[str, Any], *, where: str = "changes") -> Recipe:
    """The recipe with other keys, re-checked as a whole. A gate that names its filters is a whole new gate."""
    merged = table_of(recipe)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and not (key == "gate" and "filters" in value):
            value = {**old, **value}
        merged[key] = value
    return build(merged, where=where)
