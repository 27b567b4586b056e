from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from gen.core import Completion, Message, Request, Sampling
from gen.engines.scripted import Scripted
from gen.errors import EngineError, RecipeError


def request(text: str = "Name a river.", *, step: str = "answer", role: Any = "answerer", seed: int = 0) -> Request:
    return Request(role, (Message("system", "Be brief."), Message("user", text)), Sampling(), step, seed=seed)


def ask(engine: Scripted, *requests: Request) -> list[str]:
    async def run() -> list[Completion]:
        await engine.open()
        done = await asyncio.gather(*map(engine.complete, requests))
        await engine.close()
        return done

    return [c.text for c in asyncio.run(run())]


def test_the_first_rule_that_matches_answers() -> None:
    engine = Scripted([
        {"step": "judge", "reply": "Equal"},
        {"contains": "river", "reply": "The Elbe."},
        {"role": "answerer", "contains": "Be brief", "reply": "No."},
        {"reply": "Else."},
    ])
    asked = (request(), request(step="judge"), request("Why?"), request("Why?", role="judge"))
    assert ask(engine, *asked) == ["The Elbe.", "Equal", "No.", "Else."]


def test_other_seeds_get_other_replies_and_the_same_seed_the_same() -> None:
    engine = Scripted([{"replies": ["a", "b", "c"]}])
    assert ask(engine, *(request(seed=n) for n in (0, 1, 2, 3, 1))) == ["a", "b", "c", "a", "b"]


def test_no_match_shows_the_request_and_what_to_add() -> None:
    engine = Scripted([{"step": "judge", "reply": "Equal"}])
    with pytest.raises(EngineError, match=r"none of 1 rules matches role 'answerer', step 'answer'.*Name a river") as e:
        ask(engine, request())
    row = str(e.value).rpartition("such as ")[2]
    assert ask(Scripted([json.loads(row)]), request()) == ["..."]


def test_a_function_answers_with_a_text_or_a_completion() -> None:
    cut = Completion("The El", "length")
    engine = Scripted(lambda r: cut if r.step == "cut" else r.messages[-1].content.upper())
    assert ask(engine, request(), request(step="cut")) == ["NAME A RIVER.", "The El"]
    done = asyncio.run(engine.complete(request(step="cut")))
    assert (done.finish, done.prompt_tokens, done.completion_tokens) == ("length", 5, 2)


def test_rules_come_from_jsonl_or_toml_and_their_content_is_the_fingerprint(tmp_path: Path) -> None:
    lines, tables = tmp_path / "script.jsonl", tmp_path / "script.toml"
    lines.write_text('{"step": "answer", "replies": ["a", "b"]}\n\n{"reply": "c", "finish": "length"}\n')
    tables.write_text('[[rule]]\nstep = "answer"\nreplies = ["a", "b"]\n[[rule]]\nreply = "c"\nfinish = "length"\n')
    one, two = Scripted(lines), Scripted(tables)
    assert ask(one, request(seed=1), request(step="other")) == ask(two, request(seed=1), request(step="other"))
    assert one.fingerprint == two.fingerprint != Scripted([{"reply": "c"}]).fingerprint
    assert str(tmp_path) not in one.fingerprint


BAD = {
    "unknown key": ('{"reply": "a", "contain": "b"}', "rule 1: unknown key 'contain'; did you mean 'contains'"),
    "no reply": ('{"step": "a"}', "give one of 'reply' and 'replies'"),
    "two replies": ('{"reply": "a", "replies": ["b"]}', "give one of 'reply' and 'replies'"),
    "no text": ('{"replies": []}', "give one of 'reply' and 'replies'"),
    "a number": ('{"reply": "a", "step": 3}', r"Expected `str \| null`, got `int` - at `\$.step`"),
    "a role": ('{"reply": "a", "role": "judgge"}', "Invalid enum value 'judgge' - at .* roles: evolver, answerer, judge"),
    "no object": ('["reply"]', "Expected `object`, got `array`; a rule has reply"),
    "no JSON": ('{"reply": "a"}\n{reply', "jsonl:2: cannot be read as a script"),
}


@pytest.mark.parametrize(("text", "hint"), BAD.values(), ids=BAD.keys())
def test_a_bad_rule_is_refused_when_the_engine_is_made(tmp_path: Path, text: str, hint: str) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(text)
    with pytest.raises(RecipeError, match=hint):
        Scripted(path)


def test_a_script_that_is_not_there_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read as a script"):
        Scripted(tmp_path / "none.jsonl")
    for text in ("rule = 3", "[[rules]]\nreply = 'a'", "reply ="):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(RecipeError, match=r"expected TOML with \[\[rule\]\] tables only"):
            Scripted(tmp_path / "bad.toml")


def test_a_delay_is_spent_side_by_side() -> None:
    engine = Scripted(lambda r: "a", delay=0.1)
    began = time.monotonic()
    ask(engine, *(request(seed=n) for n in range(8)))
    assert 0.1 <= time.monotonic() - began < 0.6
