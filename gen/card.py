"""The run folder's README.md: a Hugging Face dataset card that says what the dataset is, what made it and
what was left out. Text in, text out; equal facts give equal bytes.

Nothing that names a machine gets in: addresses, absolute paths (their last part stays) and secrets of a
command line are taken out here, so that whoever fills the facts cannot forget it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gen import licences

HIDDEN = (
    (r"(?i)((?:-[\w.-]*(?:api[-_]?key|token|secret|password)(?:=|\s+)|\b\w*(?:api_?key|token|secret|password)=))"
     r"(?:\"[^\"]*\"|'[^']*'|\S+)", r"\1SECRET"),
    (r"\w+://[^\s\"'`,)]+|\b(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|[\w.-]+(?=:\d{4,5}(?![\w.])))(?::\d+)?", "ADDRESS"),
    (r"(?<![^\s\"'`=,:;(\[])(?:~?/|[A-Za-z]:[/\\])(?:[^\s\"'`,/\\]*[/\\])*(?=[^\s\"'`,/\\])", ""),
)
"""Pattern -> what stands in its place: values of secrets, addresses, the folders of absolute paths."""
LOAD = """```python
from datasets import load_dataset
from trl import {trainer}

data = load_dataset("path/to/this/folder", split="train")
{trainer}(model="your/model", train_dataset=data.select_columns({columns})).train()
```"""
LOAD_OTHER = """```python
from datasets import load_dataset

data = load_dataset("path/to/this/folder", split="train")
```"""


Rows: TypeAlias = Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the page says. Licences are Hugging Face ids, or None where not known."""

    name: str
    rows: int
    seeds: Rows
    """(file, rows, digest, licences)"""
    models: Rows
    """(role, model, fingerprint, licence)"""
    loops: Rows
    """(loop, paper)"""
    prompts: tuple[str, ...]
    """`name@hash`"""
    filters: Rows
    """(filter, parameters, paper)"""
    funnel: Rows
    """(round, outcome, candidates)"""
    versions: Mapping[str, str]
    command: str
    promise: str
    """The promise of reproducibility that held, in a sentence."""
    licences: tuple[str, ...] = ()
    """Of the seeds, distinct; empty for those that state none."""
    weights: Rows = ()
    """(what wrote the rows, rows)"""
    closed: Rows = ()
    """(role, model, whose) of closed models that were asked."""
    served: bool = False
    """The models are known by what their servers say of them, and by no file of weights."""
    files: Rows = (("train", "dataset.parquet"),)
    """(split, path or pattern)"""
    columns: tuple[str, ...] = ("messages",)
    """Those that a trainer wants."""
    trainer: str = "SFTTrainer"
    notes: tuple[str, ...] = ()
    """What was done to the rows on their way here, a sentence each."""
    operations: Rows = ()
    """(domain, operation, tried, kept, share of the draws at first, at last) where weights adapted."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Filters of the default gate that nothing there could measure for, and why."""
    caveats: Mapping[str, str] = field(default_factory=dict)
    """What filters say of how they judged so many rows."""


def card(facts: CardFacts) -> str:
    """The whole page: front matter, then a section for each question that a reader has."""
    models = [(*model, licences.outputs(str(model[-1] or ""))) for model in facts.models]
    sections = {
        "Models": _table("role model fingerprint licence outputs", models),
        "Open weights": _table("weights rows", facts.weights) + _attestation(facts),
        "Seeds": _table("file rows digest licence", facts.seeds),
        "Licence": _licence(facts),
        "Loops": _table("loop paper", facts.loops),
        "Prompts": _table("prompt hash", (p.rpartition("@")[::2] for p in facts.prompts)),
        "Filters": _table("filter parameters paper", facts.filters) + _said(facts),
        "Funnel": _table("round outcome candidates", facts.funnel) + _operations(facts),
        "Versions": _table("software version", facts.versions.items()),
        "Command": f"```bash\n{_plain(facts.command)}\n```",
        "Reproducibility": _cell(facts.promise),
        "Loading": _loading(facts),
    }
    body = "".join(f"\n\n## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{_front(facts)}\n---\n\n# {_cell(facts.name)}\n\n{_summary(facts)}{body}\n"


def clean(text: str) -> str:
    """The text without secrets, addresses and the folders of absolute paths."""
    for pattern, instead in HIDDEN:
        text = re.sub(pattern, instead, text)
    return text


def _front(facts: CardFacts) -> str:
    labels = [_plain(label) for label in licences.strictest(facts.licences)]
    matter = {
        "pretty_name": _plain(facts.name), **({"license": labels[0] if len(labels) == 1 else labels} if labels else {}),
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "gen", *(_plain(str(loop)) for loop, _ in facts.loops)],
        "configs": [{"config_name": "default", "data_files": [{"split": s, "path": p} for s, p in facts.files]}],
    }
    # JSON is YAML, as long as its characters stand for themselves.
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in matter.items())


def _operations(facts: CardFacts) -> str:
    if not facts.operations:
        return ""
    told = "The weights of operations followed what passed the gate (`--adapt`):"
    return f"\n\n{told}\n\n{_table('domain operation tried kept first last', facts.operations)}"


def _said(facts: CardFacts) -> str:
    left_out = [f"Left out of the gate: {_cell(name)} ({_cell(why)})." for name, why in facts.left_out.items()]
    caveats = [f"{_cell(name)}: {_cell(said)}." for name, said in facts.caveats.items()]
    return "".join(f"\n\n{line}" for line in (*left_out, *caveats))


def _summary(facts: CardFacts) -> str:
    loops = ", ".join(_cell(loop) for loop, _ in facts.loops) or "no loop"
    writers = (model for role, model, *_ in facts.models if role not in ("scorer", "embedder"))
    models = ", ".join(dict.fromkeys(map(_cell, writers)))
    wrote = f"What is not a seed's was written by {models}: it is synthetic and may be wrong."
    seeds = sum(int(str(rows)) for _, rows, *_ in facts.seeds)
    return (f"{facts.rows:,} examples for instruction tuning, made by gen from {seeds:,} seeds with {loops}. "
            f"{wrote if models else 'No model was asked.'}")


def _attestation(facts: CardFacts) -> str:
    """Whether open weights alone made what is here."""
    seeds = "Who or what wrote the seeds is not known to gen."
    if facts.closed:
        asked = "; ".join(f"{_cell(model)} ({_cell(whose)}) as {_cell(role)}" for role, model, whose in facts.closed)
        return (f"\n\n**A closed model was used**, as `--allow-closed` permits: {asked}. Its owner's terms may forbid "
                f"training on what it wrote. {seeds}")
    said = " The weights are those that the server named; gen saw no file of them." if facts.served else ""
    return f"\n\nNo closed model was used: every reply came from the open weights named above.{said} {seeds}"


def _licence(facts: CardFacts) -> str:
    """What the seeds' licences make of the dataset's, and what is not known."""
    labels = licences.strictest(facts.licences)
    text = ["No licence of this dataset was stated."]
    if labels and labels != ["unknown"]:
        text = [f"Labelled {_cell(', '.join(labels))}: the strictest licence of the seeds."]
    if limited := [name for name in facts.licences if licences.is_non_commercial(name)]:
        text.append(f"{_cell(', '.join(limited))}: no commercial use.")
    if "" in facts.licences and all(s[-1] for s in facts.seeds):
        text.append("Some seeds state no licence: find it out before you publish this.")
    names = [s[0] for s in facts.seeds if not s[-1]] + [m[1] for m in facts.models if not m[-1]]
    if listed := ", ".join(dict.fromkeys(map(_cell, names))):
        text.append(f"The licence of {listed} is unknown: find it out before you publish this.")
    return "\n\n".join(text)


def _loading(facts: CardFacts) -> str:
    code = LOAD.format(trainer=facts.trainer, columns=json.dumps(facts.columns)) if facts.trainer else LOAD_OTHER
    return "\n\n".join([code, *map(_cell, facts.notes)])


def _table(head: str, rows: Iterable[Iterable[object]]) -> str:
    body = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    columns = head.split()
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *body]) if body else "None."


def _plain(text: str) -> str:
    """One line of printable characters, cleaned."""
    return clean("".join(c if c.isprintable() else " " for c in text))


def _cell(value: object) -> str:
    """A value as Markdown and HTML show it in a table cell or a line."""
    text = "unknown" if value in (None, "") else str(value)
    if isinstance(value, Mapping):
        text = ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False, default=str)}" for k, v in value.items())
    return html.escape(re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", _plain(text)), quote=False)
