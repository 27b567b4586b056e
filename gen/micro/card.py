"""The model card: `python -m gen.micro.card` writes docs/micro.md anew, every figure of it from the manifests."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from gen.micro.bundled import NAMES, manifest, shipped, weights
from gen.micro.measure.targets import TARGETS
from gen.world import UNSEEN, VERSION, families
from gen.world.lexicon import VALUES

TEMPLATE = Path(__file__).with_name("card.jinja")


def share(row: Sequence[float] | None) -> str:
    """Right ones of all as a table shows them."""
    return f"{row[0] / row[1]:.0%} of {row[1]:,.0f}" if row and row[1] else "-"


def rows(told: Mapping[str, Mapping[str, Any]], title: str) -> list[tuple[str, list[str]]]:
    """One table of the evaluation: each row's name, and what each checkpoint did."""
    tables = [card.get("evaluation", {}).get(title, {}) for card in told.values()]
    names = dict.fromkeys(name for table in tables for name in table)
    return [(name, [share(table.get(name)) for table in tables]) for name in names]


def targets(told: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Each target with what each checkpoint reached."""
    def shown(found: Mapping[str, Any] | None) -> str:
        return f"{found['figure']:.1%}, {'met' if found['met'] else 'missed'}" if found else "not measured"

    return [(t.name, t.wanted, [shown(card.get("targets", {}).get(t.name)) for card in told.values()])
            for t in TARGETS]


def missed(card: Mapping[str, Any]) -> list[str]:
    return [name for name, found in card.get("targets", {}).items() if not found["met"]]


def page(told: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """The card of these manifests, by checkpoint; of those that ship where none are given."""
    told = {c: manifest(c) for c in shipped()} if told is None else told
    titles = dict.fromkeys(title for card in told.values() for title in card.get("evaluation", {}))
    sizes = {c: (weights(c) / "model.safetensors").stat().st_size / 1e6 for c in shipped()}
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False)  # noqa: S701  # Markdown of our own figures
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        told=told, strong=next(iter(told.values())), tables={title: rows(told, title) for title in titles},
        targets=targets(told), missed={c: missed(card) for c, card in told.items()}, sizes=sizes, version=VERSION,
        runs={checkpoint: name for name, checkpoint in NAMES.items()}, families=len(families()), unseen=len(UNSEEN),
        words=len(VALUES["word"]), names=len(VALUES["name"]))


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/micro.md").write_text(page(), encoding="utf-8")
