"""What vLLM answers to /tokenize, /detokenize and prompt_logprobs, over a model that is a formula: for tests of what goes
wrong and of what is asked. A token is the code of a character, 1 is BOS; the log-probability of a character is
-code / 100."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import serving

LIMIT = 70


def tokens(text):
    return [ord(c) for c in text]


class Fake:
    """vLLM's shapes over a model of its own: the log-probability of a character is -code / 100, of the first none.
    `changes` replace a path's answer: a status, or a function of what the honest answer would be."""

    def __init__(self, bos=(1,), think="", delay=0.01, limit=LIMIT, **changes):
        self.delay, self.limit = delay, limit
        self.bos, self.think, self.changes = [*bos], think, changes
        self.asked, self.active, self.most = [], 0, 0

    def tokenize(self, body):
        if "messages" in body:
            if body["messages"][0]["role"] == "system":
                return 400, {"error": {"message": "no system turn in /srv/models/x", "code": 400}}
            assert body["chat_template_kwargs"] == {"enable_thinking": False}
            said = "".join(f"{m['role'][0]}:{m['content']}\n" for m in body["messages"]) + "a:" + self.think
            ids = [*self.bos, *tokens(said)]
        else:
            ids = [*(self.bos if body["add_special_tokens"] else ()), *tokens(body["prompt"])]
        return 200, {"count": len(ids), "max_model_len": self.limit, "tokens": ids, "token_strs": None}

    def detokenize(self, body):
        return 200, {"prompt": "".join(map(chr, body["tokens"]))}

    def completions(self, body):
        ids = body["prompt"]
        if len(ids) + body["max_tokens"] > self.limit:
            return 400, {"error": {"message": "This model's maximum context length is 70 tokens.", "code": 400}}
        rows = [None, *({str(i): {"logprob": -i / 100, "rank": 1, "decoded_token": chr(i)}} for i in ids[1:])]
        return 200, {"choices": [{"text": "", "finish_reason": "length", "prompt_logprobs": rows}]}

    def chat(self, body):
        reply, top = "Nile.\0", [{"logprob": -0.78}, {"logprob": -3.0}]
        ids = self.tokenize(body)[1]["tokens"] if "chat_template_kwargs" in body else []
        logprobs = {"content": [{"logprob": -ord(c) / 100, "top_logprobs": top} for c in reply[: body.get("max_tokens")]]}
        choice = {"message": {"content": reply[:-1]}, "finish_reason": "stop", "logprobs": logprobs,
                  "token_ids": tokens(reply)[: body.get("max_tokens")]}  # fmt: skip
        usage = {"prompt_tokens": len(ids), "completion_tokens": 6}
        return 200, {"choices": [choice], "prompt_token_ids": ids, "usage": usage}

    def models(self, body):
        return 200, {"data": [{"id": "fake", "max_model_len": self.limit}]}

    async def answer(self, request):
        from aiohttp import web

        name = "chat" if "chat" in request.path else request.path.rpartition("/")[2]
        body = await request.json() if request.method == "POST" else {}
        self.asked.append((name, body))
        self.active += name == "completions"
        self.most = max(self.most, self.active)
        await asyncio.sleep(self.delay)
        self.active -= name == "completions"
        change = self.changes.get(name)
        if isinstance(change, int) or not hasattr(self, name):
            return web.json_response({"error": {"message": "not so"}}, status=change or 404)
        status, reply = getattr(self, name)(body)
        return web.json_response(change(reply) if change else reply, status=status)


@contextlib.asynccontextmanager
async def served(fake):
    """Its URL."""
    from aiohttp import web

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fake.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def opened(fake, **options):
    """A `Server` that asks it."""
    from gen.engines.server import Server

    async with served(fake) as url:
        engine = Server([url], **serving.QUICK | options)
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()


@contextlib.contextmanager
def in_thread(fake):
    """Its URL, for programs in other processes."""
    ready, told = threading.Event(), {}

    async def run():
        told["end"], told["loop"] = asyncio.Event(), asyncio.get_running_loop()
        async with served(fake) as told["url"]:
            ready.set()
            await told["end"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    ready.wait(30)
    try:
        yield told["url"]
    finally:
        told["loop"].call_soon_threadsafe(told["end"].set)
        thread.join(30)
