"""What travels between a client and an OpenAI-compatible server, as values: no I/O here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from gen.core import Completion, Finish, Request
from gen.engines.reasoning import split_reasoning
from gen.errors import RecipeError

Thinking = Literal["off", "on", "default"]
DROPPABLE = ("chat_template_kwargs", "seed", "response_format")
"""Fields that a server may not know and that can be left out."""
NOT_KNOWN = re.compile(
    r"extra_forbidden|extra (inputs|fields)|not (permitted|allowed|supported|recogni[sz]ed)|un(known|recogni[sz]ed|"
    r"supported|expected)|does ?n[o']t support|no such (field|parameter)|additional propert",
    re.I,
)
CUT_OFF = ("abort", "error", "cancelled", "canceled")
"""Finish reasons of servers that gave up in the middle: not an answer."""


class Unreadable(ValueError):
    """A body that is not a chat completion: to be asked for again."""


class Overflow(NamedTuple):
    """A request that does not fit: the figures of the server's message."""

    limit: int
    prompt: int | None
    """None where the message does not tell: vLLM stops counting one token past what fits."""
    room: int
    """Tokens that may still be generated; 0 when the prompt alone is too long."""


def base_url(url: str) -> str:
    """The URL without `/v1` and slash. Raises RecipeError for anything but http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RecipeError(f"--server: not a URL ({error}); expected for example http://localhost:8000/v1") from None
    if "@" in parts.netloc:
        raise RecipeError(f"--server: {host} comes with a user name or password; put the key into GEN_API_KEY instead")
    if parts.scheme not in ("http", "https") or not host:
        raise RecipeError(f"--server: {url!r} has no http:// or https://; expected for example http://localhost:8000/v1")
    if parts.query or parts.fragment:
        raise RecipeError(f"--server: the one of {host} has a query or fragment; expected http://host:port/v1 only")
    name = f"[{host}]" if ":" in host else host
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{path}"


def basename(name: str) -> str:
    """A model's name without the folders of the machine that serves it; hub names ("org/name") stay."""
    is_path = name.count("/") > 1 or name.startswith(("/", ".", "~")) or "\\" in name
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] if is_path else name


def body(
    model: str, request: Request, max_tokens: int | None, thinking: Thinking, dropped: frozenset[str]
) -> dict[str, Any]:
    """The chat request; `max_tokens` None leaves it to the server to fill the context."""
    fields: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "seed": request.seed,
    }
    if max_tokens is not None:
        fields["max_tokens"] = max_tokens
    if thinking != "default":
        fields["chat_template_kwargs"] = {"enable_thinking": thinking == "on"}
    if request.schema is not None:
        form = {"name": "reply", "schema": request.schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": form}
    return {name: value for name, value in fields.items() if name not in dropped}


def decode(raw: bytes) -> Mapping[str, Any]:
    """The JSON object of a body. Raises Unreadable."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Halves of a surrogate pair, escaped, are JSON to Python's servers and an error to msgspec.
        try:
            value = json.loads(raw.decode("utf-8", "replace"))
        except ValueError:
            raise Unreadable(f"{len(raw)} bytes that are not JSON") from None
    if not isinstance(value, dict):
        raise Unreadable(f"JSON of type {type(value).__name__}")
    return value


def completion(payload: Mapping[str, Any], note: str = "") -> Completion:
    """The answer in a chat completion. Raises Unreadable where there is none."""
    try:
        choice = payload["choices"][0]
        message, finish = choice["message"], str(choice.get("finish_reason") or "stop")
        text, thought = _content(message)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Unreadable("JSON without choices[0].message") from None
    if finish in CUT_OFF:
        raise Unreadable(f"a reply that was broken off ({finish})")
    split = split_reasoning(text, thought)
    notes = [note] if note else []
    end: Finish = "stop"
    if finish == "length":
        end = "length" if split.answer else "reasoning_truncated"
    elif finish == "content_filter":
        end = "refused"
        notes.append("content_filter")
    elif split.open:
        notes.append("ended inside its reasoning")
    used = payload.get("usage")
    if not isinstance(used, dict):
        used = {}
        notes.append("no usage")
    asked, told = (n if isinstance(n := used.get(f"{kind}_tokens"), int) else 0 for kind in ("prompt", "completion"))
    return Completion(split.answer, end, split.reasoning, asked, told, "; ".join(notes))


def _content(message: Mapping[str, Any]) -> tuple[str, str]:
    content = message.get("content") or message.get("refusal") or ""
    thought = message.get("reasoning") or message.get("reasoning_content") or ""
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    return _whole(content), _whole(thought if isinstance(thought, str) else "")


def _whole(text: str) -> str:
    """The text with lone surrogates replaced: nothing downstream could write them to a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def complaint(payload: Mapping[str, Any]) -> str:
    """What a server says against a request, of whatever shape; "" if nothing."""
    error = payload.get("error") or payload.get("message") or payload.get("detail") or ""
    if isinstance(error, list):
        # FastAPI's own form. Its `input` repeats the user's text, so it is left out.
        rows = [row for row in error if isinstance(row, dict)]
        return "; ".join(f"{'.'.join(map(str, row.get('loc', ())))}: {row.get('msg', '')}" for row in rows)
    if isinstance(error, dict):
        words = str(error.get("message") or error)
        prompt, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
        if isinstance(prompt, int) and isinstance(limit, int) and not overflow(words, 0):
            words += f" request ({prompt} tokens) exceeds the available context size ({limit} tokens)"
        param = error.get("param")
        return f"{words} (param: {param})" if isinstance(param, str) and param not in words else words
    return str(error)


def unknown_field(message: str, sent: Mapping[str, Any]) -> str | None:
    """The field that a server rejects by name and that can be left out."""
    if not NOT_KNOWN.search(message):
        return None
    for name in DROPPABLE:
        # "Invalid schema for response_format: 'x' is not permitted" is about the schema, not about the field.
        is_about_schema = name == "response_format" and re.search(r"\bschema\b", message, re.I)
        if name in sent and re.search(rf"\b{name}\b", message) and not is_about_schema:
            return name
    return None


CONTEXT_FORMS = tuple(re.compile(form, re.I | re.S) for form in (
    # OpenAI, older vLLM, llama-cpp-python
    r"context length is (?P<limit>\d+) tokens.*?\((?P<prompt>\d+) in (?:the messages|your prompt)",
    # vLLM: "at least" because it stops counting
    r"context length is (?P<limit>\d+) tokens.*?contains (?:at least )?(?P<prompt>\d+) input tokens",
    r"passed (?P<prompt>\d+) input tokens.*?context length is only (?P<limit>\d+) tokens",
    r"context length is (?P<limit>\d+) tokens.*?resulted in (?P<prompt>\d+) tokens",
    # SGLang
    r"context length of (?P<limit>\d+) tokens.*?: (?P<prompt>\d+) tokens from the input",
    r"input \((?P<prompt>\d+) tokens\) is longer than the model's context length \((?P<limit>\d+)",
    # llama.cpp
    r"request \((?P<prompt>\d+) tokens\) exceeds the available context size \((?P<limit>\d+)",
    # TGI
    r"must be <= (?P<limit>\d+)\. Given: (?P<prompt>\d+) `inputs` tokens",
    r"`inputs` must have less than (?P<limit>\d+) tokens\. Given: (?P<prompt>\d+)",
))
# The prompt is not the matter here: max_tokens alone is more than the model may ever generate.
TOO_LARGE = re.compile(
    r"max_(?:completion_)?tokens.{0,40}cannot be greater than max_model_len\D*(?P<context>\d+)|"
    r"at most (?P<room>\d+) completion tokens", re.I | re.S)


def overflow(message: str, max_tokens: int | None) -> Overflow | None:
    """The figures of a message that says "too long", in the known wordings; None for any other message."""
    for form in CONTEXT_FORMS:
        if found := form.search(message):
            return _figures(int(found["limit"]), int(found["prompt"]), message, max_tokens or 0)
    if found := TOO_LARGE.search(message):
        limit = int(found["room"] or found["context"])
        return Overflow(limit, None, limit if found["room"] else limit - 1)
    return None


def _figures(limit: int, prompt: int, message: str, max_tokens: int) -> Overflow:
    is_vllm = "input tokens" in message and "from the input" not in message
    if is_vllm and max_tokens > 0 and prompt == limit - max_tokens + 1:
        return Overflow(limit, None, limit - 1)
    # SGLang refuses also what fits exactly; a "request ... exceeds" of llama.cpp is about the prompt alone.
    spare = 1 if "from the input" in message else 0
    return Overflow(limit, prompt, max(0, limit - prompt - spare))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header: a number or an HTTP date; None if there is none that can be read."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


class Probe(NamedTuple):
    """The first token after a fixed prompt: what it is, and the log-probabilities of the best and of the best five."""

    token: str
    best: float
    mean: float

    def is_near(self, other: Probe) -> bool:
        """Whether both may come from the same weights: two cards differ by hundredths, two models by more."""
        return abs(self.best - other.best) < 0.2 and abs(self.mean - other.mean) < 0.2

    @property
    def coarse(self) -> tuple[str, float, float]:
        """Rounded to halves: each border of a rounding is one that the noise of hardware could cross."""
        return self.token, round(self.best * 2) / 2 + 0.0, round(self.mean * 2) / 2 + 0.0


def probe(payload: Mapping[str, Any]) -> Probe | None:
    """What a reply with `top_logprobs` tells; None where it holds none."""
    try:
        tops = payload["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        ranked = sorted(((float(top["logprob"]), str(top["token"])) for top in tops), reverse=True)[:5]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    if not ranked:
        return None
    return Probe(ranked[0][1], ranked[0][0], sum(value for value, _ in ranked) / len(ranked))


def presentable(text: str, secret: str = "", hosts: tuple[str, ...] = ()) -> str:
    """A server's words as they may be stored and shown: on one line, cut short, without key, URL, host or path."""
    for word in (secret, *hosts):
        text = text.replace(word, "...") if word else text
    text = re.sub(r"\w+://[^\s'\"]+", "<url>", text)
    text = re.sub(r"(?<![\w.])(?:/[\w.@+-]+){2,}/?", "<path>", text)
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:199] + "…"
