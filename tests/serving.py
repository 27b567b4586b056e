"""A chat server for tests: real HTTP in a process of its own, whose answers are a pure function of the question.

As a program: `python tests/serving.py --port 0 --log FILE ...` prints {"port": N}, then serves until it is killed,
its parent dies or --lifetime is over. In a test, loaded from this path by importlib: `with serve(slots=4) as server:`.

Longer than 300 lines because it is started by its path, as one file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORDS = [
    "amber", "anchor", "autumn", "barley", "basket", "beacon", "bridge", "candle", "canyon", "carbon", "cedar",
    "circle", "clover", "copper", "coral", "cotton", "crystal", "delta", "desert", "ember", "engine", "fabric",
    "falcon", "feather", "forest", "garden", "glacier", "granite", "harbor", "hazel", "helmet", "island", "ivory",
    "jasmine", "kernel", "ladder", "lantern", "lemon", "linen", "lumber", "magnet", "maple", "marble", "meadow",
    "mirror", "nectar", "needle", "ocean", "orchard", "oyster", "paper", "pepper", "pillow", "planet", "pocket",
    "quartz", "ribbon", "river", "saddle", "saffron", "shadow", "silver", "spruce", "statue", "sugar", "summit",
    "temple", "thunder", "timber", "tunnel", "valley", "velvet", "violet", "walnut", "window", "winter", "wizard",
    "yarrow", "zephyr",
]  # fmt: skip
FRAMES = ("Also explain how {}.", "Make sure that it covers {}.", "Show one case with {}.", "Compare it with {}.")


BODIES = {"garbage": '{"choices": [', "empty": '{"choices": []}', "wrong": '[{"choices": 1}]', "nested": "[" * 200_000,
          "odd": '{"choices": [{"message": {"content": 7}, "finish_reason": []}]}', "null": '{"choices": null}',
          "error": '{"error": {"message": "upstream failed", "code": 502}}', "blank": "",
          "html": "<!DOCTYPE html><html><body><h1>Service is being updated</h1></body></html>"}
"""Replies with status 200 that answer nothing."""
REFUSALS = {"busy": (429, {}), "date": (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})}
"""429 without Retry-After, and with one that is no number of seconds."""


# -- what it answers: pure ------------------------------------------------------------------------


def number(*parts: Any) -> int:
    return int(hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12], 16)


def named(body: dict[str, Any]) -> str:
    """How the log calls a request."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def some_words(count: int, *parts: Any) -> str:
    return " ".join(WORDS[number(i, *parts) % len(WORDS)] for i in range(count))


def answer(body: dict[str, Any]) -> str:
    """The whole reply of the model to a request, before max_tokens cuts it."""
    said, seed = body["messages"][-1]["content"], body.get("seed", 0)
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema is not None:
        return json.dumps(instance(schema, said, seed))
    form = said[max(said.rfind("in this form:"), said.rfind("this form:"), 0) :]
    tasks = re.findall(r"<task>\n?(.*?)\n?</task>", said, re.S)
    if "<instruction>" in form and tasks:
        return rewrite(tasks[-1].strip(), said, seed, with_input="<input>" in form)
    if "Equal or Not equal" in said:
        return "Equal" if number("equal", said, seed) % 100 < 15 else "Not equal"
    if number("refuse", said, seed) % 100 < 4:
        return "I'm sorry, but I can't help with that."
    text = some_words(12 + number("length", said, seed) % 40, said, seed)
    return f"The answer is that {text}."


def rewrite(task: str, said: str, seed: int, *, with_input: bool) -> str:
    clause = FRAMES[number("frame", said, seed) % len(FRAMES)].format(
        some_words(4 + number("clause", said, seed) % 5, said, seed))
    new = f"<instruction>\n{task} {clause}\n</instruction>"
    if with_input:
        names = [some_words(1, name, said, seed) for name in range(3)]
        rows = "\n".join(f"| {name} | {number(name, said, seed) % 100} |" for name in names)
        new += f"\n<input>\n| name | amount |\n{rows}\n</input>"
    return new


def instance(schema: dict[str, Any], *parts: Any) -> Any:
    """A small value that the schema allows, for the plain kinds of schema."""
    if "enum" in schema:
        return schema["enum"][number(*parts) % len(schema["enum"])]
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: instance(inner, name, *parts) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [instance(schema.get("items", {}), i, *parts) for i in range(1 + number(*parts) % 2)]
    low = schema.get("minimum", 0)
    plain = {"integer": low + number(*parts) % 5, "number": low + number(*parts) % 50 / 10, "null": None}
    return plain.get(kind, bool(number(*parts) % 2) if kind == "boolean" else some_words(5, *parts))


def tokens(messages: list[dict[str, str]]) -> int:
    return sum(len(m["content"].split()) + 4 for m in messages)


def too_long(form: str, limit: int, prompt: int, wanted: int | None) -> tuple[int, dict[str, Any]] | None:
    """The refusal of a request that does not fit, in the words of a known server."""
    if prompt + (wanted or 0) <= limit and prompt < limit:
        return None
    if form == "llamacpp":
        if prompt <= limit:
            return None
        words = f"request ({prompt} tokens) exceeds the available context size ({limit} tokens), try increasing it"
        return 400, {"error": {"code": 400, "message": words, "type": "exceed_context_size_error",
                               "n_prompt_tokens": prompt, "n_ctx": limit}}
    if form == "sglang":
        words = (f"The input ({prompt} tokens) is longer than the model's context length ({limit} tokens)."
                 if prompt >= limit else
                 f"Requested token count exceeds the model's maximum context length of {limit} tokens. You requested a "
                 f"total of {prompt + wanted} tokens: {prompt} tokens from the input messages and {wanted} tokens "
                 "for the completion.")
        return 400, {"object": "error", "message": words, "type": "BadRequest", "code": 400}
    if form == "openai":
        words = (f"This model's maximum context length is {limit} tokens. However, you requested {prompt + wanted} "
                 f"tokens ({prompt} in the messages, {wanted} in the completion).")
        return 400, {"error": {"message": words, "type": "invalid_request_error", "code": "context_length_exceeded"}}
    # vLLM stops counting one token past what would fit.
    counted = min(prompt, max(0, limit - (wanted or 0)) + 1)
    words = (f"This model's maximum context length is {limit} tokens. However, you requested {wanted or 0} output "
             f"tokens and your prompt contains at least {counted} input tokens, for a total of at least "
             f"{counted + (wanted or 0)} tokens. (parameter=input_tokens, value={counted})")
    return 400, {"error": {"message": words, "type": "BadRequestError", "param": "input_tokens", "code": 400}}


def chat(body: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """The body of the 200 reply: a pure function of the request and the options."""
    said, seed = body["messages"][-1]["content"], body.get("seed", 0)
    prompt, limit = tokens(body["messages"]), options.max_model_len
    room = body.get("max_tokens") or (limit - prompt if limit else 100_000)
    thought = ["Let", "me", "think", "about", *some_words(options.thought - 4, "thought", said, seed).split()]
    if options.budget == "bounds":
        thought = thought[: body.get("thinking_token_budget")]
    mode = options.reasoning_mode if thinks(body, options.hears) else "none"
    words = re.findall(r"\S+\s*", answer(body))
    thinking = len(thought) if mode != "none" else 0
    spent = min(room, thinking + len(words))
    is_cut = thinking + len(words) > room or (number("cut", said, seed) % 100 < options.cut and len(words) > 20)
    if is_cut and spent > thinking + 5:
        spent = min(spent, thinking + len(words) - 5)
    inside, text = " ".join(thought[:spent]), "".join(words[: max(0, spent - thinking)])
    message: dict[str, Any] = {"role": "assistant", "content": text}
    ended = spent >= thinking
    if mode in ("field", "field2"):
        message |= {"content": text or None, {"field": "reasoning", "field2": "reasoning_content"}[mode]: inside}
    elif mode in ("think", "unclosed", "prefilled"):
        begin, end = "" if mode == "prefilled" else "<think>\n", "\n</think>\n\n" if ended else ""
        message["content"] = f"{begin}{inside}" if mode == "unclosed" else f"{begin}{inside}{end}{text}"
    choice = {"index": 0, "message": message, "finish_reason": "length" if is_cut or mode == "unclosed" else "stop"}
    if body.get("logprobs") and not options.no_logprobs:
        top = [{"token": f"w{i}", "logprob": -1.04 - i + options.probe_shift} for i in range(5)]
        choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
    usage = {"prompt_tokens": prompt, "completion_tokens": spent, "total_tokens": prompt + spent}
    reply = {"id": "chat-1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
    return reply if options.no_usage else reply | {"usage": usage}


def thinks(body: dict[str, Any], hears: str) -> bool:
    """Whether the model thinks, by what its server hears of the request's wish."""
    off = {"effort": body.get("reasoning_effort") == "none",
           "template": body.get("chat_template_kwargs", {}).get("enable_thinking") is False}
    return not off.get(hears, False)


# -- the server -----------------------------------------------------------------------------------


def reset(request: Any) -> None:
    """End a connection as a crash does: by RST, without a goodbye."""
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


class App:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.count, self.active = options, 0, 0
        self.ready_at = time.monotonic() + options.loading
        self.log = open(options.log, "a", buffering=1) if options.log else None  # noqa: SIM115
        self.slots = asyncio.Semaphore(options.slots or 1_000_000)
        parts = [part.partition(":") for part in options.fail_first.split(",") if part]
        self.failing = [kind for kind, _, count in parts for _ in range(int(count or 1))]
        self.kinds, self.silent_until, self.held = options.fail_kinds.split(","), 0.0, list[asyncio.Event]()

    def note(self, event: str, **fields: Any) -> None:
        if self.log:
            self.log.write(json.dumps({"event": event, **fields}) + "\n")

    def failure(self) -> str | None:
        """What goes wrong with this request: by its number, not by its content."""
        self.count += 1
        if self.count <= len(self.failing):
            kind = self.failing[self.count - 1]
            return None if kind == "ok" else kind
        at = (self.options.fail_seed, self.count // self.options.fail_burst)
        if number("fail", *at) % 1000 < self.options.fail_rate * 1000:
            return self.kinds[number("kind", *at) % len(self.kinds)]
        return None

    async def turned(self) -> None:
        """Hold a request back until so many wait, or for a moment; then the last is answered first."""
        self.held.append(mine := asyncio.Event())
        if len(self.held) >= self.options.reverse:
            waiting, self.held = self.held[::-1], []
            for each in waiting:
                each.set()
                await asyncio.sleep(0.005)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(mine.wait(), 0.1)
        if mine in self.held:
            self.held.remove(mine)

    async def models(self, request: Any) -> Any:
        from aiohttp import web

        if refusal := self.refuse_key(request):
            return refusal
        if time.monotonic() < self.ready_at:
            return web.json_response({"error": {"message": "Loading model"}}, status=503)
        rows = [{"id": name, "object": "model", "root": self.options.root or name, "owned_by": "test"}
                for name in self.options.models.split(",")]
        if self.options.max_model_len:
            rows = [row | {"max_model_len": self.options.max_model_len} for row in rows]
        return web.json_response({"object": "list", "data": rows})

    def refuse_key(self, request: Any) -> Any:
        from aiohttp import web

        sent = request.headers.get("Authorization", "")
        if self.options.key and sent != f"Bearer {self.options.key}":
            return web.json_response({"error": {"message": f"Incorrect API key provided: {sent}"}}, status=401)
        return None

    def refuse_budget(self, body: dict[str, Any]) -> Any:
        """As vLLM does without a reasoning parser."""
        from aiohttp import web

        if self.options.budget != "refused" or "thinking_token_budget" not in body:
            return None
        words = ("thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser "
                 "and/or --reasoning-config to use thinking_token_budget.")
        return web.json_response({"error": {"message": words, "type": "BadRequestError", "code": 400}}, status=400)

    async def chat(self, request: Any) -> Any:
        from aiohttp import web

        if refusal := self.refuse_key(request):
            return refusal
        if self.options.base:
            words = "As of transformers v4.44, default chat template is no longer allowed, so you must provide one."
            return web.json_response({"error": {"message": words, "type": "BadRequestError", "code": 400}}, status=400)
        if self.options.embeds == "only":
            return web.json_response({"error": {"message": "The model does not support Chat Completions"}}, status=400)
        raw = await request.read()
        body = json.loads(raw)
        if not body.get("messages"):  # Curator asks so for rate limits
            return web.json_response({"error": {"message": "messages: at least one"}}, status=400)
        if body.get("logprobs"):
            self.note("probe", fields=sorted(body))
            if self.options.break_at_logprobs:
                return web.json_response({"error": {"message": "it went wrong"}}, status=500)
            if refusal := self.refuse_budget(body):
                return refusal
            return web.json_response(chat(body, self.options))
        digest = named(body)
        if self.options.most and self.active >= self.options.most:
            self.note("full", body=digest)
            headers = {"Retry-After": self.options.retry_after}
            return web.json_response({"error": {"message": "too many at once"}}, status=429, headers=headers)
        self.active += 1
        self.note("ask", body=digest, active=self.active, max_tokens=body.get("max_tokens"), fields=sorted(body))
        try:
            async with self.slots:
                return await self.reply(request, body, digest)
        except asyncio.CancelledError:
            self.note("gone", body=digest)
            raise
        finally:
            self.active -= 1

    async def reply(self, request: Any, body: dict[str, Any], digest: str) -> Any:
        from aiohttp import web

        jitter = number("jitter", digest) % 1000 / 1000 * self.options.delay_jitter
        if delay := self.options.delay + jitter:
            await asyncio.sleep(delay / 1000)
        if self.options.reverse:
            await self.turned()
        kind = self.failure()
        if kind:
            self.note("fault", kind=kind, body=digest)
            if broken := await self.fail(request, body, kind):
                return broken
        if self.options.reject_field in body:
            row = {"type": "extra_forbidden", "loc": ["body", self.options.reject_field],
                   "msg": "Extra inputs are not permitted", "input": "..."}
            return web.json_response({"detail": [row]}, status=400)
        if self.options.max_model_len:
            prompt = tokens(body["messages"])
            refusal = too_long(self.options.context_form, self.options.max_model_len, prompt, body.get("max_tokens"))
            if refusal:
                return web.json_response(refusal[1], status=refusal[0])
        self.note("done", body=digest)
        return web.json_response(chat(body, self.options))

    async def fail(self, request: Any, body: dict[str, Any], kind: str) -> Any:
        """The broken reply; None where there was only silence."""
        from aiohttp import web

        if kind in ("other", "proxied"):  # it dies, and what is started in its place is another model
            self.options.probe_shift += 1.0
            kind = {"other": "reset", "proxied": "502"}[kind]
        if kind == "silence":  # of the whole server; then it answers, this one too
            self.silent_until = max(self.silent_until, time.monotonic() + self.options.silence)
            return await self.awake()
        if kind == "stall":
            await asyncio.sleep(3600)
        if kind in ("close", "reset"):
            request.transport.close() if kind == "close" else reset(request)
            return web.Response()
        if kind in ("huge", "slow", "middle"):
            return await self.stream(request, json.dumps(chat(body, self.options)).encode(), kind)
        if kind in BODIES:
            form = "text/html" if kind == "html" else "application/json"
            return web.Response(text=BODIES[kind], content_type=form)
        retry = {"Retry-After": self.options.retry_after} if kind in ("429", "503") else {}
        status, headers = REFUSALS[kind] if kind in REFUSALS else (int(kind), retry)
        return web.json_response({"error": {"message": "it went wrong"}}, status=status, headers=headers)

    async def stream(self, request: Any, text: bytes, kind: str) -> Any:
        """Too much, or byte by byte, or only the first half."""
        from aiohttp import web

        stream = web.StreamResponse()
        if kind == "middle":
            stream.content_length = len(text)
        await stream.prepare(request)
        if kind == "huge":
            for _ in range(self.options.huge):
                await stream.write(b"x" * 2**20)
        elif kind == "slow":
            for start in range(0, len(text), 64):
                await stream.write(text[start : start + 64])
                await asyncio.sleep(0.02)
        else:
            await stream.write(text[: len(text) // 2])
            await asyncio.sleep(0.01)
            reset(request)
        return stream

    async def awake(self) -> None:
        while (left := self.silent_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def complete(self, request: Any) -> Any:
        """The completion of a raw text; of max_tokens null, what fits. As of vLLM, 16 tokens where nothing is said."""
        from aiohttp import web

        body = {"max_tokens": 16} | json.loads(await request.read())
        if not self.options.base:
            return web.json_response({"error": {"message": "Not Found"}}, status=404)
        self.note("raw", **{k: v for k, v in body.items() if k != "prompt"})
        prompt, limit = len(body["prompt"].split()), self.options.max_model_len
        if limit and (refusal := too_long("vllm", limit, prompt, body["max_tokens"])):
            return web.json_response(refusal[1], status=refusal[0])
        words = re.findall(r"\s*\S+", " " + some_words(30, body["prompt"], body.get("seed", 0)))
        said = words[: body["max_tokens"] or limit - prompt]
        choice = {"index": 0, "text": "".join(said), "finish_reason": "length" if len(said) < len(words) else "stop"}
        if count := body.get("logprobs"):
            choice["logprobs"] = {"top_logprobs": [{f"w{i}": -1.04 - i for i in range(count)}]}
        usage = {"prompt_tokens": prompt, "completion_tokens": len(said), "total_tokens": prompt + len(said)}
        reply = {"object": "text_completion", "model": body["model"], "choices": [choice], "usage": usage}
        return web.json_response(reply)

    async def run(self) -> None:
        from aiohttp import web

        async def version(request: Any) -> Any:
            return web.json_response({"version": self.options.version}, status=200 if self.options.version else 404)

        async def embeddings(request: Any) -> Any:
            if self.options.embeds == "no":
                return web.json_response({"error": {"message": "Not Found"}}, status=404)
            text = (await request.json())["input"]
            vector = [number(i, text) % 1000 - 500 for i in range(8)]
            return web.json_response({"data": [{"index": 0, "embedding": vector}], "model": "x", "object": "list"})

        async def health(request: Any) -> Any:
            return web.Response(status=200)

        async def metrics(request: Any) -> Any:
            if self.options.tells_queue:
                running = min(self.active, self.options.slots)
                lines = {"running": running, "waiting": self.active - running}
                return web.Response(text="".join(f'vllm:num_requests_{k}{{engine="0"}} {v}.0\n' for k, v in lines.items()))
            count = int((time.monotonic() - self.ready_at) * self.options.tokens_per_s)
            return web.Response(text=f'# HELP\nvllm:generation_tokens_total{{engine="0",model_name="m"}} {count}.0\n')

        @web.middleware
        async def silenced(request: Any, handler: Any) -> Any:
            await self.awake()
            return await handler(request)

        app = web.Application(client_max_size=64 * 2**20, middlewares=[silenced])
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/completions", self.complete)
        app.router.add_post("/v1/embeddings", embeddings)
        app.router.add_get("/version", version)
        app.router.add_get("/health", health)
        if self.options.tokens_per_s is not None or self.options.tells_queue:
            app.router.add_get("/metrics", metrics)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.options.port, backlog=1024)
        await site.start()
        print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
        parent, end = os.getppid(), time.monotonic() + self.options.lifetime
        while (self.options.orphan or os.getppid() == parent) and time.monotonic() < end:
            await asyncio.sleep(0.3)


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    flag = parser.add_argument
    flag("--port", type=int, default=0)
    flag("--log", default="", help="JSONL: ask, done, gone (the client closed), probe")
    flag("--lifetime", type=float, default=300, help="seconds")
    flag("--delay", type=float, default=0, help="milliseconds before each answer")
    flag("--delay-jitter", type=float, default=0, help="up to so many more, by the request's hash")
    flag("--slots", type=int, default=0, help="served at once; others wait")
    flag("--tells-queue", action="store_true", help="/metrics tells how many run and wait, as vLLM's")
    flag("--most", type=int, default=0, help="in flight; beyond, 429")
    flag("--fail-rate", type=float, default=0, help="share of requests that fail, by their number")
    flag("--fail-kinds", default="500,429,close,garbage", help="of what these die")
    flag("--fail-seed", type=int, default=0, help="which ones fail, and how")
    flag("--fail-burst", type=int, default=1, help="so many in a row share their fate")
    flag("--fail-first", default="", help="what happens to the first ones: 500:2,ok:3,close:1,garbage:1 (or slow, huge, ...)")
    flag("--silence", type=float, default=1.0, help="seconds that `silence` lasts")
    flag("--reverse", type=int, default=0, help="of so many that wait the last is answered first")
    flag("--huge", type=int, default=3, help="MiB of a huge reply")
    flag("--retry-after", default="0.1", help="header of 429 and 503")
    flag("--models", default="test-model")
    flag("--root", default="")
    flag("--version", default="1.0")
    flag("--max-model-len", type=int, default=0)
    flag("--context-form", default="vllm", choices=["vllm", "openai", "sglang", "llamacpp"])
    flag("--reject-field", default="")
    flag("--reasoning-mode", default="none", choices=["none", "field", "field2", "think", "unclosed", "prefilled"])
    flag("--hears", default="nothing", choices=["nothing", "template", "effort"], help="what switches its thinking off")
    flag("--thought", type=int, default=7, help="words that it thinks, at least 5")
    flag("--budget", default="unknown", choices=["unknown", "bounds", "refused"], help="thinking_token_budget")
    flag("--probe-shift", type=float, default=0.0, help="another model's log-probabilities")
    flag("--no-logprobs", action="store_true")
    flag("--break-at-logprobs", action="store_true")
    flag("--loading", type=float, default=0, help="seconds of 503 after the start")
    flag("--cut", type=int, default=3, help="per cent of the replies, longer ones, are cut at max_tokens")
    flag("--no-usage", action="store_true")
    flag("--tokens-per-s", type=float, default=None, help="/metrics tells so many, busy or not; none: no such page")
    flag("--orphan", action="store_true", help="outlive the parent")
    flag("--embeds", default="no", choices=["no", "too", "only"], help="/v1/embeddings, beside or instead of chats")
    flag("--base", action="store_true", help="a base model: no chat, but /v1/completions")
    flag("--key", default="", help="bearer that is expected")
    return parser.parse_args(arguments)


# -- the helper of tests --------------------------------------------------------------------------


class Served:
    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process, self.port, self.log, self.url = process, port, log, f"http://127.0.0.1:{port}"

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [row for row in rows if kind in ("", row["event"])]

    def requests(self, kind: str = "ask") -> list[str]:
        """The hash of each chat request, in order of arrival; `kind` "done": of those that were answered."""
        return [row["body"] for row in self.events(kind)]

    def repeats(self, kind: str = "ask") -> int:
        return sum(count - 1 for count in Counter(self.requests(kind)).values())

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)


@contextlib.contextmanager
def serve(**options: Any) -> Iterator[Served]:
    """A running server; options as on the command line (`max_model_len=64`, `no_usage=True`)."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"log": str(Path(folder, "requests.jsonl"))} | options
        Path(options["log"]).touch()
        arguments = [word for name, value in options.items() if value is not False
                     for word in (f"--{name.replace('_', '-')}", *(() if value is True else (str(value),)))]
        process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            with process.stdout as out:
                line = out.readline()
            assert line, f"the server did not start (exit {process.poll()})"
            served = Served(process, json.loads(line)["port"], Path(options["log"]))
            yield served
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(10)


QUICK: dict[str, Any] = {"backoff": 0.02, "max_backoff": 0.1, "patience": 5.0}


def question(text: str = "Name a river.", *, max_tokens: int = 512, seed: int = 1, **rest: Any) -> Any:
    from gen.core import Message, Request, Sampling  # the server itself runs without gen

    return Request("answerer", (Message("user", text),), Sampling(0.7, 0.9, max_tokens), "answer", seed=seed, **rest)


def ask(urls: list[str], *requests: Any, model: str | None = None, **options: Any) -> list[Any]:
    """The replies of `Server` to these requests, opened and closed around them."""
    from gen.engines.server import Server

    async def run() -> list[Any]:
        engine = Server(urls, model, **QUICK | options)
        await engine.open()
        try:
            return await asyncio.gather(*map(engine.complete, requests))
        finally:
            await engine.close()
            await engine.close()

    return asyncio.run(run())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(App(options_of(sys.argv[1:])).run())
