"""The page that shows predictions and outcomes side by side, losers included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from gen.prove.predictions import Bound, Outcome, outcomes

VERDICTS = {True: "came true", False: "**failed**", None: "not measured"}


def page(results: Mapping[str, Any] | None) -> str:
    """The whole page; without results, what was expected before there were any."""
    about = (resources.files("gen.prove") / "about.md").read_text(encoding="utf-8")
    results = results or {"effects": {}, "checkpoints": {}, "settings": {}}
    parts = [about, "## Predictions\n", *_predictions(outcomes(results["effects"]))]
    if results["checkpoints"]:
        parts += ["## Effects\n", *_effects(results["effects"]), *_losers(results["effects"])]
        parts += [line for name, found in results["checkpoints"].items() for line in _tables(name, found["groups"])]
    parts += ["## Repeat it\n", *_settings(results["settings"])]
    return "\n".join(parts) + "\n"


def _predictions(found: Sequence[Outcome]) -> Iterable[str]:
    yield ("Written down before anything was measured (`gen/prove/predictions.toml`), and not changed since; those "
           "marked *later* came when the first tables of the strong checkpoint had been seen, and before their own "
           "figures had been.\n")
    yield table(("by", "prediction", "decided by", "outcome", "the papers"), (
        (o.prediction.by, o.prediction.claim, "<br>".join(dict.fromkeys(map(_asked, o.prediction.bounds))),
         "<br>".join([VERDICTS[o.true], *(f"{c}: {b.figure} {signed(b.figure, v)}" for c, b, v in o.found
                                          if v is not None)]),
         o.prediction.paper) for o in found))
    if failed := [o.prediction.name for o in found if o.true is False]:
        yield f"Failed: {', '.join(failed)}.\n"


def _asked(bound: Bound) -> str:
    limits = [f"at least {signed(bound.figure, bound.least)}"] if bound.least > float("-inf") else []
    limits += [f"at most {signed(bound.figure, bound.most)}"] if bound.most < float("inf") else []
    return f"{bound.effect}: {bound.figure} {' and '.join(limits)}"


def _effects(effects: Mapping[str, Any]) -> Iterable[str]:
    """Every effect with its intervals; those that are nothing at all, as of gates that drop nothing, in a line."""
    yield "Mean difference and 95 % interval; claimed or not by the rule above.\n"
    rows = [(name, figure, checkpoint, groups, "**claimed**" if figure in found["claimed"] else "not claimed")
            for name, found in effects.items() for checkpoint, figures in found.items() if checkpoint != "claimed"
            for figure, groups in figures.items()]
    some = [row for row in rows if any(value for found in row[3].values() for value in found)]
    yield table(("effect", "figure", "checkpoint", "all", "tuning families", "unseen families", ""), (
        (name, figure, checkpoint, *(interval(figure, groups.get(g)) for g in ("all", "tuning", "unseen")), claim)
        for name, figure, checkpoint, groups, claim in some))
    if none := [name for name in effects if name not in {row[0] for row in some}]:
        yield f"Nothing at all: {', '.join(none)}.\n"


def _losers(effects: Mapping[str, Any]) -> Iterable[str]:
    lost = losers(effects)
    yield "### Losers\n"
    yield ("Claimed, and for the worse: " + "; ".join(lost) + ".\n") if lost else "Nothing claimed is for the worse.\n"


def losers(effects: Mapping[str, Any]) -> list[str]:
    """Effects on correctness or on students that are claimed and negative."""
    return [f"{name} ({figure})" for name, found in effects.items() for figure in found["claimed"]
            if figure in ("right", "valid", "student") and found["strong"][figure]["all"][0] < 0]


def _tables(checkpoint: str, groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterable[str]:
    for group, rows in groups.items():
        yield f"## {group}, {checkpoint} checkpoint\n"
        telling_rows, idle = telling(rows)
        names = columns(telling_rows)
        yield table([HEADS.get(name, name) for name in names],
                    ([shown(name, row.get(name)) for name in names] for row in telling_rows))
        if idle:
            yield f"Dropped nothing: {', '.join(idle)}.\n"


def _settings(settings: Mapping[str, Any]) -> Iterable[str]:
    yield "```bash\ngen prove --out prove --page docs/micro-world.md\n```\n"
    yield "Killed, the same command goes on; run again, it writes the same `prove/results.json`, byte by byte.\n"
    if settings:
        yield table(tuple(settings), [tuple(map(str, settings.values()))])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join(["---"] * len(head)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


HEADS = {"share": "of no gate", "candidates": "cand.", "difficulty": "diff.", "families": "fam.",
         "constraints": "rules", "calls_per_right": "calls/right", "tokens_per_right": "tokens/right"}  # fmt: skip
"""Columns that are called shorter than the figures of results.json."""


def telling(rows: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The rows that say something, and the names of gates that keep all that no gate does: these, and their controls,
    are that row again."""
    every = next((row["kept"] for row in rows if row["name"] == "no gate"), None)
    idle = [row["name"] for row in rows if row["kept"] == every and row["name"] != "no gate"]
    return [row for row in rows if row["name"] not in idle], [name for name in idle if ", " not in name]


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The figures that some row has."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) is not None for row in rows)]


SHARES = ("share", "right", "valid", "student", "coverage", "arguments", "clauses", "new", "tuning", "unseen")


def signed(figure: str, value: float) -> str:
    return f"{100 * value:+.1f} points" if figure in SHARES else f"{value:+.2f}"


def interval(figure: str, found: Sequence[float | None] | None) -> str:
    """Mean difference and interval; the mean alone where there is none, as of a figure of one configuration."""
    if found is None:
        return ""
    scale, form = (100, "+.1f") if figure in SHARES else (1, "+.2f")
    mean, *bounds = (scale * value for value in found if value is not None)
    return f"{mean:{form}}" + (f" ({bounds[0]:{form}} to {bounds[1]:{form}})" if bounds else "")


def shown(name: str, value: Any) -> str:
    """A figure of a row as people read it."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and name in SHARES:
        return f"{value:.1%}"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
