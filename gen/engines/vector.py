"""What all embedders do at the end: a vector of length 1, and a word on what was not read."""

from __future__ import annotations

import logging
from typing import Any

from gen.core import Vector

log = logging.getLogger("gen.engines.embedder")


def unit(values: Any) -> Vector:
    """The vector of length 1 in this direction; in float64 up to the last rounding. Raises ValueError without one."""
    import numpy as np

    values_D = np.asarray(values, "f8")
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        length = float(np.sqrt((values_D * values_D).sum()))
    if values_D.ndim != 1 or not 0 < length < float("inf"):
        raise ValueError(f"numbers without a direction: shape {values_D.shape}, length {length}")
    return (values_D / length).astype("<f2").tobytes()


def tell(cut: int, refused: int = 0) -> None:
    """To the log, once, at the end."""
    if cut:
        log.warning("%d texts were longer than the encoder reads: only their beginning was compared", cut)
    if refused:
        log.warning("%d texts were refused by the encoder's server: not compared", refused)
