"""The command line as a user meets it: real processes, canned replies, messages that say what to do."""

import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gen.cli import main
from gen.pool import Pool

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[1]
SCRIPT = """
[[rule]]
step = "complicate"
reply = ["<instruction>\\nWhich row of the table below is the cheapest one?\\n</instruction>\\n<input>\\n| a | 1 |\\n</input>"]
[[rule]]
role = "evolver"
reply = ["<instruction>\\nName three rivers, and say for each where it ends.\\n</instruction>",
           "<instruction>\\nExplain in two sentences why rivers bend, with one example.\\n</instruction>", "no tags"]
[[rule]]
role = "judge"
reply = ["Not equal", "Not equal", "Equal"]
[[rule]]
reply = ["A plain answer.", "Another [bold]answer[/bold] \\u001b[31mred.", "I'm sorry, but I can't help with that."]
"""


def gen(*args, cwd, env=None):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **(env or {})}
    return subprocess.run([sys.executable, "-m", "gen", *map(str, args)], cwd=cwd, capture_output=True, text=True, env=environment)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "script.toml").write_text(SCRIPT)
    rows = [{"instruction": f"Name river number {i}.", "output": "" if i % 2 else "The Rhine."} for i in range(6)]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path


@pytest.fixture
def evolved(place):
    done = gen("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


def dataset(folder):
    return [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]


def test_help_is_short_and_names_every_command():
    told = gen("--help", cwd=ROOT)
    assert told.returncode == 0
    assert len(told.stdout.splitlines()) < 40
    for word in ("evolve", "run", "show", "funnel", "regate", "export", "loops", "filters", "prompts"):
        assert word in told.stdout


def test_every_parameter_of_the_loop_and_of_each_filter_is_a_flag(tmp_path):
    from gen import catalog

    short, long = gen("evolve", "--help", cwd=ROOT).stdout, gen("evolve", "--help-all", cwd=ROOT).stdout
    assert "--slack" in short
    assert "[1..100]" in " ".join(short.split())
    assert "--rouge.threshold" not in short
    for kind, name in catalog.names("loop", "rule", "dedup"):
        own = kind == "loop" and name != "evolve"
        said = gen(name.replace("_", "-"), "--help", cwd=ROOT).stdout if own else long
        for p in catalog.parameters(catalog.load(name, kind)):
            flag = p.name.replace("_", "-") if kind == "loop" else f"{name}.{p.name.replace('_', '-')}"
            assert f"--{flag}" in said or f"--{flag}." in said, name


def test_a_run_tells_where_the_dataset_is_and_what_became_of_the_candidates(evolved):
    again = gen("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run", cwd=evolved)
    assert again.returncode == 0
    assert "already finished" in again.stdout
    assert "run/dataset.jsonl" in again.stdout
    for name in ("pool.db", "recipe.toml", "dataset.jsonl", "dataset.parquet", "README.md", "run.log"):
        assert (evolved / "run" / name).exists()
    assert (evolved / "run").stat().st_mode & 0o777 == 0o700
    rows = dataset(evolved / "run")
    assert rows[0]["messages"][0] == {"role": "user", "content": "Name river number 0."}
    assert {0, 1} <= {r["meta"]["round"] for r in rows}


def test_without_out_the_same_command_means_go_on(place):
    args = ("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--json", "--quiet")
    first = json.loads(gen(*args, "--rounds", 1, cwd=place).stdout)
    second = json.loads(gen(*args, "--rounds", 2, cwd=place).stdout)
    other = json.loads(gen(*args, "--seed", 1, cwd=place).stdout)
    assert first["folder"] == second["folder"] != other["folder"]
    assert first["folder"].startswith("runs/evolve-")
    assert len(first["folder"]) == len("runs/evolve-") + 8
    assert second["kept"] >= first["kept"]
    fresh = json.loads(gen(*args, "--rounds", 2, "--out", "straight", cwd=place).stdout)
    assert (place / "straight/dataset.jsonl").read_bytes() == (place / second["folder"] / "dataset.jsonl").read_bytes()
    assert fresh["why"] == "complete"


def test_a_changed_deciding_key_is_refused_and_shown_a_running_key_is_not(evolved):
    args = ("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run")
    refused = gen(*args, "--slack", "2", cwd=evolved)
    assert refused.returncode == 2
    assert "params.slack: 3.0 -> 2.0" in refused.stderr
    fewer = gen(*args, "--rounds", "2", cwd=evolved)
    assert fewer.returncode == 2
    assert "rounds can only grow" in fewer.stderr
    assert gen(*args, "--width", "2", cwd=evolved).returncode == 0


def test_other_replies_behind_the_same_name_are_refused(evolved):
    (evolved / "script.toml").write_text(SCRIPT.replace("plain", "simple"))
    refused = gen("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run", "--rounds", "4", cwd=evolved)
    assert refused.returncode == 2
    assert "fingerprint changed" in refused.stderr


def test_the_printed_recipe_is_what_the_flags_amount_to(place):
    args = ("seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--rounds", "2", "--with", "rouge", "--rouge.threshold", "0.6",
            "--operations.breadth", "0", "--map", "instruction=instruction")  # fmt: skip
    printed = gen("evolve", *args, "--print-recipe", cwd=place)
    (place / "mine.toml").write_text(printed.stdout)
    by_flags = json.loads(gen("evolve", *args, "--json", "--quiet", cwd=place).stdout)
    by_file = gen("run", "mine.toml", "--json", "--quiet", cwd=place)
    assert json.loads(by_file.stdout)["folder"] == by_flags["folder"]
    assert json.loads(by_file.stdout)["why"] == "finished"
    more = json.loads(gen("evolve", "--recipe", "mine.toml", "--rounds", "3", "--json", "--quiet", cwd=place).stdout)
    assert (more["folder"], more["why"]) == (by_flags["folder"], "complete")
    saved = (place / by_flags["folder"] / "recipe.toml").read_text()
    assert "threshold = 0.6" in saved


MISTAKES = {
    ("evlove",): "did you mean 'evolve'",
    ("evolve", "nowhere.jsonl"): "nowhere.jsonl",
    ("evolve", "seed.jsonl"): "seeds.jsonl",
    ("evolve", "--slack", "0"): "slack = 0",
    ("evolve", "--gate", "lenght"): "did you mean 'length'",
    ("evolve", "--without", "rouge"): "--without rouge: not in the gate",
    ("evolve", "--rouge.threshold", "0.5"): "this filter is not in the gate",
    ("evolve", "--rounds", "many"): "--rounds",
    ("evolve", "--nonsense"): "--nonsense",
    ("evolve", "--prompts", "nowhere"): "not a folder",
    ("evolve", "--map", "instruction"): "expected FIELD=COLUMN",
    ("evolve", "--model", "script:nowhere.toml"): "nowhere.toml",
    ("evolve", "--model", "no/such-model", "--quiet"): "no/such-model",
    ("evolve", "--against", "seeds.jsonl", "--without", "exact", "semantic"): "--against: no filter of the gate",
    ("run", "nowhere.toml"): "cannot be read",
    ("show", "nowhere"): "no such folder",
    ("funnel", "."): "pool.db",
    ("export", "nowhere"): "no such folder",
    ("regate", "nowhere", "--recipe", "x.toml"): "no run is here",
    ("funnel", "run", "--gate-run", "9"): "no gate run 9",
    ("prompts", "show", "evolve/depen"): "did you mean 'evolve/deepen'",
    ("filters", "rogue"): "did you mean 'rouge'",
}


@pytest.mark.parametrize("args", MISTAKES, ids=" ".join)
def test_a_mistake_gets_a_message_and_exit_code_2(args, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    if "run" in args[1:]:
        assert main(["evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run", "--rounds", "0"]) == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        code = main(args)
    except SystemExit as error:  # tyro's own refusals
        code = error.code
    told = capsys.readouterr()
    assert MISTAKES[args] in " ".join((told.err + told.out).split())
    assert code == 2


def test_bad_rows_are_counted_and_skipped_unless_strict(place):
    with (place / "seeds.jsonl").open("ab") as file:
        file.write(b'{"instruction": 3}\nnot json\n\xff\xfe\n{"instruction": "Name river number 0.", "output": "The Rhine."}\n')
    args = ("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--rounds", "1")
    loose = gen(*args, cwd=place)
    assert loose.returncode == 0
    for line in (7, 8, 9, 10):
        assert f"seeds.jsonl, line {line}" in " ".join(loose.stderr.split())
    strict = gen(*args, "--strict", cwd=place)
    assert strict.returncode == 2
    assert "line 7" in strict.stderr


def test_show_tells_the_whole_story_and_no_escape_reaches_the_terminal(evolved):
    deepest = max(dataset(evolved / "run"), key=lambda r: r["meta"]["round"])
    told = gen("show", "run", deepest["id"][:10], cwd=evolved)
    assert told.returncode == 0, told.stderr
    for word in (deepest["instruction"][:40], "family", "question 1: evolver", "gate run 1: kept", "reply"):
        assert word in " ".join(told.stdout.split())
    everything = "".join(gen("show", "run", r["id"], cwd=evolved).stdout for r in dataset(evolved / "run")[:8])
    assert "\x1b[31m" not in everything
    facts = json.loads(gen("show", "run", deepest["id"], "--json", cwd=evolved).stdout)
    assert facts["sample"]["id"] == deepest["id"]
    assert [q[0]["role"] for q in facts["asked"]] == ["evolver", "judge", "answerer"]
    assert gen("show", "run", "zzzz", cwd=evolved).returncode == 2


def test_a_dropped_sample_can_be_asked_why(evolved):
    with sqlite3.connect(evolved / "run/pool.db") as db:
        [(dropped,)] = db.execute("SELECT id FROM sample WHERE failed_for = 'rewrite_unparsed' LIMIT 1").fetchall()
    db.close()
    told = gen("show", "run", dropped, cwd=evolved).stdout
    assert "dropped by evolve: rewrite_unparsed" in told
    assert "no tags" in told


def test_regate_moves_thresholds_and_asks_no_question(evolved):
    before = dataset(evolved / "run")
    (evolved / "tight.toml").write_text('[gate]\nfilters = ["length"]\n[gate.length]\nmin_instruction_words = 6\n')
    done = gen("regate", "run", "--recipe", "tight.toml", "--json", cwd=evolved)
    assert done.returncode == 0, done.stderr
    after = dataset(evolved / "run")
    assert 0 < len(after) < len(before)
    assert all(len(r["instruction"].split()) >= 6 for r in after if not r["input"])
    assert json.loads(done.stdout)["asked"] == 0
    assert json.loads(gen("funnel", "run", "--gate-run", "1", "--json", cwd=evolved).stdout) != json.loads(
        gen("funnel", "run", "--json", cwd=evolved).stdout
    )
    (evolved / "other.toml").write_text("seed = 9\n")
    refused = gen("regate", "run", "--recipe", "other.toml", cwd=evolved)
    assert refused.returncode == 2
    assert "seed: 0 -> 9" in refused.stderr
    on = gen("run", "run/recipe.toml", "--out", "run", "--json", cwd=evolved)
    assert json.loads(on.stdout)["kept"] == len(after)


TIGHT = '[gate]\nfilters = ["length"]\n[gate.length]\nmin_instruction_words = 6\n'


def test_a_flag_replaces_what_the_recipe_lists_and_takes_out_what_it_set(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (place / "r.toml").write_text(TIGHT + '[source]\nseeds = ["seeds.jsonl", "x.jsonl"]\n[model]\nserver = ["http://a/v1"]\n')
    flags = ["--server", "http://b/v1", "--server", "http://c/v1", "--without", "length", "--with", "exact"]
    assert main(["evolve", "y.jsonl", "--recipe", "r.toml", *flags, "--print-recipe"]) == 0
    found = tomllib.loads(capsys.readouterr().out)
    assert found["model"]["server"] == ["http://b/v1", "http://c/v1"]
    assert found["source"]["seeds"] == ["y.jsonl"]
    assert found["gate"] == {"filters": ["exact"]}
    assert main(["evolve", "--recipe", "r.toml", "--print-recipe"]) == 0
    found = tomllib.loads(capsys.readouterr().out)
    assert found["model"]["server"] == ["http://a/v1"]
    assert found["gate"]["length"]["min_instruction_words"] == 6


SOME = (
    "",
    "y.jsonl z.jsonl --limit 3 --map instruction=question",
    "--rounds 1 --no-score-all --model m --temperature 0.5",
    "--limit None --recipe r.toml",
    "--operations.deepen 2 --operations.concretize=0",
    "--operations deepen=2",
    "--style code --rouge.max-score 0.5 --exact.scope task",
    "--gate length rouge --length.min_instruction_words 4 --without length",
    "--recipe r.toml --with exact --server http://b/v1",
    "--recipe r.toml",
    "--roudns 3",
    "--rounds many",
    "--length.min-instruction-word 4",
    "--recipe r.toml --map a",
)


@pytest.mark.parametrize("line", SOME)
def test_a_parser_of_the_flags_that_are_given_hears_what_that_of_all_flags_hears(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (place / "r.toml").write_text(TIGHT + '[source]\nlimit = 5\nmap = {instruction = "q"}\n[model]\nserver = ["http://a/v1"]\n')

    def heard():
        code = main(["evolve", *line.split(), "--print-recipe"])
        return code, capsys.readouterr()

    short = heard()
    monkeypatch.setattr("gen.commands.run.mentioned", lambda args: None)
    assert short == heard()


def test_a_filter_of_ones_own_stays_in_the_gate_beside_flags(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    (place / "soft.py").write_text(
        "from dataclasses import dataclass\nfrom gen.catalog import component\nfrom gen.core import KEEP\n"
        "@component('soft', source='ours')\n@dataclass(frozen=True)\nclass Soft:\n"
        "    level: int = 3\n    '''How soft.'''\n    def check(self, sample): return KEEP\n"
    )
    (place / "r.toml").write_text("[gate]\nfilters = ['soft:Soft']\n[gate.'soft:Soft']\nlevel = 5\n")
    assert main(["evolve", "--recipe", "r.toml", "--rounds", "1", "--print-recipe"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["gate"] == {"filters": ["soft:Soft"], "soft:Soft": {"level": 5}}


def test_a_run_is_gone_on_with_from_any_folder(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)
    model = f"script:{place / 'script.toml'}"
    assert main(["evolve", "seeds.jsonl", "--model", model, "--without", "semantic", "--out", "run"]) == 0
    monkeypatch.chdir(place / "run")
    assert main(["run", "recipe.toml", "--out", "."]) == 0
    assert "already finished" in capsys.readouterr().out


@pytest.mark.parametrize("hole", [False, True])
def test_another_gate_over_a_run_that_met_its_target_goes_on_as_if_it_had_always_been(hole, place, monkeypatch):
    """Also where a straggler left a hole behind the target: nothing after it is judged before it is there."""
    monkeypatch.chdir(place)
    (place / "tight.toml").write_text(TIGHT)
    evolve = ["evolve", "seeds.jsonl", "--model", "script:script.toml", "--quiet", "--target", "8"]
    assert main([*evolve, "--without", "semantic", "--out", "run"]) == 0
    if hole:
        with sqlite3.connect("run/pool.db") as db:
            [at] = db.execute("SELECT round, call FROM grown ORDER BY round, call LIMIT 1 OFFSET 12").fetchall()
            assert at[0] > 0
            for table in ("sample", "grown", "due"):
                db.execute(f"DELETE FROM {table} WHERE round >= ? AND call = ?", at)
            db.execute("INSERT INTO due VALUES (0, ?, ?, ?, 0)", (*at, at[1]))
        db.close()
    assert main(["regate", "run", "--recipe", "tight.toml"]) == 0
    assert main(["run", "run/recipe.toml", "--out", "run", "--quiet"]) == 0
    assert main([*evolve, "--out", "straight", "--gate", "length", "--length.min-instruction-words", "6"]) == 0
    assert dataset(place / "run") == dataset(place / "straight")


def test_regate_takes_nothing_but_the_gate_and_keeps_what_it_does_not_name(evolved, monkeypatch):
    monkeypatch.chdir(evolved)
    (evolved / "new.toml").write_text("rounds = 1\n[gate.length]\nmin_instruction_words = 6\n")
    assert main(["regate", "run", "--recipe", "new.toml"]) == 0
    saved = tomllib.loads((evolved / "run/recipe.toml").read_text())
    assert saved["rounds"] == 3
    assert "exact" in saved["gate"]["filters"]
    assert saved["gate"]["length"]["min_instruction_words"] == 6


def test_gate_and_deciding_keys_change_together(evolved, monkeypatch):
    """A kill between two writes must not leave the verdicts of one gate under the name of another."""
    monkeypatch.chdir(evolved)
    (evolved / "tight.toml").write_text(TIGHT)
    seen = set()

    def watched(method):
        def write(pool, *args, **kwargs):
            method(pool, *args, **kwargs)
            seen.add((pool.state("gate_run", 1), json.dumps(pool.state("deciding")["gate"])))

        return write

    for name in ("set_state", "add_verdicts"):
        monkeypatch.setattr(Pool, name, watched(getattr(Pool, name)))
    assert main(["regate", "run", "--recipe", "tight.toml"]) == 0
    assert len(seen) == 2


def test_a_fault_of_the_progress_display_is_logged_and_costs_nothing(place, monkeypatch):
    import gen.progress

    monkeypatch.chdir(place)
    monkeypatch.setattr(gen.progress.Progress, "_look", lambda *_: 1 / 0)
    assert main(["evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run"]) == 0
    assert "progress: division by zero" in (place / "run/run.log").read_text()


def test_show_of_a_run_that_kept_nothing_says_so(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (place / "script.toml").write_text('[[rule]]\nreply = "I do not know about tags."\n')
    assert main(["evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--no-seeds-too", "--out", "run"]) == 0
    assert main(["show", "run"]) == 2
    assert "nothing was kept" in capsys.readouterr().err


@pytest.mark.parametrize("when", ["run", "regate"])
def test_a_run_whose_dataset_could_not_be_written_is_not_finished(when, place, monkeypatch, capsys):
    """The disk fills while the dataset is written: no traceback, and the same command makes it good."""
    import gen.job
    import gen.regate

    monkeypatch.chdir(place)
    (place / "new.toml").write_text('[gate]\nfilters = ["exact"]\n')
    evolve = ["evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--out", "run", "--quiet"]
    regate = ["regate", "run", "--recipe", "new.toml"]

    def full(*_):
        raise OSError(28, "No space left on device", "run/dataset.jsonl")

    with monkeypatch.context() as broken:
        if when == "regate":
            assert main(evolve) == 0
        broken.setattr(gen.job if when == "run" else gen.regate, "publish", full)
        assert main(evolve if when == "run" else regate) == 75
    assert "run/dataset.jsonl: No space left on device" in capsys.readouterr().err
    again = evolve if when == "run" else ["run", "run/recipe.toml", "--out", "run", "--quiet"]
    assert main(again) == 0
    assert "complete" in capsys.readouterr().out
    assert dataset(place / "run")
    for name in ("dataset.jsonl", "README.md"):
        (place / "run" / name).unlink()
        assert main(again) == 0
        assert (place / "run" / name).exists(), "what was lost is written again from the pool"


@pytest.mark.slow
def test_without_a_model_the_bundled_one_says_what_it_is_and_makes_a_dataset(tmp_path):
    """The demonstration: real sampling by a real model, the same bytes again."""
    for out in ("a", "b"):
        done = gen("evolve", "--rounds", 2, "--limit", 6, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "a demonstration model" in done.stderr
        assert "not trained" not in done.stderr
    assert (tmp_path / "a/dataset.jsonl").read_bytes() == (tmp_path / "b/dataset.jsonl").read_bytes()
    assert any(r["meta"]["round"] == 2 for r in dataset(tmp_path / "a"))
    assert "| evolver | micro |" in (tmp_path / "a/README.md").read_text()
    assert gen("prompts", "copy", "evolve/equal", "--to", "mine", cwd=tmp_path).returncode == 0
    (tmp_path / "mine/evolve/equal.jinja").write_text((tmp_path / "mine/evolve/equal.jinja").read_text() + "\nBe strict.")
    strange = gen("evolve", "--rounds", 0, "--limit", 2, "--prompts", "mine", "--out", "c", cwd=tmp_path)
    assert "not trained on these prompts: evolve/equal" in strange.stderr


def test_a_run_that_kept_little_says_why_and_what_to_change(place):
    (place / "script.toml").write_text('[[rule]]\nreply = "I do not know about tags."\n')
    done = gen("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--no-seeds-too", cwd=place)
    assert done.returncode == 0
    assert "nothing was kept of 18 candidates" in done.stdout
    assert "100% rewrite_unparsed" in done.stdout
    assert "a stronger evolver" in done.stdout


def test_export_writes_trainer_formats(evolved):
    messages = gen("export", "run", "--to", "m.jsonl", cwd=evolved)
    assert messages.returncode == 0
    alpaca = gen("export", "run", "--format", "alpaca", cwd=evolved)
    rows = [json.loads(line) for line in alpaca.stdout.splitlines()]
    assert {"instruction", "input", "output"} <= set(rows[0])
    assert len(rows) == len((evolved / "m.jsonl").read_text().splitlines()) == len(dataset(evolved / "run"))
    assert gen("export", "run", "--format", "parquett", cwd=evolved).returncode == 2


def test_what_must_not_be_repeated_is_not(evolved):
    rows = dataset(evolved / "run")
    (evolved / "owned.jsonl").write_text("".join(json.dumps({"instruction": r["instruction"], "input": r["input"]}) + "\n" for r in rows))
    args = ("seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--against", "owned.jsonl", "--json", "--quiet")
    done = json.loads(gen("evolve", *args, cwd=evolved).stdout)
    assert done["kept"] == 0
    assert done["folder"] != "run"
    assert sum(r["count"] for r in done["funnel"] if r["reason"] == "duplicate") >= len(rows)


def test_the_card_says_what_made_the_dataset(evolved):
    card = (evolved / "run/README.md").read_text()
    for word in ("arXiv 2304.12244", "evolve/deepen", "scripted", "max\\_share", "gen evolve seeds.jsonl", "unknown", "canned"):
        assert word in card
    assert str(evolved) not in card


def test_plain_lines_tell_the_progress_where_there_is_no_terminal(place):
    slow = SCRIPT + "\n"
    (place / "script.toml").write_text(slow)
    code = (
        "from gen.engines import scripted; import gen.cli, gen.progress; gen.progress.LINE_EVERY = gen.progress.EVERY = 0.02;"
        "s = scripted.Scripted.__init__; scripted.Scripted.__init__ = lambda self, *a, **k: s(self, *a, **{**k, 'delay': 0.05});"
        "gen.cli.main(['evolve', 'seeds.jsonl', '--model', 'script:script.toml'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert "in flight" in done.stderr
    assert "tokens/s" in done.stderr
    assert "0 dropped" in done.stderr or "dropped: " in done.stderr
    quiet = gen("evolve", "seeds.jsonl", "--model", "script:script.toml", "--without", "semantic", "--quiet", "--seed", "2", cwd=place)
    assert "in flight" not in quiet.stderr


def test_parts_are_listed(place):
    filters = json.loads(gen("filters", "--json", cwd=place).stdout)
    assert {"exact", "rouge", "length"} <= {f["name"] for f in filters}
    assert {"alpaca", "evolve"} <= {loop["name"] for loop in json.loads(gen("loops", "--json", cwd=place).stdout)}
    listed = json.loads(gen("prompts", "list", "--json", cwd=place).stdout)
    assert {"alpaca/triples", "evolve/deepen"} <= {row["prompt"] for row in listed}
    copied = gen("prompts", "copy", "evolve/deepen", "--to", "mine", cwd=place)
    assert copied.returncode == 0
    assert (place / "mine/evolve/_depth.jinja").exists()
    assert gen("prompts", "copy", "evolve/deepen", "--to", "mine", cwd=place).returncode == 2
