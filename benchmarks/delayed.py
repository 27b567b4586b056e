"""A server that answers as vLLM does after a fixed delay, and costs little itself: `python benchmarks/delayed.py`.

It prints its port, then serves until its input is closed. A reply depends on the request alone: a rewrite where tagged
sections are asked for, a verdict where two tasks are compared, else some 150 words. `GET /stats` tells what it has
seen since `GET /reset/MILLISECONDS`, which sets the delay, too; times are those of CLOCK_MONOTONIC, which all
processes of a machine share."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import random
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MODEL = "delayed-7b"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
PROBING = re.compile(rb'"logprobs": *true|"messages": *\[ *\]')
TASK = re.compile(rb"<task>\\n(.*?)\\n</task>", re.S)
DATA = re.compile(rb"<data>\\n(.*?)\\n</data>", re.S)
VOWELS, CONSONANTS = "aeiou", "bdfglmnprstv"
ROW = {"id": MODEL, "object": "model", "root": MODEL, "max_model_len": 32768}
PROBE = [{"token": f"w{i}", "logprob": -1.04 - i} for i in range(5)]
SPAN = 900
"""Characters of an answer."""


def prose(count: int) -> bytes:
    """Words of two or three syllables in sentences."""
    rng = random.Random(0)
    syllables = [c + v for c in CONSONANTS for v in VOWELS]
    words = ["".join(rng.choices(syllables, k=rng.randint(2, 3))) for _ in range(count)]
    return b"".join(w.encode() + (b". " if i % 11 == 10 else b" ") for i, w in enumerate(words))


PROSE = prose(20_000)


@dataclass(slots=True)
class Seen:
    """Questions are all chats but those that find out about the server: for log-probabilities, or empty."""

    delay: float = 0.0
    first: float = 0.0
    """When the first question came; 0 before."""
    last: float = 0.0
    """When the last answer went out."""
    questions: int = 0
    probes: int = 0
    flying: int = 0
    most: int = 0
    """Questions in flight at once."""


def said(body: bytes) -> bytes:
    """The reply to a chat, as the inside of a JSON string."""
    mark = zlib.crc32(body)
    if b"<instruction>" in body and (task := TASK.search(body)):
        at = mark % (len(PROSE) - 200)
        had = match[1] if (match := DATA.search(body)) else b""
        given = b"\\n<input>\\n%b\\nbido %d\\n</input>" % (had, mark) if b"<input>" in body else b""
        return b"<instruction>\\n%b Mention %b.\\n</instruction>%b" % (task[1], PROSE[at : at + 60].strip(), given)
    if b"Equal or Not equal" in body:
        return b"Not equal"
    at = mark % (len(PROSE) - SPAN)
    return PROSE[at : at + SPAN].strip() + b"."


def chat(body: bytes) -> bytes:
    text, extra = said(body), b""
    if PROBING.search(body):
        told = {"content": [PROBE[0] | {"top_logprobs": PROBE}]}
        text, extra = b"River", b',"logprobs":' + json.dumps(told).encode()
    counts = (len(body) // 4, len(text) // 4)
    return (
        b'{"id":"chat-1","object":"chat.completion","created":0,"model":"%s","choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"%s"},"finish_reason":"stop"%s}],'
        b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'
    ) % (MODEL.encode(), text, extra, *counts, sum(counts))


class Answering(asyncio.Protocol):
    """A connection: its requests are answered in order, each after the delay."""

    def __init__(self, seen: Seen) -> None:
        self.seen, self.rest = seen, b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (head := self.rest.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.rest, 0, head + 2)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(self.rest) < end:
                return
            path, body = self.rest[: self.rest.index(b"\r")].split(b" ")[1], self.rest[head + 4 : end]
            self.rest = self.rest[end:]
            self.answer(path.decode(), body)

    def answer(self, path: str, body: bytes) -> None:
        seen = self.seen
        if path.endswith("/chat/completions"):
            is_question = not PROBING.search(body)
            if is_question:
                seen.first = seen.first or time.monotonic()
                seen.questions += 1
                seen.flying += 1
                seen.most = max(seen.most, seen.flying)
            else:
                seen.probes += 1
            self.loop.call_later(seen.delay, self.send, chat(body), is_question)
        elif path == "/metrics":
            self.send(b"vllm:num_requests_running %d\nvllm:num_requests_waiting 0\n" % seen.flying)
        elif path.startswith("/reset/"):
            for name, value in asdict(Seen(float(path.rpartition("/")[2]) / 1000)).items():
                setattr(seen, name, value)
            self.send(b"{}")
        else:
            pages = {
                "/stats": asdict(seen),
                "/v1/models": {"object": "list", "data": [ROW]},
                "/version": {"version": "0.32.0"},
                "/health": {},
            }
            self.send(
                json.dumps(pages[path]).encode() if path in pages else b"{}", status=200 if path in pages else 404
            )

    def send(self, body: bytes, is_question: bool = False, status: int = 200) -> None:
        if is_question:
            self.seen.last = time.monotonic()
            self.seen.flying -= 1
        head = b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)


async def serve() -> None:
    seen, loop = Seen(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(seen), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


class Delayed:
    """A running server, from the benchmark's side."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"

    def reset(self, milliseconds: float) -> None:
        self._get(f"/reset/{milliseconds:g}")

    def stats(self) -> Seen:
        return Seen(**self._get("/stats"))

    def _get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


@contextlib.contextmanager
def delayed() -> Iterator[Delayed]:
    """The server in a process of its own, ended with the block."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Delayed(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve())
