"""transformers in this process: batched generation and log-probabilities for one model on one device.

All of torch runs in one worker thread; all of the tokenizer and all bookkeeping stay on the event loop.
Nothing heavy is imported before `open`.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from gen.core import Completion, Finish, Message, Request, digest
from gen.engines.reasoning import split_reasoning
from gen.engines.sampling import Batcher, Pair, Row, first_line, generate, logprobs
from gen.errors import EngineError, RecipeError, nearest

CHOICES = {
    "thinking": ("off", "on", "default"),
    "device": ("auto", "cpu", "cuda"),
    "dtype": ("auto", "float32", "bfloat16", "float16"),
}
UNBOUNDED = 1 << 20
"""Context, in tokens, of a model that states none."""
MIB = 1 << 20
SMALL = 50_000_000
"""Parameters below which a CPU model runs in one thread: the second thread of a small matrix product saves
little, costs a factor of ten where another process keeps the cores busy, and ties rounding to their number."""
WHOLE = 64 * MIB
"""Weight files up to this size are hashed whole; of larger ones 64 evenly spaced blocks of 1 MiB are."""


class _Loaded(NamedTuple):
    model: Any
    tokenizer: Any
    limit: int
    """Context in tokens."""
    vocabulary: int
    eos: tuple[int, ...]
    pad: int


class Local:
    """A causal language model in safetensors, from a folder or (at `revision`) from the hub. Engine and Scorer.

    The same request gives the same text whatever it is batched with: exactly so in exact arithmetic,
    nearly always in float32, less often in lower precisions (see `gen.engines.sampling`). A request's
    JSON schema is not enforced: there is no grammar here."""

    def __init__(
        self, model: str | Path, *, revision: str | None = None, device: str = "auto", dtype: str = "auto",
        batch_size: int = 32, thinking: str = "off", trust_remote_code: bool = False,
    ) -> None:
        for key, value in {"device": device, "dtype": dtype, "thinking": thinking}.items():
            if value not in CHOICES[key]:
                raise RecipeError(f"local engine: {key} is {value!r}; {nearest(str(value), CHOICES[key])}")
        if batch_size < 1:
            raise RecipeError(f"local engine: batch_size is {batch_size}; it must be at least 1")
        self._source, self._revision, self._trust = model, revision, trust_remote_code
        self._device, self._dtype, self._thinking, self._batch_size = device, dtype, thinking, batch_size
        self.model = Path(model).expanduser().resolve().name if _is_folder(model) else str(model)
        self.fingerprint = ""
        self.width = 2 * batch_size
        self.deterministic = False  # known after open: float32 gives the same texts again
        self._loaded: _Loaded | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Load the model in a worker thread. Raises RecipeError for what the user named wrongly,
        EngineError for what cannot be loaded here."""
        if self._thread is not None:
            return
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gen-local")
        try:
            run = asyncio.get_running_loop().run_in_executor
            self._loaded, self.fingerprint = await run(self._thread, self._load)
        except BaseException:
            self._thread.shutdown(wait=False)
            self._thread = None
            raise
        self.deterministic = str(self._ready().model.dtype) == "torch.float32"
        self._generations = Batcher(self._generate, self._thread, self._batch_size)
        self._scorings = Batcher(self._score, self._thread, self._batch_size)

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer; not safe to use from two threads at once."""
        return self._ready().tokenizer

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation up to where the model's answer begins: the chat template applied
        once, no special token added besides. Raises what the template raises on an unfit conversation."""
        tokenizer = self._ready().tokenizer
        asks = self._thinking != "default" and "enable_thinking" in tokenizer.get_chat_template()
        switch = {"enable_thinking": self._thinking == "on"} if asks else {}
        turns = [{"role": m.role, "content": m.content} for m in messages]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **switch)
        return list(tokenizer.encode(text, add_special_tokens=False))

    async def complete(self, request: Request) -> Completion:
        """Answer one request; max_tokens is cut to what the context leaves. Concurrent calls share batches."""
        from jinja2 import TemplateError

        limit = self._ready().limit
        try:
            prompt = self.encode(request.messages)
        except (TemplateError, UnicodeError, TypeError) as error:  # TypeError: the tokenizer on a lone surrogate
            return Completion("", "refused", note=f"chat template or tokenizer: {first_line(error)}")
        room, wanted, note = limit - len(prompt), request.sampling.max_tokens, f"limit {limit}, prompt {len(prompt)}"
        if room <= 0:
            return Completion("", "overlong", prompt_tokens=len(prompt), note=note)
        row = Row(prompt, min(wanted, room), request.sampling, request.seed)
        ids = await self._generations.ask(row, (len(prompt), row.limit))
        return self._completion(row, ids, f"max_tokens clamped to {room} ({note})" if wanted > room else "")

    async def logprobs(self, prompt: Sequence[int], continuation: Sequence[int]) -> list[float]:
        """Natural-log probability of each continuation token given all before it, in float32; ids as given.

        Raises ValueError for an empty prompt (nothing predicts a first token: give the BOS token, or score
        from the second token on), a sequence longer than the context, an id outside the vocabulary."""
        limit, vocabulary, size = self._ready().limit, self._ready().vocabulary, len(prompt) + len(continuation)
        if not prompt:
            raise ValueError("empty prompt: the first token cannot be scored; give BOS, or score from the second on")
        if size > limit:
            raise ValueError(f"sequence of {size} tokens exceeds the context: limit {limit}, prompt {len(prompt)}")
        if alien := [token for token in (*prompt, *continuation) if not 0 <= token < vocabulary]:
            raise ValueError(f"token id {alien[0]} is not of this model: ids 0 to {vocabulary - 1}")
        if not continuation:
            return []
        return await self._scorings.ask((prompt, continuation), (size, 0))

    async def logprobs_many(self, pairs: Sequence[Pair]) -> list[list[float]]:
        """`logprobs` of each (prompt, continuation), in batches of similar length."""
        return await asyncio.gather(*(self.logprobs(p, c) for p, c in pairs))

    async def close(self) -> None:
        """Cancel what is asked, stop the thread, free the model. Again: nothing happens."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await self._generations.close()
        await self._scorings.close()
        await asyncio.to_thread(thread.shutdown)
        self._loaded = None
        _free()

    def _ready(self) -> _Loaded:
        if self._loaded is None or self._thread is None:
            raise EngineError(f"local engine {self.model}: not open; call open() first")
        return self._loaded

    def _load(self) -> tuple[_Loaded, str]:
        import torch

        _quiet()
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self._device == "auto" else self._device
        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError("local engine: device is 'cuda', but torch finds no CUDA device; use device='cpu'")
        dtype = {"cpu": "float32", "cuda": "auto"}[device] if self._dtype == "auto" else self._dtype
        try:
            folder = _folder(self._source, self._revision, self._trust)
            files = _weight_files(folder, self.model)
            loaded = _from_folder(folder, self.model, dtype, device, self._trust)
            return loaded, _fingerprint(loaded, folder, files, device, self._thinking)
        except (EngineError, RecipeError):
            raise
        except Exception as error:
            raise EngineError(
                f"local engine: {self.model!r} could not be loaded on {device} in {dtype} ({type(error).__name__}: "
                f"{first_line(error)}); tried as a local folder, then as a Hugging Face hub name; check the name, the "
                "network, memory, and whether transformers knows this architecture"
            ) from error

    def _generate(self, rows: list[Row], is_abandoned: Callable[[int], bool]) -> list[list[int]]:
        loaded = self._ready()
        return generate(loaded.model, rows, eos=loaded.eos, pad=loaded.pad, is_abandoned=is_abandoned)

    def _score(self, pairs: list[Pair], _: Callable[[int], bool]) -> list[list[float]]:
        return logprobs(self._ready().model, pairs, pad=self._ready().pad)

    def _completion(self, row: Row, ids: list[int], note: str) -> Completion:
        tokenizer, ended = self._ready().tokenizer, bool(ids) and ids[-1] in self._ready().eos
        # templates of models that always reason open the block inside the prompt
        opened = "<think>" if tokenizer.decode(row.prompt[-8:]).rstrip().endswith("<think>") else ""
        part = split_reasoning(opened + tokenizer.decode(ids, skip_special_tokens=True))
        finish: Finish = "stop" if ended else "length"
        if not ended and (part.open or (part.reasoning and not part.answer.strip())):
            finish = "reasoning_truncated"
        notes = [note, "ended inside its reasoning" if part.open and ended else ""]
        told = "; ".join(filter(None, notes))
        return Completion(part.answer.strip(), finish, part.reasoning.strip(), len(row.prompt), len(ids), told)


def _is_folder(model: str | Path) -> bool:
    return Path(model).expanduser().is_dir()


def _folder(model: str | Path, revision: str | None, trust: bool) -> Path:
    """The folder of a checkpoint: the one named, else the hub's snapshot of it, fetched where need be."""
    if _is_folder(model):
        return Path(model).expanduser()
    if isinstance(model, Path) or model.startswith(("/", ".", "~")):
        raise RecipeError(f"local engine: no folder {str(model)!r}; give a checkpoint folder or a hub name")
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", *(["*.py"] if trust else [])]
    # consolidated*: the same weights once more, in another layout
    unwanted = ["*/*", "consolidated*"]
    return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, ignore_patterns=unwanted))


def _weight_files(folder: Path, name: str) -> list[Path]:
    files = sorted(f for f in folder.glob("*.safetensors") if not f.name.startswith("consolidated"))
    if not files:
        pickles = [f.name for f in folder.iterdir() if f.suffix in {".bin", ".pt", ".pth"}]
        found = f"only pickled weights ({', '.join(sorted(pickles))})" if pickles else "no weights"
        raise RecipeError(
            f"local engine: {name!r} has {found}; allowed: *.safetensors, because unpickling runs code; "
            "convert it with save_pretrained (transformers) where you trust it"
        )
    return files


def _from_folder(folder: Path, name: str, dtype: str, device: str, trust: bool) -> _Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    if not tokenizer.chat_template:
        raise RecipeError(
            f"local engine: {name!r} has no chat_template, so it cannot be asked anything; use the instruct variant "
            "of the model, or put a chat_template.jinja beside its tokenizer"
        )
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=trust, output_loading_info=True
    )
    if info["missing_keys"]:
        raise EngineError(
            f"local engine: {name!r} lacks weights that its config asks for ({sorted(info['missing_keys'])[:3]}, ...); "
            "they would be random; get a complete checkpoint"
        )
    own = model.generation_config.eos_token_id
    named = [*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id]
    eos = tuple(sorted({token for token in named if token is not None}))
    pad = next((token for token in (tokenizer.pad_token_id, *eos) if token is not None), 0)
    model.generation_config = GenerationConfig()  # else generate() takes penalties and the like from the checkpoint
    if device == "cpu" and model.num_parameters() < SMALL:
        torch.set_num_threads(1)
    text = model.config.get_text_config()
    stated = (getattr(text, "max_position_embeddings", None), tokenizer.model_max_length)
    limit = int(min([length for length in stated if length and length < UNBOUNDED], default=UNBOUNDED))
    return _Loaded(model.to(device).eval(), tokenizer, limit, model.get_input_embeddings().num_embeddings, eos, pad)


def _fingerprint(loaded: _Loaded, folder: Path, files: Sequence[Path], device: str, thinking: str) -> str:
    """Digest of all that decides a reply: weights, config, tokenizer, template, dtype, kind of device (its
    generator draws other numbers), thinking. Of no path, host or library version."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config = {key: value for key, value in config.items() if key not in {"_name_or_path", "transformers_version"}}
    vocabulary = digest(sorted(loaded.tokenizer.get_vocab().items()))
    weights = [(f.name, _content(f)) for f in files]
    template = loaded.tokenizer.get_chat_template()
    told = (config, vocabulary, template, str(loaded.model.dtype), weights, loaded.limit, loaded.eos, device, thinking)
    return digest("local-1", *told)


def _content(file: Path) -> str:
    size = file.stat().st_size
    content = hashlib.blake2b(str(size).encode(), digest_size=16)
    with file.open("rb") as stream:
        if size <= WHOLE:
            content.update(stream.read())
        else:
            for block in range(64):
                stream.seek(block * (size - MIB) // 63)
                content.update(stream.read(MIB))
    return content.hexdigest()


def _quiet() -> None:
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
