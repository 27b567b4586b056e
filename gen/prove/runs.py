"""Real runs: recipes of every loop over the inputs, carried out and resumed as any run of `gen`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gen import job, material
from gen import recipe as recipes
from gen.errors import Interrupted
from gen.job import Watch
from gen.pool import Pool
from gen.prove.inputs import Inputs

ROUNDS = 3
RULES = {"filters": ["empty", "refusal", "exact"]}
"""The gate of loops that are no matter of gates."""
LONGEST = 240
"""Tokens of a reply, at most: none in the world needs more, and a model that does not end would cost minutes."""
RATED = 4
"""The score from which on curation keeps a pair."""
MEASURE = {"filters": ["semantic", "ifd"], "semantic": {"threshold": 1.0}, "ifd": {"max": 1e9, "unscored": "keep"}}
"""A gate that measures everything and drops nothing."""


def tables(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """The recipe of each run, by its name, without its model."""
    few = max(1, len(inputs.seeds) // 2)
    tasks, seeds, drafts, texts, pages = (
        inputs.file(f"{name}.jsonl") for name in ("tasks", "seeds", "drafts", "texts", "pages"))

    def asked(file: str, **table: Any) -> dict[str, Any]:
        return {"source": {"seeds": [file], "limit": few}, "gate": RULES, **table}

    short, lists = {"max_new_tokens": LONGEST}, {"max_new_tokens": 3 * LONGEST}
    curated = {"filters": ["rating", *RULES["filters"]], "rating": {"min": float(RATED)}}
    drawing = {"source": {"seeds": [seeds]}, "gate": RULES, "budget": {"target": few}}
    pieces = {"min_chars": 3, "max_chars": 120, **short}
    return {
        "evolve": {"loop": "evolve", "rounds": ROUNDS, "source": {"seeds": [tasks]}, "gate": MEASURE, "evolve": short},
        "refine-drafts": asked(drafts, loop="refine", refine={"keep_trace": True, "max_refines": 2, **short}),
        "refine-answers": asked(tasks, loop="refine", refine={"keep_trace": True, "max_refines": 2, **short}),
        "selfee-drafts": asked(drafts, loop="selfee", selfee={"max_answers": 3, **short}),
        "selfee-answers": asked(tasks, loop="selfee", selfee={"max_answers": 3, **short}),
        "curate-drafts": asked(drafts, loop="curate", gate=curated, curate=short),
        "backtranslate": asked(texts, loop="backtranslate", backtranslate=pieces, gate=curated),
        "extract": asked(pages, loop="extract", extract={"min_passage_chars": 3, "passage_tokens": LONGEST, **short}),
        "instances": asked(tasks, loop="instances", instances={"max_instances": 2, **short}),
        "self-instruct": {
            **drawing, "loop": "self_instruct", "self_instruct": {"asked": 5, "max_instances": 2, **lists}},
        "alpaca": {**drawing, "loop": "alpaca", "alpaca": {"asked": 4, **lists}},
        "code": asked(tasks, loop="evolve", rounds=1, evolve={"style": "code", **short}),
        "first-method": asked(tasks, loop="evolve", rounds=1, prompts=inputs.file("prompts"),
                              evolve={"operations": {"auto": 1.0}, **short}),
    }  # fmt: skip


@contextmanager
def carried_out(
    table: Mapping[str, Any], folder: Path, model: str, watch: Callable[[], Watch], say: Callable[[str], None]
) -> Iterator[Pool]:
    """The pool of a run that has come to its end; what was done already is not done again. Raises Interrupted where it
    was stopped."""
    recipe = recipes.build({**table, "model": {"name": model}}, where=f"gen prove, {folder.name}")
    report = job.execute(
        recipe, folder, material.read_material(recipe), command="gen prove", watch=watch(), say=say)
    if report.why == "interrupted":
        raise Interrupted(f"{folder}: stopped; the same command goes on")
    with Pool.open(folder) as pool:
        yield pool
