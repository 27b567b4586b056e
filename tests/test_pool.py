"""The pool against a real SQLite file and real processes.

Longer than 300 lines because all its tests share the rows made at its top."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gen.core import KEEP, Candidate, Completion, Lineage, Message, Request, Sample, Sampling, Score, Verdict, replace
from gen.disk import Unfit
from gen.errors import PoolError, UserError
from gen.pool import AWAITED, GAPS, GROWN_AFTER, IDS, KEPT, GrownRow, Pool
from gen.tally import COUNTED, TALLY, FunnelRow

ROOT = Path(__file__).parent.parent
LONG = "A long line that repeats itself. " * 40
ODD = "NUL \0, a smile \U0001f600, right to left \u202e, separator \u2028, combining e\u0301, 日本語, #no, =nor"


@pytest.fixture
def pool(tmp_path):
    with Pool.open(tmp_path / "run") as pool:
        yield pool


def sample(id, *, root="root", round=1, operation="deepen", instruction="Say why.", response="Because.", **more):
    return Sample(id, instruction, Lineage(root, "p", 0, round, operation, ("a@b",)), response=response, **more)


def grown(call, *candidates, stage=0, round=1, seed=None, heirs=(), tokens=7, asked=(), error=""):
    seed = seed or Sample("root", "Seed.", Lineage("root"))
    return GrownRow(stage, round, call, seed, candidates, tuple(heirs), tokens, tuple(asked), error)


def one(call, id, failure=None, **more):
    return grown(call, Candidate(sample(id, **more), failure), round=more.get("round", 1))


def commit(pool, *rows):
    async def all_at_once():
        await asyncio.gather(*(pool.commit_grown(row) for row in rows))

    asyncio.run(all_at_once())


def record(pool, *rows):
    async def all_at_once():
        await asyncio.gather(*(pool.record(key, "engine", request, reply) for key, request, reply in rows))

    asyncio.run(all_at_once())


def question(text="Why?", **more):
    messages = (Message("system", LONG), Message("user", text))
    return Request("evolver", messages, Sampling(0.7, 0.9, 99), "rewrite", **more)


# --- values come back as they went in


EDGES = ["", "short", LONG, ODD, ODD * 30, "=", "#", "x" * 80, "x" * 81, "\0" * 500, os.urandom(900).hex()]


@pytest.mark.parametrize("text", EDGES, ids=range(len(EDGES)))
def test_journal_gives_back_what_was_recorded(pool, text):
    asked = question(text, attempt=2, schema={"type": "object", "nested": {"x": [1, None, text]}}, prompt="p@1", seed=5)
    reply = Completion(text, "length", text + "why", 3, 4, "note")
    record(pool, ("key", asked, reply))
    assert pool.lookup("key") == reply
    assert pool.asked(["key", "absent"]) == [(asked, reply)]
    assert pool.lookup("absent") is None
    assert pool.journal_count() == 1


@pytest.mark.parametrize("schema", [None, {}, {"": "x"}, {"enum": [LONG]}])
def test_schema_of_a_request_comes_back(pool, schema):
    record(pool, ("key", question(schema=schema), Completion("x")))
    assert pool.asked(["key"])[0][0].schema == schema


def test_first_completion_under_a_key_stays(pool):
    record(pool, ("key", question(), Completion("first")), ("key", question(), Completion("second")))
    assert pool.lookup("key") == Completion("first")


@pytest.mark.parametrize("text", [ODD, LONG + ODD])
def test_conversation_comes_back_whole_and_after_reopening(tmp_path, text):
    turns = (Message("user", text), Message("assistant", "ok"))
    meta = {"a": [1, {text: text}]}
    made = sample("id", instruction=text, response=text, input=text, system=text, turns=turns, meta=meta)
    failed = replace(sample("id2"), response=None)
    why = Verdict(False, "same", "evolve", 0.5, "id", text)
    both = Candidate(made), Candidate(failed, why)
    row = grown("c", *both, heirs=(made, failed), asked=("k1", "k2"), error=text, seed=made)
    with Pool.open(tmp_path) as pool:
        commit(pool, row)
    with Pool.open(tmp_path) as pool:
        assert pool.grown(0, 1, "c") == row
        assert pool.grown_of("id2") == row
        assert pool.grown_after(0, None, 9) == [row]
        assert pool.heirs(0, 1, "c") == [made, failed]
        assert pool.sample("id") == made
        assert pool.failure("id2") == why
        assert pool.failure("id") is None
        assert pool.heirs(0, 1, "d") == []
        assert [pool.grown(0, 1, "d"), pool.grown_of("zz"), pool.sample("zz"), pool.failure("zz")] == [None] * 4


def test_lone_surrogates_become_replacement_characters_everywhere(pool):
    bad, good = "a\ud800b\ud83d\ude00" + LONG, "a\ufffdb\U0001f600" + LONG
    record(pool, ("key", question(bad, schema={bad: bad}), Completion(bad, note=bad)))
    assert pool.asked(["key"]) == [(question(good, schema={good: good}), Completion(good, note=good))]
    failed = Candidate(sample("id", instruction=bad, meta={"x": bad}), Verdict(False, bad, bad))
    commit(pool, grown(bad, failed, error=bad))
    assert pool.sample("id") == sample("id", instruction=good, meta={"x": good})
    assert pool.grown(0, 1, good).error == good
    pool.add_verdicts(1, [("id", Verdict(False, bad, bad, 1.0, bad, bad))], {"at": bad})
    assert pool.verdicts("id") == [(1, Verdict(False, good, good, 1.0, good, good))]
    assert pool.state("at") == good
    assert pool.sample("\ud800") is None


def test_state_is_json_and_defaults(pool):
    assert pool.state("x") is None
    assert pool.state("x", 3) == 3
    for value in [None, 1, [1, "é\0"], {"a": {"b": 2**70}}, 0.1]:
        pool.set_state("x", value)
        assert pool.state("x", "default") == value


def test_verdicts_and_scores_come_back_in_order(pool):
    commit(pool, one("c", "aa"))
    given = [Verdict(True, "", "length", 3.0), Verdict(False, "near_duplicate", "rouge", 0.9, "bb", "the passage")]
    pool.add_verdicts(2, [("aa", verdict) for verdict in given])
    pool.add_verdicts(1, [("aa", KEEP)])
    pool.add_verdicts(2, [], scores=[("aa", Score("ifd", None, "#too long")), ("aa", Score("ppl", 0.25))])
    assert pool.verdicts("aa") == [(1, KEEP), (2, given[0]), (2, given[1])]
    assert pool.scores("aa") == [(2, Score("ifd", None, "#too long")), (2, Score("ppl", 0.25))]


# --- order, families, counts


def test_order_is_canonical_whatever_arrives_first(pool):
    rows = [one(call, f"0{round}{call}", round=round) for round in (2, 1) for call in ("b", "é", "a", "B")]
    commit(pool, *rows)
    order = [(1, "B"), (1, "a"), (1, "b"), (1, "é"), (2, "B"), (2, "a"), (2, "b"), (2, "é")]
    assert [(g.round, g.call) for g in pool.grown_after(0, None, 100)] == order
    assert [(g.round, g.call) for g in pool.grown_after(0, (1, "b"), 2)] == [(1, "é"), (2, "B")]
    assert pool.grown_after(1, None, 100) == []
    pool.add_verdicts(1, [(g.candidates[0].sample.id, KEEP) for g in reversed(rows)])
    assert [s.id for s in pool.kept(1)] == [f"0{round}{call}" for round, call in order]
    assert [s.id for s in pool.family("root")] == ["root"] + [f"0{round}{call}" for round, call in order]


def test_kept_is_complete_over_many_pages(pool):
    rows = [one(f"{i:05}", f"s{i:05}") for i in range(700)]
    commit(pool, *rows)
    pool.add_verdicts(1, [(f"s{i:05}", KEEP) for i in range(700)])
    assert [s.id for s in pool.kept(1)] == [f"s{i:05}" for i in range(700)]


def test_kept_needs_every_verdict_of_its_own_gate_run_to_keep(pool):
    commit(pool, *(one(id, id) for id in "abcde"), one("f", "f", Verdict(False, "same", "evolve")))
    drop = Verdict(False, "x", "y")
    pool.add_verdicts(1, [("a", KEEP), ("b", KEEP), ("b", drop), ("c", drop), ("c", KEEP)])
    pool.add_verdicts(2, [("c", KEEP), ("d", KEEP), ("d", KEEP), ("e", drop)])
    assert [s.id for s in pool.kept(1)] == ["a"]
    assert [s.id for s in pool.kept(2)] == ["c", "d"]


def test_funnel_counts_each_candidate_once(pool):
    same = Verdict(False, "same_as_parent", "evolve")
    short, near = Verdict(False, "too_short", "length"), Verdict(False, "near_duplicate", "rouge")
    commit(
        pool, one("1", "a"), one("2", "b"), one("3", "c"), one("4", "d", same), one("5", "e", operation="breadth"),
        one("6", "f", round=2), one("7", "g", round=2),
    )
    pool.add_verdicts(1, [("a", KEEP), ("b", short), ("c", Verdict(True, by="length")), ("c", near)])
    pool.add_verdicts(1, [("f", KEEP), ("g", KEEP)])
    pool.add_verdicts(2, [("a", short)])
    assert pool.funnel(1) == [
        FunnelRow(1, "breadth", "", "pending", 1, False),
        FunnelRow(1, "deepen", "", "", 1, True),
        FunnelRow(1, "deepen", "evolve", "same_as_parent", 1, False),
        FunnelRow(1, "deepen", "length", "too_short", 1, False),
        FunnelRow(1, "deepen", "rouge", "near_duplicate", 1, False),
        FunnelRow(2, "deepen", "", "", 2, True),
    ]
    assert sum(row.count for row in pool.funnel(2)) == 7
    assert {(row.reason, row.count) for row in pool.funnel(2)} == {
        ("pending", 1), ("pending", 2), ("too_short", 1), ("same_as_parent", 1)}


def test_prefix_must_be_unique(pool):
    commit(pool, one("1", "abc1"), one("2", "abc2"), one("3", "abc12"))
    assert pool.sample("abc2") is not None
    assert pool.sample("abc1").id == "abc1"  # a whole id wins over the longer ones
    assert pool.sample("ro").id == "root"  # a seed that is nobody's candidate
    assert pool.grown_of("root") is None
    with pytest.raises(UserError, match="abc1, abc12, abc2"):
        pool.sample("abc")


def test_committing_a_conversation_again_changes_nothing(pool):
    first = grown("c", Candidate(sample("a")), Candidate(sample("b")))
    commit(pool, first)
    commit(pool, first, replace(first, candidates=(), tokens=99))
    assert pool.grown(0, 1, "c") == first
    assert len(pool.family("root")) == 3


def test_a_sample_may_be_a_candidate_of_several_stages(pool):
    seed = Sample("root", "Seed.", Lineage("root"))
    stages = [replace(seed, response=str(stage)) for stage in range(3)]
    for stage in (0, 2, 1):
        commit(pool, grown("c", Candidate(stages[stage]), stage=stage, round=0, seed=seed))
    with pytest.raises(PoolError, match=r"id root .* is taken already"):
        commit(pool, grown("d", Candidate(seed), stage=1, round=0, seed=seed))
    assert pool.sample("root") == stages[2]
    assert pool.grown_of("root").stage == 2
    assert pool.family("root") == stages
    drop = Verdict(False, "x", "y")
    pool.add_verdicts(1, [("root", drop)])
    pool.add_verdicts(1, [("root", KEEP)], stage=0, scores=[("root", Score("x", 1.0))])
    assert list(pool.kept(1)) == [stages[0]]
    assert pool.verdicts("root") == [(1, drop)]
    assert pool.scores("root") == []
    with pytest.raises(PoolError, match="not in the pool"):
        pool.add_verdicts(1, [("root", KEEP)], stage=3)


def test_queries_over_the_whole_pool_use_indices(pool):
    def plan(sql):
        return " / ".join(row[3] for row in pool._rows(f"EXPLAIN QUERY PLAN {sql}", *[1] * sql.count("?")))

    kept, after, ids = plan(KEPT), plan(f"SELECT body FROM grown {GROWN_AFTER}"), plan(IDS)
    funnel, counted, due, gaps = plan(TALLY), plan(COUNTED), plan(AWAITED), plan(GAPS)
    assert "SEARCH s USING INDEX sample_place (stage=? AND (round,call,place)>" in kept
    assert "SEARCH v USING COVERING INDEX verdict_sample (sample=? AND gate_run=?)" in kept
    assert "SEARCH grown USING INDEX grown_place (stage=? AND (round,call)>" in after
    assert "SEARCH tally USING PRIMARY KEY (stage=? AND gate_run=?)" in funnel
    assert "SEARCH verdict USING INDEX verdict_sample (sample=? AND gate_run=?)" in counted
    assert "SEARCH due USING PRIMARY KEY (stage=? AND round<?)" in due
    assert "SEARCH grown USING COVERING INDEX grown_place (stage=? AND round=? AND call>?)" in gaps
    assert "COVERING INDEX sample_id (id>? AND id<?)" in ids
    assert "COVERING INDEX grown_seed (seed_id>? AND seed_id<?)" in ids
    assert "TEMP B-TREE" not in kept + after + ids + funnel + counted + due + gaps
    assert "SCAN" not in kept + after + ids + funnel + counted + due


# --- writing


def test_concurrent_records_share_transactions(pool):
    seen = []
    pool._store._db.set_trace_callback(seen.append)
    record(pool, *((f"k{i}", question(str(i)), Completion(str(i))) for i in range(1000)))
    assert pool.journal_count() == 1000
    assert 0 < seen.count("COMMIT") < 100


def test_a_text_is_stored_once_and_compressed(pool):
    record(pool, *((f"k{i}", question(str(i)), Completion(LONG + str(i % 2))) for i in range(300)))
    rows = pool._rows("SELECT body FROM text")
    assert len(rows) == 3  # the system prompt and two replies
    assert all(isinstance(body, bytes) and len(body) < len(LONG) / 5 for (body,) in rows)


def test_a_text_of_a_rolled_back_write_is_stored_again(pool):
    commit(pool, one("1", "taken"))
    with pytest.raises(PoolError, match="id taken"):
        commit(pool, one("2", "taken", instruction=LONG))
    record(pool, ("k", question(LONG), Completion(LONG)))
    assert pool.lookup("k") == Completion(LONG)


def test_one_bad_write_fails_alone(pool):
    async def go():
        rows = [one("1", "taken"), *(one(f"c{i}", f"s{i}") for i in range(20)), one("2", "taken"), one("3", "last")]
        return await asyncio.gather(*(pool.commit_grown(row) for row in rows), return_exceptions=True)

    failed = [out for out in asyncio.run(go()) if out is not None]
    assert [type(error) for error in failed] == [PoolError]
    assert len(pool.grown_after(0, None, 99)) == 22


def test_what_json_cannot_hold_fails_at_the_caller(pool):
    with pytest.raises(PoolError, match="TypeError"):
        commit(pool, one("c", "a", meta={"x": object()}))
    with pytest.raises(PoolError, match="TypeError"):
        pool.set_state("x", object())
    assert pool.grown_after(0, None, 9) == []


def test_verdicts_and_state_are_one_transaction(pool):
    commit(pool, one("1", "a"))
    pool.add_verdicts(1, [("a", KEEP)], {"at": 1})
    assert pool.state("at") == 1
    with pytest.raises(PoolError, match="'absent' is not in the pool"):
        pool.add_verdicts(1, [("a", KEEP), ("absent", KEEP)], {"at": 2})
    assert pool.state("at") == 1
    assert pool.verdicts("a") == [(1, KEEP)]


def test_threads_and_loops_may_share_a_pool(pool):
    def work(name):
        record(pool, *((f"{name}{i}", question(), Completion(LONG + str(i))) for i in range(50)))
        assert [pool.lookup(f"{name}{i}").text for i in range(50)] == [LONG + str(i) for i in range(50)]

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.journal_count() == 200


def test_a_cancelled_wait_leaves_the_writer_alive(pool):
    async def go():
        task = asyncio.create_task(pool.record("a", "e", question(), Completion("x")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pool.record("b", "e", question(), Completion("y"))

    asyncio.run(go())
    assert pool.lookup("a") == Completion("x")
    assert pool.lookup("b") == Completion("y")


def test_closed_pool_refuses_in_words(tmp_path):
    pool = Pool.open(tmp_path)
    pool.close()
    with pytest.raises(PoolError, match="closed"):
        pool.set_state("x", 1)
    with pytest.raises(PoolError, match="closed"):
        pool.state("x")


# --- disks, files, processes


def test_full_disk_reaches_every_awaiting_caller_and_what_was_committed_stays(tmp_path):
    pool = Pool.open(tmp_path)
    record(pool, ("safe", question(), Completion("safe")))
    pool._store.write(lambda db: db.execute("PRAGMA max_page_count = 40"))

    async def go():
        rows = ((f"k{i}", question(), Completion(os.urandom(2000).hex())) for i in range(300))
        return await asyncio.wait_for(
            asyncio.gather(*(pool.record(k, "e", q, c) for k, q, c in rows), return_exceptions=True), 20)

    told = asyncio.run(go())
    errors = [out for out in told if out is not None]
    assert len(errors) > 200
    assert told[-1] is not None, "once the disk is full, nothing is written any more"
    assert all(isinstance(error, PoolError) and "disk is full" in str(error) for error in errors)
    with pytest.raises(PoolError, match="disk is full"):
        pool.set_state("x", 1)
    pool.close()
    with Pool.open(tmp_path) as pool:
        assert pool.lookup("safe") == Completion("safe")
        assert pool.journal_count() == 1 + 300 - len(errors)


FULL = """
import asyncio, os, resource, sys
from pathlib import Path
from gen.core import *
from gen.errors import PoolError
from gen.pool import Pool
async def go(pool):
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    for i in range(1000):
        await pool.record(f"k{i}", "e", Request("judge", (), Sampling(), "s"), Completion(os.urandom(2000).hex()))
        print(i, flush=True)
with Pool.open(Path(sys.argv[1])) as pool:
    asyncio.run(go(pool))
"""


def test_a_file_that_cannot_grow_stops_the_run_with_a_pool_error(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "gen.disk.Halted" in done.stderr
    with Pool.open(tmp_path) as pool:
        assert pool.journal_count() == len(done.stdout.split()) > 0


def test_reading_goes_on_while_another_pool_writes(tmp_path):
    with pytest.raises(Unfit, match=r"no pool\.db"):
        Pool.open(tmp_path / "nowhere", readonly=True)
    assert not (tmp_path / "nowhere").exists()
    with Pool.open(tmp_path) as writer, Pool.open(tmp_path, readonly=True) as reader:
        commit(writer, one("1", "a"))
        assert reader.sample("a") == writer.sample("a")
        writer.add_verdicts(1, [("a", KEEP)], {"at": 1})
        writer.set_state("x", 1)
        assert [s.id for s in reader.kept(1)] == ["a"]
        with pytest.raises(PoolError, match="reading only"):
            reader.set_state("x", 2)
    with Pool.open(tmp_path, readonly=True) as reader:
        assert reader.state("at") == 1


def test_a_damaged_pool_says_what_to_do(tmp_path):
    with Pool.open(tmp_path) as pool:
        record(pool, *((f"k{i}", question(), Completion(os.urandom(500).hex())) for i in range(200)))
    path = tmp_path / "pool.db"
    data = bytearray(path.read_bytes())
    data[4096 * 2:] = os.urandom(len(data) - 4096 * 2)
    path.write_bytes(data)
    with Pool.open(tmp_path, readonly=True) as pool, pytest.raises(PoolError, match=r"damaged.*\.recover"):
        pool.lookup("k1")


@pytest.mark.parametrize("harm", [
    "DELETE FROM text", "UPDATE text SET body = x'ffff'", "UPDATE journal SET payload = x'7b22'",
    "UPDATE journal SET payload = '{}'",
])
def test_a_row_that_makes_no_sense_is_a_damaged_file(tmp_path, harm):
    with Pool.open(tmp_path) as pool:
        record(pool, ("k", question(), Completion(LONG)))
    db = sqlite3.connect(tmp_path / "pool.db")
    with db:
        db.execute(harm)
    db.close()
    with Pool.open(tmp_path) as pool, pytest.raises(PoolError, match="the file is damaged; restore a copy"):
        pool.lookup("k")
