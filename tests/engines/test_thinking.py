"""Models that think: what they are asked, what it costs, what is noticed when they do not listen."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import serving

from gen.cli import main
from gen.engines.server import Server
from gen.pool import Pool

serve, question = serving.serve, serving.question
MODES = ["field", "field2", "think", "prefilled"]


def asked(url: str, *requests: Any, **options: Any) -> tuple[Server, list[Any]]:
    async def run() -> tuple[Server, list[Any]]:
        engine = Server([url], **serving.QUICK | options)
        await engine.open()
        try:
            return engine, await asyncio.gather(*map(engine.complete, requests))
        finally:
            await engine.close()

    return asyncio.run(run())


@pytest.mark.parametrize("mode", MODES)
def test_thinking_that_cannot_be_switched_off_is_noticed_and_said(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    with serve(reasoning_mode=mode) as server, caplog.at_level(logging.WARNING, "gen"):
        engine, [done] = asked(server.url, question())
    assert "test-model thinks although thinking is off" in engine.remark
    assert "--thinking on --thinking-budget N" in engine.remark
    assert engine.remark in caplog.text
    assert done.text.startswith("The answer")
    assert done.reasoning.startswith("Let me think about")


@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_hears_it_is_switched_off_and_nothing_is_said(mode: str) -> None:
    with serve(reasoning_mode=mode, hears="template") as server:
        engine, [done] = asked(server.url, question())
        assert (engine.remark, done.reasoning) == ("", "")
        assert [e["fields"] for e in server.events("ask") if "reasoning_effort" in e["fields"]] == []
        engine, [done] = asked(server.url, question(), thinking="on")
        assert engine.remark == ""
        assert done.reasoning.startswith("Let me think about")


def test_a_server_that_hears_of_effort_alone_is_told_so() -> None:
    with serve(reasoning_mode="field", hears="effort") as server:
        engine, [done] = asked(server.url, question())
        assert (engine.remark, done.reasoning) == ("", "")
        assert all("reasoning_effort" in event["fields"] for event in server.events("ask"))
        engine, [done] = asked(server.url, question(), thinking="default")
        assert done.reasoning


def test_thinking_has_a_budget_apart_from_the_answers() -> None:
    with serve(reasoning_mode="field", thought=20) as server:
        _, [tight] = asked(server.url, question(max_tokens=15), thinking="on")
        engine, [wide] = asked(server.url, question(max_tokens=100), thinking="on", thinking_budget=40)
        sent = [event["max_tokens"] for event in server.events("ask")]
    assert (tight.finish, tight.text) == ("reasoning_truncated", "")
    assert (wide.finish, len(wide.reasoning.split())) == ("stop", 20)
    assert wide.text.startswith("The answer")
    assert sent == [15, 140]


def test_what_exceeds_budget_and_answer_is_truncated_reasoning() -> None:
    with serve(reasoning_mode="field", thought=60) as server:
        _, [done] = asked(server.url, question(max_tokens=10), thinking="on", thinking_budget=40)
    assert (done.finish, done.text, done.completion_tokens) == ("reasoning_truncated", "", 50)


def test_a_server_that_can_end_a_thought_is_asked_to_and_the_answer_keeps_its_room() -> None:
    with serve(reasoning_mode="field", thought=500, budget="bounds") as server:
        _, [done] = asked(server.url, question(max_tokens=100), thinking="on", thinking_budget=30)
        assert "thinking_token_budget" in server.events("ask")[0]["fields"]
    assert (done.finish, len(done.reasoning.split())) == ("stop", 30)


def test_a_server_without_a_reasoning_parser_refuses_the_bound_once_and_is_not_asked_again() -> None:
    with serve(reasoning_mode="think", budget="refused") as server:
        _, done = asked(server.url, question(), question(seed=2), thinking="on", thinking_budget=30)
        assert [d.finish for d in done] == ["stop", "stop"]
        assert ["thinking_token_budget" in e["fields"] for e in server.events("probe")] == [True, False]
        assert not any("thinking_token_budget" in e["fields"] for e in server.events("ask"))


def test_a_model_that_does_not_think_is_asked_as_before() -> None:
    with serve() as server:
        engine, _ = asked(server.url, question(max_tokens=100))
        [event] = server.events("ask")
    assert event["max_tokens"] == 100
    assert event["fields"] == ["chat_template_kwargs", "max_tokens", "messages", "model", "seed", "temperature", "top_p"]


def test_the_budget_decides_what_is_answered_and_so_the_fingerprint() -> None:
    with serve() as server:
        prints = [asked(server.url, thinking="on", thinking_budget=n)[0].fingerprint for n in (0, 10, 20, 20)]
    assert len(set(prints)) == 3
    assert prints[2] == prints[3]


def test_a_run_says_it_in_one_line_and_keeps_what_was_thought_apart(tmp_path: Path, capsys: Any) -> None:
    seeds, run = tmp_path / "seeds.jsonl", tmp_path / "run"
    seeds.write_text("".join(f'{{"instruction": "Name river number {i}."}}\n' for i in range(6)))
    with serve(reasoning_mode="field") as server:
        command = ["evolve", str(seeds), "--server", server.url, "--rounds", "1", "--without", "semantic", "--out", str(run)]
        assert main([*command, "--quiet"]) == 0
        told = capsys.readouterr().err
        asked = len(server.requests())
    assert told.count("test-model thinks although thinking is off") == 1
    assert "test-model thinks although" in (run / "run.log").read_text()
    rows = [json.loads(line) for line in (run / "dataset.jsonl").read_text().splitlines()]
    assert not any("Let me think about" in str(row["messages"]) + str(row["output"]) for row in rows)
    with Pool.open(run, readonly=True) as pool:
        kept = list(pool.kept(1))
        grown = pool.grown_after(0, None, 100)
        questions = [r for row in grown for r, _ in pool.asked(row.asked)]
    assert kept
    assert all(s.reasoning.startswith("Let me think about") for s in kept if s.lineage.prompts)
    assert len(questions) == asked
    assert not any("Let me think about" in m.content for r in questions for m in r.messages)


def test_a_real_server_without_a_reasoning_parser_drops_the_bound_cleanly(vllm_server: Any) -> None:
    engine, [done] = asked(vllm_server.url, question(max_tokens=8), patience=60.0)
    assert (engine.remark, done.reasoning) == ("", "")
    engine, [done] = asked(vllm_server.url, question(max_tokens=8), thinking="on", thinking_budget=16, patience=60.0)
    assert "thinking_token_budget" in engine._dropped
    assert done.finish in ("stop", "length")
    assert 0 < done.completion_tokens <= 24
