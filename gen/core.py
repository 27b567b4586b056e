"""The nouns that every room speaks. Values only: nothing here does I/O or knows another room."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from msgspec import Struct, field, structs

T = TypeVar("T")

Role = Literal["evolver", "answerer", "judge", "scorer", "embedder"]


class Value(Struct, frozen=True, gc=False):
    """What the nouns have in common: compiled code makes and changes them, as each question needs dozens; no cycles."""


class Message(Value, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class Lineage(Value, frozen=True):
    """Where a sample comes from. `root` is the id of its seed: all samples of one root are a family."""

    root: str
    parent: str | None = None
    stage: int = 0
    round: int = 0
    operation: str = "seed"
    prompts: tuple[str, ...] = ()
    """`path@hash` of each prompt that helped to make it."""
    models: tuple[str, ...] = ()
    """`name@fingerprint (licence)` of the weights that helped to make it; none for what a person wrote."""
    origin: str = ""
    """The id that the seed has in the user's own data, where its row says one."""


class Sample(Value, frozen=True):
    """One training example. `response` is None until it has been answered."""

    id: str
    instruction: str
    lineage: Lineage
    input: str = ""
    response: str | None = None
    reasoning: str = ""
    """What the model thought before it gave `response`."""
    system: str = ""
    turns: tuple[Message, ...] = ()
    """Earlier turns of the conversation, oldest first, without the last instruction and response."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What the user's row carried besides: JSON values only."""

    @property
    def prompt(self) -> str:
        """What the user says: instruction and input, as one text."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    @property
    def messages(self) -> tuple[Message, ...]:
        system = (Message("system", self.system),) if self.system else ()
        answer = () if self.response is None else (Message("assistant", self.response),)
        return (*system, *self.turns, Message("user", self.prompt), *answer)


class Sampling(Value, frozen=True):
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048
    """Bound on generated tokens, reasoning included; a thinking budget of the engine comes on top."""
    presence_penalty: float = 0.0
    """Taken once from the logit of every token that the reply has already; 0 is never sent."""


class Request(Value, frozen=True):
    """One question to a model. `step` and `attempt` name it within its conversation."""

    role: Role
    messages: tuple[Message, ...]
    sampling: Sampling
    step: str
    attempt: int = 0
    """Semantic attempts (asked again on purpose); transport retries are not attempts."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of the reply, enforced by the server's grammar where it has one."""
    prompt: str = ""
    """`path@hash` of the prompt file that was rendered; not part of what is sent."""
    raw: bool = False
    """The one message is the beginning of a text that the model goes on with: no chat template, no reasoning."""
    seed: int = 0
    """Filled by the rollout from the run's seed and the conversation's path; loops leave it."""


Finish = Literal["stop", "length", "reasoning_truncated", "overlong", "refused"]


class Completion(Value, frozen=True):
    """What came back; a request that is refused for good is a completion too. `stop`: the model ended by itself.
    `length`: cut at max_tokens. `reasoning_truncated`: cut before an answer began. `overlong`: prompt and
    max_tokens exceed the context. `refused`: `note` says why. `text` never holds reasoning."""

    text: str
    finish: Finish = "stop"
    reasoning: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    note: str = ""
    likelihood: Likelihood | None = None
    """Of `text`, from its own generation, where the engine tells it for exactly the tokens that scoring would send."""


class Scoring(Value, frozen=True):
    """Asks how likely a model finds `text`: as its reply to `messages` (chat template applied once, thinking off), or
    bare where there are none (after the BOS token where the tokenizer has one). The end token is left out."""

    messages: tuple[Message, ...]
    text: str
    role: Role = "scorer"
    step: str = ""


class Likelihood(Value, frozen=True):
    """Natural-log probability of each token of a text, given all before it, in the model's own distribution
    (temperature 1, nothing cut off)."""

    logprobs: tuple[float, ...] = ()
    skipped: int = 0
    """Leading tokens that have no value: 1 for a bare text without BOS, else 0."""
    truncated: bool = False
    """Only the beginning of the text: the rest did not fit the context."""
    finish: Literal["ok", "overlong", "refused"] = "ok"
    """`overlong`: no token of the text fits. `refused`: `note` says why."""
    source: Literal["scored", "generated"] = "scored"
    note: str = ""


Vector: TypeAlias = bytes
"""An embedding as unit vector: little-endian float16, so that what is stored is what is compared."""

Rollout: TypeAlias = Generator[list[Request], list[Completion], T]
"""A conversation without I/O: yields the questions that it has now, is sent their answers in the same
order, returns its result. Whoever holds an engine can drive it; see `gen.rollout`."""

Measurement: TypeAlias = Generator[list[Scoring], list[Likelihood], T]
"""The same for what is measured instead of asked."""


class Score(Value, frozen=True):
    """A measured value. `value` None means not measured, and `note` says why; never 0 or NaN instead."""

    name: str
    value: float | None
    note: str = ""


class Verdict(Value, frozen=True):
    """What a filter (or a loop's own elimination, `by` = the loop's name) says of one sample."""

    keep: bool
    reason: str = ""
    """Written from the reader's side, in snake_case: `too_short`, `refusal`, `near_duplicate`."""
    by: str = ""
    value: float | None = None
    """The number that decided, in the unit of the filter."""
    nearest: str | None = None
    """Id of the nearest kept neighbour (or `against:<file>:<line>`), for dedup filters."""
    note: str = ""
    """The passage that decided, cut short, for people."""


KEEP = Verdict(True)


class Candidate(Value, frozen=True):
    """What a loop proposes: a sample, or a partial one and the reason why it came to nothing."""

    sample: Sample
    failure: Verdict | None = None
    given: bool = False
    """What a person brought, and is kept as it is: the gate remembers it and judges it not."""


class Grown(Value, frozen=True):
    """The fruit of one conversation: candidates for the pool, and what the next round grows from."""

    candidates: tuple[Candidate, ...]
    heirs: tuple[Sample, ...]


def replace(value: T, **changes: Any) -> T:
    """The value, a noun of this module or a dataclass, with some of its fields changed."""
    change: Any = structs.replace if isinstance(value, Struct) else dataclasses.replace
    return change(value, **changes)  # type: ignore[no-any-return]


def digest(*parts: Any, size: int = 16) -> str:
    """Hex BLAKE2b of JSON values: the one content address of the project. `size` in hex digits."""
    return hashlib.blake2b(canonical(parts), digest_size=(size + 1) // 2).hexdigest()[:size]


def encoding(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """`encode` of an encoder that leaves characters as they are, in half the time: what CPython puts together for each
    value anew is put together once. Of values without cycles."""
    how = encoder.key_separator, encoder.item_separator, encoder.sort_keys, encoder.skipkeys, encoder.allow_nan
    try:
        parts = json.encoder.c_make_encoder(None, encoder.default, json.encoder.encode_basestring, None, *how)  # type: ignore[attr-defined]
    except (AttributeError, TypeError):
        return encoder.encode
    return lambda value: "".join(parts(value, 0))


_ENCODE = encoding(json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def canonical(value: Any) -> bytes:
    """JSON as it is hashed: names sorted, no blanks, characters as they are."""
    return _ENCODE(value).encode("utf-8", "surrogatepass")


def derive_seed(*parts: Any) -> int:
    """A seed in [0, 2**31) that depends on the values alone, never on order or time."""
    return int(digest(*parts, size=16), 16) & 0x7FFFFFFF


def seed_id(instruction: str, input: str, response: str | None, turns: Sequence[Message] = ()) -> str:
    """The id of a seed, and so of its family: a hash of its content."""
    return digest("seed", instruction, input, response, [(t.role, t.content) for t in turns])


def child(
    parent: Sample, operation: str, instruction: str, *, input: str = "", response: str | None = None,
    prompts: Sequence[str] = (),
) -> Sample:
    """A new sample of the parent's family; `place` gives it its id and round."""
    lineage = replace(parent.lineage, parent=parent.id, operation=operation, prompts=tuple(prompts), models=())
    return replace(
        parent, id="", instruction=instruction, input=input, response=response, reasoning="", lineage=lineage, meta={}
    )


def place(sample: Sample, stage: int, round: int, index: int | str) -> Sample:
    """The sample with its stage and round, and an id made of its family, its path and its content.
    What has an id keeps it, answered or not: a seed, or what an earlier stage kept."""
    lineage = replace(sample.lineage, stage=stage, round=round)
    if sample.id:
        return replace(sample, lineage=lineage)
    path = (lineage.root, lineage.parent, stage, round, index, lineage.operation)
    return replace(sample, lineage=lineage, id=digest(*path, sample.instruction, sample.input, sample.response))


class Engine(Protocol):
    """What answers. Opened once (raises EngineError; Unavailable when waiting could help), asked concurrently,
    closed once. What is refused for good is a Completion that says so; what may pass by waiting is retried inside,
    and raises Unavailable when it does not."""

    fingerprint: str
    """Known after `open`: the model and all else that decides its replies; never a URL, host or path."""
    model: str
    """The model's name, for people and the dataset card."""
    kind: str
    """Where the weights run: `server`, `vllm` (started by us), `local` (this process), `script` (there are none)."""
    license: str
    """Of the weights, as an SPDX or Hugging Face id; empty where not known."""
    width: int
    """Requests that it can usefully have in flight."""

    async def open(self) -> None: ...
    async def complete(self, request: Request) -> Completion: ...
    async def close(self) -> None: ...


class Scorer(Protocol):
    """An engine that can also tell log-probabilities."""

    scoring_width: int
    """Scorings that it can usefully have in flight."""

    async def lacks_scoring(self) -> str:
        """Why it cannot score, found out by a probe; empty when it can. Asked once, after `open`."""
        ...

    async def score(self, scoring: Scoring) -> Likelihood: ...


class Embedder(Protocol):
    """An engine that turns texts into vectors; opened, asked concurrently and closed as an Engine is."""

    fingerprint: str
    model: str
    width: int
    scripts: frozenset[str] | None
    """Scripts (names as in `gen.text`) that it was made for; None: all."""
    async def open(self) -> None: ...
    async def embed(self, text: str) -> Vector: ...
    async def close(self) -> None: ...
