"""Two wordings of one prompt, from wherever they are: a file, a folder of prompts, or the shipped one by its name. All
else is the same on both sides."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from gen.errors import PromptError
from gen.loops.evolve import FILLS
from gen.prompts import Prompt, Prompts

STYLES = {"evolve": "general", "code": "code"}
"""Of the loop that owns the operations of a folder of prompts."""


@dataclass(frozen=True, slots=True)
class Wording:
    label: str
    shown: str
    """As the user named it."""
    name: str
    prompts: Prompts

    @property
    def prompt(self) -> Prompt:
        return self.prompts.get(self.name)

    @property
    def style(self) -> str:
        """Of `evolve`, where the prompt is an operation of it; else empty."""
        group, _, step = self.name.partition("/")
        return "" if step in FILLS else STYLES.get(group, "")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a wording is: in a folder of prompts (`root`), in a loose `file`, or, without both, shipped."""

    shown: str
    name: str = ""
    root: Path | None = None
    file: Path | None = None


def pair_of(a: str, b: str, name: str, base: Path | None, scratch: Path) -> tuple[Wording, Wording]:
    """Both wordings, with folders of their own in `scratch`: in each, besides the wording, what `base` overrides.
    `name` is the prompt where neither says which. Raises PromptError where it is not clear, or both are the same."""
    Prompts(base)  # refused where it is no folder
    places = [_place(a), _place(b)]
    known = [p.name for p in places if p.name]
    fallback = name or (known[0] if known else _only_difference(*(p.root for p in places)))
    found = []
    for label, place in zip("AB", places, strict=True):
        own = place.name or fallback
        found.append(Wording(label, place.shown, own, _overlay(scratch / label, base, place, own)))
    one, other = found
    if one.prompt.hash == other.prompt.hash and one.name == other.name:
        raise PromptError(f"{a} and {b}: the same wording of {one.name}; expected two that differ")
    if one.name != other.name and (not one.style or one.style != other.style):
        raise PromptError(
            f"{one.name} and {other.name}: two prompts; expected two wordings of one, or two operations of one loop "
            "(--of NAME says what a file is a wording of)"
        )
    return one, other


def _place(given: str) -> _Place:
    path = Path(given)
    if path.is_dir():
        return _Place(given, root=path)
    if path.is_file():
        group, known = path.parent.name, {n.partition("/")[0] for n in Prompts().names()}
        if group in known:  # DIR/evolve/deepen.jinja
            return _Place(given, f"{group}/{path.stem}", root=path.parent.parent)
        return _Place(given, file=path)
    if path.suffix == ".jinja":
        raise PromptError(f"{given}: no such file; expected a prompt file, a folder of them, or the name of one")
    Prompts().path(given)
    return _Place(given, given)


def _only_difference(one: Path | None, other: Path | None) -> str:
    """The prompt in which two folders (None: the shipped one) differ."""
    a, b = Prompts(one), Prompts(other)
    names = sorted({*a.names(), *b.names()})
    differing = [n for n in names if _hash(a, n) != _hash(b, n)]
    if len(differing) != 1:
        found = ", ".join(differing) or "nothing"
        raise PromptError(f"which prompt? these differ in {found}; name one: --of NAME")
    return differing[0]


def _hash(prompts: Prompts, name: str) -> str:
    return prompts.get(name).hash if name in prompts.names() else ""


def _overlay(folder: Path, base: Path | None, place: _Place, name: str) -> Prompts:
    if base is not None:
        shutil.copytree(base, folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = Prompts(place.root)
    if place.file is not None:
        _copy(place.file, folder, name)
    else:
        for part in source.closure(name):
            _copy(source.path(part), folder, part)
    return Prompts(folder)


def _copy(file: Path, folder: Path, name: str) -> None:
    target = folder / f"{name}.jinja"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
