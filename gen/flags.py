"""Flags from dataclass fields: every parameter of the recipe, of a loop and of each filter is a flag,
documented and bounded where it is declared. Parsed flags become a recipe, checked like a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import tyro

from gen import catalog
from gen import recipe as recipes
from gen.catalog import Parameter
from gen.errors import RecipeError, nearest
from gen.recipe import FILTER_KINDS, Recipe

RENAMED = {("model", "name"): "model"}
METAVARS = {"seeds": "[SEEDS ...]", "server": "URL", "against": "[DATA ...]", "map": "[FIELD=COLUMN ...]",
            "name": "NAME_OR_PATH", "domain": "TEXT", "prompts": "DIR", "rules": "[RULE ...]"}  # fmt: skip


def group(name: str, parameters: Sequence[Parameter], current: Any, *, prefix: bool = False) -> tuple[str, Any, Any]:
    """A field of the flag class that holds one titled group of flags, at their current values."""
    fields = [_flag(name, p, getattr(current, p.name), prefix=prefix) for p in parameters]
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
        marked = Annotated[marked, tyro.conf.UseAppendAction]
    if p.name == "seeds" and not prefix:
        marked = Annotated[marked, tyro.conf.Positional]
    if isinstance(current, (Mapping, list)):
        return p.name, marked, dataclasses.field(default_factory=lambda: current)
    return p.name, marked, current


def flag_class(loop: str, base: Recipe, extra: Sequence[tuple[str, Any, Any]], *, every_filter: bool) -> type[Any]:
    """The flag dataclass of a loop's command: `extra` fields first, then the recipe's groups."""
    top = [p for p in catalog.parameters(Recipe) if p.name in ("rounds", "seed", "prompts")]
    sections = {name: getattr(base, name) for name in ("source", "model", "budget")}
    groups = [
        group("run", top, base),
        group(loop, catalog.parameters(type(base.params)), base.params),
        *(group(name, catalog.parameters(type(part)), part) for name, part in sections.items()),
        _gate_flags(base),
    ]
    present = {f.passport.name: f for f in base.gate}
    for _, name in catalog.names(*FILTER_KINDS):
        current = present.get(name) or catalog.load(name, *FILTER_KINDS)()
        if parameters := catalog.parameters(type(current)):
            groups += [group(name, parameters, current, prefix=True)] if every_filter else []
    return dataclasses.make_dataclass(loop, [*extra, *groups], frozen=True)


def _gate_flags(base: Recipe) -> tuple[str, Any, Any]:
    shipped = ", ".join(name for _, name in catalog.names(*FILTER_KINDS))
    texts = {
        "gate": f"Filters, in order; shipped: {shipped}.",
        "with": "Filters to add at the end of the gate.",
        "without": "Filters to take out of the gate.",
    }
    default = {"gate": tuple(f.passport.name for f in base.gate), "with": (), "without": ()}
    fields = [
        (f"{name}_filters", Annotated[tuple[str, ...], tyro.conf.arg(
            name=name, help=text, prefix_name=False, metavar="[NAME ...]")], default[name])
        for name, text in texts.items()
    ]  # fmt: skip
    cls = dataclasses.make_dataclass("gate", fields, frozen=True)
    return "gate", cls, dataclasses.field(default_factory=cls)


def to_recipe(loop: str, flags: Any) -> Recipe:
    """The recipe that parsed flags amount to. Raises RecipeError as for a file."""
    table: dict[str, Any] = {"loop": loop, **_plain(flags.run), loop: _plain(getattr(flags, loop))}
    for section in ("source", "model", "budget"):
        table[section] = _plain(getattr(flags, section))
    table["source"]["map"] = _pairs(table["source"].get("map", []))
    names = _filters(flags.gate)
    table["gate"] = {"filters": names}
    for _, name in catalog.names(*FILTER_KINDS):
        cls = catalog.load(name, *FILTER_KINDS)
        given = _plain(getattr(flags, name)) if hasattr(flags, name) else {}
        if given and (name in names or given != recipes.values(cls())):
            table["gate"][name] = given
    return recipes.build(table, where="flags")


def _filters(gate: Any) -> list[str]:
    names = [n for n in (*gate.gate_filters, *gate.with_filters) if n not in gate.without_filters]
    for name in gate.without_filters:
        if name not in gate.gate_filters:
            raise RecipeError(f"--without {name}: not in the gate; {nearest(name, gate.gate_filters)}")
    return list(dict.fromkeys(names))


def _plain(group: Any) -> dict[str, Any]:
    found = {f.name: getattr(group, f.name) for f in dataclasses.fields(group)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in found.items() if v is not None}


def _pairs(given: Sequence[str]) -> dict[str, str]:
    for pair in given:
        if "=" not in pair:
            raise RecipeError(f"--map {pair!r}: expected FIELD=COLUMN, such as instruction=question")
    return dict(pair.split("=", 1) for pair in given)
