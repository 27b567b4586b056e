"""Answers are run against the tests that come with them, in the sandbox, or the run is refused."""

import threading
import time

import pytest

from filters import sandbox
from filters.rules.tests import Tests
from gen.core import Lineage, Sample
from gen.engines.scripted import Scripted
from gen.errors import RecipeError
from gen.gate import Gate

needs_sandbox = pytest.mark.skipif("__import__('filters.sandbox').sandbox.lacking()", reason="programs cannot be isolated here")
GOOD = "Here:\n```python\ndef double(x):\n    return 2 * x\n```\nand a use of it:\n```python\nprint(double(2))\n```"
BAD = GOOD.replace("2 * x", "x + 2")


def sample(response, **meta):
    return Sample("s", "Write double(x).", Lineage("r", operation="constrain"), response=response, meta=meta)


CASES = [
    (GOOD, {"tests": "assert double(3) == 6"}, {}, "", ""),
    (BAD, {"tests": "assert double(2) == 4\nassert double(3) == 6"}, {}, "tests_failed", "assert double(3) == 6: AssertionError"),
    (GOOD, {"tests": ["assert double(2) == 4", "assert double('a') == 'aa'"]}, {}, "", ""),
    (GOOD, {"test_list": ["assert double(2) == 5"]}, {"column": "test_list"}, "tests_failed", "assert double(2) == 5: AssertionError"),
    ("```python\ndef double(x):\n    while True: pass\n```", {"tests": "double(1)"}, {"seconds": 1}, "tests_timeout", "1 s of CPU"),
    (GOOD, {}, {}, "", ""),
    (GOOD, {}, {"need": True}, "no_tests", ""),
    (GOOD, {"no_tests": "tests_truncated"}, {"need": True}, "no_tests", "tests_truncated"),
    (GOOD, {"tests": "  "}, {"need": True}, "no_tests", ""),
    ("Two times x.", {"tests": "assert double(2) == 4"}, {}, "no_code", "Two times x."),
    ("```js\nconst double = x => 2 * x\n```", {"tests": "assert double(2) == 4"}, {}, "no_code", "```js const double = x => 2 * x ```"),
    ("def double(x):\n    return 2 * x", {"tests": "assert double(2) == 4"}, {}, "", ""),
]


@needs_sandbox
@pytest.mark.process
@pytest.mark.parametrize(("answer", "meta", "parameters", "reason", "note"), CASES)
def test_an_answer_is_kept_when_its_tests_pass(answer, meta, parameters, reason, note):
    verdict = Tests(**parameters).check(sample(answer, **meta))
    assert (verdict.reason, verdict.note) == (reason, note)
    assert Tests(**parameters).check(sample(answer, **meta)) == verdict


def test_where_programs_cannot_be_isolated_the_run_is_refused_before_it_begins(monkeypatch):
    monkeypatch.setattr(sandbox, "lacking", lambda: "namespaces: Operation not permitted")
    with pytest.raises(RecipeError, match="none is run: namespaces: Operation not permitted; run gen where user namespaces"):
        Gate([Tests()])


def test_a_system_that_is_not_linux_is_refused(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(sandbox.CannotIsolate, match="on Linux alone; this is darwin"):
        sandbox.run("", "")


def test_nothing_slow_is_judged_where_requests_wait(monkeypatch):
    monkeypatch.setattr(sandbox, "lacking", lambda: "")
    monkeypatch.setattr(sandbox, "run", lambda *_: pytest.fail("run while requests wait"))
    gate = Gate([Tests()])
    assert gate.early(sample(BAD, tests="assert double(3) == 6")).keep


@needs_sandbox
@pytest.mark.process
def test_a_run_keeps_the_answers_that_pass_and_its_engine_busy(tmp_path, hold):
    """In the gate of a whole run: the tests of the judge decide, in a thread of their own."""
    names = "abcdef"
    seeds = [Sample(name * 16, f"Write a function {name}(x) that doubles x.", Lineage(name * 16)) for name in names]
    judged = set()

    def reply(request):
        text = request.messages[-1].content
        name = text.split("Write a function ")[1][0]
        if request.step == "tests":
            return f"<tests>\nassert {name}(3) == 6\n</tests>"
        return f"```python\ndef {name}(x):\n    return {'x + 3' if name < 'd' else '2 + x'}\n```"

    check = Tests.check
    Tests.check = lambda self, s: judged.add(threading.current_thread()) or check(self, s)
    try:
        began = time.monotonic()
        run, kept = hold(
            tmp_path, seeds, engine=Scripted(reply), rounds=0, evolve={"style": "code", "write_tests": True},
            gate={"filters": ["empty", "tests", "exact"], "tests": {"need": True}},
        )  # fmt: skip
    finally:
        Tests.check = check
    assert [s.id[0] for s in kept] == ["a", "b", "c"]
    assert run.admission.position.dropped == {"tests_failed": 3}
    assert threading.main_thread() not in judged
    assert time.monotonic() - began < 30
