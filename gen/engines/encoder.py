"""sentence-transformers in this process.

A text gets the same vector, to the bit, whatever it is embedded with: texts are padded to a multiple of PAD tokens
and share a pass only with those of the same padded length, so that every product of matrices has the same shape
but for its number of rows, and the rows of a product do not depend on that number (measured: of 600 texts none
differs in float32 over batches of 1 to 31; padded to the longest of the batch, as usual, half of them do, in float16).

On CPUs as many passes run at once as there are cores, each in one thread (`gen/engines/threads.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from gen.core import Vector, digest
from gen.engines.licence import FILE, license_of
from gen.engines.sampling import Batcher, first_line
from gen.engines.threads import cores, single_threaded
from gen.engines.vector import tell, unit
from gen.errors import EngineError, RecipeError
from gen.text import scripts_of_language

PAD = 16
"""Lengths of texts are rounded up to multiples of so many tokens."""
TOKENS = {"cpu": 1024, "cuda": 16384}
"""Of a pass: more are not faster (all-MiniLM-L6-v2; on CPUs they leave the cache)."""
FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What decides vectors."""
SKIPPED = ("onnx/*", "openvino/*", "*/onnx/*", "*/openvino/*")
SENTENCES = {
    "latin": "Describe the morning light over a quiet river",
    "han": "请用三句话描述清晨安静的河流和山上的阳光",
    "kana": "静かな川の朝の光について説明してください",
    "hangul": "조용한 강 위의 아침 햇살을 설명하세요",
    "cyrillic": "Опишите утренний свет над тихой рекой",
    "arabic": "صف ضوء الصباح فوق نهر هادئ",
    "devanagari": "शांत नदी पर सुबह की रोशनी का वर्णन करें",
    "greek": "Περιγράψτε το πρωινό φως πάνω από ένα ήσυχο ποτάμι",
    "hebrew": "תאר את אור הבוקר מעל נהר שקט",
    "thai": "อธิบายแสงยามเช้าเหนือแม่น้ำที่เงียบสงบ",
}


class _Loaded(NamedTuple):
    model: Any
    workers: ThreadPoolExecutor
    threads: int
    """Of the workers."""
    batcher: Batcher
    limit: float
    """Tokens that the encoder reads of a text."""


class LocalEmbedder:
    """An encoder in safetensors, from a folder or from the hub, called `model`. Float32 on CPUs, elsewhere as its
    weights are."""

    def __init__(self, source: str | Path, model: str, *, device: str = "auto", width: int = 256) -> None:
        folder = Path(model).expanduser()
        self.model = folder.resolve().name if folder.is_dir() else model
        self.fingerprint, self.license, self.width = "", "", width
        self.scripts: frozenset[str] | None = None
        self.cut = 0
        self._source, self._device = source, device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gen-embedder")
        self._loaded: _Loaded | None = None

    async def open(self) -> None:
        """Load the encoder. Raises RecipeError for what the user named wrongly, EngineError for what cannot be
        loaded here."""
        self._loaded = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def embed(self, text: str) -> Vector:
        """Concurrent calls share batches. Empty for a text without a word."""
        if self._loaded is None:
            raise EngineError(f"embedder {self.model}: asked while closed; expected open() first")
        text = text.encode("utf-8", "replace").decode()
        vector: Vector = await self._loaded.batcher.ask(text, len(text) // 4 + 1) if text.strip() else b""
        return vector

    async def close(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await loaded.batcher.close()
            loaded.workers.shutdown(wait=False)
            tell(self.cut)
        self._thread.shutdown(wait=False)

    def _load(self) -> _Loaded:
        import torch

        device = ("cuda" if torch.cuda.is_available() else "cpu") if self._device == "auto" else self._device
        try:
            folder = _folder(self._source)
            model = _from_folder(folder, device)
        except RecipeError:
            raise
        except Exception as error:
            raise EngineError(
                f"--embedder {self.model!r}: could not be loaded on {device} ({type(error).__name__}: "
                f"{first_line(error)}); expected a sentence-transformers model; check device, network and memory"
            ) from error
        content = []
        for file in sorted(file for pattern in FILES for file in folder.rglob(pattern)):
            with file.open("rb") as stream:
                content.append((str(file.relative_to(folder)), hashlib.file_digest(stream, "sha256").hexdigest()))
        self.fingerprint = digest("encoder", content, str(model.dtype), device, PAD)
        self.license, self.scripts = license_of(folder), _scripts(_languages(folder), model.tokenizer)
        count = cores() if device == "cpu" else 1
        workers = single_threaded(count, "gen-encoder") if device == "cpu" else ThreadPoolExecutor(1)
        batcher = Batcher(lambda texts, _: self._run(texts), self._thread, self.width)
        return _Loaded(model, workers, count, batcher, model.max_seq_length or float("inf"))

    def _run(self, texts: Sequence[str]) -> list[Vector]:
        """Tokenized here, because tokenizers do not bear two threads; embedded by the workers."""
        if self._loaded is None:
            raise EngineError(f"embedder {self.model}: closed while it was asked")
        model, workers, count, _, limit = self._loaded
        prompt = model.prompts.get(model.default_prompt_name) or ""
        lengths = _lengths(model.tokenizer, [prompt + text for text in texts])
        self.cut += sum(length > limit for length in lengths)
        passes = _passes([min(n, limit) for n in lengths], count, TOKENS.get(model.device.type, TOKENS["cuda"]))
        padding = {"text": {"pad_to_multiple_of": PAD}}
        done = []
        for rows in passes:
            features = model.preprocess([texts[row] for row in rows], prompt=prompt or None, processing_kwargs=padding)
            done.append((rows, workers.submit(_forward, model, features)))
        found = {row: unit(values) for rows, task in done for row, values in zip(rows, task.result(), strict=True)}
        return [found[row] for row in range(len(texts))]


def _forward(model: Any, features: dict[str, Any]) -> Any:
    """Embeddings of a pass: (texts, width), float32."""
    import torch

    with torch.inference_mode():
        there = {name: value.to(model.device) if hasattr(value, "to") else value for name, value in features.items()}
        return model(there)["sentence_embedding"].float().cpu().numpy()


def _passes(lengths: Sequence[float], workers: int, most: int) -> list[list[int]]:
    """Rows that go through the encoder together: all of one padded length, and enough passes for all workers."""
    padded = [int(-(-length // PAD) * PAD) for length in lengths]
    size = max(PAD * 8, min(most, sum(padded) // workers))
    passes: list[list[int]] = []
    for row in sorted(range(len(padded)), key=lambda row: padded[row]):
        last = passes[-1] if passes else []
        if last and padded[last[0]] == padded[row] and (len(last) + 1) * padded[row] <= size:
            last.append(row)
        else:
            passes.append([row])
    return passes


def _lengths(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """In tokens, special ones included, nothing cut off."""
    if hasattr(tokenizer, "encode_batch"):  # of a static model
        return [len(found.ids) for found in tokenizer.encode_batch(list(texts))]
    return [len(ids) for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]


def _folder(source: str | Path) -> Path:
    """The folder of an encoder: the one named, else the hub's snapshot of it, fetched where need be."""
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if (folder := Path(source).expanduser()).is_dir():
        return folder
    disable_progress_bars()
    name = str(source) if "/" in str(source) else f"sentence-transformers/{source}"
    try:
        return Path(snapshot_download(name, allow_patterns=[*FILES, FILE], ignore_patterns=list(SKIPPED)))
    except (errors.RepositoryNotFoundError, errors.HFValidationError, errors.LocalEntryNotFoundError) as error:
        raise RecipeError(
            f"--embedder {str(source)!r}: neither a folder of this name is here, nor is it in the cache of the Hugging "
            "Face hub or to be had from there (offline? private? misspelt?); expected a sentence-transformers model, "
            "or NAME@URL of a server"
        ) from error


def _from_folder(folder: Path, device: str) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    pickled = [file for file in folder.rglob("pytorch_model*.bin") if not any(file.parent.glob("*.safetensors"))]
    if pickled or not any(folder.rglob("*.safetensors")):
        found = pickled[0].relative_to(folder) if pickled else "no *.safetensors"
        raise RecipeError(
            f"--embedder {folder.name}: found {found}; expected weights in safetensors, since unpickling runs code; "
            "convert them with save_pretrained (sentence-transformers) where you trust them"
        )
    options = {"dtype": "float32" if device == "cpu" else "auto", "use_safetensors": True}
    model = SentenceTransformer(str(folder), device=device, local_files_only=True, model_kwargs=options)
    return model.eval()


def _languages(folder: Path) -> list[str]:
    """What the model card names; nothing where it cannot be read."""
    from huggingface_hub import metadata_load

    with contextlib.suppress(Exception):
        told = (metadata_load(folder / FILE) or {}).get("language") or []
        return [str(language) for language in ([told] if isinstance(told, str) else told)]
    return []


def _scripts(languages: Sequence[str], tokenizer: Any) -> frozenset[str] | None:
    """Scripts of the languages that the card names; where it names none, those of which the tokenizer knows words:
    without unknown pieces, and longer than letters. A tokenizer of bytes knows nothing unknown, and tells nothing."""
    if languages:
        found = [scripts_of_language(language) for language in languages]
        return None if None in found else frozenset(script for scripts in found for script in scripts or ())
    unknown = getattr(tokenizer, "unk_token", None)
    if not unknown or not hasattr(tokenizer, "tokenize"):
        return None
    known = set()
    for script, sentence in SENTENCES.items():
        pieces = tokenizer.tokenize(sentence)
        most = 1.5 if script in ("han", "kana", "hangul") else 0.75
        if unknown not in pieces and len(pieces) <= most * len(sentence.replace(" ", "")):
            known.add(script)
    return None if len(known) == len(SENTENCES) else frozenset(known)
