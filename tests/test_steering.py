"""Runs that watch themselves: adapting weights and the bound on diversity give the same pool at any concurrency, killed
in between or not."""

import asyncio
import random
from collections import Counter

import pytest

from gen.core import derive_seed, replace
from gen.engines.scripted import Scripted
from gen.pool import Pool


def texts(samples):
    return [(s.id, s.lineage.round, s.lineage.operation, s.instruction, s.response) for s in samples]


class Jittery(Scripted):
    async def complete(self, request):
        await asyncio.sleep(random.random() / 200)
        return await super().complete(request)


@pytest.fixture
def picky(write):
    """A judge to whom in law only `breadth` is new, elsewhere only `deepen`."""

    def reply(request):
        if request.role == "evolver":
            return write(request).replace(" Use ", f" By {request.step}, use ")
        if request.role == "judge":
            last = request.messages[-1].content.rpartition(" By ")[2]
            wanted = "breadth" if "number 1" in request.messages[-1].content else "deepen"
            return "Not equal" if last.startswith(wanted) else "Equal"
        return f"It is the {request.seed} of them."

    return reply


@pytest.fixture
def families(seeds):
    return [replace(s, meta={"domain": "law"} if "number 1" in s.instruction else {}) for s in seeds * 1]


ADAPT = {"evolve": {"adapt": True, "adapt_block": 4}}


def test_adapting_weights_do_not_depend_on_concurrency_or_arrival(tmp_path, families, hold, picky):
    runs = {w: hold(tmp_path / f"w{w}", families, engine=Jittery(picky, width=w), rounds=6, **ADAPT) for w in (1, 3, 16)}
    first = texts(runs[1][1])
    assert all(texts(kept) == first for _, kept in runs.values())
    _, plain = hold(tmp_path / "plain", families, engine=Jittery(picky, width=8), rounds=6)
    assert texts(plain) != first


def test_what_passes_is_drawn_more_by_domain(tmp_path, families, hold, picky):
    _, kept = hold(tmp_path / "run", families, engine=Scripted(picky, width=8), rounds=8, **ADAPT)
    _, plain = hold(tmp_path / "plain", families, engine=Scripted(picky, width=8), rounds=8)
    assert len(kept) > 1.3 * len(plain)
    with Pool.open(tmp_path / "run") as pool:
        drawn = Counter()
        for row in pool.all_grown(0):
            if row.round > 4:
                law = "number 1" in row.seed.instruction
                drawn[law, row.candidates[0].sample.lineage.operation] += 1
    assert drawn[True, "breadth"] > 0.4 * sum(n for (law, _), n in drawn.items() if law)
    assert drawn[False, "deepen"] > 0.4 * sum(n for (law, _), n in drawn.items() if not law)


def test_a_run_that_adapts_is_stopped_and_goes_on(tmp_path, families, hold, picky):
    _, straight = hold(tmp_path / "straight", families, engine=Scripted(picky, width=8), rounds=6, **ADAPT)
    for seconds in (0.05, 0.12, 0.2):
        stop = lambda run, after=seconds: asyncio.get_running_loop().call_later(after, run.stop, "interrupted")
        hold(tmp_path / "run", families, engine=Scripted(picky, width=5, delay=0.005), rounds=6, on_run=stop, **ADAPT)
    hold(tmp_path / "run", families, engine=Scripted(picky, width=3), rounds=4, **ADAPT)
    _, whole = hold(tmp_path / "run", families, engine=Scripted(picky, width=16), rounds=6, **ADAPT)
    assert texts(whole) == texts(straight)


@pytest.mark.parametrize("target", [25, 40])
def test_a_target_is_a_beginning_of_a_straight_run_that_adapts(tmp_path, families, hold, picky, target):
    _, straight = hold(tmp_path / "straight", families, engine=Scripted(picky, width=8), rounds=6, **ADAPT)
    _, kept = hold(tmp_path / "run", families, engine=Scripted(picky, width=16), rounds=6, budget={"target": target}, **ADAPT)
    assert texts(kept) == texts(straight)[:target]
    _, more = hold(tmp_path / "run", families, engine=Scripted(picky, width=2), rounds=6, **ADAPT)
    assert texts(more) == texts(straight)


def words(seed, n=8):
    rng, letters = random.Random(seed), "bdfgklmnprstvz"
    return " ".join("".join(rng.choice(letters) + rng.choice("aeiou") for _ in range(3)) for _ in range(n))


@pytest.fixture
def many(seeds):
    """Forty tasks that have little in common."""
    tasks = [f"Describe {words(i)}." for i in range(40)]
    return [replace(seeds[0], id=f"{i:04d}", instruction=t, lineage=replace(seeds[0].lineage, root=f"{i:04d}")) for i, t in enumerate(tasks)]


def answer(request, parrot_from=9):
    """Rewrites add words that nobody used before; from a round on they are one of three, with a number of its own."""
    text = request.messages[-1].content
    task = text.split("<task>\n")[-1].split("\n</task>")[0]
    if request.role != "evolver":
        return "Not equal" if request.role == "judge" else f"It is the {request.seed} of them."
    if task.count("Use ") < parrot_from:
        return f"<instruction>\n{task} Use {words(request.seed)}.\n</instruction>"
    said = ("Sing the old song of the amber grove", "Draw the quiet river", "Name a bird of the marsh")[request.seed % 3]
    return f"<instruction>\n{said} {derive_seed(task, request.seed)}. {'Use it. ' * 3}\n</instruction>"


def parrot(request):
    return answer(request, 2)


RULES = {"evolve": {"rules": ["equal"]}, "gate": {"filters": ["exact"]}}


def test_a_run_stops_where_diversity_falls_at_any_concurrency(tmp_path, many, hold):
    bound, found = {"min_diversity": 0.6}, {}
    for width in (1, 16):
        run, kept = hold(tmp_path / f"w{width}", many, engine=Jittery(parrot, width=width), rounds=5, budget=bound, **RULES)
        assert run.why == "collapse"
        found[width] = texts(kept)
    _, straight = hold(tmp_path / "straight", many, engine=Scripted(parrot, width=16), rounds=5, **RULES)
    assert found[1] == found[16] == texts(straight)[: len(found[1])]
    last = found[1][-1][1]
    assert last == 3, "whole rounds, up to the first that collapsed"
    assert [t for t in texts(straight) if t[1] <= last] == found[1]


def test_a_run_that_collapsed_goes_on_without_the_bound(tmp_path, many, hold):
    _, straight = hold(tmp_path / "straight", many, engine=Scripted(parrot, width=16), rounds=5, **RULES)
    hold(tmp_path / "run", many, engine=Scripted(parrot, width=16), rounds=5, budget={"min_diversity": 0.6}, **RULES)
    run, again = hold(tmp_path / "run", many, engine=Scripted(parrot, width=4), rounds=5, budget={"min_diversity": 0.6}, **RULES)
    assert run.why == "collapse", "asked for the same again, it stops in the same place"
    assert len(again) < len(straight)
    run, whole = hold(tmp_path / "run", many, engine=Scripted(parrot, width=4), rounds=5, **RULES)
    assert run.why == "complete"
    assert texts(whole) == texts(straight)


def test_a_healthy_run_is_not_stopped(tmp_path, many, hold):
    run, _ = hold(tmp_path / "run", many, engine=Scripted(answer, width=16), rounds=4, **RULES, budget={"min_diversity": 0.6})
    assert run.why == "complete"
