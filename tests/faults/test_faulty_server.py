"""Whatever a server does to its replies, the dataset is byte for byte that of a run without faults: now, or, where the
run stops, when the same command has gone on. What fails on the way is never a verdict on a sample."""

import re

import pytest
import serving

from gen.engines import transport
from gen.errors import RecipeError, Unavailable, UserError

pytestmark = pytest.mark.process
serve = serving.serve
FAULTS = {
    "reset before a reply": {"fail_first": "ok:3,reset:5,ok:7,reset:2"},
    "closed before a reply": {"fail_first": "close:4,ok:9,close:4"},
    "reset in the middle of a reply": {"fail_first": "ok:2,middle:6"},
    "429 with Retry-After": {"fail_first": "429:9,ok:5,429:3", "retry_after": "0.05"},
    "429 without Retry-After": {"fail_first": "busy:9,ok:5,busy:3"},
    "429 until a date": {"fail_first": "ok:4,date:6"},
    "a burst of 500": {"fail_first": "ok:6,500:12"},
    "a burst of 502": {"fail_first": "ok:6,502:12"},
    "a burst of 503": {"fail_first": "ok:6,503:12", "retry_after": "0.02"},
    "truncated JSON": {"fail_first": "ok:1,garbage:7"},
    "JSON of another shape": {"fail_first": "wrong:2,odd:2,null:2,error:2"},
    "lists without end": {"fail_first": "ok:2,nested:2"},
    "HTML with 200": {"fail_first": "html:5"},
    "nothing with 200": {"fail_first": "blank:5"},
    "no choice": {"fail_first": "ok:5,empty:6"},
    "a huge reply": {"fail_first": "ok:1,huge:2"},
    "slow bytes": {"fail_first": "slow:6"},
    "silence of the whole server": {"fail_first": "ok:8,silence:1", "silence": 3.0},
    "stalls, tokens not told": {"fail_first": "ok:4,stall:2"},
    "stalls, tokens told": {"fail_first": "ok:4,stall:2", "tokens_per_s": 0},
    "answers out of order": {"reverse": 8, "delay_jitter": 30},
}  # fmt: skip
LIMITS = {"stalls, tokens not told": {"request_floor": 1.0}, "stalls, tokens told": {"stall": 0.6}}
KINDS = "reset,close,middle,429,busy,date,500,502,503,garbage,wrong,odd,null,error,nested,html,blank,empty,slow"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_server_changes_nothing(faults, undisturbed, monkeypatch, fault):
    monkeypatch.setattr(transport, "MOST_BYTES", 2**20)
    with serve(**FAULTS[fault]) as server:
        report, data = faults.run(server.url, faults.folder / "run", **LIMITS.get(fault, {}))
        assert server.repeats("done") == 0, "what was answered is not asked for again"
        assert server.events("fault") or fault == "answers out of order"
    assert (data, report.asked) == undisturbed


@pytest.mark.parametrize("seed", range(10))
def test_any_mix_of_faults_changes_nothing_but_how_long_it_takes(faults, undisturbed, seed):
    """Rates from a tenth to seven tenths; where nothing gets through within a short patience, the run stops with a
    message, and the same command goes on."""
    options = {"fail_rate": 0.1 + seed % 6 * 0.12, "fail_seed": seed, "fail_burst": 1 + seed % 3 * 4, "fail_kinds": KINDS}
    stops = list[Unavailable]()
    with serve(**options, retry_after="0.02", reverse=seed % 2 * 4) as server:
        while True:
            try:
                report, data = faults.run(server.url, faults.folder / "run", patience=0.3, retries=3)
                break
            except Unavailable as stop:
                stops.append(stop)
        assert server.events("fault")
    assert all(re.search(r"(answered|no connection|no answer).*the same command", str(stop)) for stop in stops), stops
    assert {stop.exit_code for stop in stops} <= {75}
    assert data == undisturbed[0]
    assert report.why == "complete"


@pytest.mark.parametrize("how", ["other", "proxied"])
def test_a_server_that_comes_back_as_another_model_stops_the_run_which_goes_on_with_the_first(faults, undisturbed, how):
    """Also behind a proxy, which keeps its connections and says 502 in between."""
    out = faults.folder / "run"
    with serve(fail_first=f"ok:20,{how}:1") as server:
        with pytest.raises(RecipeError, match=r"came back as another model .* the same command again: it goes on"):
            faults.run(server.url, out)
        port = server.port
    with serve(port=port, probe_shift=1.0) as server, pytest.raises(UserError, match="not the one this run began with"):
        faults.run(server.url, out)
    recorded = faults.count(out)
    with serve(port=port) as server:
        report, data = faults.run(server.url, out)
    assert (data, report.asked) == (undisturbed[0], undisturbed[1] - recorded)
    assert recorded > 8
