"""The sections of a recipe: where samples come from, who answers, in which role, when to stop. Each field is a key
of the recipe and a flag, with its default, bounds and help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from gen.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Source:
    """Where samples come from."""

    seeds: tuple[str, ...] = ()
    """Files (JSONL, JSON, CSV, Parquet, ...), folders, datasets of the hub as ORG/NAME[:CONFIG][@REVISION][#SPLIT]
    (a path wins); none: the shipped ones."""
    map: Mapping[str, str] = field(default_factory=dict)
    """Columns of your data: instruction=COLUMN, input=..., response=..., system=..., or messages=..."""
    turn: int | Literal["last", "first", "all"] = "last"
    """Which user turn of a conversation evolves, the turns before it kept: a number counts from 1, or back from -1."""
    limit: Annotated[int, Meta(ge=1)] | None = None
    """Only the first N seeds."""
    strict: bool = False
    """Stop at the first bad row instead of skipping it."""
    demos: tuple[str, ...] = ()
    """Answered tasks that a person wrote, shown to the model as examples; named as seeds are."""
    against: tuple[str, ...] = ()
    """Data that must not be repeated: what you own, benchmarks; named as seeds are."""

    def __post_init__(self) -> None:
        if self.turn == 0:
            raise RecipeError("turn = 0; expected last, first, all, or a number that counts from 1, or back from -1")


@dataclass(frozen=True, slots=True)
class Model:
    """Who answers."""

    name: str = ""
    """Name or path; none, and no server: `micro`, the bundled demonstration model (`micro-weak`: earlier
    in its training)."""
    server: tuple[str, ...] = ()
    """URL of an OpenAI-compatible server; repeat for several."""
    thinking: Literal["off", "on", "default"] = "off"
    """Ask reasoning models to think, or not, where their template allows it."""
    thinking_budget: Annotated[int, Meta(ge=1, le=131072)] | None = None
    """Tokens for thinking, besides those of each answer; empty: 4096 with thinking on, else none."""
    width: Annotated[int, Meta(ge=1, le=4096)] | None = None
    """Requests in flight, at most: what servers do not keep up with is not sent. Empty: 256 for each server (64 where
    vLLM runs on a CPU), twice the batch for local models."""
    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 32
    """Rows of a batch of a local model."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where a local model runs."""
    patience: Annotated[float, Meta(ge=0)] = 120.0
    """Seconds without any server that answers, until the run stops."""
    engine: Literal["auto", "vllm", "local"] = "auto"
    """What runs the model where no server is named; auto: vLLM where it is installed and a GPU is visible."""
    tensor_parallel: Annotated[int, Meta(ge=1, le=64)] = 1
    """GPUs that each vLLM server takes."""
    servers: Annotated[int, Meta(ge=1, le=64)] | None = None
    """vLLM servers to start; empty: as the visible GPUs allow, one without a GPU."""
    vllm_args: str = ""
    """More arguments of vLLM's, as in a shell; later ones win."""
    vllm_python: str = ""
    """A Python that has vLLM; empty: GEN_VLLM_PYTHON, this one, or that of the `vllm` on the PATH."""
    keep_server: bool = False
    """Leave the vLLM servers running at the end: the next run finds them. `gen serve --stop` ends them."""
    max_host_memory: Annotated[float, Meta(gt=0)] | None = None
    """GiB on the host at which a vLLM server is drained and started anew; empty: half of what was free, more."""
    trust_remote_code: bool = False
    """Let a local model run code from its repository."""
    allow_closed: bool = False
    """Ask a model whose weights are closed all the same; the card then says whose it is."""

    def __post_init__(self) -> None:
        if self.thinking == "off" and self.thinking_budget:
            raise RecipeError("thinking_budget: thinking is off; add --thinking on (or default), or leave it out")

    @property
    def thought(self) -> int:
        """Tokens for thinking on top of every answer's."""
        return self.thinking_budget or (4096 if self.thinking == "on" else 0)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who answers in a role other than by [model]: NAME_OR_PATH, URL, or NAME@URL of a server (several: URL,URL)."""

    evolver: str = ""
    """Rewrites tasks; empty: the model."""
    answerer: str = ""
    """Answers them; empty: the model."""
    judge: str = ""
    """Judges rewrites; empty: the model."""
    scorer: str = ""
    """Tells log-probabilities, for IFD; empty: the model."""
    embedder: str = ""
    """Makes vectors: a sentence-transformers model, or a server of one; empty: the bundled all-MiniLM-L6-v2."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop early; a larger budget later goes on."""

    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Stop after this many generated tokens, counted in canonical order."""
    target: Annotated[int, Meta(ge=1)] | None = None
    """Stop at exactly this many kept samples, counted in canonical order."""
    min_diversity: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Stop after a round in which some measure of diversity is below this share of the first round's, such as 0.5."""
    max_time: Annotated[float, Meta(gt=0)] | None = None
    """Stop after this many minutes; the one bound that is not deterministic."""


def split_engine(name: str) -> tuple[str, tuple[str, ...]]:
    """The model and the URLs of a role: "m" -> ("m", ()), "m@http://a,http://b" -> ("m", (both URLs))."""
    model, at, urls = name.partition("@http")
    if not at and name.startswith("http"):
        model, urls = "", name.removeprefix("http")
    return model, tuple(f"http{urls}".split(",")) if urls else ()
