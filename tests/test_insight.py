"""What a run tells beyond its funnel: kept with the run, measured anew where the gate has moved on, and what is printed."""

import io

import pytest
from rich.console import Console

from gen import recipe as recipes
from gen.commands.diversity import show
from gen.core import KEEP, replace
from gen.engines.scripted import Scripted
from gen.insight import Noting, as_json, diversity, note, noted_alarms, operations
from gen.pool import Pool
from gen.watch import watched


@pytest.fixture
def ran(tmp_path, seeds, hold, write):
    law = [replace(s, meta={"domain": "law"} if i % 2 else {}) for i, s in enumerate(seeds)]
    return hold(tmp_path / "run", law, engine=Scripted(write, width=8), rounds=3, evolve={"adapt": True, "adapt_block": 5})


RECIPE = recipes.build({"evolve": {"adapt": True, "adapt_block": 5}})


def test_what_was_noted_is_what_would_be_measured(tmp_path, ran):
    run, kept = ran
    with Pool.open(tmp_path / "run") as pool:
        anew = diversity(pool, RECIPE)
        assert anew[0].seen == watched(kept, lambda _: None)
        note(pool, 0, run.watch)
        assert diversity(pool, RECIPE) == anew
        assert noted_alarms(pool) == [a.text for a in anew[0].alarms]


def test_what_was_noted_of_another_gate_counts_no_more(tmp_path, ran):
    run, _ = ran
    with Pool.open(tmp_path / "run") as pool:
        note(pool, 0, run.watch)
        pool.set_state("gate_run", 2)
        assert diversity(pool, RECIPE) == []
        assert noted_alarms(pool) == []


def test_of_a_large_pool_the_last_note_is_told_with_its_size(tmp_path, seeds, hold, write, monkeypatch):
    monkeypatch.setattr("gen.insight.LIVE", 30)
    noted = []
    monkeypatch.setattr("gen.insight.note", lambda pool, *more: noted.append(pool.newest(0)) or note(pool, *more))

    def listen(run):
        run.admission.told.append(Noting(run.pool, run.admission, run.watch).hear)

    run, kept = hold(tmp_path / "run", seeds, engine=Scripted(write, width=8), rounds=3, on_run=listen)
    steps = [n for n in (30, 33, 37, 41, 46, 51, 57, 64, 72, 81) if n <= len(kept)]  # each an eighth more
    assert len(noted) == len(steps) > 5
    with Pool.open(tmp_path / "run") as pool:
        [found] = diversity(pool, recipes.build({}))
        seen = sum(m.kept for m in found.seen)
        assert 30 <= seen < len(kept) == found.kept
        console = Console(width=80, file=io.StringIO())
        show(console, [found], [])
        assert f"measured when {seen} of the {len(kept)} were kept" in console.file.getvalue()
        note(pool, 0, run.watch)
        assert diversity(pool, recipes.build({}))[0].seen == watched(kept, lambda _: None)
    noted.clear()
    hold(tmp_path / "run", seeds, engine=Scripted(write, width=8), rounds=3, on_run=listen)
    assert noted == [], "nothing is noted while a gate remembers what was kept before"
    with Pool.open(tmp_path / "run") as pool:
        pool.set_state("gate_run", 2)
        pool.add_verdicts(2, [(s.id, KEEP) for s in kept])
        assert diversity(pool, recipes.build({})) == [], "large, and never noted of this gate"


def test_operations_add_up_to_the_funnel(tmp_path, ran):
    with Pool.open(tmp_path / "run") as pool:
        [found] = operations(pool, RECIPE)
        rows = [r for r in pool.funnel(1) if r.round]
        assert {t.domain for t in found.tallies} == {"", "law"}
        assert sum(t.tried for t in found.tallies) == sum(r.count for r in rows)
        assert sum(t.kept for t in found.tallies) == sum(r.count for r in rows if r.keep)
        for domain in ("", "law"):
            assert sum(t.now for t in found.tallies if t.domain == domain) == pytest.approx(1)
        assert operations(pool, recipes.build({})) == []


def test_it_is_printed_and_named_in_json(tmp_path, ran):
    with Pool.open(tmp_path / "run") as pool:
        found, learned = diversity(pool, RECIPE), operations(pool, RECIPE)
    console = Console(width=80, file=io.StringIO())
    show(console, found, learned)
    text = console.file.getvalue()
    assert "diversity, all rounds at the size of the smallest:" in text
    assert "round  kept  distinct-1" in text
    assert "- topics, nearest: no vectors: `semantic` measured none of these" in text
    assert "17% -> " in text
    assert all(len(line) <= 80 for line in text.splitlines() if "  0." in line or line.startswith("round  "))
    [one] = as_json(found)
    assert one["seen"][0]["rounds"].startswith("0")
    assert one["seen"][0]["scores"]["distinct_1"].value > 0
    assert as_json(learned)[0]["tallies"][0].keys() == {"domain", "operation", "tried", "kept", "rate", "first", "now"}
