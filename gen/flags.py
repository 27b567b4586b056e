"""Flags from dataclass fields: every parameter of the recipe, of a loop and of each filter is a flag,
documented and bounded where it is declared. Parsed flags become a recipe, checked like a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any

import tyro

from gen import catalog
from gen import recipe as recipes
from gen.catalog import Parameter
from gen.errors import RecipeError, nearest
from gen.loop import gate_of
from gen.recipe import FILTER_KINDS, Recipe

RENAMED = {("model", "name"): "model"}
METAVARS = {"seeds": "[SEEDS ...]", "server": "URL", "against": "[DATA ...]", "map": "[FIELD=COLUMN ...]",
            "name": "NAME_OR_PATH", "domain": "TEXT", "prompts": "DIR", "rules": "[RULE ...]",
            "vllm_args": "'ARG ...'", "vllm_python": "PATH",
            **dict.fromkeys(("evolver", "answerer", "judge", "scorer", "embedder"), "NAME_OR_URL")}  # fmt: skip


def mentioned(args: Sequence[str]) -> set[str]:
    """Names of all flags that a command line can mean, and more: `--no-rouge.max_score=1` may be one of `rouge`."""
    names = {word.partition("=")[0].lstrip("-").replace("_", "-") for word in args if word.startswith("-")}
    names |= {name.removeprefix("no-") for name in names}
    return {part for name in names for part in (name, name.partition(".")[0])}


def _is_wanted(section: str, name: str, only: Set[str] | None) -> bool:
    return only is None or name == "seeds" or RENAMED.get((section, name), name).replace("_", "-") in only


def _group(
    name: str, current: Any, *, prefix: bool = False, hidden: Sequence[str] = (), only: Set[str] | None = None
) -> tuple[str, Any, Any]:
    """A field of the flag class that holds one titled group of flags, at their current values."""
    known = [p for p in catalog.parameters(type(current)) if p.name not in ("loop", *hidden)]
    known = [p for p in known if _is_wanted(name, p.name, only)]
    fields = [_flag(name, p, getattr(current, p.name), prefix=prefix) for p in known]
    cls = dataclasses.make_dataclass(name, fields, frozen=True)
    return name, cls, dataclasses.field(default_factory=cls)


def _flag(section: str, p: Parameter, current: Any, *, prefix: bool) -> tuple[str, Any, Any]:
    kind: Any = p.type
    if isinstance(current, Mapping) and not p.default:  # open mappings are written key=value
        kind, current = tuple[str, ...], tuple(f"{k}={v}" for k, v in current.items())
    doc = f"{p.doc} [{p.range}]" if p.range and " | " not in p.range else p.doc
    name = RENAMED.get((section, p.name))
    unset = current in ("", None, ())
    metavar = None if prefix else METAVARS.get(p.name, "NUMBER" if current is None else None)
    hint = "" if unset or isinstance(current, bool) else None
    flag = tyro.conf.arg(help=doc, name=name, metavar=metavar, prefix_name=prefix, help_behavior_hint=hint)
    marked: Any = Annotated[kind, flag, *([tyro.conf.FlagCreatePairsOff] if current is False else [])]
    if p.name == "server" and not prefix:
        marked, current = Annotated[marked, tyro.conf.UseAppendAction], ()  # what is given replaces, see to_recipe
    if p.name == "seeds" and not prefix:
        marked = Annotated[marked, tyro.conf.Positional]
    if isinstance(current, (Mapping, list)):
        return p.name, marked, dataclasses.field(default_factory=lambda: current)
    return p.name, marked, current


def flag_class(
    loop: str, base: Recipe, extra: Sequence[tuple[str, Any, Any]], *, every_filter: bool, only: Set[str] | None = None
) -> type[Any]:
    """The flag dataclass of a loop's command: `extra` fields first, then the recipe's groups; with `only`, of these no
    other flags than it names (see `mentioned`)."""
    groups = [_group(name, part, hidden=_idle(base), only=only) for name, part in _parts(base).items()]
    groups = [*(group for group in groups if dataclasses.fields(group[1])), _gate_flags(base)]
    present = {catalog.name_of(f): f for gate in base.gates for f in gate}
    for _, name in catalog.names(*FILTER_KINDS) if every_filter else ():
        if not _is_wanted(name, name, only):
            continue
        current = present.get(name) or catalog.load(name, *FILTER_KINDS)()
        if catalog.parameters(type(current)):
            groups.append(_group(name, current, prefix=True))
    return dataclasses.make_dataclass(loop, [*extra, *groups], frozen=True)


def _parts(base: Recipe) -> dict[str, Any]:
    """What is grouped under which title, without the filters."""
    return {"run": base, base.loop: base.params, **{name: getattr(base, name) for name in recipes.SECTIONS}}


def _idle(base: Recipe) -> list[str]:
    """Keys that mean nothing to this loop."""
    idle = {"rounds": hasattr(base.params, "ROUNDS"), "demos": hasattr(base.params, "demos"),
            "turn": not hasattr(base.params, "split")}  # fmt: skip
    return [name for name, used in idle.items() if not used]


def _gate_flags(base: Recipe) -> tuple[str, Any, Any]:
    shipped = ", ".join(name for _, name in catalog.names(*FILTER_KINDS))
    gate = tuple(catalog.name_of(f) for f in base.gate)
    fields: list[tuple[str, Any, Any]] = []
    for name, text, default in (
        ("gate", f"Filters, in order; shipped: {shipped}.", gate),
        ("with", "Filters to add at the end of the gate.", ()),
        ("without", "Filters to take out of the gate.", ()),
    ):
        flag = tyro.conf.arg(name=name, help=text, prefix_name=False, metavar="[NAME ...]")
        fields.append((f"{name}_filters", Annotated[tuple[str, ...], flag], default))
    cls = dataclasses.make_dataclass("gate", fields, frozen=True)
    return "gate", cls, dataclasses.field(default_factory=cls)


def to_recipe(base: Recipe, flags: Any) -> Recipe:
    """The recipe that parsed flags amount to, where `base` gave them their defaults. Raises RecipeError as for
    a file."""
    said = {title: _said(base, part, getattr(flags, title, None)) for title, part in _parts(base).items()}
    table = {**said.pop("run"), "loop": base.loop, **said}
    table["model"]["server"] = table["model"]["server"] or list(base.model.server)
    if not isinstance(given := table["source"].get("map", []), Mapping):
        table["source"]["map"] = pairs(given)
    names, old = _filters(flags.gate, _default(base, table)), recipes.table_of(base)["gate"]
    optional = [name for name in base.optional if name in names]
    parts = {catalog.name_of(f) for gate in base.gates[:-1] for f in gate}
    kept = {name: old[name] for name in dict.fromkeys((*names, *parts)) if name in old}
    table["gate"] = {"filters": names, "optional": optional} | kept
    for _, name in catalog.names(*FILTER_KINDS):
        if given := _plain(getattr(flags, name, None)):
            current = old.get(name) or recipes.values(catalog.load(name, *FILTER_KINDS)())
            if name in names or given != current:
                table["gate"][name] = given
    return recipes.build(table, where="flags")


def _default(base: Recipe, table: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The gate that the flags were shown as their default, and what it becomes: a loop's own depends on its
    parameters."""
    shown = tuple(catalog.name_of(f) for f in base.gate)
    same = table[base.loop] == recipes.values(base.params) and table["prompts"] == base.prompts
    if same or shown != gate_of(base.params):
        return shown, shown
    return shown, gate_of(recipes.build({k: table[k] for k in ("loop", "prompts", base.loop)}, where="flags").params)


def _filters(gate: Any, default: tuple[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    shown, own = default
    chosen = own if tuple(gate.gate_filters) == shown else gate.gate_filters
    for name in gate.without_filters:
        if name not in chosen:
            raise RecipeError(f"--without {name}: not in the gate; {nearest(name, chosen)}")
    names = [n for n in (*chosen, *gate.with_filters) if n not in gate.without_filters]
    return list(dict.fromkeys(names))


def _said(base: Recipe, part: Any, group: Any) -> dict[str, Any]:
    """What a group of flags says, and of parameters without a flag in it what they were."""
    flags = {f.name for f in dataclasses.fields(group)} if group else set()
    others = {k: v for k, v in recipes.values(part).items() if k not in flags and k not in _idle(base)}
    return others | _plain(group)


def _plain(group: Any) -> dict[str, Any]:
    found = {f.name: getattr(group, f.name) for f in dataclasses.fields(group)} if group else {}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v is not None}


def pairs(given: Sequence[str]) -> dict[str, str]:
    """FIELD=COLUMN flags as a mapping. Raises RecipeError."""
    for pair in given:
        if "=" not in pair:
            raise RecipeError(f"--map {pair!r}: expected FIELD=COLUMN, such as instruction=question")
    return dict(pair.split("=", 1) for pair in given)


def command_class(
    name: str, parts: Mapping[str, tuple[Any, Sequence[str]]], extra: Sequence[tuple[str, Any, Any]]
) -> type[Any]:
    """The flag dataclass of a command that is no loop: `extra` fields first, then a group for each part, without the
    parameters that are named beside it."""
    groups = []
    for title, (part, hidden) in parts.items():
        known = [p for p in catalog.parameters(type(part)) if p.name not in hidden]
        fields = [_flag(title, p, getattr(part, p.name), prefix=False) for p in known]
        cls = dataclasses.make_dataclass(title, fields, frozen=True)
        groups.append((title, cls, dataclasses.field(default_factory=cls)))
    return dataclasses.make_dataclass(name, [*extra, *groups], frozen=True)


def tables(titles: Sequence[str], flags: Any) -> dict[str, Any]:
    """What the groups of parsed flags say, as the sections of a recipe."""
    found = {title: _plain(getattr(flags, title)) for title in titles}
    if "map" in found.get("source", {}):
        found["source"]["map"] = pairs(found["source"]["map"])
    return found
