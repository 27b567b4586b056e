"""What commands print: tables for people, JSON for programs. Text that a model wrote is shown as plain
text: no markup is read in it, and control characters (terminal escapes) are taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gen.cli import CONTROL
from gen.tally import FunnelRow

ADVICE = {
    "no_gain": "rewrites ask for nothing new: a stronger evolver, a higher --temperature, other --operations",
    "rewrite_unparsed": "replies lack the asked-for tags: a stronger evolver, or a lower --temperature",
    "judgement_unparsed": "the judge's verdict cannot be read: a stronger judge, or --keep-unjudged",
    "rewrite_truncated": "rewrites are cut: raise --max-new-tokens",
    "answer_truncated": "answers are cut: raise --max-new-tokens",
    "reasoning_truncated": "thinking used up the tokens: --thinking off, or on with a larger --thinking-budget",
    "overlong": "prompts do not fit the context: shorter seeds, or serve the model with a longer context",
    "too_long": "rewrites grow too fast: raise --slack or --max-added; by ifd: longer than the scorer's context",
    "misaligned": "answers that the instruction does not help to predict: another answerer, or raise --ifd.max",
    "duplicate": "the same text came twice: more varied seeds, or a higher --temperature",
    "near_duplicate": "too like what was kept: more varied seeds, or raise the threshold of what dropped it",
    "refusal": "the model declines: other seeds or another model; --without refusal keeps them",
    "sorry_answer": "the model declines: other seeds or another model; --rules without sorry keeps them",
    "wrong_script": "the model leaves the seeds' language: --language, or another model",
    "prompt_leak": "rewrites speak of the prompt: a stronger evolver, or your own wording (gen prompts copy)",
    "unchanged": "the evolver repeats the task: a higher --temperature, or a stronger evolver",
    "rewrite_rejected": "the server rejects the requests: see run.log and the server's log",
    "answer_rejected": "the server rejects the requests: see run.log and the server's log",
    "keyword": "tasks that a text model cannot do: other seeds, or your own --keywords.words",
    "surplus_tasks": "models write more than is read: raise --asked",
    "no_tasks": "replies hold no list: a stronger evolver, or --style base for a model without chat",
    "unanswered_seed": "seeds are shown with their answers: bring some, or have them written by gen instances",
    "task_unparsed": "tasks of the list cannot be read: a stronger evolver, fewer --asked, or a lower --temperature",
    "task_truncated": "lists are cut: raise --max-new-tokens, or fewer --asked",
    "no_instances": "replies hold no instances: a stronger answerer, or --style base for a model without chat",
    "instance_truncated": "instances are cut: raise --max-new-tokens, or fewer --max-instances",
    "contradictory_instances": "one input has two outputs: a stronger answerer, or a lower --temperature",
    "rewrite_solved": "rewrites solve the task instead of posing it: a stronger evolver, or your own wording",
    "no_code": "programs are asked for and not given in a code block: a stronger answerer, or --code.no-block",
    "syntax_error": "Python answers do not parse: a stronger answerer, or a lower --temperature",
    "solution_in_task": "tasks hold their own solution: a stronger evolver, or your own wording (gen prompts copy)",
    "instruction_unparsed": "replies lack the asked-for tags: a stronger evolver, or a lower --temperature",
    "answer_leak": "instructions copy the text: --demos, a stronger evolver, or raise --max-copied",
    "low_rating": "the judge rates them low: lower --rating.min (gen regate asks nothing), or other documents",
    "no_score": "the judge names no score: a stronger judge, or your own wording (gen prompts copy)",
    "judgement_truncated": "judgements are cut: raise --max-new-tokens of gen curate, or a judge that says less",
    "unrated": "nobody rated them: gen curate does",
    "not_extractive": "the evolver changes what it should copy: a stronger one, or lower --min-overlap",
    "extraction_truncated": "passages are cut: raise --passage-tokens, or lower --window",
    "too_easy": "answers that follow from their instruction alone, copies among them: lower --ifd.min",
    "answer_refused": "the model declines: other seeds or another model",
    "hollow_answer": "answers say nothing: another answerer",
    "no_change_needed": "the judge has nothing to note: that is an end, not a fault; --seeds-too keeps them",
    "no_better": "rewrites score no higher: a stronger answerer, or --select last",
    "verdict_missing": "critiques end without a verdict: a stronger judge, or --on-missing revise",
    "gold_leak": "the teacher gives the right answer away: a stronger judge, or more --retries",
    "feedback_unparsed": "feedback lacks the asked-for form: a stronger judge, or more --retries",
    "seed_only": "seeds that were shown to the model and are not among the samples (--seeds-too keeps them)",
    "contaminated": "words in a row that the data of --against have: other seeds, or raise --ngram.n",
    "tests_failed": "answers fail their tests: a stronger answerer, or look at the tests (gen show of one)",
    "tests_timeout": "answers run too long: raise --tests.seconds, or look at one (gen show)",
    "loop_failed": "the loop's own code failed: see `gen show` of such a sample",
}


def demonstration(name: str) -> str:
    """What is said of a run with the bundled model."""
    return f"Using the bundled `{name}`, a demonstration model; for real data pass --model NAME or --server URL."


def plain(text: str, style: str = "") -> Text:
    """Text that a model or a user wrote, safe to print."""
    return Text(CONTROL.sub("�", text), style=style)


def funnel_table(rows: Sequence[FunnelRow]) -> Table:
    """Stages and rounds down, what became of their candidates across."""
    table = Table(box=None, padding=(0, 2), header_style="bold")
    stages = sorted({r.stage for r in rows})
    for title in (*(["stage"] if len(stages) > 1 else []), "round", "candidates", "kept", "dropped"):
        table.add_column(title, justify="right")
    table.add_column("why", overflow="fold")
    for stage in stages or [0]:
        own = [r for r in rows if r.stage == stage]
        rounds = sorted({r.round for r in own})
        groups = [(str(n), [r for r in own if r.round == n]) for n in rounds]
        for title, group in [*(_batches(groups) if len(groups) > MOST_ROUNDS else groups), ("all", own)]:
            if title == "all":
                table.add_section()
            table.add_row(*([str(stage + 1)] if len(stages) > 1 else []), title, *_cells(group))
        table.add_section()
    return table


MOST_ROUNDS = 12
"""Rows of a stage; of a loop with more rounds, neighbours share a row."""


def _batches(groups: Sequence[tuple[str, list[FunnelRow]]]) -> list[tuple[str, list[FunnelRow]]]:
    """The rounds in about ten groups of neighbours, the first apart: it holds the seeds."""
    size = -(-(len(groups) - 1) // 10)
    found = [groups[0]]
    for i in range(1, len(groups), size):
        part = groups[i : i + size]
        title = part[0][0] if len(part) == 1 else f"{part[0][0]}-{part[-1][0]}"
        found.append((title, [row for _, rows in part for row in rows]))
    return found


def _cells(group: Sequence[FunnelRow]) -> list[str]:
    kept, reasons, pending = _ends(group)
    why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
    why += f"{', ' if why else ''}not judged {pending:,}" if pending else ""
    return [f"{kept + reasons.total() + pending:,}", f"{kept:,}", f"{reasons.total():,}", why]


def _ends(rows: Sequence[FunnelRow]) -> tuple[int, Counter[str], int]:
    """How many are kept, how many dropped for which reason, and how many not yet judged."""
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons["" if row.keep else row.reason] += row.count
    return reasons.pop("", 0), reasons, reasons.pop("pending", 0)


NO_LOSS = ("seed_only",)
"""Ends of candidates that nobody hoped to keep."""


def advice(rows: Sequence[FunnelRow]) -> list[str]:
    """What took the largest shares and what to change, when little or nothing was kept by a stage."""
    stages = sorted({r.stage for r in rows})
    if len(stages) < 2:
        return _advice(rows)
    told = {stage: _advice([r for r in rows if r.stage == stage]) for stage in stages}
    return [f"stage {stage + 1}: {line}" for stage, lines in told.items() for line in lines]


def _advice(rows: Sequence[FunnelRow]) -> list[str]:
    kept, reasons, pending = _ends([row for row in rows if row.reason not in NO_LOSS])
    total = kept + reasons.total()
    if not total and pending:
        return []
    if not total:
        return ["no candidate was proposed: no seed, --rounds 0, or a budget that was met at once"]
    if kept * 4 > total:
        return []
    share = [
        f"{count / total:.0%} {reason}: {ADVICE.get(reason, '`gen show` one of them')}"
        for reason, count in reasons.most_common(3)
    ]
    few = f"only {kept:,} of {total:,} candidates were kept:"
    return [few if kept else f"nothing was kept of {total:,} candidates:", *share]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    Console(soft_wrap=True, highlight=False, markup=False).out(msgspec.json.encode(value, enc_hook=str).decode())
