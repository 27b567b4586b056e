"""From a name to a component. The file name is the name: `rouge` among dedup filters is
`filters/dedup/rouge.py`. Nothing is registered, nothing is imported before it is named; a third
party's component is named `package.module:Class`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

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
    """What a name cannot say: where a component's idea comes from."""

    name: str
    source: str
    """A paper's arXiv number and section, or "ours"."""


def component(name: str, *, source: str) -> Callable[[C], C]:
    """Mark a class as the component of its file; returns the class unchanged but for its passport."""

    def mark(cls: C) -> C:
        cls.passport = Passport(name, source)  # type: ignore[attr-defined]
        return cls

    return mark


def names(*kinds: str) -> Iterator[tuple[str, str]]:
    """(kind, name) of every shipped component of these kinds, without importing one."""
    for kind in kinds:
        package = importlib.import_module(ROOMS[kind])
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
            if not module.name.startswith("_"):
                yield kind, module.name


def load(name: str, *kinds: str) -> type[Any]:
    """The component class called `name` among `kinds`.

    Raises RecipeError for an unknown name (with the nearest one) and, in other words, for a file that
    exists but cannot be imported."""
    if ":" in name:
        return _foreign(name)
    found = [kind for kind, known in names(*kinds) if known == name]
    if not found:
        allowed = [known for _, known in names(*kinds)]
        raise RecipeError(f"no {' or '.join(kinds)} is called {name!r}: {nearest(name, allowed)}")
    module = f"{ROOMS[found[0]]}.{name}"
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        raise RecipeError(f"{name!r} exists ({module}) but failed to import: {error}") from error
    return _marked(loaded, name)


def kind_of(cls: type[Any]) -> str:
    """The room that a component lives in: "loop", "rule", "score", "dedup" or "select"."""
    room = cls.__module__.rpartition(".")[0]
    declared = getattr(cls, "kind", None)
    return declared or next((kind for kind, package in ROOMS.items() if package == room), "rule")


def _marked(module: Any, name: str) -> type[Any]:
    for _, member in inspect.getmembers(module, inspect.isclass):
        passport = member.__dict__.get("passport")
        if passport is not None and member.__module__ == module.__name__:
            if passport.name != name:
                raise RecipeError(f"{module.__file__}: its component is called {passport.name!r}, its file {name!r}")
            return member
    raise RecipeError(f"{module.__file__}: holds no class marked with @component({name!r}, ...)")


def _foreign(name: str) -> type[Any]:
    path, _, attribute = name.partition(":")
    try:
        cls = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"{name!r}: cannot be imported ({error}); expected 'package.module:Class'") from error
    if not hasattr(cls, "passport"):
        raise RecipeError(f"{name!r}: the class is not marked with @component(name, source=...)")
    return cls  # type: ignore[no-any-return]
