"""A server of so many slots with a queue, whose answer time depends on the question alone: log-normal, by its hash.

    python benchmarks/slots.py --slots 32 --median 4 --sigma 0.6 [--tells]

What it answers is tests/serving.py's, a pure function of the question. It notes for each question when it came, when
a slot took it and when it was answered, and tells all of it at /log. Log-probabilities of a given text (/tokenize and
`prompt_logprobs`) are answered at once and take no slot, so that no client can count them as work. `--tells`: /metrics
says, as vLLM does, how many run and wait."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTEXT = 8192


def load(name: str) -> Any:
    """A helper of the tests, by its file."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    assert spec
    assert spec.loader
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


serving = load("serving")


class App:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.answering = options, serving.options_of([])
        self.slots = asyncio.Semaphore(options.slots)
        self.rows: list[dict[str, Any]] = []
        self.running = self.here = 0

    def seconds(self, body: Any) -> float:
        share = (serving.number(body["messages"], body.get("seed")) % 1_000_000 + 0.5) / 1_000_000
        return float(self.options.median * 2.718281828459045 ** (self.options.sigma * NormalDist().inv_cdf(share)))

    async def chat(self, request: Any) -> Any:
        from aiohttp import web

        body = json.loads(await request.read())
        if body.get("logprobs"):  # the question by which a client finds out what is served
            return web.json_response(_probed(body, serving.chat(body, self.answering)))
        row = {"body": body, "came": time.monotonic()}
        self.here += 1
        try:
            async with self.slots:
                self.running += 1
                row["began"] = time.monotonic()
                await asyncio.sleep(self.seconds(body))
                row["ended"] = time.monotonic()
                self.running -= 1
        finally:
            self.here -= 1
        self.rows.append(row)
        return web.json_response(serving.chat(body, self.answering))

    async def tokenize(self, request: Any) -> Any:
        from aiohttp import web

        body = await request.json()
        text = body.get("prompt") or " ".join(m["content"] for m in body.get("messages", ()))
        ids = [1 + serving.number(word) % 5000 for word in text.split()]
        return web.json_response({"tokens": ids, "count": len(ids), "max_model_len": CONTEXT})

    async def complete(self, request: Any) -> Any:
        from aiohttp import web

        ids = (await request.json())["prompt"]
        told = [None, *({str(one): {"logprob": -1 - one % 7}} for one in ids[1:])]
        choice = {"index": 0, "text": "a", "finish_reason": "length", "prompt_logprobs": told}
        return web.json_response({"object": "text_completion", "choices": [choice]})

    async def log(self, _: Any) -> Any:
        from aiohttp import web

        rows, self.rows = self.rows, []
        return web.json_response(rows)

    async def metrics(self, _: Any) -> Any:
        from aiohttp import web

        lines = (f"vllm:num_requests_running {self.running}", f"vllm:num_requests_waiting {self.here - self.running}")
        return web.Response(text="".join(f"{line}\n" for line in lines))

    async def run(self) -> None:
        from aiohttp import web

        def says(value: Any) -> Any:
            async def page(_: Any) -> Any:
                return web.json_response(value)

            return page

        model = {"id": "slots", "object": "model", "root": "slots", "max_model_len": CONTEXT}
        app = web.Application(client_max_size=64 * 2**20)
        for page, handle in (
            ("/v1/models", says({"object": "list", "data": [model]})), ("/health", says({})), ("/log", self.log),
            *([("/metrics", self.metrics)] if self.options.tells else []),
        ):  # fmt: skip
            app.router.add_get(page, handle)
        for page, handle in (
            ("/v1/chat/completions", self.chat), ("/v1/completions", self.complete), ("/tokenize", self.tokenize),
            ("/detokenize", says({"prompt": ""})),
        ):  # fmt: skip
            app.router.add_post(page, handle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
        sys.stdout.flush()
        parent = os.getppid()
        while os.getppid() == parent:
            await asyncio.sleep(0.3)


def _probed(body: Any, reply: dict[str, Any]) -> dict[str, Any]:
    """With the tokens of the question and of the reply, where they were asked for."""
    if body.get("return_token_ids"):
        reply["prompt_token_ids"], reply["choices"][0]["token_ids"] = [1, 2], [3]
    return reply


@contextlib.contextmanager
def slots(**options: Any) -> Iterator[str]:
    """A server in a process of its own; its URL."""
    flags = [word for name, value in options.items() if value is not False
             for word in (f"--{name}", *(() if value is True else (str(value),)))]  # fmt: skip
    process = subprocess.Popen([sys.executable, __file__, *flags], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--median", type=float, default=4.0, help="seconds")
    parser.add_argument("--sigma", type=float, default=0.6)
    parser.add_argument("--tells", action="store_true")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(App(parser.parse_args()).run())


if __name__ == "__main__":
    main()
