"""The run folder's README.md: a Hugging Face dataset card that says what the dataset is, what made it and
what was left out. Text in, text out; equal facts give equal bytes.

Nothing that names a machine gets in: addresses, absolute paths (their last part stays) and secrets of a
command line are taken out here, so that whoever fills the facts cannot forget it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SECRET = re.compile(
    r"(-[\w.-]*(?:api[-_]?key|token|secret|password)(?:=|\s+)|\b\w*(?:api_?key|token|secret|password)=)"
    r"(\"[^\"]*\"|'[^']*'|\S+)",
    re.IGNORECASE,
)
ADDRESS = re.compile(
    r"\w+://[^\s\"'`,)]+"
    r"|\b(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|[\w-]+(?:\.[\w-]+)*(?=:\d{4,5}(?![\w.])))(?::\d+)?"
)
ABSOLUTE = re.compile(r"(?<![^\s\"'`=,:;(\[])(?:~?/|[A-Za-z]:[/\\])[^\s\"'`,]+")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LOAD = """\
```python
from datasets import load_dataset

data = load_dataset("path/to/this/folder", split="train")
```

For supervised fine-tuning with TRL:

```python
from trl import SFTTrainer

SFTTrainer(model="your/model", train_dataset=data.select_columns(["messages"])).train()
```"""


@dataclass(frozen=True, slots=True)
class SeedFacts:
    name: str
    """The file's name, or what people call the data."""
    rows: int
    digest: str
    license: str | None = None
    """None where not known."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    role: str
    model: str
    fingerprint: str
    license: str | None = None


@dataclass(frozen=True, slots=True)
class LoopFacts:
    name: str
    paper: str
    """`arXiv 2304.12244`, or the word `ours`."""


@dataclass(frozen=True, slots=True)
class FilterFacts:
    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    paper: str = "ours"


@dataclass(frozen=True, slots=True)
class FunnelFacts:
    """How many candidates of a round came to one end. An empty `reason` means kept."""

    stage: int
    round: int
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class CardFacts:
    name: str
    rows: int
    seeds: tuple[SeedFacts, ...]
    models: tuple[ModelFacts, ...]
    loops: tuple[LoopFacts, ...]
    prompts: tuple[str, ...]
    """`name@hash`."""
    filters: tuple[FilterFacts, ...]
    funnel: tuple[FunnelFacts, ...]
    versions: Mapping[str, str]
    command: str
    promise: str
    """Which promise of reproducibility held, in a sentence."""
    license: str | None = None
    """Of the dataset, as a Hugging Face licence id; None where the user named none."""
    languages: tuple[str, ...] = ()
    """ISO codes."""


def card(facts: CardFacts) -> str:
    """The whole page: front matter, then a section for each question that a reader has."""
    sections = (
        (facts.name, _summary(facts)),
        ("Models", _table(("role", "model", "fingerprint", "licence"), (
            (m.role, m.model, m.fingerprint, m.license or "unknown") for m in facts.models))),
        ("Seeds", _table(("file", "rows", "digest", "licence"), (
            (s.name, s.rows, s.digest, s.license or "unknown") for s in facts.seeds)) + _unknown(facts)),
        ("Loops", _table(("loop", "paper"), ((p.name, p.paper) for p in facts.loops))),
        ("Prompts", _table(("prompt", "hash"), (p.rpartition("@")[::2] for p in facts.prompts))),
        ("Filters", _table(("filter", "parameters", "paper"), (
            (f.name, _parameters(f.parameters), f.paper) for f in facts.filters))),
        ("Funnel", _table(("stage", "round", "outcome", "candidates"), (
            (f.stage, f.round, f.reason or "kept", f.count) for f in facts.funnel))),
        ("Versions", _table(("software", "version"), facts.versions.items())),
        ("Command", _fenced(clean(facts.command))),
        ("Reproducibility", _cell(facts.promise)),
        ("Loading", LOAD),
    )
    body = "\n\n## ".join(f"{_cell(title)}\n\n{text}" for title, text in sections)
    return f"{_front(facts)}\n\n# {body}\n"


def clean(text: str) -> str:
    """The text without secrets, addresses and absolute paths.

    >>> clean("gen evolve /home/ada/seeds.jsonl --server http://gpu7:8000/v1 --api-key sk-1")
    'gen evolve seeds.jsonl --server ADDRESS --api-key SECRET'
    """
    text = ADDRESS.sub("ADDRESS", SECRET.sub(r"\1SECRET", text))
    return ABSOLUTE.sub(lambda found: re.split(r"[/\\]+", found[0].rstrip("/\\"))[-1], text)


def _front(facts: CardFacts) -> str:
    size = next((name for bound, name in SIZES if facts.rows < bound), "n>1M")
    tags = ["synthetic", "gen", *dict.fromkeys(loop.name for loop in facts.loops)]
    lines = ["---", f"pretty_name: {_quoted(facts.name)}"]
    if facts.license:
        lines.append(f"license: {_quoted(facts.license)}")
    lines += _list("language", facts.languages) + _list("size_categories", (size,))
    lines += _list("task_categories", ("text-generation",)) + _list("tags", tags)
    return "\n".join([*lines, "configs:", "- config_name: default", "  data_files: dataset.jsonl", "---"])


def _list(key: str, values: Iterable[str]) -> list[str]:
    items = [f"- {_quoted(v)}" for v in values]
    return [f"{key}:", *items] if items else []


def _quoted(text: str) -> str:
    # A JSON string is a YAML string as long as its characters stand for themselves.
    return json.dumps(_plain(text), ensure_ascii=False)


def _summary(facts: CardFacts) -> str:
    loops = ", ".join(_cell(loop.name) for loop in facts.loops) or "no loop"
    models = ", ".join(dict.fromkeys(_cell(m.model) for m in facts.models))
    seeds = sum(s.rows for s in facts.seeds)
    if not models:
        return f"{facts.rows:,} examples for instruction tuning, from {seeds:,} seeds. No model was asked."
    return (f"{facts.rows:,} examples for instruction tuning, made by gen from {seeds:,} seeds with {loops}. "
            f"What is not a seed's was written by {models}: it is synthetic and may be wrong.")


def _unknown(facts: CardFacts) -> str:
    names = [s.name for s in facts.seeds if not s.license] + [m.model for m in facts.models if not m.license]
    listed = ", ".join(dict.fromkeys(_cell(n) for n in names))
    own = "" if facts.license else "\n\nNo licence of this dataset was stated."
    return own + (f"\n\nThe licence of {listed} is unknown: find it out before you publish this." if names else "")


def _parameters(values: Mapping[str, object]) -> str:
    return ", ".join(f"{k} = {json.dumps(v, ensure_ascii=False, default=str)}" for k, v in values.items())


def _table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    body = ["| " + " | ".join(_cell(str(value)) for value in row) + " |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *body]) if body else "None."


def _plain(text: str) -> str:
    """One line of printable characters, cleaned."""
    return clean(" ".join("".join(c if c.isprintable() else " " for c in text).split()))


def _cell(text: str) -> str:
    """Text that Markdown and HTML show as it is, in a table cell or a line."""
    return html.escape(re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", _plain(text)), quote=False)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    shown = "".join(c if c.isprintable() or c == "\n" else " " for c in text.replace("\r\n", "\n"))
    return f"{fence}bash\n{shown}\n{fence}"
