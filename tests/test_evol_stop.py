"""Evol stop: rounds are scored until they fall, the best is chosen, and no score is asked for twice."""

import json
import shlex
import sys
from collections import Counter

import pytest

from gen.cli import main
from gen.core import Lineage, Sample
from gen.engines.scripted import Scripted
from gen.evol_stop import best
from gen.pool import Pool

SCORER = """import json, sys
scores, log, path = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
rows = [json.loads(line) for line in open(path, encoding="utf-8")]
open(log, "a").write(path + "\\n")
print("training on", len(rows), "rows: 12 % done")
print(scores[max(row["meta"]["round"] for row in rows) - 1])
"""


@pytest.fixture
def run(tmp_path, hold):
    """A finished run of 4 seeds and 4 rounds."""
    def reply(request):
        text = request.messages[-1].content
        task = text.split("<task>\n")[-1].split("\n</task>")[0]
        if request.role == "evolver":
            more = ("Say where it lies.", "Tell who found it and when.", "Compare two of them.", "Give three dates.")
            return f"<instruction>{task} {more[task.count('.') - 1]}</instruction>"
        return "Not equal" if request.role == "judge" else f"Done: {task}"

    seeds = [Sample(c * 16, f"Describe task {c}.", Lineage(c * 16), response="It is so.") for c in "abcd"]
    hold(tmp_path / "run", seeds, engine=Scripted(reply), rounds=4, gate={"filters": ["empty", "exact"]}, evolve={"operations": {"constrain": 1.0}})
    with Pool.open(tmp_path / "run") as pool:
        pool.set_state("finished", {"why": "complete"})
    (tmp_path / "score.py").write_text(SCORER)
    return tmp_path / "run"


def command(run, scores):
    folder = run.parent
    return shlex.join([sys.executable, str(folder / "score.py"), scores, str(folder / "log")])


def stop(run, capsys, *args):
    code = main(["evol-stop", str(run), *args, "--json"])
    out = capsys.readouterr()
    return json.loads(out.out) if code == 0 else (code, out.err)


CASES = {"40,45,44,99": (2, [40, 45, 44], True), "40,45,46,46": (3, [40, 45, 46, 46], False),
         "40,39,50,50": (1, [40, 39], True), "1,2,3,4": (4, [1, 2, 3, 4], False)}  # fmt: skip


@pytest.mark.parametrize("scores", CASES)
def test_scores_stop_at_the_first_fall_and_the_first_best_is_chosen(scores, run, capsys):
    chosen, scored, fell = CASES[scores]
    found = stop(run, capsys, "--command", command(run, scores))
    assert (found["chosen"], [m["score"] for m in found["merges"]], found["fell"]) == (chosen, scored, fell)
    assert [m["rows"] for m in found["merges"]] == [4 + 4 * m["round"] for m in found["merges"]]


def test_the_rule_alone():
    assert best([40, 45, 44]) == (1, True)
    assert best([40, 45, 46, 46]) == (2, False)
    assert best([7]) == (0, False)
    assert best([45, 44], patience=2) == (0, False)
    assert best([45, 44, 43], patience=2) == (0, True)
    assert best([45, 44, 46], patience=2) == (2, False)


def test_a_score_is_never_asked_for_twice_of_the_same_command(run, capsys):
    told = command(run, "40,45,44,99")
    first = stop(run, capsys, "--command", told)
    assert not any(m["known"] for m in first["merges"])
    again = stop(run, capsys, "--command", told)
    assert again["chosen"] == first["chosen"]
    assert all(m["known"] for m in again["merges"])
    log = run.parent / "log"
    assert log.read_text().splitlines() == [str(run / f"evol-stop/round-{r}.jsonl") for r in (1, 2, 3)]
    stop(run, capsys, "--command", told.replace("44", "50"))
    assert len(log.read_text().splitlines()) == 7


def test_a_command_that_fails_is_gone_on_with_where_it_failed(run, capsys):
    script = run.parent / "once.py"
    script.write_text("import os, sys\nif 'round-2' in sys.argv[1] and not os.path.exists('x'):\n    open('x', 'w')\n    sys.exit(3)\nprint(7)")
    told = f"env -C {run.parent} {sys.executable} {script} {{}}"
    code, error = stop(run, capsys, "--command", told)
    assert code == 1
    assert "--command: ended with 3 on" in error
    found = stop(run, capsys, "--command", told)
    assert [m["known"] for m in found["merges"]] == [True, False, False, False]
    assert found["chosen"] == 1


@pytest.mark.parametrize(
    ("told", "code", "message"),
    [("echo soon", 1, "expected a number, the larger the better"), ("echo nan {}x", 1, "expected a number"), ("true", 1, "its last line on"),
     ("no-such-program", 2, "no-such-program: cannot be started"), ("echo 'x", 2, "expected a command as in a shell")],
)  # fmt: skip
def test_a_command_that_tells_no_score_is_refused_in_words(told, code, message, run, capsys):
    found = stop(run, capsys, "--command", told)
    assert found[0] == code
    assert message in found[1]


def test_without_a_command_three_rounds_are_the_default_and_the_chosen_merge_is_written(run, capsys, tmp_path):
    out = tmp_path / "merge.jsonl"
    assert main(["evol-stop", str(run), "--to", str(out)]) == 0
    told = capsys.readouterr().out
    assert "round 3: nothing was measured (--command): 3 by default" in told
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter(row["meta"]["round"] for row in rows) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert f"16 rows in {out}" in " ".join(told.split())


def test_a_run_that_is_not_finished_or_kept_nothing_is_refused(tmp_path, run, capsys, hold):
    with Pool.open(run) as pool:
        pool.set_state("finished", None)
    code, error = stop(run, capsys)
    assert (code, "the run is not finished; go on with it" in error) == (2, True)
    hold(tmp_path / "bare", [Sample("e" * 16, "Describe it.", Lineage("e" * 16), response="So.")], engine=Scripted(lambda _: "x"), rounds=1)
    with Pool.open(tmp_path / "bare") as pool:
        pool.set_state("finished", {"why": "complete"})
    assert "nothing was kept of any round" in stop(tmp_path / "bare", capsys)[1]
    assert "no such folder" in stop(tmp_path / "none", capsys)[1]
    assert "--patience 0: expected 1 or more" in stop(run, capsys, "--patience", "0")[1]
