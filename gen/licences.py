"""What licences mean for a dataset: which of several is the strictest, and what the known model licences say about
outputs. Only what is sure is said; for all else, `check`."""

from __future__ import annotations

import re
from collections.abc import Iterable

RANKS = (
    ("cc0-1.0", "pddl", "unlicense", "wtfpl"),
    ("mit", "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0",
     "cc-by-4.0", "odc-by", "cdla-permissive-1.0", "cdla-permissive-2.0"),
    ("cc-by-sa-3.0", "cc-by-sa-4.0", "odbl", "cdla-sharing-1.0", "gfdl", "mpl-2.0", "lgpl-2.1", "lgpl-3.0", "gpl-2.0",
     "gpl-3.0", "agpl-3.0"),
    ("cc-by-nd-4.0",),
    ("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    ("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    ("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
)  # fmt: skip
"""Hugging Face ids, from what allows most to what allows least: public domain, permissive, share-alike, no derivatives,
then the non-commercial ones."""
NON_COMMERCIAL = 4
NAME_LLAMA = "a model that is distributed and was trained on outputs must be named Llama..., with `Built with Llama`"
OUTPUTS = {
    "apache-2.0": "asks nothing of outputs", "mit": "asks nothing of outputs",
    "llama2": "outputs must not be used to improve other large language models",
    "llama3": "outputs must not be used to improve other large language models",
    "llama3.1": NAME_LLAMA, "llama3.2": NAME_LLAMA, "llama3.3": NAME_LLAMA, "llama4": NAME_LLAMA,
    "gemma": "a model trained on outputs so as to perform like Gemma counts as a derivative, under the same terms",
    "qwen-research": "non-commercial; a distributed model trained on outputs must show `Built with Qwen`",
}  # fmt: skip
ALIASES = {"apache": "apache-2.0", "apache-license-2.0": "apache-2.0", "apache2.0": "apache-2.0",
           "apache-2": "apache-2.0", "cc0": "cc0-1.0", "cc-by": "cc-by-4.0", "cc-by-nc": "cc-by-nc-4.0"}  # fmt: skip


def normal(licence: str) -> str:
    """A licence as the hub writes it: `CC BY-NC 4.0` is `cc-by-nc-4.0`, `MIT License` is `mit`."""
    plain = re.sub(r"[\s_,]+", "-", licence.strip().lower()).removeprefix("the-").removesuffix("-license")
    return ALIASES.get(plain, plain.replace("license-", ""))


def rank(licence: str) -> int | None:
    """How strict, from 0; None for one that is not in the table."""
    return next((i for i, row in enumerate(RANKS) if normal(licence) in row), None)


def strictest(licences: Iterable[str]) -> list[str]:
    """What a work made from all of these can be labelled with: the strictest that are known (several where they tie),
    with `other` where one is not in the table and `unknown` where one was not stated."""
    named = {normal(licence) for licence in licences}
    ranks = {licence: r for licence in named if (r := rank(licence)) is not None}
    top = sorted(licence for licence, r in ranks.items() if r == max(ranks.values()))
    other = ["other"] if any(licence and licence != "unknown" and licence not in ranks for licence in named) else []
    return [*top, *other, *(["unknown"] if named & {"", "unknown"} else [])]


def is_non_commercial(licence: str) -> bool:
    named = re.search(r"\bnc\b|non-?commercial|research", normal(licence))
    return bool(named) or (rank(licence) or 0) >= NON_COMMERCIAL


def outputs(licence: str) -> str:
    """What a model licence asks of what the model wrote."""
    if not licence:
        return "unknown: check"
    return OUTPUTS.get(normal(licence), "check")
