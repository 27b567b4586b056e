"""From a name to a component. The file name is the name: `rouge` among dedup filters is
`filters/dedup/rouge.py`. Nothing is registered, nothing is imported before it is named; a third
party's component is named `package.module:Class`."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from gen.errors import RecipeError, nearest

C = TypeVar("C", bound=type)
ROOMS = {
    "loop": "gen.loops",
    "rule": "filters.rules",
    "score": "filters.scores",
    "dedup": "filters.dedup",
    "select": "filters.select",
}


@dataclass(frozen=True, slots=True)
class Passport:
    """What a name cannot say: where a component's idea comes from, as an arXiv number and section, or "ours"."""

    name: str
    source: str


def component(name: str, *, source: str) -> Callable[[C], C]:
    """Mark a class as the component of its file; returns the class unchanged but for its passport."""

    def mark(cls: C) -> C:
        cls.passport = Passport(name, source)  # type: ignore[attr-defined]
        return cls

    return mark


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a component (or of the recipe): the only place where its default is written."""

    name: str
    type: Any
    default: Any
    range: str
    """Such as "0..1", "> 0" or "a | b"; empty when any value of the type will do."""
    owner: Any

    @property
    def doc(self) -> str:
        """The text under the field; read from the source when somebody wants it."""
        return _docs(self.owner).get(self.name, "")


def parameters(cls: type[Any]) -> tuple[Parameter, ...]:
    """The fields of a dataclass that a user may set, documented by the text under each."""
    key: Any = cls
    return _parameters(key)


@functools.cache
def _parameters(cls: Any) -> tuple[Parameter, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(
        Parameter(
            f.name, hints[f.name], f.default if f.default_factory is dataclasses.MISSING else f.default_factory(),
            _range(hints[f.name]), cls,
        )
        for f in dataclasses.fields(cls)
        if f.metadata.get("parameter", True)
    )


@functools.cache
def _docs(cls: Any) -> dict[str, str]:
    bases = [c for c in cls.__mro__ if hasattr(c, "__dataclass_fields__")]
    found: dict[str, str] = {}
    for base in reversed(bases):
        found |= _field_docs(base.__module__, base.__qualname__)
    return found


@functools.cache
def _field_docs(module: str, name: str) -> dict[str, str]:
    cls = getattr(importlib.import_module(module), name)
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    docs, last = {}, ""
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs[last] = " ".join(str(node.value.value).split())
    return docs


def _range(hint: Any) -> str:
    """The bounds of an annotated number, or the choices of a Literal, anywhere inside `hint`."""
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, typing.get_args(hint)))
    for meta in (m for m in getattr(hint, "__metadata__", ()) if isinstance(m, msgspec.Meta)):
        if meta.ge is not None and meta.le is not None:
            return f"{meta.ge}..{meta.le}"
        bounds = {"at least": meta.ge, "above": meta.gt, "at most": meta.le}
        return ", ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)
    return next((r for r in map(_range, typing.get_args(hint)) if r), "")


def names(*kinds: str) -> Iterator[tuple[str, str]]:
    """(kind, name) of every shipped component of these kinds, without importing one."""
    for kind in kinds:
        package = importlib.import_module(ROOMS[kind])
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
            if not module.name.startswith("_"):
                yield kind, module.name


def about(cls: type[Any]) -> str:
    """The first sentence of a component, or of its file."""
    own = cls.__doc__ if cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(") else None
    text = own or sys.modules[cls.__module__].__doc__ or ""
    return " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def load(name: str, *kinds: str) -> type[Any]:
    """The component class called `name` among `kinds`.

    Raises RecipeError for an unknown name (with the nearest one) and, in other words, for a file that
    exists but cannot be imported."""
    if ":" in name:
        return _foreign(name)
    found = {known: kind for kind, known in names(*kinds)}
    if name not in found:
        raise RecipeError(f"no {' or '.join(kinds)} is called {name[:100]!r}: {nearest(name, found)}")
    path = f"{ROOMS[found[name]]}.{name}"
    try:
        module = importlib.import_module(path)
    except Exception as error:  # whatever the file does when it is read
        raise RecipeError(f"{name!r} exists ({path}) but failed to import: {error}") from error
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if cls.__module__ == path and (passport := cls.__dict__.get("passport")):
            if passport.name != name:
                raise RecipeError(f"{module.__file__}: its component is called {passport.name!r}, its file {name!r}")
            return cls
    raise RecipeError(f"{module.__file__}: holds no class marked with @component({name!r}, ...)")


def _foreign(name: str) -> type[Any]:
    path, _, attribute = name.partition(":")
    try:
        cls = getattr(importlib.import_module(path), attribute)
    except Exception as error:
        said = str(error)[:200]
        raise RecipeError(f"{name[:100]!r}: cannot be imported ({said}); expected 'package.module:Class'") from error
    if not hasattr(cls, "passport"):
        raise RecipeError(f"{name[:100]!r}: the class is not marked; expected @component(name, source=...) above it")
    return cls  # type: ignore[no-any-return]


def name_of(component: Any) -> str:
    """The name by which `load` finds the class of a component."""
    cls = type(component)
    shipped = cls.__module__.rpartition(".")[0] in ROOMS.values()
    return str(cls.passport.name) if shipped else f"{cls.__module__}:{cls.__qualname__}"
