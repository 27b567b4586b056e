"""Who is closed, by host and by name; and that nothing is sent there unasked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import serving

from gen.cli import main
from gen.engines import closed
from gen.engines.server import Server
from gen.errors import RecipeError
from gen.pool import Pool

HERE = "http://127.0.0.1:8000"
CLOSED = {
    "OpenAI": "gpt-4o gpt-4 gpt-4.1-mini gpt-5 gpt-5-nano gpt-3.5-turbo gpt-35-turbo chatgpt-4o-latest o1 o3-mini "
    "o4-mini-2025-04-16 openai/gpt-4o:extended text-davinci-003 text-embedding-3-small azure/GPT-4o-mini",
    "Anthropic": "claude claude-3-5-sonnet-20241022 claude-opus-4-1 claude-instant-1.2 anthropic/claude-sonnet-4.5 claude-2 "
    "bedrock/us.anthropic.claude-3-haiku-20240307-v1:0 openrouter/anthropic/claude-3.7-sonnet:thinking",
    "Google": "gemini-2.5-pro models/gemini-1.5-flash-8b gemini-pro vertex_ai/gemini-2.0-flash text-bison@002",
    "xAI": "grok-4 grok-3-mini x-ai/grok-2-1212 grok-beta grok-code-fast-1",
    "Cohere": "command command-light",
    "Mistral": "mistral-medium-2505 magistral-medium-latest",
    "Amazon": "amazon.nova-pro-v1:0 us.amazon.nova-lite-v1:0",
    "Alibaba": "qwen-max qwen-plus-latest qwen3-max qwen2.5-max-2025-01-25 qwen-turbo",
    "Perplexity": "sonar sonar-pro",
}
OPEN = (
    "openai/gpt-oss-20b gpt-oss:120b gpt-oss gpt2 openai-community/gpt2-xl EleutherAI/gpt-j-6b EleutherAI/gpt-neo-2.7B "
    "gpt-neox-20b nomic-ai/gpt4all-j gpt-4all chavinlo/gpt4-x-alpaca xai-org/grok-1 xai-org/grok-2 grok-1 grok-2 "
    "Qwen/Qwen3-8B Qwen/Qwen3-235B-A22B qwen-max-8b google/gemma-3-27b-it models/gemma-3-27b-it mistralai/Mistral-7B "
    "mistral-medium-3.5 mistral-large-2411 magistral-small CohereLabs/c4ai-command-r-v01 command-r-plus command-a "
    "someone/claude-3.7-sonnet-reasoning-gemma3-12B gpt-4o-distill-llama-8b deepseek-r1 openchat o1-open/o1-llama "
    "my-claude micro /srv/models/gpt-5-style-7b nova-8b opus-mt test-model"
)


@pytest.mark.parametrize(("vendor", "names"), CLOSED.items(), ids=CLOSED)
def test_closed_models_are_known_by_name_behind_any_gateway(vendor: str, names: str) -> None:
    assert {name: closed.vendor([HERE], name) for name in names.split()} == dict.fromkeys(names.split(), vendor)


def test_open_models_are_not_mistaken_for_them() -> None:
    assert {name: closed.vendor([HERE], name) for name in OPEN.split()} == dict.fromkeys(OPEN.split(), "")


@pytest.mark.parametrize(("url", "vendor"), [
    ("https://api.openai.com/v1", "OpenAI"),
    ("https://eu.api.openai.com", "OpenAI"),
    ("https://mine.openai.azure.com/openai/v1", "OpenAI"),
    ("https://API.ANTHROPIC.COM/v1", "Anthropic"),
    ("https://generativelanguage.googleapis.com/v1beta/openai", "Google"),
    ("https://api.x.ai/v1", "xAI"),
    ("https://api.cohere.ai/compatibility/v1", "Cohere"),
    ("https://api.mistral.ai", ""),
    ("https://openrouter.ai/api", ""),
    ("https://notopenai.com", ""),
    ("https://openai.com.example.org", ""),
    ("http://[::1]:8000", ""),
])  # fmt: skip
def test_a_host_of_closed_models_is_known_whatever_the_model_is_called(url: str, vendor: str) -> None:
    assert closed.vendor([HERE, url], "some-alias") == vendor


def test_gemma_is_open_where_gemini_is_served() -> None:
    url = "https://generativelanguage.googleapis.com/v1beta/openai"
    assert [closed.vendor([url], n) for n in ("gemma-3-27b-it", "models/gemma-3-27b-it", "tuned")] == ["", "", "Google"]


def test_a_closed_host_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(RecipeError, match=r"closed model of OpenAI.*--allow-closed") as refused:
        Server(["https://api.openai.com/v1"], "gpt-oss-20b")
    assert refused.value.exit_code == 2
    assert Server(["https://api.openai.com/v1"], allow_closed=True).closed == "OpenAI"
    with pytest.raises(RecipeError, match="claude-sonnet-4: a closed model of Anthropic"):
        Server([HERE], "claude-sonnet-4")


def opened(url: str, **options: object) -> Server:
    async def run() -> Server:
        engine = Server([url], **serving.QUICK | options)
        await engine.open()
        await engine.close()
        return engine

    return asyncio.run(run())


def test_a_closed_model_is_refused_when_its_gateway_names_it_before_the_first_token() -> None:
    with serving.serve(models="gpt-4o") as gateway, serving.serve(models="mine", root="org/claude-opus-4") as alias:
        for url, vendor in ((gateway.url, "OpenAI"), (alias.url, "Anthropic")):
            with pytest.raises(RecipeError, match=f"a closed model of {vendor}"):
                opened(url)
            assert opened(url, allow_closed=True).closed == vendor
        assert [event["event"] for event in gateway.events()].count("probe") == 1  # of the one that was allowed
    with serving.serve(models="gpt-oss-20b") as server:
        assert opened(server.url).closed == ""


def test_a_run_refuses_it_and_when_it_is_allowed_the_pool_says_whose_it_was(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Name a river.", "output": "The Rhine."}\n')
    run = tmp_path / "run"
    with serving.serve(models="gpt-4o") as gateway:
        command = ["evolve", str(tmp_path / "seeds.jsonl"), "--server", gateway.url, "--rounds", "1", "--without", "semantic", "--out", str(run)]
        assert main([*command, "--quiet"]) == 2
        told = capsys.readouterr().err
        assert "gpt-4o: a closed model of OpenAI" in told
        assert "--allow-closed" in told
        assert gateway.requests() == []
        assert main([*command, "--quiet", "--allow-closed"]) == 0
    with Pool.open(run, readonly=True) as pool:
        roles = {role for role, model, vendor in pool.state("closed") if (model, vendor) == ("gpt-4o", "OpenAI")}
    assert {"evolver", "answerer", "judge"} <= roles
