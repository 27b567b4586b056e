"""`gen score`: any dataset, streamed and resumable, in its own order."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_vllm import Fake, in_thread

from filters.scores.ifd import Ifd
from gen import scoring
from gen.cli import main
from gen.core import Likelihood
from gen.errors import EngineError, InputError
from gen.seeds import read_rows

ROOT = Path(__file__).parents[1]


class Letters:
    """An engine whose log-probabilities are a formula, in the order in which it likes to answer."""

    model, fingerprint, scoring_width = "letters", "1", 8

    def __init__(self, **rest):
        self.asked, self.open_, self.fails_at = [], 0, None
        self.__dict__ |= rest

    async def open(self):
        self.open_ += 1

    async def close(self):
        self.open_ -= 1

    async def lacks_scoring(self):
        return ""

    async def score(self, asked):
        self.asked.append(asked)
        if len(self.asked) == self.fails_at:
            raise EngineError("device lost")
        await asyncio.sleep(0.001 * (hash(asked.text) % 5))
        help_ = len(asked.messages[0].content) % 7 / 10 if asked.messages else 0.0
        return Likelihood(tuple(help_ - 1 - ord(c) / 100 for c in asked.text), truncated=len(asked.text) > 40)


def make(path, count=60, **changes):
    """Alpaca rows, every tenth a repeat of an earlier one."""
    rows = [{"instruction": f"Say number {i % 50} twice." + " Now." * (i % 50 % 9), "input": "", "output": f"{i % 50}, {i % 50}"}
            for i in range(count)]  # fmt: skip
    rows = [changes.get(f"row{i}", row) for i, row in enumerate(rows, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def score(data, to, engine=None, metric=None, settings=0):
    return scoring.score(
        engine or Letters(), metric or Ifd(), lambda: read_rows([data]), to, settings=settings, tell=lambda line: None
    )


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_row_in_order_with_its_own_numbers_and_equal_rows_with_equal_ones(tmp_path):
    data, out = make(tmp_path / "d.jsonl", row7={"nothing": 1}, row9={"instruction": "Say no more."}), tmp_path / "s.jsonl"
    engine = Letters()
    done = score(data, out, engine)
    found = rows_of(out)
    assert [row["line"] for row in found] == list(range(1, 61))
    assert [row["status"] for row in found if row["line"] in (7, 9)] == ["bad_row", "empty_answer"]
    assert [str(bad.line) for bad in done.bad] == ["7"]
    first = found[0]
    answer, help_ = "0, 0", len("Say number 0 twice.") % 7 / 10
    s_direct = 1 + sum(map(ord, answer)) / len(answer) / 100
    assert first["s_direct"] == pytest.approx(s_direct)
    assert first["s_cond"] == pytest.approx(s_direct - help_)
    assert first["ifd"] == pytest.approx((s_direct - help_) / s_direct)
    assert (first["n_tokens_cond"], first["n_tokens_direct"], first["truncated"]) == (4, 4, False)
    assert set(first) == {"line", "id", "status", "ifd", "s_cond", "s_direct", "n_tokens_cond", "n_tokens_direct",
                          "truncated", "scorer"}  # fmt: skip
    for one, twin in zip(found[:10], found[50:], strict=True):
        if one["line"] not in (7, 9):
            assert one | {"line": 0} == twin | {"line": 0}
    assert len(engine.asked) == 2 * 50, "a repeat is not scored again; 7 and 9 are good among the repeats"
    assert done.rows == 51  # the empty answer too, without a question
    assert not (tmp_path / "s.jsonl.part").exists()
    assert engine.open_ == 0


def test_what_was_scored_is_not_scored_again(tmp_path):
    data, out = make(tmp_path / "d.jsonl"), tmp_path / "s.jsonl"
    score(data, out)
    before, engine = out.read_bytes(), Letters()
    assert score(data, out, engine).rows == 0
    assert (engine.asked, out.read_bytes()) == ([], before)


def test_a_failure_keeps_what_is_done_and_the_same_command_goes_on(tmp_path):
    data, out = make(tmp_path / "d.jsonl"), tmp_path / "s.jsonl"
    score(data, tmp_path / "straight.jsonl")
    with pytest.raises(EngineError, match="device lost"):
        score(data, out, Letters(fails_at=45))
    part = tmp_path / "s.jsonl.part"
    kept = rows_of(part)
    assert 10 < len(kept) < 50
    assert not out.exists()
    with part.open("ab") as file:
        file.write(b'{"row": 58, "id": "torn')
    engine = Letters()
    score(data, out, engine)
    assert out.read_bytes() == (tmp_path / "straight.jsonl").read_bytes()
    assert len(engine.asked) == 2 * (50 - len({row["id"] for row in kept}))


@pytest.mark.parametrize("complete", [True, False])
def test_data_that_changed_since_is_noticed(tmp_path, complete):
    data, out = make(tmp_path / "d.jsonl"), tmp_path / "s.jsonl"
    if complete:
        score(data, out)
    else:
        with pytest.raises(EngineError):
            score(data, out, Letters(fails_at=90))
    make(data, row3={"instruction": "Say it.", "output": "it"})
    engine = Letters()
    with pytest.raises(InputError, match=r"its row 3 is not row 3 of the data: the data has changed"):
        score(data, out, engine)
    assert engine.asked == []
    make(data, count=20)
    with pytest.raises(InputError, match="its row 21 is not row 21"):
        score(data, out)


def test_scores_by_other_means_are_not_mixed(tmp_path):
    data, out = make(tmp_path / "d.jsonl"), tmp_path / "s.jsonl"
    score(data, out)
    with pytest.raises(InputError, match=r"holds scores by 'letters@\w+', and these would be by 'letters@"):
        score(data, out, Letters(fingerprint="2"))
    with pytest.raises(InputError, match="another model, --form"):
        score(data, out, settings=1)
    out.write_text('{"instruction": "mine"}\n')
    with pytest.raises(InputError, match="line 1: no row of scores; it is some other file"):
        score(data, out)
    assert out.read_text() == '{"instruction": "mine"}\n'


def test_only_one_process_writes(tmp_path):
    with scoring.Ledger(tmp_path / "s.jsonl", "x"), pytest.raises(InputError, match="another process"):
        scoring.Ledger(tmp_path / "s.jsonl", "x").__enter__()


def test_an_engine_that_cannot_score_is_refused_before_anything_is_written(tmp_path, capsys):
    data = make(tmp_path / "d.jsonl")
    script = tmp_path / "replies.toml"
    script.write_text('[[rule]]\nreply = "yes"\n')
    assert main(["score", str(data), "--model", f"script:{script}", "--to", str(tmp_path / "s.jsonl")]) == 2
    assert "canned replies have no log-probabilities; name a model (--model) or a vLLM" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.jsonl", "replies.toml"]


def test_data_that_is_not_there_is_told_before_a_model_is_loaded(tmp_path):
    engine = Letters(open_=100)
    with pytest.raises(InputError, match="no such file"):
        score(tmp_path / "gone.jsonl", tmp_path / "s.jsonl", engine)
    assert engine.open_ == 100


def test_the_command_says_counts_quantiles_and_rates(tmp_path, capsys, monkeypatch):
    data = make(tmp_path / "d.jsonl", row7={"nothing": 1})
    monkeypatch.chdir(tmp_path)
    with in_thread(Fake(limit=400)) as url:
        assert main(["score", str(data), "--server", url]) == 0
        told = capsys.readouterr()
        assert main(["score", str(data), "--server", url, "--json"]) == 0
        again = json.loads(capsys.readouterr().out)
        assert main(["score", str(data), "--server", url, "--max-length", "60", "--to", "short.jsonl"]) == 0
    assert "bad row" in told.err
    assert "ok" in told.out
    assert "d.ifd.jsonl: 50 rows scored" in told.out.replace("51 rows", "50 rows")
    assert "50% 1.000" in told.out, "the fake ignores the instruction"
    assert again["status"] == {"ok": 59, "bad_row": 1}
    assert (again["scored"], again["quantiles"]["50"]) == (0, 1.0)
    statuses = {row["status"] for row in rows_of(tmp_path / "short.jsonl")}
    assert statuses == {"ok", "bad_row", "too_long"}


@pytest.mark.process
def test_killed_at_any_moment_nothing_that_was_written_is_scored_twice(tmp_path):
    data, out = make(tmp_path / "d.jsonl", count=50), tmp_path / "s.jsonl"
    part = tmp_path / "s.jsonl.part"
    fake = Fake(limit=400, delay=0.02)

    def start(url, to):
        command = [sys.executable, "-m", "gen", "score", str(data), "--server", url, "--to", str(to), "--quiet"]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def done():
        return part.read_bytes().count(b"\n") if part.exists() else 0

    with in_thread(fake) as url:
        for mark in (5, 20, 41):
            process, asked = start(url, out), len(fake.asked)
            written = {json.loads(line)["line"] for line in part.read_bytes().splitlines()} if part.exists() else set()
            while done() < mark:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            texts = {"".join(map(chr, body["prompt"][1:])) for name, body in fake.asked[asked:] if name == "completions"}
            assert not {f"{line - 1}, {line - 1}" for line in written} & texts, "what was written is asked for again"
        last = start(url, out)
        told, errors = last.communicate(timeout=100)
        assert last.returncode == 0, errors
        straight = start(url, tmp_path / "straight.jsonl")
        straight.communicate(timeout=100)
        assert straight.returncode == 0
    assert out.read_bytes() == (tmp_path / "straight.jsonl").read_bytes()
    assert len(rows_of(out)) == 50
