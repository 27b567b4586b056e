"""Commands that look into a run folder: funnel, show. They only read, also while a run goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.tree import Tree
from tyro.conf import Positional

from gen import recipe as recipes
from gen.commands import render
from gen.commands.diversity import show as show_diversity
from gen.core import Completion, Request, Sample, Verdict
from gen.errors import UserError
from gen.insight import as_json, diversity, operations
from gen.job import open_run
from gen.pool import Pool, of_stage


def funnel(folder: Positional[Path], gate_run: int = 0, json: bool = False) -> int:
    """How many candidates came to which end.

    Args:
        folder: the run folder
        gate_run: an earlier application of a gate; 0: the newest
        json: print JSON
    """
    with open_run(folder) as pool:
        newest, stage = pool.newest()
        last = pool.state(of_stage("gate_runs", stage), newest)
        if not 0 <= gate_run <= last:
            raise UserError(f"{folder}: no gate run {gate_run}; expected 1 to {last}, or 0 for the newest")
        rows = pool.funnel(gate_run, stage) if gate_run else pool.whole_funnel()
        recipe = recipes.read(folder / "recipe.toml") if not gate_run else None
        found, learned = (diversity(pool, recipe), operations(pool, recipe)) if recipe else ([], [])
    if json:
        render.print_json({"funnel": rows, "diversity": as_json(found), "operations": as_json(learned)})
        return 0
    console = Console(highlight=False)
    console.print(render.funnel_table(rows))
    for line in render.advice(rows):
        console.print(line, markup=False, soft_wrap=True)
    show_diversity(console, found, learned)
    return 0


def show(folder: Positional[Path], id: Positional[str] = "", json: bool = False) -> int:
    """One sample: its text, its family, the questions asked and replies got, the verdicts.

    Args:
        folder: the run folder
        id: the sample's id, or its beginning; empty: the newest kept one of the deepest round
        json: print JSON
    """
    with open_run(folder) as pool:
        sample = pool.sample(id) if id else pool.deepest(*pool.newest())
        if sample is None:
            none = f"no sample's id begins with {id!r}" if id else "nothing was kept that could be shown"
            raise UserError(f"{folder}: {none}; ids are in dataset.jsonl, ends in `gen funnel {folder}`")
        facts = _facts(pool, sample)
    if json:
        render.print_json(facts)
    else:
        _print_sample(sample, facts)
    return 0


def _facts(pool: Pool, sample: Sample) -> dict[str, Any]:
    def newest(other: Sample) -> Verdict | None:
        run, stage = pool.newest(other.lineage.stage)
        return pool.failure(other.id, stage) or next((v for n, v in pool.verdicts(other.id, stage) if n == run), None)

    grown = pool.grown_of(sample.id)
    return {
        "sample": sample,
        "failure": pool.failure(sample.id),
        "verdicts": pool.verdicts(sample.id),
        "scores": pool.scores(sample.id),
        "family": [(other, newest(other)) for other in pool.family(sample.lineage.root)],
        "asked": pool.asked(grown.asked) if grown else [],
    }


def _print_sample(sample: Sample, facts: dict[str, Any]) -> None:
    console = Console(highlight=False)
    lineage = sample.lineage
    console.print(Rule(f"{sample.id} (round {lineage.round}, {lineage.operation})", align="left"))
    for title, text in (("instruction", sample.instruction), ("input", sample.input), ("response", sample.response)):
        if text:
            console.print(title, style="bold")
            console.print(render.plain(text))
    for line in _noted(sample):
        console.print(render.plain(line))
    console.print(Rule("verdicts", align="left"))
    if facts["failure"]:
        console.print(render.plain(_told(facts["failure"])))
    for run, verdict in facts["verdicts"]:
        console.print(render.plain(f"gate run {run}: {_told(verdict)}"))
    for run, score in facts["scores"]:
        value = f"not measured: {score.note}" if score.value is None else f"{score.value:.4g}"
        console.print(render.plain(f"gate run {run}: {score.name} {value}"))
    console.print(Rule("family", align="left"))
    console.print(_tree(facts["family"], sample.id))
    for i, (request, reply) in enumerate(facts["asked"], 1):
        _print_question(console, i, request, reply)


def _noted(sample: Sample) -> Iterator[str]:
    """Where its text stands, and what judges said of it."""
    meta = sample.meta
    if "document" in meta:
        yield f"from {meta.get('name') or meta['document']}, characters {meta.get('start')} to {meta.get('end')}"
    judgements = told if isinstance(told := meta.get("judgements"), Mapping) else {}
    for name, value in (ratings if isinstance(ratings := meta.get("ratings"), Mapping) else {}).items():
        why = judgements[name].get("why", "") if isinstance(judgements.get(name), Mapping) else ""
        shown = f"{value:.3g}" if isinstance(value, int | float) else value
        yield f"rated {shown} ({name}){f': {why}' if why else ''}"


def _print_question(console: Console, number: int, request: Request, reply: Completion) -> None:
    s = request.sampling
    title = f"question {number}: {request.role}, {request.prompt} (temperature {s.temperature:g}, seed {request.seed})"
    console.print(Rule(title, align="left"))
    for message in request.messages:
        console.print(render.plain(message.content, style="dim"))
    console.print(Rule(f"reply: {reply.completion_tokens} tokens, {reply.finish}", align="left", characters="·"))
    if reply.reasoning:
        console.print(render.plain(reply.reasoning, style="italic"))
    console.print(render.plain(reply.text))


def _told(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not judged yet"
    if verdict.keep:
        return "kept"
    value = "" if verdict.value is None else f" ({verdict.value:g})"
    nearest = f", nearest {verdict.nearest}" if verdict.nearest else ""
    return f"dropped by {verdict.by}: {verdict.reason}{value}{nearest}" + (f": {verdict.note}" if verdict.note else "")


def _tree(family: Sequence[tuple[Sample, Verdict | None]], here: str) -> Tree:
    """The family as a tree; the sample that was asked for is marked. What was passed on to a later stage hangs there
    under what it was."""
    root, several = Tree(""), any(sample.lineage.stage for sample, _ in family)
    nodes: dict[str | None, Tree] = {}
    for sample, verdict in family:
        begin, at = " ".join(sample.instruction.split())[:70], sample.lineage
        where = f"stage {at.stage + 1} r{at.round}" if several else f"r{at.round}"
        line = f"{sample.id} {where} {at.operation}: {begin}"
        label = render.plain(f"{line}  [{_told(verdict)}]"[:160], style="bold" if sample.id == here else "")
        nodes[sample.id] = nodes.get(sample.id, nodes.get(at.parent, root)).add(label)
    return root
