"""Failures, several servers, many requests at once, against real HTTP servers in processes of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import serving

from gen.core import Completion
from gen.engines import transport
from gen.engines.server import Server
from gen.errors import RecipeError, Unavailable

pytestmark = pytest.mark.process
serve = serving.serve
QUICK, question, ask = serving.QUICK, serving.question, serving.ask


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited for ten seconds in vain")


# -- what passes by waiting -----------------------------------------------------------------------


def test_failures_are_asked_again_until_there_is_an_answer() -> None:
    with serve(fail_first="500:1,429:1,close:1,garbage:1,503:1,409:1", retry_after="0.2") as server:
        began = time.monotonic()
        (done,) = ask([server.url], question())
        took = time.monotonic() - began
        assert len(server.requests()) == 7
        assert len(server.requests("done")) == 1
    assert done.finish == "stop"
    assert took > 0.4, "both Retry-After were honoured"


def test_what_answers_nothing_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a body without end, of which no more than the limit is read, and lists within lists."""
    monkeypatch.setattr(transport, "MOST_BYTES", 2**20)
    with serve(fail_first="empty:1,wrong:1,nested:1,odd:1,huge:1") as server:
        (done,) = ask([server.url], question(), patience=20.0)
        assert len(server.requests()) == 6
    assert done.text


def test_slow_bytes_are_waited_for() -> None:
    with serve(fail_first="slow:1") as server:
        (done,) = ask([server.url], question())
        assert len(server.requests()) == 1
    assert done.text


def test_a_server_that_fails_often_loses_no_request() -> None:
    with serve(fail_rate=0.3, retry_after="0.01", delay=2) as server:
        done = ask([server.url], *(question(seed=n) for n in range(60)), width=16)
        assert len(server.requests("done")) == 60
    assert {c.finish for c in done} <= {"stop", "length"}


def test_a_server_killed_between_two_leaves_no_request_behind() -> None:
    async def run(one: Any, two: Any) -> list[Completion]:
        engine = Server([one.url, two.url], width=16, **QUICK)
        await engine.open()
        tasks = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(80)]
        await until(one.requests)
        one.kill()
        done = await asyncio.gather(*tasks)
        await engine.close()
        return done

    with serve(delay=50) as one, serve(delay=50) as two:
        done = asyncio.run(run(one, two))
        assert len(one.requests()) > 0
    assert len(done) == 80
    assert all(c.text for c in done)


def test_a_server_that_comes_back_is_asked_again() -> None:
    async def run(url: str, port: int) -> Completion:
        engine = Server([url], **QUICK | {"patience": 20.0})
        await engine.open()
        first.kill()
        task = asyncio.create_task(engine.complete(question()))
        await asyncio.sleep(0.3)
        with serve(port=port):
            done = await task
            await engine.close()
        return done

    with serve() as first:
        assert asyncio.run(run(first.url, first.port)).text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"probe_shift": 1.0}, "came back as another model .*log-probabilities .* against"),
        ({"version": "2.0"}, "came back as another model .*version '1.0' against '2.0'"),
        ({"models": "other-model"}, "does not serve --model 'test-model'"),
    ],
)
def test_a_server_that_comes_back_as_another_model_stops_the_run(change: dict[str, Any], said: str) -> None:
    """Also when it answers: nothing of what it says becomes a reply."""

    async def run(url: str, port: int) -> list[Completion]:
        engine = Server([url], "test-model", **QUICK | {"patience": 20.0})
        await engine.open()
        first.kill()
        tasks = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(4)]
        await asyncio.sleep(0.3)
        with serve(port=port, **change):
            try:
                return [await task for task in tasks]
            finally:
                [task.cancel() for task in tasks]
                await asyncio.gather(*tasks, return_exceptions=True)
                await engine.close()

    with serve() as first:
        if said:
            with pytest.raises(RecipeError, match=said):
                asyncio.run(run(first.url, first.port))
        else:
            assert all(done.text for done in asyncio.run(run(first.url, first.port)))


def test_no_server_beyond_patience_is_unavailable() -> None:
    async def run() -> None:
        engine = Server([server.url], **QUICK | {"patience": 0.5})
        await engine.open()
        server.kill()
        try:
            await asyncio.gather(*(engine.complete(question(seed=n)) for n in range(5)))
        finally:
            await engine.close()

    with serve() as server, pytest.raises(Unavailable, match=r"no answer, at last no connection .* the same command"):
        asyncio.run(run())


def test_a_server_that_hangs_is_found_by_its_pulse_and_the_other_one_asked() -> None:
    async def run(one: Any, two: Any) -> list[Completion]:
        engine = Server([one.url, two.url], width=8, **QUICK, pulse=0.1)
        await engine.open()
        tasks = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(8)]
        await until(lambda: len(one.requests()) == 4)
        one.pause()
        done = await asyncio.gather(*tasks)
        await engine.close()
        return done

    with pytest.MonkeyPatch.context() as patch, serve(delay=1000) as one, serve(delay=1000) as two:
        patch.setattr("gen.engines.watchdog.HEALTH_S", 0.3)
        done = asyncio.run(run(one, two))
        assert len(one.requests()) == 4
    assert all(c.text for c in done)


def test_a_slow_server_is_waited_for_and_a_deadline_passed_is_asked_again() -> None:
    with serve(delay=300) as server:
        (done,) = ask([server.url], question(), pulse=0.05)
        assert len(server.requests()) == 1
        assert done.text
        with pytest.raises(Unavailable, match=r"no answer within 0\.\d+ s"):
            ask([server.url], question(), request_floor=0.05, request_floor_rate=1e9, patience=0.2, retries=2)


def test_a_request_past_its_deadline_goes_on_as_long_as_the_server_tells_of_tokens() -> None:
    late: dict[str, Any] = {"request_floor": 0.3, "request_floor_rate": 1e9, "pulse": 0.05, "patience": 0.2, "retries": 1}
    with serve(delay=1200, tokens_per_s=1000) as server:
        (done,) = ask([server.url], question(), **late)
        assert done.text
        assert len(server.requests()) == 1
    with serve(delay=1200, tokens_per_s=0) as server, pytest.raises(Unavailable, match=r"no answer within 0\.\d+ s"):
        ask([server.url], question(), **late)


def test_a_deadline_is_not_put_off_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gen.engines.transport.STRETCH", 2)
    with serve(delay=20_000, tokens_per_s=1000) as server, pytest.raises(Unavailable, match=r"no answer within 0\.6"):
        ask([server.url], question(), request_floor=0.3, request_floor_rate=1e9, pulse=0.05, patience=0.2, retries=0)


def test_a_healthy_server_that_reads_and_writes_no_token_hangs_and_the_other_one_is_asked() -> None:
    async def run(one: Any, two: Any) -> list[Completion]:
        engine = Server([one.url, two.url], width=8, **QUICK, pulse=0.1, stall=0.5)
        await engine.open()
        tasks = [asyncio.create_task(engine.complete(question(seed=n))) for n in range(8)]
        done = await asyncio.gather(*tasks)
        await engine.close()
        return done

    with serve(delay=60_000, tokens_per_s=0) as one, serve(delay=100, tokens_per_s=500) as two:
        done = asyncio.run(run(one, two))
        assert len(one.requests()) >= 4
        assert len(two.requests("done")) == 8
    assert all(c.text for c in done)


# -- many at once ---------------------------------------------------------------------------------


def test_requests_are_spread_over_the_servers_and_bounded_by_the_width() -> None:
    with serve(delay=30) as one, serve(delay=30) as two:
        ask([one.url, two.url], *(question(seed=n) for n in range(60)), width=6)
        counts = [len(server.requests()) for server in (one, two)]
        peaks = [max(event["active"] for event in server.events("ask")) for server in (one, two)]
    assert sum(counts) == 60
    assert min(counts) >= 24
    assert max(peaks) <= 4, "the width is shared out: three each, four and two where one has doubled its limit"


def test_cancelling_closes_the_connection_so_that_the_server_stops() -> None:
    async def run() -> None:
        engine = Server([server.url], **QUICK)
        await engine.open()
        task = asyncio.create_task(engine.complete(question()))
        await until(server.requests)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: server.requests("gone") == server.requests())
        await engine.close()

    with serve(delay=60_000) as server:
        asyncio.run(run())


@pytest.mark.parametrize(("status", "hint"), [
    (401, "put a valid key into GEN_API_KEY"), (402, "nothing is left to pay with"), (404, "check --server and --model"),
    (405, "expected an OpenAI-compatible server"), (307, "expected an OpenAI-compatible server"),
])  # fmt: skip
def test_what_only_the_user_can_mend_stops_the_run_at_once(status: int, hint: str) -> None:
    with serve(fail_first=str(status)) as server:
        with pytest.raises(RecipeError, match=hint):
            ask([server.url], question())
        assert len(server.requests()) == 1


def test_a_busy_server_is_waited_for_as_long_as_it_answers_others() -> None:
    with serve(fail_first="429:20", retry_after="0.05", delay=10) as server:
        done = ask([server.url], *(question(seed=n) for n in range(10)), patience=0.3, width=4)
    assert all(c.text for c in done)


def test_a_server_that_stays_overloaded_ends_the_run_with_advice_about_the_width() -> None:
    for status in ("429", "503"):
        with serve(fail_first=f"{status}:99", retry_after="0.01") as server:
            with pytest.raises(Unavailable, match=rf"answered {status}.* lower --width .* the same command"):
                ask([server.url], question(), patience=0.2, retries=3)
            assert len(server.requests()) >= 3


def test_the_log_tells_of_each_trouble_once_and_never_the_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GEN_API_KEY", "sk-very-secret-0123")
    with serve(fail_first="500:12", key="sk-very-secret-0123") as server:
        ask([server.url], *(question(seed=n) for n in range(8)))
    told = [record.getMessage() for record in caplog.records if record.name == "gen.engines.server"]
    host = server.url.removeprefix("http://")
    assert told == [f"{host} is asked again: answered 500", f"{host} rests: answered 500"]
