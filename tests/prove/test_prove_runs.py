"""`gen prove` on the bundled model: its counts are the pool's, a kill changes nothing, and the two-minute subset says what
it should."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gen.cli import main
from gen.pool import Pool
from gen.prove.gates import FIRST, GATES
from gen.world import check, difficulty, parse

SMALL = ["--checkpoints", "strong", "--seed-tasks", "12", "--test-tasks", "4", "--k", "4", "--seeds", "2", "--quiet"]


def results(folder):
    return json.loads((folder / "results.json").read_text())


def rows(folder, group):
    return {row["name"]: row for row in results(folder)["checkpoints"]["strong"]["groups"][group]}


def run_of(folder, name="evolve"):
    [pool] = folder.glob(f"strong/*/{name}/pool.db")
    return pool.parent


def test_what_is_asked_for_must_make_sense(tmp_path, capsys):
    assert main(["prove", "--out", str(tmp_path), "--seeds", "1"]) == 2
    assert "--seeds 1; expected 2 or more" in capsys.readouterr().err
    assert main(["prove", "--out", str(tmp_path), "--checkpoints", "stronk", "--quiet"]) == 2
    assert "expected strong, weak or a folder with a model" in capsys.readouterr().err


@pytest.mark.slow
def test_every_count_is_the_pools_and_a_second_run_asks_nothing(tmp_path, capsys):
    assert main(["prove", "--out", str(tmp_path), "--only", "rounds", "gates", "selection", *SMALL]) == 0
    gates, before = rows(tmp_path, "gates"), (tmp_path / "results.json").read_bytes()
    with Pool.open(run_of(tmp_path), readonly=True) as pool:
        asked = pool.journal_count()
        for number, gate in enumerate(GATES, FIRST):
            funnel = pool.funnel(number)
            assert gates[gate]["candidates"] == sum(row.count for row in funnel)
            kept = list(pool.kept(number))
            assert gates[gate]["kept"] == len(kept) == sum(row.count for row in funnel if row.keep)
            assert gates[f"{gate}, random"]["kept"] == gates[f"{gate}, matched"]["kept"] == len(kept)
            tasks = [(parse(s.instruction, s.input), s.response) for s in kept]
            right = sum(task is not None and check(task, response) for task, response in tasks)
            assert gates[gate]["right"] == pytest.approx(right / len(kept), abs=1e-6)
            hard = [difficulty(task) for task, _ in tasks if task]
            assert gates[gate]["difficulty"] == pytest.approx(sum(hard) / len(hard), abs=1e-6)
    by_round = rows(tmp_path, "rounds")
    assert by_round["0"]["calls"] == by_round["0"]["candidates"] == 12
    assert by_round["0-3"]["kept"] == gates["no gate"]["kept"]
    assert main(["prove", "--out", str(tmp_path), "--only", "rounds", "gates", "selection", *SMALL]) == 0
    assert (tmp_path / "results.json").read_bytes() == before
    with Pool.open(run_of(tmp_path), readonly=True) as pool:
        assert pool.journal_count() == asked
    capsys.readouterr()


def command(folder):
    return [sys.executable, "-m", "gen", "prove", "--out", str(folder), "--only", "gates", "loops", "students", "--loops",
            "refine-drafts", *SMALL]


def killed(folder, until):
    """Begin the command, and kill it once `until` says so."""
    process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not until():
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.process
def test_killed_in_a_run_and_among_students_it_goes_on_to_the_same_results(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    students = broken / "strong/students.jsonl"

    def halfway():
        found = [*broken.glob("strong/*/evolve/pool.db")]
        return bool(found) and count(found[0].parent) > 20

    killed(broken, halfway)
    killed(broken, lambda: students.exists() and students.read_text().count("\n") >= 2)
    subprocess.run(command(broken), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert (broken / "results.json").read_bytes() == (whole / "results.json").read_bytes()
    assert students.read_text() == (whole / "strong/students.jsonl").read_text()


def count(folder: Path) -> int:
    try:
        with Pool.open(folder, readonly=True) as pool:
            return pool.journal_count()
    except Exception:  # not made whole yet
        return 0


@pytest.mark.slow
def test_the_two_minute_subset_says_that_evolution_makes_harder_and_that_a_gate_can_find_errors(tmp_path, capsys):
    """The gate is IFD with a bound set by one half of the families; all of them show what it keeps."""
    assert main(["prove", "--quick", "--quiet", "--out", str(tmp_path), "--page", str(tmp_path / "page.md")]) == 0
    by_round, chosen = rows(tmp_path, "rounds"), rows(tmp_path, "selection")
    assert by_round["0-3"]["difficulty"] > by_round["0"]["difficulty"]
    assert chosen["highest IFD"]["right"] < chosen["random"]["right"] < chosen["checker"]["right"] == 1
    gates = rows(tmp_path, "gates")
    assert gates["ifd, tuned"]["right"] > gates["ifd, tuned, matched"]["right"] + 0.03
    assert {row["kept"] for row in chosen.values()} == {24}
    assert 0 <= chosen["checker"]["student"] < 1
    assert "micro-world" in capsys.readouterr().out
    assert "## gates, strong checkpoint" in (tmp_path / "page.md").read_text()
