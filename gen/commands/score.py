"""`gen score`: one metric of every row of a dataset, whoever made it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from filters.scores.ifd import Ifd
from gen import scoring
from gen.commands import render
from gen.engines import open_engine
from gen.errors import RecipeError
from gen.flags import pairs
from gen.micro import bundled
from gen.recipe import values
from gen.seeds import read_rows

NOTES = Console(stderr=True, highlight=False)


def _arg(metavar: str | None) -> Any:
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


AT = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Score:
    data: Annotated[tyro.conf.Positional[str], _arg("DATA")]
    """A file, folder or dataset of the hub, as `gen evolve` reads its seeds, with answers."""
    metric: Literal["ifd"] = "ifd"
    """ifd: how little the instruction helps to predict the answer; above 1 they do not belong together."""
    model: Annotated[str, _arg("NAME_OR_PATH")] = ""
    """The scoring model; none, and no server: `micro`, the bundled demonstration model."""
    server: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, _arg("URL")] = ()
    """URL of a vLLM server; repeat for several."""
    form: Literal["loss", "ppl"] = "loss"
    """Ratio of mean losses (Cherry LLM) or of perplexities (Superfiltering)."""
    direct: Literal["none", "marker"] = "none"
    """What the answer alone follows: nothing (or BOS), or the chat template with an empty user turn."""
    max_length: Annotated[int | None, _arg("TOKENS")] = None
    """Most tokens of conversation and answer: of a longer answer the beginning is scored. Empty: the context."""
    to: Annotated[str, _arg("FILE")] = ""
    """File of the scores; empty: NAME.ifd.jsonl in this folder."""
    map: Annotated[tuple[str, ...], _arg("[FIELD=COLUMN ...]")] = ()
    """Columns of the data: instruction=COLUMN, input=..., response=..., system=..."""
    batch_size: int = 32
    """Rows of a batch of a local model."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a local model runs."""
    engine: Literal["auto", "vllm", "local"] = "auto"
    """What runs the model; auto: vLLM where it is installed and a GPU is visible."""
    vllm_args: Annotated[str, _arg("'ARG ...'")] = ""
    """More arguments of vLLM's, as in a shell."""
    vllm_python: Annotated[str, _arg("PATH")] = ""
    """A Python that has vLLM; empty: GEN_VLLM_PYTHON, this one, or that of the `vllm` on the PATH."""
    quiet: Annotated[bool, _arg(None)] = False
    """No progress."""
    json: Annotated[bool, _arg(None)] = False
    """Print the report as JSON."""


def score(flags: Annotated[Score, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="score")]) -> int:
    """Score every row of a dataset. Killed, the same command goes on."""
    if flags.batch_size < 1 or (flags.max_length is not None and flags.max_length < 1):
        raise RecipeError("gen score: expected --batch-size and --max-length of 1 or more")
    if shown := bundled.named(flags.model, flags.server):
        NOTES.print(render.demonstration(shown), markup=False, soft_wrap=True)
    metric, mapping = Ifd(form=flags.form, direct=flags.direct), pairs(flags.map) or None
    path = Path(flags.to or f"{Path(flags.data).name.partition('.')[0]}.{flags.metric}.jsonl")
    done = scoring.score(
        _engine(flags), metric, lambda: read_rows([flags.data], mapping=mapping), path,
        settings=[flags.metric, values(metric), flags.max_length, mapping],
        tell=lambda line: None if flags.quiet else NOTES.print(line, markup=False),
    )  # fmt: skip
    _say(done, path, flags.metric, json=flags.json)
    return 0


def _engine(flags: Score) -> Any:
    shown = bundled.named(flags.model, flags.server)
    engine: Any = open_engine(
        str(bundled.folder(shown)) if shown else flags.model, flags.server, batch_size=flags.batch_size,
        device=flags.device, shown=shown or None, engine=flags.engine,
        vllm_args=flags.vllm_args, vllm_python=flags.vllm_python,
    )  # fmt: skip
    if hasattr(engine, "say"):
        engine.say = lambda text: None if flags.quiet else NOTES.print(render.plain(text), soft_wrap=True)
    engine.scoring_limit = flags.max_length
    return engine


def _say(done: scoring.Done, path: Path, metric: str, *, json: bool) -> None:
    counts, numbers = Counter[str](), list[float]()
    for row in scoring.read(path):
        counts[row["status"]] += 1
        numbers += [] if row[metric] is None else [row[metric]]
    cuts = dict(zip(AT, _at(numbers), strict=True)) if numbers else {}
    above, seconds = sum(n > 1 for n in numbers), done.seconds or 1.0
    rates = {"rows_per_second": done.rows / seconds, "tokens_per_second": done.tokens / seconds}
    if json:
        found = {"file": str(path), "status": counts, "quantiles": cuts, "above_1": above, "scored": done.rows}
        render.print_json(found | rates)
        return
    for bad in done.bad:
        NOTES.print(render.plain(f"bad row: {bad}"))
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for title in ("status", "rows"):
        table.add_column(title, justify="right")
    for status, count in counts.most_common():
        table.add_row(render.plain(status), f"{count:,}")
    console.print(table)
    if numbers:
        at = ", ".join(f"{at}% {value:.3f}" for at, value in cuts.items())
        console.print(f"{metric} at {at}; {above / len(numbers):.1%} are above 1", markup=False)
    rate = f"{rates['rows_per_second']:,.0f} rows/s, {rates['tokens_per_second']:,.0f} answer tokens/s"
    now = f"{done.rows:,} rows scored in {done.seconds:.0f} s ({rate})" if done.rows else "nothing was left to score"
    console.print(f"{path}: {now}", markup=False, soft_wrap=True)


def _at(numbers: list[float]) -> list[float]:
    """The values at AT per cent."""
    if len(numbers) == 1:
        return numbers * len(AT)
    every = quantiles(numbers, n=20, method="inclusive")
    return [every[at // 5 - 1] for at in AT]
