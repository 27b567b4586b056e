"""What answers at a URL, found out by real requests to servers in processes of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import serving

from gen.engines import survey as module
from gen.engines.survey import survey


def test_a_server_tells_its_model_and_what_it_can() -> None:
    with serving.serve(models="tiny") as server:
        [seen] = survey([server.url])
    assert (seen.model, seen.trouble, seen.remark, seen.grammar, seen.is_named) == ("tiny", "", "", True, True)


def test_a_server_that_ignores_schemas_or_thinks_anyway_is_told_apart() -> None:
    with (
        serving.serve(reject_field="response_format") as loose,
        serving.serve(reasoning_mode="field") as thinker,
        serving.serve(models="a,b") as several,
        serving.serve(models="gpt-4o") as gateway,
        serving.serve(key="secret") as locked,
    ):
        found = survey([s.url for s in (loose, thinker, several, gateway, locked)])
        named = survey([several.url], "b")
    assert [bool(seen.model) for seen in found] == [True, True, False, False, False]
    assert (found[0].grammar, found[1].grammar) == (False, True)
    assert "thinks although thinking is off" in found[1].remark
    assert found[2].trouble == "serves 2 models: a, b; pass --model NAME"
    assert found[3].trouble.startswith("gpt-4o: a closed model of OpenAI")
    assert "put a valid key into GEN_API_KEY" in found[4].trouble
    assert named[0].model == "b"


def test_a_server_of_an_encoder_is_known_for_what_it_is() -> None:
    with serving.serve(embeds="only", models="minilm") as encoder, serving.serve(embeds="too") as both:
        one, two = survey([encoder.url, both.url])
    assert (one.model, one.chats, one.embeds, one.trouble) == ("minilm", False, True, "")
    assert (two.model, two.chats, two.embeds) == ("test-model", True, True)


def test_what_does_not_answer_says_why_and_soon() -> None:
    with serving.serve(delay=3000) as slow, serving.serve(loading=60) as loading:
        gone, late, busy, odd = survey(["http://127.0.0.1:1", slow.url, loading.url, "ftp://x"], seconds=2)
    assert gone.trouble.startswith("no connection (ClientConnectorError); start it")
    assert (late.model, late.trouble) == ("", "no answer within 2 s; it may be loading, or busy")
    assert busy.trouble.startswith("answered 503; start it, wait until it has loaded")
    assert "expected http://host:port/v1" in odd.trouble


def test_usual_ports_are_looked_at_without_the_key_and_silent_ones_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEN_API_KEY", "secret")
    with serving.serve(models="open") as free, serving.serve(key="secret", models="locked") as locked:
        monkeypatch.setattr(module, "PORTS", {free.port: "vLLM", locked.port: "SGLang", 1: "nobody"})
        found = survey([])
        [named] = survey([locked.url])
    assert [(seen.model, seen.is_named) for seen in found] == [("open", False), ("", False)]
    assert "answered 401 to a request without a key" in found[1].trouble
    assert named.model == "locked"


def test_a_real_server_is_known_for_what_it_is(vllm_server: Any) -> None:
    [seen] = survey([vllm_server.url], seconds=60)
    assert (seen.model, seen.trouble, seen.remark, seen.grammar) == ("micro", "", "", True), json.dumps(str(seen))
