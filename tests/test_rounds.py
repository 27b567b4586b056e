"""Rounds: canonical order whatever arrives first, budgets that are exact, runs that go on."""

import asyncio
import pickle
import random
import time

import pytest

from gen.core import Candidate, Completion, Grown, Request, Sampling, child, replace
from gen.engines.scripted import Scripted
from gen.engines.turns import Turns
from gen.errors import GenError, Unavailable
from gen.gate import Admission, Gate
from gen.order import Batches, Order, Turn
from gen.pool import Pool
from gen.rollout import Talk, abreast
from gen.rounds import NOBODY
from gen.seeds.supply import Supply


def texts(samples):
    return [(s.id, s.lineage.round, s.instruction, s.response) for s in samples]


class Jittery(Scripted):
    """The same replies, in an order that differs from run to run."""

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(random.random() / 200)
        return await super().complete(request)


@pytest.fixture
def straight(tmp_path, seeds, hold):
    return texts(hold(tmp_path / "straight", seeds, rounds=5)[1])


def test_the_pool_does_not_depend_on_concurrency_or_arrival(tmp_path, seeds, hold, straight, write):
    for width in (1, 3, 64):
        _, kept = hold(tmp_path / f"w{width}", seeds, engine=Jittery(write, width=width), rounds=5)
        assert texts(kept) == straight


def test_conversations_begin_as_the_engine_keeps_up(tmp_path, seeds, hold, straight, write):
    """An engine that says itself how many it keeps up with: no more than that, and a quarter, are under way."""
    room, under_way, runs = [2], [], []

    class Paced(Scripted):
        turns = Turns(lambda: room[0])

        async def in_turn(self, request):
            assert self.turns.taken <= room[0]
            under_way.append(runs[0].order.active)
            await asyncio.sleep(0.001)
            return await super().complete(request)

        async def complete(self, request):
            raise AssertionError("asked without a turn")

    def widen(run):
        runs.append(run)
        run.heard.append(lambda: room.__setitem__(0, 8 if run.judged > 40 else 2))

    _, kept = hold(tmp_path / "run", seeds, engine=Paced(write, width=100), rounds=5, on_run=widen)
    assert texts(kept) == straight
    assert max(under_way[:20]) <= 3
    assert 4 < max(under_way) <= 11
    assert Paced.turns.taken == 0


def test_more_rounds_go_on_and_equal_a_straight_run(tmp_path, seeds, hold, straight):
    _, three = hold(tmp_path / "run", seeds, rounds=3)
    run, five = hold(tmp_path / "run", seeds, rounds=5)
    assert texts(three) == straight[: len(three)]
    assert texts(five) == straight
    assert run.talk.replies["replayed"] == 0, "what is done is not even replayed"


@pytest.mark.parametrize("target", [1, 30, 47])
def test_a_target_is_met_exactly_and_is_a_beginning_of_the_straight_run(tmp_path, seeds, hold, straight, target):
    run, kept = hold(tmp_path / "run", seeds, rounds=5, budget={"target": target})
    assert run.why == "target"
    assert texts(kept) == straight[:target]
    _, more = hold(tmp_path / "run", seeds, rounds=5, budget={"target": target + 10})
    assert texts(more) == straight[: target + 10]


def test_a_token_budget_is_counted_in_canonical_order(tmp_path, seeds, hold, straight):
    ends = set()
    for width in (1, 16):
        run, kept = hold(tmp_path / f"w{width}", seeds, width=width, rounds=5, budget={"max_tokens": 900})
        assert run.why == "max_tokens"
        assert 900 <= run.admission.position.tokens < 1000
        assert texts(kept) == straight[: len(kept)]
        ends.add(len(kept))
    assert len(ends) == 1
    _, all_of_it = hold(tmp_path / "w16", seeds, rounds=5)
    assert texts(all_of_it) == straight


def test_little_is_asked_beyond_a_budget(tmp_path, seeds, hold, write):
    slow = Scripted(write, width=4, delay=0.01)  # slower than the gate, as models are, also on a busy machine
    run, _ = hold(tmp_path / "run", seeds, engine=slow, rounds=5, budget={"max_tokens": 900})
    assert run.talk.tokens < 900 + 5 * 60, "at most what was in flight"


def test_time_ends_a_run_cleanly_and_it_goes_on(tmp_path, seeds, hold, straight, write):
    slow = Scripted(write, width=2, delay=0.02)
    run, kept = hold(tmp_path / "run", seeds, engine=slow, rounds=5, budget={"max_time": 0.005})
    assert run.why == "max_time"
    assert texts(kept) == straight[: len(kept)]
    assert texts(hold(tmp_path / "run", seeds, rounds=5)[1]) == straight


def test_an_interrupted_run_records_what_was_in_flight_and_goes_on(tmp_path, seeds, hold, straight, write):
    slow = Scripted(write, width=4, delay=0.01)
    stop = lambda run: asyncio.get_running_loop().call_later(0.1, run.stop, "interrupted")
    run, kept = hold(tmp_path / "run", seeds, engine=slow, rounds=5, on_run=stop)
    assert run.why == "interrupted"
    assert 0 < run.done < 120
    assert texts(kept) == straight[: len(kept)]
    again, whole = hold(tmp_path / "run", seeds, rounds=5)
    assert texts(whole) == straight
    asked = sum(run.talk.replies.values()) + sum(again.talk.replies.values()) - again.talk.replies["replayed"]
    reference, _ = hold(tmp_path / "other", seeds, rounds=5)
    assert asked == sum(reference.talk.replies.values()), "nothing was asked twice"


@pytest.mark.parametrize("most", range(4, 24, 4))
def test_fewer_rounds_than_were_begun_leave_what_is_beyond_to_a_later_run(tmp_path, seeds, hold, straight, write, most):
    """The gate does not pass by what is missing of a round that was interrupted."""
    runs, late = [], []

    class Stopping(Scripted):
        async def complete(self, request):
            if runs[0].admission.position.round == 5:
                late.append(request)
            if len(late) > most:
                runs[0].stop("interrupted")
            await asyncio.sleep(0.02 if len(late) == 1 else 0)
            return await super().complete(request)

    hold(tmp_path / "run", seeds, engine=Stopping(write, width=3), rounds=5, on_run=runs.append)
    assert (runs[0].why, runs[0].admission.position.round) == ("interrupted", 5)
    fewer, _ = hold(tmp_path / "run", seeds, rounds=3)
    assert fewer.why == "complete"
    assert texts(hold(tmp_path / "run", seeds, rounds=5)[1]) == straight


def test_the_engine_is_kept_busy_while_one_lineage_straggles(tmp_path, seeds, hold, write):
    """No barrier between rounds: everything but the straggler's own family finishes meanwhile."""
    class Straggling(Scripted):
        held, done = asyncio.Event, 0

        async def complete(self, request):
            if "number 0." in request.messages[-1].content and request.role == "evolver":
                while self.done < 150:
                    await asyncio.sleep(0.001)
            self.done += 1
            return await super().complete(request)

    engine = Straggling(write, width=4)
    run, kept = hold(tmp_path / "run", seeds, engine=engine, rounds=3)
    assert run.why == "complete"
    assert engine.done > 150


def test_each_round_grows_from_the_last_success_of_its_lineage(tmp_path, seeds, hold):
    hold(tmp_path / "run", seeds, rounds=3)
    with Pool.open(tmp_path / "run") as pool:
        for seed in seeds:
            heir = seed.id
            for round in range(1, 4):
                rows = [s for s in pool.family(seed.id) if s.lineage.round == round]
                assert len(rows) == 1, "one child a row and round"
                [sample] = rows
                assert sample.lineage.root == seed.id
                assert sample.lineage.parent == heir
                heir = heir if pool.failure(sample.id) else sample.id


def test_an_engine_that_is_gone_stops_the_run_and_nothing_is_lost(tmp_path, seeds, hold, straight, write):
    class Dying(Scripted):
        left = 40

        async def complete(self, request):
            self.left -= 1
            if self.left < 0:
                raise Unavailable("127.0.0.1: nothing answers; start the server and run the same command again")
            return await super().complete(request)

    with pytest.raises(Unavailable, match="nothing answers"):
        hold(tmp_path / "run", seeds, engine=Dying(write), rounds=5)
    with Pool.open(tmp_path / "run") as pool:
        assert pool.journal_count() == 40
    run, kept = hold(tmp_path / "run", seeds, rounds=5)
    assert texts(kept) == straight
    assert run.talk.replies["replayed"] > 0


class Fan:
    """A loop that proposes three samples a seed, of which two go on; the third fails."""

    def asks(self):
        return ()

    def answer(self, seed):
        yield from ()
        return Grown((Candidate(seed),), (seed,))

    def grow(self, seed, rng):
        asked = [Request("evolver", seed.messages[:1], Sampling(), "fan", attempt=i) for i in range(2)]
        replies = yield asked
        made = [child(seed, f"fan{i}", f"{seed.instruction} {r.text}", response="x") for i, r in enumerate(replies)]
        return Grown(tuple(map(Candidate, made)), tuple(made))


def test_heirs_may_fan_out_and_stay_in_canonical_order(tmp_path, seeds, hold):
    kept = {}
    for width in (1, 16):
        engine = Jittery(lambda r: f"{r.seed}", width=width)
        swap = lambda run: setattr(run, "recipe", replace(run.recipe, params=Fan()))
        run, samples = hold(tmp_path / f"w{width}", seeds[:4], engine=engine, rounds=3, on_run=swap)
        kept[width] = texts(samples)
        assert run.done == 4 + 4 + 8 + 16
    assert kept[1] == kept[16]
    assert [r for _, r, _, _ in kept[1]] == sorted(r for _, r, _, _ in kept[1])
    assert len(kept[1]) == 4 * (1 + 2 + 4 + 8)


class Twice(Fan):
    def answer(self, seed):
        yield from ()
        return Grown((), (seed, seed))

    def grow(self, seed, rng):
        yield from ()
        made = child(seed, "twice", seed.instruction, response="x")
        return Grown((Candidate(made),), (made, made))


def test_an_heir_that_is_named_twice_goes_on_once(tmp_path, seeds, hold):
    swap = lambda run: setattr(run, "recipe", replace(run.recipe, params=Twice()))
    run, _ = hold(tmp_path / "run", seeds[:2], rounds=2, on_run=swap)
    assert run.done == 2 * 3


class Broken(Fan):
    def grow(self, seed, rng):
        yield []
        raise KeyError("oops")


def test_a_loops_own_bug_costs_a_conversation_and_many_of_them_the_run(tmp_path, seeds, hold):
    swap = lambda run: setattr(run, "recipe", replace(run.recipe, params=Broken()))
    run, kept = hold(tmp_path / "few", seeds[:3], rounds=1, on_run=swap)
    assert run.admission.position.dropped["loop_failed"] == 3
    assert len(kept) == 3
    with pytest.raises(GenError, match=r"failed in its own code, the last with KeyError: 'oops'"):
        hold(tmp_path / "many", seeds, rounds=5, on_run=swap)


def test_request_seeds_depend_on_the_path_alone():
    seen = []

    class Listen:
        fingerprint, model, width = "f", "m", 4

        async def complete(self, request):
            seen.append(request.seed)
            return Completion("ok")

    class Forget:
        def lookup(self, key):
            return None

        async def record(self, *_):
            pass

    def ask(step, attempt):
        yield [Request("judge", (), Sampling(), step, attempt)]

    async def go():
        talk = Talk({"judge": Listen()}, Forget(), 7)
        for path, step, attempt in [((0, 1, "a"), "x", 0), ((0, 1, "a"), "x", 0), ((0, 2, "a"), "x", 0),
                                    ((0, 1, "b"), "x", 0), ((0, 1, "a"), "y", 0), ((0, 1, "a"), "x", 1)]:  # fmt: skip
            await talk.hold(ask(step, attempt), path)

    asyncio.run(go())
    assert seen[0] == seen[1]
    assert len(set(seen)) == 5


class Pair(Fan):
    def answer(self, seed):
        yield [Request("evolver", seed.messages[:1], Sampling(), "pair", attempt=i) for i in range(2)]
        return Grown((Candidate(seed),), (seed,))


def test_a_reply_beside_a_question_that_failed_is_still_recorded(tmp_path, seeds, hold, write):
    class Half(Scripted):
        async def complete(self, request):
            if request.attempt == 0:
                raise Unavailable("gone")
            await asyncio.sleep(0.05)
            return await super().complete(request)

    swap = lambda run: setattr(run, "recipe", replace(run.recipe, params=Pair()))
    with pytest.raises(Unavailable):
        hold(tmp_path / "run", seeds[:1], engine=Half(write), rounds=0, on_run=swap)
    with Pool.open(tmp_path / "run") as pool:
        assert pool.journal_count() == 1


def test_a_question_that_is_put_twice_at_once_is_asked_once():
    class Moody:
        fingerprint, model, width, asked = "f", "m", 4, 0

        async def complete(self, request):
            self.asked += 1
            await asyncio.sleep(0)
            return Completion(f"reply {self.asked}")

    class Forget:
        def lookup(self, key):
            return None

        async def record(self, *_):
            pass

    def twice():
        return (yield [Request("judge", (), Sampling(), "x")] * 2)

    engine = Moody()
    told = asyncio.run(Talk({"judge": engine}, Forget(), 7).hold(twice(), (0,)))
    assert engine.asked == 1
    assert told.result[0] == told.result[1]


def test_a_filter_that_fails_ends_the_run_and_nothing_more_is_begun(tmp_path, seeds, hold):
    class Faulty:
        passport = type("P", (), {"name": "faulty"})

        def check(self, sample):
            raise ZeroDivisionError("by zero")

    runs = []
    swap = lambda run: (runs.append(run), setattr(run.admission, "gate", Gate([Faulty()])))
    with pytest.raises(GenError, match=r"filter 'faulty' failed on sample .*: ZeroDivisionError: by zero; mend it"):
        hold(tmp_path / "run", seeds, width=2, rounds=5, on_run=swap)
    [run] = runs
    assert run.why == "failed"
    assert not run._tasks


def test_drops_are_counted_once_when_a_run_goes_on(tmp_path, seeds, hold):
    whole, _ = hold(tmp_path / "whole", seeds, rounds=3)
    for target in (5, 20, 35):
        hold(tmp_path / "run", seeds, rounds=3, width=64, budget={"target": target})
    run, _ = hold(tmp_path / "run", seeds, rounds=3)
    assert dict(run.admission.position.dropped) == dict(whole.admission.position.dropped)


@pytest.mark.parametrize("ahead", [1, 7, 30])
@pytest.mark.parametrize("straggler", [False, True])
def test_asking_waits_for_a_gate_that_is_far_behind(
    tmp_path, seeds, hold, straight, write, monkeypatch, ahead, straggler
):
    """What waits for the gate is bounded, and neither waits for the other for ever."""
    monkeypatch.setattr("gen.rounds.AHEAD", ahead)
    judge, found, most = Admission.judge, [], [0]

    def slowly(self, pool, rows):
        time.sleep(0.01)
        judge(self, pool, rows)

    class Watched(Scripted):
        done = 0

        async def complete(self, request):
            if straggler and "number 0." in request.messages[-1].content:
                while self.done < ahead and self.done < 30:
                    await asyncio.sleep(0.001)
            self.done += 1
            most[0] = max(most[0], found[0].done - found[0].judged)
            return await super().complete(request)

    monkeypatch.setattr(Admission, "judge", slowly)
    run, kept = hold(tmp_path / "run", seeds, engine=Watched(write, width=4), on_run=found.append, rounds=5)
    assert (run.why, texts(kept)) == ("complete", straight)
    assert most[0] < ahead + abreast(run.engines.values())


def test_an_interrupted_run_does_not_wait_for_all_that_a_slow_gate_has_left(
    tmp_path, seeds, hold, straight, monkeypatch
):
    judge = Admission.judge

    def slowly(self, pool, rows):
        time.sleep(0.05 * len(rows))
        judge(self, pool, rows)

    monkeypatch.setattr("gen.rounds.GRACE", 0.3)
    monkeypatch.setattr("gen.gate.BATCH", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Admission, "judge", slowly)
        stop = lambda run: asyncio.get_running_loop().call_later(0.5, run.stop, "interrupted")
        run, kept = hold(tmp_path / "run", seeds, rounds=5, on_run=stop)
    assert run.why == "interrupted"
    assert run.judged < run.done - 20
    assert texts(kept) == straight[: len(kept)]
    assert texts(hold(tmp_path / "run", seeds, rounds=5)[1]) == straight


def test_the_gate_reads_little_while_it_waits_for_a_straggler(tmp_path, seeds, hold, write, monkeypatch):
    class Straggling(Scripted):
        done = 0

        async def complete(self, request):
            if "number 0." in request.messages[-1].content:
                while self.done < 150:
                    await asyncio.sleep(0.001)
            self.done += 1
            return await super().complete(request)

    read, original = [], Pool.grown_after
    monkeypatch.setattr(Pool, "grown_after", lambda *a: read.extend(rows := original(*a)) or rows)
    run, _ = hold(tmp_path / "run", seeds, engine=Straggling(write, width=4), rounds=3)
    assert run.done == 80
    assert len(read) < 4 * run.done


def test_order_knows_the_first_turn_that_is_missing():
    order = Order([NOBODY] * 2)
    a, b = order.pop(), order.pop()
    assert (a, b) == (Turn(0, "00000000"), Turn(0, "00000001"))
    order.push(Turn(1, "00000001", "00000001"))
    order.end(b)
    assert order.frontier() == a
    order.end(a)
    assert order.frontier() == Turn(1, "00000001", "00000001")
    order.end(order.pop())
    assert order.frontier() is None
    assert order.pop() is None


def test_order_forgets_what_ended_behind_a_straggler():
    order = Order([NOBODY] * 5000)
    order.pop()
    small = len(pickle.dumps(order._active))
    while turn := order.pop():
        order.end(turn)
        assert order.frontier() == Turn(0, "00000000")
    assert len(pickle.dumps(order._active)) < 2 * small


def test_order_waits_for_seeds_that_are_still_to_come():
    supply = Supply([NOBODY])
    order = Order(supply)
    first = order.pop()
    order.end(first)
    assert order.pop() is None
    assert order.frontier() == Turn(0, "00000001"), "another may come"
    supply.add(NOBODY)
    order.end(order.pop())
    supply.close()
    assert order.frontier() is None


def test_batches_follow_one_another_without_end():
    order = Batches([NOBODY])
    order.end(order.pop())
    assert order.frontier() == Turn(1, "")
    order.open(2)
    assert order.frontier() == Turn(1, "000000")
    order.open(1)
    turns = [order.pop() for _ in range(3)]
    assert [t.round for t in turns] == [1, 1, 2]
    for turn in turns:
        order.end(turn)
    assert order.frontier() == Turn(3, "")


def test_what_may_not_begin_yet_holds_up_what_comes_after_it():
    order = Order([NOBODY] * 2)
    assert order.pop(lambda turn: False) is None
    assert order.pop() == Turn(0, "00000000")
