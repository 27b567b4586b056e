"""What travels between a client and an OpenAI-compatible server, as values: no I/O here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from gen.core import Completion, Finish, Request
from gen.engines.reasoning import BLOCK, Split, split_reasoning
from gen.errors import RecipeError

Thinking = Literal["off", "on", "default"]
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
DROPPABLE = ("chat_template_kwargs", "seed", "response_format", "thinking_token_budget", "presence_penalty")
"""Fields that a server may not know and that can be left out."""
NOT_KNOWN = re.compile(
    r"extra_forbidden|extra (inputs|fields)|not (permitted|allowed|supported|recogni[sz]ed)|un(known|recogni[sz]ed|"
    r"supported|expected)|does ?n[o']t support|no such (field|parameter)|additional propert|"
    r"thinking_token_budget (is set but|needs)",
    re.I,
)  # vLLM without --reasoning-parser
LIMIT = re.compile(
    r"context (?:length|size)\D{0,12}?(\d{1,12})|cannot be greater than max_model_len\D*(\d{1,12})", re.I
)
PROMPT = re.compile(
    r"(\d{1,12}) (?:in the messages|in your prompt|input tokens|tokens from the input)|resulted in (\d{1,12}) tokens|"
    r"(?:input|request) \((\d{1,12}) tokens\)",
    re.I,
)
LONGEST = 2000
"""Characters of a server's complaint that are looked at."""


class Unreadable(ValueError):
    """A body that is not a chat completion: to be asked for again."""


class Overflow(NamedTuple):
    """A request that does not fit: the figures of the server's message."""

    limit: int
    prompt: int | None
    """None where the message does not tell: vLLM stops counting one token past what fits."""


def base_url(url: str) -> str:
    """The URL without `/v1` and slash. Raises RecipeError for anything but http(s)://host[:port][/path]."""
    try:
        parts = urlsplit(url.strip())
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good or "@" in url or parts.query or parts.fragment:
        shown = "one with a user name, password or query" if "@" in url or "?" in url else repr(url)
        raise RecipeError(f"--server: expected http://host:port/v1, got {shown}; a key goes into GEN_API_KEY")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def basename(name: str) -> str:
    """A model's name without the folders of the machine that serves it; hub names ("org/name") stay."""
    is_path = name.count("/") > 1 or name.startswith(("/", ".", "~")) or "\\" in name
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] if is_path else name


def body(
    model: str, request: Request, max_tokens: int | None, thinking: Thinking, dropped: frozenset[str] = frozenset(),
    budget: int = 0, effort: str = "",
) -> dict[str, Any]:  # fmt: skip
    """The request to chat, or to go on with a raw text; `max_tokens` None leaves it to the server to fill the context.
    `budget` bounds the tokens of thinking where the server can (vLLM with a reasoning parser), `effort` is for those
    who hear of nothing else."""
    said = [{"role": m.role, "content": m.content} for m in request.messages]
    fields: dict[str, Any] = {
        "model": model,
        **({"prompt": request.messages[-1].content} if request.raw else {"messages": said}),
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "seed": request.seed,
    }
    if max_tokens is not None or request.raw:  # of a raw text servers give 16 tokens where they are told nothing
        fields["max_tokens"] = max_tokens
    if request.sampling.presence_penalty:
        fields["presence_penalty"] = request.sampling.presence_penalty
    if not request.raw:
        fields |= {"chat_template_kwargs": {"enable_thinking": thinking == "on"}} if thinking != "default" else {}
        fields |= {"thinking_token_budget": budget} if budget else {}
        fields |= {"reasoning_effort": effort} if effort else {}
    if request.schema is not None:
        form = {"name": "reply", "schema": request.schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": form}
    return {name: value for name, value in fields.items() if name not in dropped}


def encode(body: Mapping[str, Any]) -> bytes:
    """A body to be sent."""
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, OverflowError):  # half of a surrogate pair, a number beyond 64 bits
        return json.dumps(body).encode()


def decode(raw: bytes) -> Mapping[str, Any]:
    """The JSON object of a body. Raises Unreadable."""
    try:
        value = msgspec.json.decode(raw)
    except (ValueError, RecursionError):  # also halves of surrogate pairs, NaN, bytes that are no UTF-8
        value = _tolerant(raw)
    if not isinstance(value, dict):
        raise Unreadable(f"{len(raw)} bytes that are no JSON object")
    return value


def _tolerant(raw: bytes) -> Any:
    """What the standard library makes of it; None where it makes nothing."""
    try:
        return json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):  # lists within lists without end
        return None


def completion(payload: Mapping[str, Any], *, opened: bool = False, raw: bool = False) -> Completion:
    """The answer in a chat completion. Raises Unreadable where there is none. `opened`: replies of this server begin
    inside a thought, which the chat template has opened, so that one cut before its end is all thought. `raw`: the
    completion of a text, in which nothing is a thought."""
    try:
        choice = payload["choices"][0]
        finish = choice.get("finish_reason")
        begun = opened and finish == "length"
        split = Split(choice["text"] + "", "", False) if raw else _split(choice["message"], begins_inside=begun)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Unreadable(f"JSON without choices[0].{'text' if raw else 'message'}") from None
    if finish in ("abort", "error", "cancelled"):
        raise Unreadable(f"a reply that was broken off ({finish})")
    used, notes = payload.get("usage"), []
    end: Finish = "stop"
    if finish == "length":
        end = "length" if raw or split.answer.strip() else "reasoning_truncated"
    elif finish == "content_filter":
        end, notes = "refused", ["content_filter"]
    elif split.open:
        notes = ["ended inside its reasoning"]
    counts = used if isinstance(used, dict) else {"prompt_tokens": "none"}
    asked, told = (counts.get(f"{name}_tokens") or 0 for name in ("prompt", "completion"))
    if type(asked) is not int or type(told) is not int or not 0 <= min(asked, told) <= max(asked, told) < 2**53:
        asked, told, notes = 0, 0, [*notes, "no usage"]
    return Completion(split.answer, end, split.reasoning, asked, told, "; ".join(notes))


def _split(message: Mapping[str, Any], *, begins_inside: bool) -> Split:
    thought = message.get("reasoning") or message.get("reasoning_content") or ""
    begin = "<think>" if begins_inside and not thought else ""
    return split_reasoning(begin + (message.get("content") or ""), thought)


def opens_inside(payload: Mapping[str, Any]) -> bool:
    """Whether a reply ends a thought that it has not begun, and that the server does not set apart."""
    try:
        message = payload["choices"][0]["message"]
        is_apart = message.get("reasoning") or message.get("reasoning_content") or BLOCK.search(message["content"])
        return not is_apart and bool(split_reasoning(message["content"]).reasoning)
    except (KeyError, IndexError, TypeError, AttributeError):
        return False


def complaint(raw: bytes) -> str:
    """What a server says against a request, in whatever shape it says it; of a very long text the beginning."""
    try:
        return _said(decode(raw))[:LONGEST]
    except Unreadable:
        return raw[:LONGEST].decode("utf-8", "replace")


def _said(payload: Mapping[str, Any]) -> str:
    error = payload.get("error") or payload.get("message") or payload.get("detail") or ""
    if isinstance(error, list):  # FastAPI's own form; its `input` repeats the user's text
        return "; ".join(f"{row.get('loc')}: {row.get('msg')}" for row in error if isinstance(row, dict))
    if not isinstance(error, dict):
        return str(error)
    words = str(error.get("message") or error)[:LONGEST]
    if "n_ctx" in error:  # llama.cpp
        words += f" (context size ({error['n_ctx']}), request ({error.get('n_prompt_tokens')} tokens))"
    return f"{words} (param: {error['param']})" if error.get("param") else words


def unknown_field(said: str, sent: Mapping[str, Any]) -> str | None:
    """The field that a server rejects by name and that can be left out."""
    for name in DROPPABLE if NOT_KNOWN.search(said) else ():
        # "Invalid schema for response_format: 'x' is not permitted" is about the schema, not about the field.
        if name in sent and re.search(rf"\b{name}\b", said) and not (name == "response_format" and "schema" in said):
            return name
    return None


def overflow(said: str) -> Overflow | None:
    """The figures of a message that says "too long", as vLLM, OpenAI, llama.cpp and SGLang do; None for any other."""
    if not (found := LIMIT.search(said)):
        return None
    limit, used = int(found[1] or found[2]), PROMPT.search(said)
    if used is None or ("input tokens" in used[0] and int(used[1]) <= limit):
        return Overflow(limit, None)
    return Overflow(limit, int(used[1] or used[2] or used[3]))


def seconds(value: str | None) -> float | None:
    """Of a Retry-After header; None where there is none, or one that is no number."""
    try:
        rest = float(value or "")
    except ValueError:
        return None
    return max(0.0, rest) if math.isfinite(rest) else None


def probe(payload: Mapping[str, Any]) -> tuple[float, ...]:
    """Of a reply's first token: the best log-probability and the mean of the best five. Empty where it has none."""
    try:
        told = payload["choices"][0]["logprobs"]
        if "content" in told:
            tops = [top["logprob"] for top in told["content"][0]["top_logprobs"]]
        else:  # of a text
            tops = [*told["top_logprobs"][0].values()]
        ranked = sorted(map(float, tops), reverse=True)[:5]
        found = ranked[0], sum(ranked) / len(ranked)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def presentable(text: str, secrets: tuple[str, ...] = ()) -> str:
    """A server's words as they may be stored and shown: on one line, cut short, without key, host, URL or path."""
    for word in filter(None, secrets):
        text = text.replace(word, "...")
    text = re.sub(r"(?<!\w)\w+://[^\s'\"]+", "<url>", text)
    text = " ".join(re.sub(r"(?<![\w.])(?:/[\w.@+-]+){2,}/?", "<path>", text).split())
    return text if len(text) <= 200 else text[:199] + "…"
