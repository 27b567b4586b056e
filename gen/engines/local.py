"""transformers in this process: batched generation and log-probabilities for one model on one device.

All of torch runs in one worker thread; the tokenizer and all bookkeeping stay on the event loop.
Nothing heavy is imported before `open`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import TemplateError

from gen.core import Completion, Finish, Likelihood, Message, Request, Sampling, Scoring, digest
from gen.engines import licence, likelihood
from gen.engines.logprobs import MAX_TOKENS, Logprobs, Pair
from gen.engines.reasoning import MARKS, QUESTION, closing, habit, split_reasoning
from gen.engines.sampling import Batcher, Row, first_line, generate
from gen.engines.threads import cores, single_threaded
from gen.errors import EngineError, RecipeError

log = logging.getLogger("gen.engines.local")
FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.py"]
"""What a checkpoint is made of; code is run with trust_remote_code only."""
SMALL = 50_000_000
"""Parameters below which threads gain little by sharing a pass: one generates, and each scores for itself."""
PASSES = 4
"""That each of these threads has to do with one batch of texts."""
NOTES = "manifest.json"
"""What the bundled model's folder says of its training and its figures: it answers the same whatever stands there."""


UNFIT = (TemplateError, UnicodeError, TypeError)
"""What the chat template or the tokenizer raises on a conversation; TypeError: on a lone surrogate."""


class _Loaded(NamedTuple):
    tokenizer: Any
    limit: int
    eos: tuple[int, ...]
    generations: Batcher
    scorings: Batcher
    workers: ThreadPoolExecutor | None
    """Threads that score; None: that of the engine."""


class Local:
    """A causal language model in safetensors, from a folder or from the hub; `name` is shown instead of the
    folder's. Engine and Scorer. One without a chat template only goes on with raw texts.

    The same request gives the same text whatever it is batched with: exactly so in exact arithmetic, nearly
    always in float32 (the default on CPUs), less often in lower precisions. A request's schema is not enforced."""

    kind: str = "local"

    def __init__(
        self, model: str | Path, *, name: str | None = None, device: str = "auto", dtype: str = "auto",
        batch_size: int = 32, thinking: str = "off", thinking_budget: int = 0, trust_remote_code: bool = False,
    ) -> None:  # fmt: skip
        self._source, self._trust, self._budget, self.remark = model, trust_remote_code, thinking_budget, ""
        self._device, self._dtype, self._thinking, self._batch_size = device, dtype, thinking, batch_size
        folder = Path(model).expanduser()
        self.model = name or (folder.resolve().name if folder.is_dir() else str(model))
        self.fingerprint, self.license = "", ""
        self.width, self.scoring_width = 2 * batch_size, 8 * batch_size
        self.scoring_limit: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gen-local")
        self._loaded: _Loaded | None = None

    async def open(self) -> None:
        """Load the model. Raises RecipeError for what the user named wrongly, EngineError for what cannot be
        loaded here."""
        self._loaded = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        if self._thinking == "off" and MARKS.search(str(self.tokenizer.chat_template)):
            ask = Request("scorer", (Message("user", QUESTION),), Sampling(0.0, 1.0, 16), "probe")
            if (await self.complete(ask)).reasoning:
                self.remark = habit(self.model)
                log.warning("%s", self.remark)

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer; not safe to use from two threads at once."""
        return self._ready().tokenizer

    def encode(self, messages: Sequence[Message], thinking: str = "") -> list[int]:
        """Token ids of the conversation up to where the model's answer begins: the chat template applied once, no
        special token added besides; `thinking` as of the engine. Raises what the template raises on an unfit
        conversation."""
        tokenizer, thinking = self.tokenizer, thinking or self._thinking
        switch = {} if thinking == "default" else {"enable_thinking": thinking == "on"}
        turns = [{"role": m.role, "content": m.content} for m in messages]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **switch)
        return list(tokenizer.encode(text, add_special_tokens=False))

    async def complete(self, request: Request) -> Completion:
        """Answer one request; max_tokens, and the thinking budget on top, is cut to what the context leaves.
        Concurrent calls share batches. Raises RecipeError for a chat with a model that holds none."""
        loaded, budget = self._ready(), 0 if request.raw else self._budget
        if not (request.raw or loaded.tokenizer.chat_template):
            raise RecipeError(
                f"local engine: {self.model!r} has no chat_template: a base model goes on with texts, so set --style "
                "base where the loop has it, name an instruct model, or put a chat_template.jinja beside its tokenizer"
            )
        try:
            prompt = self._text(request.messages[-1].content) if request.raw else self.encode(request.messages)
        except (*UNFIT, ValueError) as error:
            return Completion("", "refused", note=f"chat template or tokenizer: {first_line(error)}")
        room, wanted = loaded.limit - len(prompt), request.sampling.max_tokens + budget
        note = f"limit {loaded.limit}, prompt {len(prompt)}"
        if room <= 0:
            return Completion("", "overlong", prompt_tokens=len(prompt), note=note)
        row = Row(prompt, min(wanted, room), request.sampling, request.seed)
        ids = await loaded.generations.ask(row, len(prompt))
        note = f"max_tokens clamped to {room} ({note})" if wanted > room else ""
        return _went_on(loaded, row, ids, note) if request.raw else _completion(loaded, row, ids, note)

    async def lacks_scoring(self) -> str:
        """Whether this model scores a text of two words; it hardly ever cannot."""
        count = len(self.tokenizer.encode(likelihood.PROBE.text, add_special_tokens=False))
        return likelihood.fault(await self.score(likelihood.PROBE), count)

    async def score(self, scoring: Scoring) -> Likelihood:
        """In float32. Concurrent calls share batches."""
        loaded, tokenizer = self._ready(), self.tokenizer
        try:
            text = tokenizer.encode(scoring.text, add_special_tokens=False)
            prompt = self._before(scoring.messages)
        except (*UNFIT, ValueError) as error:
            return Likelihood(finish="refused", note=f"chat template or tokenizer: {first_line(error)}")
        fitted = likelihood.fit(prompt, text, min(loaded.limit, self.scoring_limit or loaded.limit))
        if isinstance(fitted, Likelihood):
            return fitted
        return likelihood.told(fitted, await self.logprobs(fitted.prompt, fitted.text))

    def _text(self, text: str) -> list[int]:
        """The tokens of a raw text, with what the tokenizer puts before any."""
        return self._before(()) + list(self.tokenizer.encode(text, add_special_tokens=False))

    def _before(self, messages: Sequence[Message]) -> list[int]:
        """The tokens that a scored text follows: the conversation, or what the tokenizer puts before any text."""
        encode = self.tokenizer.encode
        if not messages:
            return likelihood.put_before(encode("a"), encode("a", add_special_tokens=False))
        prompt = self.encode(messages, "off")
        end = closing(self.tokenizer.decode(prompt[-8:]))
        return prompt + (encode(end, add_special_tokens=False) if end else [])

    async def logprobs(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """Natural-log probability of each continuation token given all before it, in float32; ids as given.
        Raises ValueError for an empty prompt and for a sequence longer than the context."""
        loaded, size = self._ready(), len(prompt) + len(continuation)
        if not prompt:
            raise ValueError("empty prompt: the first token cannot be scored; give BOS, or score from the second on")
        if size > loaded.limit:
            raise ValueError(f"sequence of {size} tokens exceeds the context: limit {loaded.limit}")
        found: list[float] = await loaded.scorings.ask((prompt, continuation), size) if continuation else []
        return found

    async def logprobs_many(self, pairs: Sequence[Pair]) -> list[list[float]]:
        """`logprobs` of each (prompt, continuation), in batches of similar length."""
        return await asyncio.gather(*(self.logprobs(p, c) for p, c in pairs))

    async def close(self) -> None:
        """Cancel what is asked, stop the thread, free the model. Again: nothing happens."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.generations.close()
            await loaded.scorings.close()
            if loaded.workers is not None:
                loaded.workers.shutdown(wait=False)
        self._thread.shutdown(wait=False)

    def _ready(self) -> _Loaded:
        if self._loaded is None:
            raise EngineError(f"local engine {self.model}: not open; call open() first")
        return self._loaded

    def _load(self) -> _Loaded:
        import torch

        device = ("cuda" if torch.cuda.is_available() else "cpu") if self._device == "auto" else self._device
        dtype = {"cpu": "float32"}.get(device, "auto") if self._dtype == "auto" else self._dtype
        try:
            folder = _folder(self._source)
            self.license = self.license or licence.license_of(folder)
            tokenizer, model, eos = _from_folder(folder, self.model, dtype, self._trust)
            model.to(device).eval()
        except (EngineError, RecipeError):
            raise
        except Exception as error:
            raise EngineError(
                f"local engine: {self.model!r} could not be loaded on {device} in {dtype} ({type(error).__name__}: "
                f"{first_line(error)}); check device, network and memory, and that transformers knows the architecture"
            ) from error
        is_small = device == "cpu" and model.num_parameters() < SMALL
        if is_small:
            torch.set_num_threads(1)
        content = []
        for file in sorted(file for pattern in FILES for file in folder.glob(pattern) if file.name != NOTES):
            with file.open("rb") as stream:
                content.append((file.name, hashlib.file_digest(stream, "sha256").hexdigest()))
        # the kind of device decides replies too: its generator draws other numbers
        thinking = (self._thinking, *([self._budget] if self._budget else []))
        self.fingerprint = digest("local-2", content, str(model.dtype), device, *thinking)
        limit = tokenizer.model_max_length  # 10^30 where it states none
        limit = int(min(limit, getattr(model.config.get_text_config(), "max_position_embeddings", None) or limit))
        pad = next(token for token in (tokenizer.pad_token_id, *eos, 0) if token is not None)
        generations = Batcher(partial(generate, model, eos=eos, pad=pad), self._thread, self._batch_size)
        workers = single_threaded(cores(), "gen-logprobs") if is_small else None
        score, most, tokens = Logprobs(model, pad=pad, workers=workers), self._batch_size, MAX_TOKENS.get(device)
        if is_small:
            most, tokens = PASSES * cores() * most, PASSES * cores() * MAX_TOKENS["cpu"]
        scorings = Batcher(lambda pairs, _: score(pairs), self._thread, most, tokens)
        return _Loaded(tokenizer, limit, eos, generations, scorings, workers)


def _completion(loaded: _Loaded, row: Row, ids: list[int], note: str) -> Completion:
    decode, ended = loaded.tokenizer.decode, bool(ids) and ids[-1] in loaded.eos
    # templates of models that always reason open the block inside the prompt
    opened = "<think>" if decode(row.prompt[-8:]).rstrip().endswith("<think>") else ""
    has_channels = "<|channel|>" in loaded.tokenizer.get_vocab()  # gpt-oss: what is thought only its tokens tell
    part = split_reasoning(opened + decode(ids, skip_special_tokens=not has_channels))
    finish: Finish = "stop" if ended else "length"
    if not ended and (part.open or (part.reasoning and not part.answer.strip())):
        finish = "reasoning_truncated"
    return Completion(part.answer.strip(), finish, part.reasoning.strip(), len(row.prompt), len(ids), note)


def _went_on(loaded: _Loaded, row: Row, ids: list[int], note: str) -> Completion:
    """The completion of a raw text: as it is, and nothing in it is a thought."""
    finish: Finish = "stop" if ids and ids[-1] in loaded.eos else "length"
    text = loaded.tokenizer.decode(ids, skip_special_tokens=True)
    return Completion(text, finish, "", len(row.prompt), len(ids), note)


def _folder(model: str | Path) -> Path:
    """The folder of a checkpoint: the one named, else the hub's snapshot of it, fetched where need be."""
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if (folder := Path(model).expanduser()).is_dir():
        return folder
    disable_progress_bars()
    try:  # consolidated*: the same weights once more, in another layout
        wanted = [*FILES, licence.FILE]
        return Path(snapshot_download(str(model), allow_patterns=wanted, ignore_patterns=["*/*", "consolidated*"]))
    except (errors.RepositoryNotFoundError, errors.HFValidationError, errors.LocalEntryNotFoundError) as error:
        raise RecipeError(
            f"local engine: no model {str(model)!r}: neither a folder of this name is here, nor is it in the cache of "
            "the Hugging Face hub or to be had from there (offline? private? misspelt?)"
        ) from error


def _from_folder(folder: Path, name: str, dtype: str, trust: bool) -> tuple[Any, Any, tuple[int, ...]]:
    """Tokenizer, model and the ids that end a reply."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not any(folder.glob("*.safetensors")):
        raise RecipeError(
            f"local engine: {name!r} has no *.safetensors, and pickled weights are not read, because unpickling runs "
            "code; convert them with save_pretrained (transformers) where you trust them"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=trust, output_loading_info=True
    )
    if lacking := sorted(info["missing_keys"]):
        raise EngineError(f"local engine: {name!r} lacks weights ({lacking[0]}, ...); get a complete checkpoint")
    own, end = model.generation_config.eos_token_id, tokenizer.eos_token_id
    model.generation_config = GenerationConfig()  # else generate() takes penalties and the like from the checkpoint
    return tokenizer, model, tuple(sorted({*(own if isinstance(own, list) else [own]), end} - {None}))
