"""What the project asks of the strong checkpoint, and what a checkpoint reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gen.micro.measure.figures import balanced

Figures = Mapping[str, Mapping[str, Sequence[float]]]
"""Of each table by its title, of each row by its name, how many were right and how many there were."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    low: float
    figure: Callable[[Figures], float | None]
    """None where it was not measured."""
    high: float = 1.0

    @property
    def wanted(self) -> str:
        return f"at least {self.low:.0%}" if self.high == 1 else f"{self.low:.0%} to {self.high:.0%}"

    def met(self, figures: Figures) -> bool:
        found = self.figure(figures)
        return found is not None and self.low <= found <= self.high


def _share(title: str, *names: str) -> Callable[[Figures], float | None]:
    """Right ones of all, over the rows of these names."""
    return lambda figures: _of([figures.get(title, {}).get(name) for name in names])


def _of(rows: Sequence[Sequence[float] | None]) -> float | None:
    told = [row for row in rows if row and row[1]]
    return sum(r for r, _ in told) / sum(n for _, n in told) if len(told) == len(rows) else None


def _rewrites(name: str) -> Callable[[Figures], float | None]:
    return lambda figures: _of([figures.get(f"rewrites of {of}", {}).get(name) for of in ("seeds", "evolved tasks")])


def _accuracy(title: str, *names: str) -> Callable[[Figures], float | None]:
    def figure(figures: Figures) -> float | None:
        shares = [_share(title, name)(figures) for name in names]
        return balanced([s for s in shares if s is not None]) if None not in shares else None

    return figure


def _judge(name: str) -> Callable[[Figures], float | None]:
    return _accuracy("judgements", f"{name}: right answers", f"{name}: wrong answers")


OPERATIONS = ("constrain", "deepen", "concretize", "reason", "complicate", "breadth")
TARGETS: tuple[Target, ...] = (
    Target("direct answers, level 1", 0.85, _share("answers by level", "level 1")),
    Target("direct answers, level 4", 0.40, _share("answers by level", "level 4"), 0.75),
    *(Target(f"rewrites: {name}", 0.80, _rewrites(name)) for name in OPERATIONS),
    Target("equality judge", 0.75, _accuracy("verdicts", "equal pairs", "unequal pairs")),
    Target("quality judge, 1 to 5 (curate/assistant)", 0.75, _judge("curate/assistant")),
    Target("quality judge, 1 to 5 (curate/additive)", 0.75, _judge("curate/additive")),
    Target("critique (selfee/critique)", 0.75, _judge("selfee/critique")),
    Target("critique (refine/feedback)", 0.75, _judge("refine/feedback")),
    Target("AUC of mean answer log-probability", 0.75,
           _share("right answers likelier than wrong ones, of all pairs", "drafts")),
)
"""Judges: balanced accuracy on as many right cases as wrong ones, replies that cannot be read being wrong. Rewrites: of
plain tasks and of evolved ones. Direct answers and judgements are at temperature 0, rewrites as the prompts say."""


def reached(figures: Figures) -> dict[str, dict[str, object]]:
    """Of each target that was measured what was asked, what was found (a share, 0 to 1), and whether it was met."""
    told = [(target, target.figure(figures)) for target in TARGETS]
    return {t.name: {"target": t.wanted, "figure": round(found, 4), "met": t.met(figures)}
            for t, found in told if found is not None}
