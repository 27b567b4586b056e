"""A recipe fully describes a run: a TOML file, or the flags that amount to one. Its keys are *deciding*
(they make another dataset) or *running* (where, how fast, how long); only deciding keys tell runs apart."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomli_w
from msgspec import Meta

from gen import catalog
from gen.core import digest
from gen.errors import RecipeError, nearest
from gen.prompts import Prompts

FILTER_KINDS = ("rule", "score", "dedup")
DEFAULT_GATES = {"evolve": ("empty", "length", "refusal", "leakage", "repetition", "truncation", "script", "exact")}


@dataclass(frozen=True, slots=True)
class Source:
    """Where samples come from."""

    seeds: tuple[str, ...] = ()
    """Seed files (JSONL or JSON); none: the shipped ones."""
    map: Mapping[str, str] = field(default_factory=dict)
    """Columns of your file: instruction=COLUMN, input=..., response=..., system=..."""
    limit: Annotated[int, Meta(ge=1)] | None = None
    """Only the first N seeds."""
    strict: bool = False
    """Stop at the first bad row instead of skipping it."""
    against: tuple[str, ...] = ()
    """Data that must not be repeated: what you own, benchmarks."""


@dataclass(frozen=True, slots=True)
class Model:
    """Who answers."""

    name: str = ""
    """Name or path; none, and no server: the bundled demonstration model."""
    server: tuple[str, ...] = ()
    """URL of an OpenAI-compatible server; repeat for several."""
    thinking: Literal["off", "on", "default"] = "off"
    """Ask reasoning models to think, or not, where their template allows it."""
    width: Annotated[int, Meta(ge=1, le=4096)] | None = None
    """Requests in flight; empty: 64 for servers, twice the batch for local models."""
    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 32
    """Rows of a batch of a local model."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a local model runs."""
    patience: Annotated[float, Meta(ge=0)] = 120.0
    """Seconds without any server that answers, until the run stops."""
    trust_remote_code: bool = False
    """Let a local model run code from its repository."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop early; a larger budget later goes on."""

    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Stop after this many generated tokens, counted in canonical order."""
    target: Annotated[int, Meta(ge=1)] | None = None
    """Stop at exactly this many kept samples, counted in canonical order."""
    max_time: Annotated[float, Meta(gt=0)] | None = None
    """Stop after this many minutes; the one bound that is not deterministic."""


@dataclass(frozen=True, slots=True)
class Recipe:
    loop: str = "evolve"
    rounds: Annotated[int, Meta(ge=0, le=100)] = 3
    """Passes of the loop; raise it later to go on."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Seed of everything random."""
    prompts: str = ""
    """Folder whose files override the shipped prompts path by path."""
    source: Source = field(default_factory=Source)
    model: Model = field(default_factory=Model)
    budget: Budget = field(default_factory=Budget)
    params: Any = None
    """The loop's own parameters: an instance of its dataclass."""
    gate: tuple[Any, ...] = ()
    """Filters in order: instances of their dataclasses."""

    def deciding(self) -> dict[str, Any]:
        """The keys that make another dataset, without rounds (a run can go on) and without the seeds'
        paths (their content decides, see `run_name`)."""
        return {
            "loop": self.loop, "seed": self.seed, "limit": self.source.limit, "map": dict(self.source.map),
            "model": self.model.name, "served": bool(self.model.server), "thinking": self.model.thinking,
            "params": values(self.params), "prompts": [p.ref for p in self.params.asks()],
            "gate": [[f.passport.name, values(f)] for f in self.gate],
        }  # fmt: skip

    def run_name(self, content: str) -> str:
        """`<loop>-<8 hex>`; `content` is the hash of the seeds and of `--against`."""
        return f"{self.loop}-{digest(self.deciding(), content, size=8)}"


def values(component: Any) -> dict[str, Any]:
    """The parameters of a component or section as plain values, None left out."""
    found = {p.name: getattr(component, p.name) for p in catalog.parameters(type(component))}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v is not None}


def default(loop: str = "evolve") -> Recipe:
    """The recipe that `gen LOOP` without flags amounts to."""
    return build({"loop": loop}, where="defaults")


def read(path: Path) -> Recipe:
    """A recipe file. Relative paths in it are read from its own folder.

    Raises RecipeError naming file, section and key for anything that is not understood."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); expected a TOML recipe") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not valid TOML: {error}") from error
    recipe = build(table, where=str(path))
    here = path.parent
    source = replace(
        recipe.source,
        seeds=tuple(_beside(here, s) for s in recipe.source.seeds),
        against=tuple(_beside(here, s) for s in recipe.source.against),
    )
    return replace(recipe, source=source)


def _beside(folder: Path, name: str) -> str:
    return str(folder / name) if not Path(name).is_absolute() and (folder / name).exists() else name


def build(table: Mapping[str, Any], *, where: str) -> Recipe:
    """A checked recipe from plain values. `where` opens every error message."""
    top = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    loop = str(top.get("loop", "evolve"))
    cls = _named(loop, where, "loop")
    sections = {"source": Source, "model": Model, "budget": Budget}
    allowed = {f.name for f in fields(Recipe)} - {"params"} | {loop}
    for key in table:
        if key not in allowed or (key in {*sections, loop, "gate"}) != isinstance(table[key], Mapping):
            wanted = "a table" if key in {*sections, loop, "gate"} else "a value"
            expected = f"expected {wanted}" if key in allowed else nearest(key, allowed)
            raise RecipeError(f"{where}: key {key!r} is not understood here; {expected}")
    built = {name: make(section, table.get(name, {}), f"{where}, [{name}]") for name, section in sections.items()}
    plain = make(Recipe, top, where, among=("loop", "rounds", "seed", "prompts"))
    prompts = Prompts(Path(plain.prompts) if plain.prompts else None)
    params = make(cls, table.get(loop, {}), f"{where}, [{loop}]", prompts=prompts)
    params.asks()  # every prompt that can be asked is read and checked now, not in round 3
    whole: Recipe = replace(plain, **built, params=params, gate=tuple(_gate(loop, table.get("gate", {}), where)))
    return whole


def _gate(loop: str, table: Mapping[str, Any], where: str) -> Iterator[Any]:
    names = table.get("filters", DEFAULT_GATES.get(loop, ("empty", "exact")))
    if not isinstance(names, (list, tuple)) or not all(isinstance(n, str) for n in names):
        raise RecipeError(f"{where}, [gate]: filters = {names!r}; expected a list of filter names")
    for key in table:
        if key != "filters" and key not in names:
            raise RecipeError(f"{where}, [gate.{key}]: this filter is not in the gate; {nearest(key, names)}")
    if doubled := {n for n in names if list(names).count(n) > 1}:
        raise RecipeError(f"{where}, [gate]: {sorted(doubled)[0]!r} is named twice; once is enough")
    for name in names:
        yield make(_named(name, f"{where}, [gate]", *FILTER_KINDS), table.get(name, {}), f"{where}, [gate.{name}]")


def _named(name: str, where: str, *kinds: str) -> type[Any]:
    try:
        return catalog.load(name, *kinds)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def make(
    cls: type[Any], table: Mapping[str, Any], where: str, *, among: tuple[str, ...] = (), **extra: Any
) -> Any:
    """An instance of a parameter dataclass: unknown keys refused, types and ranges checked."""
    known = {p.name: p for p in catalog.parameters(cls) if not among or p.name in among}
    for key in table:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}; {nearest(key, known)}")
    checked = {}
    for key, value in table.items():
        try:
            checked[key] = msgspec.convert(value, known[key].type, strict=True)
        except msgspec.ValidationError as error:
            allowed = f"; allowed: {known[key].range}" if known[key].range else ""
            raise RecipeError(f"{where}: {key} = {value!r}: {error}{allowed}") from error
    try:
        return cls(**checked, **extra)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def table_of(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, complete: every key with its value, in reading order."""
    top = {name: getattr(recipe, name) for name in ("loop", "rounds", "seed", "prompts")}
    sections = {name: values(getattr(recipe, name)) for name in ("source", "model", "budget")}
    gate: dict[str, Any] = {"filters": [f.passport.name for f in recipe.gate]}
    gate |= {f.passport.name: values(f) for f in recipe.gate if values(f)}
    return {**top, **sections, recipe.loop: values(recipe.params), "gate": gate}


def to_toml(recipe: Recipe) -> str:
    """The recipe as a file that `read` turns into the same recipe."""
    return tomli_w.dumps(table_of(recipe))


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


def with_values(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with other sections or keys; re-checked as a whole."""
    merged = table_of(recipe)
    for key, value in changes.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, Mapping) else value
    named = ("filters", *merged["gate"]["filters"])
    merged["gate"] = {key: value for key, value in merged["gate"].items() if key in named}
    return build(merged, where="flags")


