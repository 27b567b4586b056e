"""A real vLLM with the bundled model: the client, and whole runs in which servers and gen are killed."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest
import serving
import vllm_serving

from gen.core import replace
from gen.engines import registry, wire
from gen.engines.processes import members
from gen.engines.server import Server
from gen.prompts import Prompts

TASK = {"instruction": "Find the word in this list that belongs to the fruits: plum, axe.", "input": ""}


def rewrites(count):
    values = TASK | {"domain": "", "language": "English", "min_added": 2, "max_added": 20}
    asked = Prompts().get("evolve/constrain").ask(**values)
    return [replace(asked, sampling=replace(asked.sampling, max_tokens=60), seed=seed) for seed in range(count)]


def test_the_same_seed_gives_the_same_text_and_another_seed_another(vllm_server):
    def said():
        return [done.text for done in serving.ask([vllm_server.url], *rewrites(8), patience=60.0)]

    texts = said()
    assert texts == said()
    assert len(set(texts)) > 2
    assert all("<instruction>" in text for text in texts)


def test_a_schema_is_obeyed_by_grammar_also_by_a_model_that_knows_no_json(vllm_server):
    schema = {
        "type": "object", "additionalProperties": False, "required": ["verdict", "points"],
        "properties": {"verdict": {"enum": ["better", "worse"]}, "points": {"type": "integer", "minimum": 0, "maximum": 9}},
    }  # fmt: skip
    asked = [replace(one, schema=schema, sampling=replace(one.sampling, max_tokens=200)) for one in rewrites(6)]
    allowed = [f'{{"verdict":"{verdict}","points":{n}}}' for verdict in ("better", "worse") for n in range(10)]
    replies = serving.ask([vllm_server.url], *asked, patience=60.0)
    assert any(done.finish == "stop" for done in replies)
    for done in replies:
        said = re.sub(r"\s", "", done.text)
        # the grammar allows white space without end between the parts, and such a model may use up its tokens on it
        assert said in allowed if done.finish == "stop" else any(one.startswith(said) for one in allowed), done


def metric(url, name):
    told = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    return sum(float(row.split()[-1]) for row in told.splitlines() if row.startswith(f"vllm:{name}{{"))


def test_an_aborted_request_stops_running_at_the_server(vllm_server):
    async def told(name):
        return await asyncio.to_thread(metric, vllm_server.url, name)

    async def run():
        engine = Server([vllm_server.url])
        await engine.open()
        asked = replace(rewrites(1)[0], sampling=replace(rewrites(1)[0].sampling, max_tokens=3500))
        for seed in range(9):  # one may be over before it is seen
            before, one = await told("generation_tokens_total"), replace(asked, seed=seed)
            long = engine._chat(engine._transport, one, 3500, wire.completion, extra={"ignore_eos": True})
            task = asyncio.create_task(long)
            while not task.done() and await told("num_requests_running") < 1:
                await asyncio.sleep(0.01)
            if task.cancel():
                break
            await task
        for _ in range(100):
            await asyncio.sleep(0.05)
            if await told("num_requests_running") == 0:
                break
        await engine.close()
        return task, await told("num_requests_running"), await told("generation_tokens_total") - before

    task, running, tokens = asyncio.run(run())
    assert task.cancelled()
    assert running == 0
    assert tokens < 3000, "it was not generated to its end"


# -- whole runs, with servers that gen starts itself ----------------------------------------------


def gen(*words, **env):
    command = [sys.executable, "-m", "gen", "evolve", "--rounds", "3", "--json", *map(str, words)]
    return subprocess.Popen(command, cwd=vllm_serving.ROOT, env=os.environ | env, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)  # fmt: skip


@pytest.fixture(scope="module")
def straight(vllm_server, tmp_path_factory):
    """The dataset of a run that nothing has disturbed."""
    out = tmp_path_factory.mktemp("straight") / "run"
    run = gen("--server", vllm_server.url, "--out", out)
    told, errors = run.communicate(timeout=250)
    assert run.returncode == 0, errors
    assert json.loads(told)["kept"] > 60
    return dataset(out)


def dataset(out):
    """Its bytes, without the licence that only the bundled model tells: a server tells none."""
    return (out / "dataset.jsonl").read_bytes().replace(b" (apache-2.0)", b"")


@pytest.fixture
def servers(tmp_path, monkeypatch):
    """What gen has running."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("GEN_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("GEN_VLLM_PYTHON", str(vllm_serving.python()))
    yield registry.records
    for record in registry.records():  # of a test that failed
        registry.end(record)


def replies(out):
    """Committed so far."""
    try:
        with sqlite3.connect(f"file:{out / 'pool.db'}?mode=ro", uri=True) as db:
            count = db.execute("SELECT count(*) FROM journal WHERE kind = 'completion'").fetchone()[0]
        db.close()
        return count
    except sqlite3.OperationalError:
        return 0


def until(condition, run, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.timeout(600)
def test_one_server_of_two_killed_the_run_completes_with_the_same_bytes(straight, servers, tmp_path):
    out = tmp_path / "run"
    run = gen("--engine", "vllm", "--servers", 2, "--width", 4, "--out", out)
    until(lambda: replies(out) > 40, run)
    first, second = servers()
    os.kill(first.server.pid, signal.SIGKILL)
    told, errors = run.communicate(timeout=240)
    assert run.returncode == 0, errors
    assert "it died; starting it again" in errors
    assert dataset(out) == straight
    assert not servers()
    assert not members(first.server.pid)
    assert not members(second.server.pid)


@pytest.mark.timeout(900)
def test_the_only_server_killed_then_gen_itself_the_same_command_goes_on_to_the_same_bytes(straight, servers, vllm_server, tmp_path):
    out = tmp_path / "run"
    run = gen("--engine", "vllm", "--width", 2, "--out", out)
    until(lambda: replies(out) > 40, run)
    [first] = servers()
    os.kill(first.server.pid, signal.SIGKILL)
    until(lambda: replies(out) > 80, run)
    [second] = servers()
    assert second.server != first.server
    assert second.url == first.url
    run.kill()
    _, errors = run.communicate(timeout=30)
    assert "it died; starting it again" in errors
    end = time.monotonic() + 30
    while members(second.server.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not members(first.server.pid) + members(second.server.pid), "no orphan is left"
    committed = replies(out)
    assert committed < 200, "something was still to be done"
    run = gen("--server", vllm_server.url, "--out", out)  # a server of the same model is the same engine
    told, errors = run.communicate(timeout=240)
    assert run.returncode == 0, errors
    assert json.loads(told)["asked"] == replies(out) - committed, "what was committed is not asked for again"
    assert dataset(out) == straight
