"""A run that goes on holds nothing again that was held, whatever was interrupted, and comes to the same end."""



import pytest

from gen.core import Sample, replace
from gen.engines.scripted import Scripted
from gen.gate import Admission, Gate, Position
from gen.order import Batches, Order, Turn, after
from gen.pool import Pool
from gen.resume import standing
from gen.seeds.supply import Supply


class Counting(Scripted):
    """Counts its questions, and stops the run that it is given after so many."""

    def __init__(self, write, limit=None):
        super().__init__(write, width=4)
        self.asked, self.limit, self.run = 0, limit, None

    async def complete(self, request):
        self.asked += 1
        if self.limit is not None and self.asked >= self.limit:
            self.run.stop("interrupted")
        return await super().complete(request)


def interrupted(hold, folder, seeds, engine, **changes):
    return hold(folder, seeds, engine=engine, on_run=lambda run: setattr(engine, "run", run), **changes)[0]


@pytest.mark.parametrize("changes", [
    {"rounds": 3}, {"loop": "self_instruct", "budget": {"target": 60}, "gate": {"filters": ["empty", "exact"]}},
], ids=["evolve", "self_instruct"])
def test_a_run_cut_anywhere_ends_as_one_that_was_not(hold, write, seeds, tmp_path, changes):
    if "loop" in changes:
        seeds = [replace(seed, response="It is old.") for seed in seeds]
    whole = Counting(write)
    _, kept = hold(tmp_path / "whole", seeds, engine=whole, **changes)
    with Pool.open(tmp_path / "whole") as pool:
        funnel, held = pool.funnel(1), pool.held(0)
    # a run with a target asks a few more or fewer beyond it, so the last cuts could come too late
    end = whole.asked * 3 // 4 if "budget" in changes else whole.asked
    for first in range(3, end, whole.asked // 9):
        folder = tmp_path / str(first)
        cut = interrupted(hold, folder, seeds, Counting(write, first), **changes)
        assert cut.why == "interrupted"
        again = Counting(write)
        run, found = hold(folder, seeds, engine=again, **changes)
        assert found == kept
        with Pool.open(folder) as pool:
            if "budget" not in changes:  # beyond a target, what was in flight may differ
                assert (pool.funnel(1), pool.held(0)) == (funnel, held)
                assert cut.talk.replies.total() + again.asked == whole.asked
        assert run.talk.replies["replayed"] <= 2 * 5, "only conversations that were under way are taken up again"


def test_what_was_held_is_not_held_again(hold, write, tmp_path, seeds, monkeypatch):
    interrupted(hold, tmp_path, seeds, Counting(write, 90), rounds=3)
    held, real = [], Pool.commit_grown
    monkeypatch.setattr(Pool, "commit_grown", lambda pool, g, due=(): held.append((g.stage, g.round, g.call)) or real(pool, g, due))
    with Pool.open(tmp_path) as pool:
        before = {(0, round, call) for round, call in pool.calls_after(0, (-1, ""))}
    hold(tmp_path, seeds, rounds=3)
    assert held
    assert before
    assert not before & set(held)


def test_more_rounds_go_on_from_the_heirs_of_a_run_that_had_ended(hold, write, tmp_path, seeds):
    _, kept = hold(tmp_path / "whole", seeds, rounds=3)
    hold(tmp_path / "short", seeds, rounds=1)
    engine = Counting(write)
    run, found = hold(tmp_path / "short", seeds, engine=engine, rounds=3)
    assert found == kept
    assert run.talk.replies["replayed"] == 0


def test_the_standing_tells_seeds_heirs_and_what_is_not_judged(hold, tmp_path, seeds):
    run, _ = hold(tmp_path, seeds, rounds=2)
    with Pool.open(tmp_path) as pool:
        done = standing(pool, 0, run.admission.position, 2, draws=False, measures=True)
        assert done == (20, [], [], 60, 60)
        more = standing(pool, 0, run.admission.position, 3, draws=False, measures=True)
        assert [(t.round, t.call, t.parent, t.heir) for t in more.turns] == [
            (3, f"{n:08d}", f"{n:08d}", 0) for n in range(20)]
        early = standing(pool, 0, Position(1, "00000017"), 2, draws=False, measures=True)
        assert early.turns == []
        assert [(t.round, t.call) for t in early.held] == [(1, "00000018"), (1, "00000019")] + [
            (2, f"{n:08d}") for n in range(20)]
        assert (early.done, early.judged) == (38, 38)
        assert standing(pool, 0, Position(1, "00000017"), 2, draws=False, measures=False).held == []
        pool._store.write(lambda db: db.execute("DELETE FROM grown WHERE round = 0 AND call IN ('00000005', '00000006')"))
        missing = standing(pool, 0, Position(), 2, draws=False, measures=False)
        assert missing.begun == 20
        assert [t for t in missing.turns if t.round == 0] == [Turn(0, "00000005"), Turn(0, "00000006")]


def test_holes_among_the_seeds_are_held_before_later_seeds(seeds):
    order = Order(seeds)
    order.resume(7, [Turn(1, "00000000", "00000000"), Turn(0, "00000004")])
    assert order.frontier() == Turn(0, "00000004")
    assert [order.pop(), order.pop(), order.pop()] == [Turn(0, "00000004"), Turn(0, "00000007"), Turn(0, "00000008")]


def test_a_seed_that_has_not_come_yet_is_waited_for(seeds):
    coming = Supply()
    order = Order(coming)
    order.resume(3, [Turn(0, "00000001"), Turn(1, "00000000", "00000000")])
    assert order.pop() is None
    for seed in seeds[:2]:
        coming.add(seed)
    assert order.pop() == Turn(0, "00000001")
    assert order.pop() == Turn(1, "00000000", "00000000")


def test_batches_that_are_judged_are_opened_without_their_turns(seeds):
    order = Batches(seeds)
    order.resume(20, [])
    for _ in range(3):
        order.open(4, (2, "000001"))
    assert [order.pop() for _ in range(7)] == [
        Turn(2, "000002"), Turn(2, "000003"), *(Turn(3, f"{i:06d}") for i in range(4)), None]


def test_heirs_sort_directly_after_their_first():
    calls = [turn.call for turn in after(Turn(2, "00000007"), 3)]
    assert calls == ["00000007", "00000007.020001", "00000007.020002"]
    assert calls == sorted(calls)
    assert calls[-1] < "00000008"


def test_a_gate_that_is_stopped_while_it_remembers_judges_nothing(hold, tmp_path, seeds):
    run, kept = hold(tmp_path, seeds, rounds=1)
    with Pool.open(tmp_path) as pool:
        told: list[Sample] = []
        admission = Admission(Gate(run.recipe.gate), 1, run.recipe.budget, told=[told.append])
        admission.restore(pool)
        admission.hurry = True
        admission.remember(pool)
        assert (told, admission.behind) == ([], True)
        admission.hurry = False
        admission.remember(pool)
        admission.remember(pool)
        assert (told, admission.behind) == (kept, False)
