from __future__ import annotations

import asyncio
import time
import tomllib
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
    engine = Scripted([{"reply": ["a", "b", "c"]}])
    assert ask(engine, *(request(seed=n) for n in (0, 1, 2, 3, 1))) == ["a", "b", "c", "a", "b"]


def test_no_match_shows_the_request_and_what_to_add() -> None:
    engine = Scripted([{"step": "judge", "reply": "Equal"}])
    with pytest.raises(EngineError, match=r"none of 1 rules matches role 'answerer', step 'answer'.*Name a river") as e:
        ask(engine, request())
    table = str(e.value).rpartition("such as\n")[2]
    assert ask(Scripted(tomllib.loads(table)["rule"]), request()) == ["..."]


def test_a_function_answers_with_a_text_or_a_completion() -> None:
    cut = Completion("The El", "length")
    engine = Scripted(lambda r: cut if r.step == "cut" else r.messages[-1].content.upper())
    assert ask(engine, request(), request(step="cut")) == ["NAME A RIVER.", "The El"]
    done = asyncio.run(engine.complete(request(step="cut")))
    assert (done.finish, done.prompt_tokens, done.completion_tokens) == ("length", 5, 2)


def test_rules_come_from_a_file_and_their_content_is_the_fingerprint(tmp_path: Path) -> None:
    tables = tmp_path / "script.toml"
    tables.write_text('[[rule]]\nstep = "answer"\nreply = ["a", "b"]\n[[rule]]\nreply = "c"\nfinish = "length"\n')
    one, two = Scripted(tables), Scripted([{"step": "answer", "reply": ["a", "b"]}, {"reply": "c", "finish": "length"}])
    assert ask(one, request(seed=1), request(step="other")) == ask(two, request(seed=1), request(step="other"))
    assert one.fingerprint == two.fingerprint != Scripted([{"reply": "c"}]).fingerprint


BAD = {
    "unknown key": ({"reply": "a", "contain": "b"}, "rule 1: unknown key 'contain'; did you mean 'contains'"),
    "no reply": ({"step": "a"}, "missing required field `reply`; a rule has a reply"),
    "no text": ({"reply": []}, "Expected `array` of length >= 1"),
    "no texts": ({"reply": ["a", 1]}, "Expected `str`, got `int`"),
    "a number": ({"reply": "a", "step": 3}, r"Expected `str \| null`, got `int` - at `\$.step`"),
    "a role": ({"reply": "a", "role": "judgge"}, "Invalid enum value 'judgge' - at .* roles: evolver, answerer, judge"),
}


@pytest.mark.parametrize(("rule", "hint"), BAD.values(), ids=BAD.keys())
def test_a_bad_rule_is_refused_when_the_engine_is_made(rule: dict[str, Any], hint: str) -> None:
    with pytest.raises(RecipeError, match=hint):
        Scripted([rule])


def test_a_script_that_is_not_there_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read as a script"):
        Scripted(tmp_path / "none.toml")
    for text in ("rule = 3", "[[rules]]\nreply = 'a'", "reply ="):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(RecipeError, match=r"expected \[\[rule\]\] tables"):
            Scripted(tmp_path / "bad.toml")


def test_a_delay_is_spent_side_by_side() -> None:
    engine = Scripted(lambda r: "a", delay=0.1)
    began = time.monotonic()
    ask(engine, *(request(seed=n) for n in range(8)))
    assert 0.1 <= time.monotonic() - began < 0.6
