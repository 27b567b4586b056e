"""What is compared with what, and what may be claimed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gen.paired import t_interval
from gen.prove.gates import GATES
from gen.prove.made import FIGURES, PARTS, Config, Made, mean
from gen.prove.runs import RATED

GROUPS = ("all", "tuning", "unseen")
Accuracies = Mapping[str, Sequence[float]]
"""Of students: group of tests -> share of right answers, seed by seed."""
EFFECTS: dict[str, tuple[str, str]] = {
    **{f"{gate} over matched": (f"gates/{gate}", f"gates/{gate}, matched") for gate in GATES},
    **{f"{gate} over random": (f"gates/{gate}", f"gates/{gate}, random") for gate in GATES},
    **{f"rounds 0-{r} over 0": (f"rounds/0-{r}", "rounds/0") for r in (1, 2, 3)},
    **{f"{choice} over random": (f"selection/{choice}", "selection/random")
       for choice in ("highest IFD", "middle IFD", "lowest IFD", "checker")},
    "refined drafts over drafts": ("loops/refined drafts", "loops/drafts"),
    "refined answers over answers": ("loops/refined answers", "loops/answers"),
    "revised drafts over drafts": ("loops/revised drafts", "loops/drafts for SelFee"),
    "revised answers over answers": ("loops/revised answers", "loops/answers for SelFee"),
    "curated drafts over drafts": ("loops/curated drafts", "loops/drafts, uncurated"),
    "curated pairs over pairs": (f"loops/backtranslate, rated {RATED}", "loops/backtranslate"),
    "extract over backtranslate": ("loops/extract", "loops/backtranslate"),
    "instances over answers": ("loops/instances", "rounds/0"),
    "self-instruct over answers": ("loops/self-instruct", "rounds/0"),
    "alpaca over answers": ("loops/alpaca", "rounds/0"),
    "code evolution over answers": ("loops/code", "rounds/0"),
    "code evolution over evolution": ("loops/code", "rounds/1 alone"),
    "first method over evolution": ("loops/first-method", "rounds/1 alone"),
}  # fmt: skip
"""Effect -> (configuration, what it is compared with)."""
PLAIN = {"self-instruct over seeds": "loops/self-instruct", "alpaca over seeds": "loops/alpaca",
         "rouge over no gate": "gates/rouge"}  # fmt: skip
"""Effects whose figures are those of one configuration alone: what its tasks cover of the seeds', and are new; what a
gate keeps of all."""


def _of(config: Config, group: str) -> list[list[Made]]:
    """The samples of each part, of a group of families."""
    parts: list[list[Made]] = [[] for _ in range(PARTS)]
    for one in config.all():
        if group in ("all", one.group):
            parts[one.part].append(one)
    return parts


def deltas(figure: str, a: Config, b: Config, group: str) -> list[float]:
    """a - b in each part where both have the figure."""
    pairs = ((mean(figure, x), mean(figure, y)) for x, y in zip(_of(a, group), _of(b, group), strict=True))
    return [x - y for x, y in pairs if x is not None and y is not None]


Found = list[float | None]
"""Mean, and the bounds of its 95 % interval; None where there is none."""


def told(values: Sequence[float]) -> Found | None:
    if not values:
        return None
    return [None if v is None else round(v, 6) for v in t_interval(values)]


def measured(configs: Mapping[str, Config], students: Mapping[str, Accuracies | None]) -> dict[str, Any]:
    """Effect -> figure -> group of families -> mean and interval, as far as both sides are there. `students` by the
    path of their configuration."""
    found: dict[str, Any] = {}
    for name, (a, b) in EFFECTS.items():
        if a not in configs or b not in configs:
            continue
        figures = {f: {g: told(deltas(f, configs[a], configs[b], g)) for g in GROUPS} for f in FIGURES}
        ours, theirs = students.get(a), students.get(b)
        if ours and theirs:
            figures["student"] = {
                g: told([x - y for x, y in zip(ours[g], theirs[g], strict=True)]) for g in GROUPS if g in ours}
        found[name] = {f: {g: v for g, v in groups.items() if v} for f, groups in figures.items() if groups.get("all")}
    for name, path in PLAIN.items():
        if path in configs:
            found[name] = {f: {"all": [round(v, 6), None, None]} for f, v in configs[path].extra.items()}
    return found


def joined(effects: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Effects of all checkpoints: effect -> checkpoint -> figure..., and `claimed`: the figures that may be claimed."""
    names = dict.fromkeys(name for found in effects.values() for name in found)
    together: dict[str, Any] = {}
    for name in names:
        sides = {checkpoint: found[name] for checkpoint, found in effects.items() if name in found}
        figures = dict.fromkeys(f for side in sides.values() for f in side)
        together[name] = sides | {"claimed": [f for f in figures if claimed(sides, f)]}
    return together


def claimed(sides: Mapping[str, Any], figure: str) -> bool:
    """Whether an effect has one sign on both checkpoints, there on families held out from tuning too, and its interval
    on the strong one leaves out 0."""
    try:
        means = [sides[c][figure][g][0] for c in ("strong", "weak") for g in ("all", "unseen")]
        _, low, high = sides["strong"][figure]["all"]
    except KeyError:
        return False
    same = all(m > 0 for m in means) or all(m < 0 for m in means)
    return same and low is not None and (low > 0 or high < 0)
