"""`ServedEmbedder` over real HTTP, against a server of this process that embeds by words."""

import asyncio
import contextlib
import hashlib

import numpy as np
import pytest
from aiohttp import web

from gen.engines.embedder import open_embedder
from gen.errors import EngineError, RecipeError, Unavailable


def embedding(text, salt=""):
    """The sum of a direction for each word."""
    words = [hashlib.sha256((salt + word).encode()).digest() for word in text.lower().split()]
    return [sum(digest[i] - 127.5 for digest in words) for i in range(16)]


class Fake:
    """What a server does is an attribute; what it was sent is in `bodies`."""

    def __init__(self, **options):
        self.bodies, self.models, self.salt, self.key, self.limit, self.truncates = [], ["tiny"], "", "", 0, False
        self.failing, self.refuses, self.embeddings = 0, "", embedding
        self.__dict__ |= options

    async def list(self, request):
        if self.models is None:
            return web.Response(status=404)
        return web.json_response({"object": "list", "data": [{"id": name} for name in self.models]})

    async def embed(self, request):
        body = await request.json()
        self.bodies.append(body)
        text, size = body["input"], len(body["input"].split())
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "bad key"}}, status=401)
        if self.failing:
            self.failing -= 1
            return web.Response(status=503)
        if self.refuses and self.refuses in text:
            return web.json_response({"error": {"message": f"{self.refuses} is not welcome"}}, status=400)
        if self.limit and size > self.limit:
            if not (self.truncates and "truncate_prompt_tokens" in body):
                words = f"This model's maximum context length is {self.limit} tokens. However, your prompt contains "
                words += f"at least {self.limit + 1} input tokens, which exceeds this limit"
                return web.json_response({"error": {"message": words}}, status=400)
            text = " ".join(text.split()[: body["truncate_prompt_tokens"]])
        found = self.embeddings(text, self.salt)
        return web.json_response({"object": "list", "data": [{"index": 0, "embedding": found}], "model": "tiny"})


@contextlib.asynccontextmanager
async def serving(fake):
    app = web.Application()
    app.router.add_get("/v1/models", fake.list)
    app.router.add_post("/v1/embeddings", fake.embed)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def ask(texts, *fakes, name="{}", **options):
    """Vectors of the texts from servers, and the embedder, closed; `name` as the user gives it, {} for each URL."""

    async def run():
        async with contextlib.AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(serving(fake)) for fake in fakes]
            embedder = open_embedder(name.format(",".join(urls)), **{"patience": 2.0} | options)
            await embedder.open()
            try:
                return await asyncio.gather(*map(embedder.embed, texts)), embedder
            finally:
                await embedder.close()

    return asyncio.run(run())


def test_vectors_are_the_servers_directions_as_float16():
    [near, far], embedder = ask(["two rivers of Asia", "winter"], Fake())
    for vector, text in ((near, "two rivers of Asia"), (far, "winter")):
        theirs = np.array(embedding(text)) / np.linalg.norm(embedding(text))
        assert np.frombuffer(vector, "<f2").tolist() == theirs.astype("<f2").tolist()
    assert (embedder.model, embedder.width, embedder.scripts, embedder.closed) == ("tiny", 64, None, "")


@pytest.mark.parametrize("url", ["{}", "{}/", "{}/v1", "{}/v1/embeddings", "tiny@{}", "org/tiny@{}/v1/"])
def test_urls_as_users_write_them(url):
    fake = Fake(models=["tiny", "other"] if url.startswith("tiny") else [url.partition("@")[0] if "@" in url else "tiny"])
    assert ask(["a"], fake, name=url)[1].model in ("tiny", "org/tiny")
    assert {body["model"] for body in fake.bodies} == {fake.models[0]}


def test_of_several_models_one_must_be_named_and_must_be_there():
    with pytest.raises(RecipeError, match=r"--embedder: 127.* serves 2 models: tiny, tall; expected NAME@URL"):
        ask(["a"], Fake(models=["tiny", "tall"]))
    with pytest.raises(RecipeError, match=r"does not serve 'tinny'; did you mean 'tiny'\?"):
        ask(["a"], Fake(), name="tinny@{}")


def test_a_server_that_lists_no_models_is_asked_all_the_same():
    assert ask(["a"], Fake(models=None))[1].model == ""
    assert ask(["a"], Fake(models=None), name="mine@{}")[1].model == "mine"


def test_the_fingerprint_tells_models_apart_but_not_places_or_noise():
    def noisy(text, salt):
        return [x * (1 + 1e-3 * (-1) ** i) for i, x in enumerate(embedding(text, salt))]

    first = ask([], Fake())[1].fingerprint
    assert ask([], Fake())[1].fingerprint == first
    assert ask([], Fake(embeddings=noisy))[1].fingerprint == first
    assert ask([], Fake(salt="x"))[1].fingerprint != first
    assert ask([], Fake(models=["small"]))[1].fingerprint != first
    assert ask([], Fake(embeddings=lambda text, salt: embedding(text)[:8]))[1].fingerprint != first


def test_servers_of_one_role_must_serve_the_same():
    same, again = Fake(), Fake()
    ask([f"text {i}" for i in range(40)], same, again)
    assert min(len(same.bodies), len(again.bodies)) > 5
    with pytest.raises(RecipeError, match="do not serve the same encoder"):
        ask(["a"], Fake(), Fake(salt="x"))


@pytest.mark.parametrize("truncates", [True, False])
def test_a_text_that_is_too_long_is_cut_and_that_is_told_once(truncates, caplog):
    fake, long = Fake(limit=20, truncates=truncates), "river " * 15 + "winter " * 30
    [cut, short], _ = ask([long, "river"], fake)
    begin = fake.bodies[-1]["input"].split()[:20]
    assert begin[:15] == ["river"] * 15
    if truncates:
        begin = long.split()[:20]
    theirs = np.array(embedding(" ".join(begin)))
    assert np.frombuffer(cut, "<f2").tolist() == (theirs / np.linalg.norm(theirs)).astype("<f2").tolist()
    assert cut != short
    assert [record.getMessage() for record in caplog.records] == [
        "1 texts were longer than the encoder reads: only their beginning was compared"
    ]


def test_a_text_that_is_refused_has_no_vector_and_stops_nothing(caplog):
    [refused, good, blank], _ = ask(["poison in here", "water", " \n"], Fake(refuses="poison"))
    assert (refused, len(good), blank) == (b"", 32, b"")
    assert "a text is not compared: 400 poison is not welcome" in caplog.text


def test_what_may_pass_is_asked_again():
    assert len(ask(["a"], Fake(failing=2))[0][0]) == 32


def test_a_bad_key_a_chat_server_and_nonsense(monkeypatch):
    monkeypatch.setenv("GEN_API_KEY", "good")
    assert ask(["a"], Fake(key="good"))[0][0]
    with pytest.raises(RecipeError, match=r"answered 401 to the key; put a valid key into GEN_API_KEY") as error:
        ask(["a"], Fake(key="other"))
    assert "good" not in str(error.value)
    with pytest.raises(EngineError, match=r"--embedder: 127.* makes no embeddings \(400: rivers is not welcome\)"):
        ask(["a"], Fake(refuses="rivers"))
    for nonsense in ([0.0] * 4, [float("nan")] * 4, [[1.0, 2.0]], "abc", None):
        with pytest.raises(Unavailable, match=r"without a vector in data\[0\]\.embedding"):
            ask(["a"], Fake(embeddings=lambda *_, found=nonsense: found))


def test_nothing_there_says_what_to_do():
    async def run():
        await open_embedder("http://127.0.0.1:9", patience=0.5).open()

    with pytest.raises(Unavailable, match="start it or correct --embedder"):
        asyncio.run(run())


@pytest.mark.parametrize("url", ["http://user:secret@host/v1", "http://host:99999", "http://"])
def test_a_bad_url_is_the_users_mistake_and_shows_no_secret(url):
    with pytest.raises((RecipeError, EngineError)) as error:
        asyncio.run(open_embedder(url).open())
    assert "secret" not in str(error.value)
    assert "--server" not in str(error.value)


def test_a_closed_model_is_refused_unless_allowed():
    with pytest.raises(RecipeError, match="a closed model of OpenAI"):
        open_embedder("text-embedding-3-small@http://127.0.0.1:9")
    assert open_embedder("text-embedding-3-small@http://127.0.0.1:9", allow_closed=True).closed == "OpenAI"
