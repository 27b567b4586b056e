"""The candidates of one run, judged again by other gates: from what was measured, asking the model nothing."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles
from typing import Any

from gen import catalog
from gen.assess import Record
from gen.core import Sample
from gen.gate import Admission, Gate
from gen.loop import GATE
from gen.pool import Pool, of_stage
from gen.recipe import FILTER_KINDS
from gen.sections import Budget

TUNED = "ifd, tuned"
GATES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in GATE}, "default gate": GATE, "rouge": ("rouge",), TUNED: ("ifd",)}
"""Each filter of the default gate alone, and all of it; ROUGE-L, which is not in it; and IFD up to what three quarters
of the candidates of the tuning families have, a bound that the unseen families had no part in."""
FIRST = 2
"""Number of the first of these gates in the pool; 1 is that of the run itself."""


def kept_by(name: str, pool: Pool, tuning: Sequence[Sample]) -> list[Sample]:
    """What a gate of GATES keeps; `tuning` are the candidates by which it may be tuned. Its verdicts are stored under a
    number of its own (`gen funnel DIR --gate-run N`); they go on where an earlier process left off."""
    number = FIRST + [*GATES].index(name)
    bound = {"max": quantiles(ifd_of(tuning, pool).values(), n=4)[2]} if name == TUNED else {}
    gate = Gate([filter_of(one, **bound) for one in GATES[name]])
    record = Record(gate, pool, pool.state(of_stage("fingerprints", 0), {}))
    admission = Admission(gate, number, Budget(), record)
    admission.restore(pool)
    while rows := admission.pending(pool, None):
        admission.judge(pool, rows)
    if pool.state("gate_runs", 1) < number:
        pool.set_state("gate_runs", number)
    return list(pool.kept(number))


def filter_of(name: str, **parameters: Any) -> Any:
    """With its default parameters but for these."""
    return catalog.load(name, *FILTER_KINDS)(**parameters)


def ifd_of(samples: Sequence[Sample], pool: Pool) -> dict[str, float]:
    """IFD by sample id, of those that have one."""
    gate = Gate([filter_of("ifd")])
    record = Record(gate, pool, pool.state(of_stage("fingerprints", 0), {}))
    scores = {sample.id: record.facts(sample).scores["ifd"] for sample in samples}
    return {name: score.value for name, score in scores.items() if score and score.value is not None}
