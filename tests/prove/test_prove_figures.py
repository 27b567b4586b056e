"""The figures of a row, controls, choices and claims, by hand."""

from collections import Counter

import pytest

from gen.core import Lineage, Sample
from gen.paired import T975, t_interval
from gen.prove import controls, effects
from gen.prove.choosing import chosen
from gen.prove.effects import EFFECTS, claimed, deltas, joined, measured
from gen.prove.inputs import group_of
from gen.prove.made import Config, Cost, Made, made, mean, row
from gen.prove.page import _effects, telling
from gen.prove.predictions import load
from gen.world import TUNING, UNSEEN, Task, parse, solve
from gen.world.clauses import Clause


def one(name, words=1, *, right=True, group="tuning", part=0):
    response = " ".join(["word"] * words)
    return Made(Sample(name, "Do it.", Lineage(name), response=response), None, right, group, part)


PLAIN = Task("reverse", (), ("cat", "plum", "axe"))
HARD = Task("reverse", (), ("cat", "plum", "axe"), clauses=(Clause("upper"), Clause("size")))


def answered(task, answer, name="a"):
    return made(Sample(name, task.instruction, Lineage(name), input=task.input, response=answer))


def test_the_interval_is_that_of_the_paired_t():
    mean, low, high = t_interval([1.0, 2.0, 3.0])  # s = 1, t(2) = 4.3027, 4.3027 / sqrt(3) = 2.4842
    assert (mean, round(low, 4), round(high, 4)) == (2.0, -0.4842, 4.4842)
    assert t_interval([0.25]) == (0.25, None, None)
    assert t_interval([0.5] * 8) == (0.5, 0.5, 0.5)
    many = t_interval([0.0, 1.0] * 30)  # of 60: s = 0.5042, 30 degrees of freedom at most
    assert round(many[2] - many[0], 4) == round(2.0423 * 0.504219 / 60**0.5, 4)


def test_the_points_of_t_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for degrees, value in enumerate(T975, 1):
        assert value == pytest.approx(stats.t.ppf(0.975, degrees), abs=5.1e-5)


@pytest.mark.parametrize(("words", "bin"), [(0, 0), (1, 0), (2, 1), (4, 3), (5, 4), (6, 4), (7, 5), (8, 5), (9, 6),
                                            (12, 6), (13, 7), (400, 7)])
def test_the_bins_of_length(words, bin):
    assert controls.bin_of(words) == bin


def test_the_matched_control_has_as_many_of_each_bin_as_the_gate_keeps():
    found = [one(f"s{i}", words) for i, words in enumerate([1] * 20 + [2] * 10 + [5, 6] * 10 + [13] * 4)]
    kept = [*found[:3], *found[20:29], *found[30:35], found[-1]]
    for seed in range(4):
        control = controls.matched(found, kept, seed)
        assert Counter(controls.bin_of(m.words) for m in control) == {0: 3, 1: 9, 4: 5, 7: 1}
        assert len({m.sample.id for m in control}) == 18
    assert controls.matched(found, kept, 1) == controls.matched(found, kept, 1)
    assert controls.matched(found, kept, 1) != controls.matched(found, kept, 2)
    assert len(controls.random_drop(found, 18, 0)) == 18


def test_the_first_lessons_of_a_matched_control_have_its_lengths():
    """Of 100 short and 100 long ones a gate keeps 10 short and 90 long: among 20 lessons 2 are short, not 10."""
    found = [one(f"s{i}", 1 + 12 * (i % 2)) for i in range(200)]
    kept = [m for m in found if m.words == 1][:10] + [m for m in found if m.words == 13][:90]
    first = [controls.shuffled(controls.matched(found, kept, seed), seed)[:20] for seed in range(30)]
    short = [sum(m.words == 1 for m in lessons) for lessons in first]
    assert sum(short) / len(short) == pytest.approx(2, abs=0.9)


def test_a_sample_has_one_place_whatever_others_are_there():
    found = [one(f"s{i}") for i in range(30)]
    order = [m.sample.id for m in controls.shuffled(found, 5)]
    some = [m.sample.id for m in controls.shuffled(found[::2], 5)]
    assert some == [name for name in order if name in some]


def test_a_sample_is_right_if_its_task_is_one_and_its_answer_checks():
    assert [answered(PLAIN, "axe, plum, cat").right, answered(PLAIN, "axe, plum").right] == [True, False]
    strange = made(Sample("b", "Say something nice.", Lineage("b"), response="axe, plum, cat"))
    assert (strange.task, strange.right) == (None, False)


def test_the_group_is_that_of_the_seeds_family():
    assert group_of(None) == ""
    assert {group_of(Task(name, (), ())) for name in TUNING} == {"tuning"}
    assert {group_of(Task(name, (), ())) for name in UNSEEN} == {"unseen"}


def test_the_row_of_a_configuration_by_hand():
    """Four samples: two right, one of them with two clauses; one wrong; one of no task of the world."""
    kept = [answered(PLAIN, "axe, plum, cat"), answered(HARD, "AXE, PLUM, CAT\n3", "b"), answered(PLAIN, "cat", "c"),
            made(Sample("d", "Say hello.", Lineage("d"), response="hello there"))]
    assert parse(HARD.instruction) == HARD
    assert solve(HARD) == "AXE, PLUM, CAT\n3"
    found = row(Config("gates", "x", 9, (kept,), Cost(10, 300)))
    assert found == {
        "name": "x", "candidates": 9, "kept": 4, "right": 0.5, "valid": 0.75, "difficulty": round((3 + 7 + 3) / 3, 6), "families": 1, "constraints": 2, "words": (3 + 4 + 1 + 2) / 4, "calls": 10, "tokens": 300,
        "calls_per_right": 5.0, "tokens_per_right": 150.0,
    }  # fmt: skip


def test_of_several_draws_a_row_has_the_mean():
    found = row(Config("gates", "x", 9, ([one("a"), one("b", right=False)], [one("a")]), Cost(6, 60)))
    assert (found["kept"], found["right"], found["calls_per_right"]) == (1.5, round(2 / 3, 6), 6.0)
    assert found["difficulty"] is None, "nothing of the world"


def test_nothing_right_has_no_cost_of_a_right_one():
    assert row(Config("gates", "x", 1, ([one("a", right=False)],), Cost(6, 60)))["calls_per_right"] is None
    assert row(Config("gates", "x", 1, ([],), Cost(6, 60)))["right"] is None
    assert mean("right", []) is None


def test_choices_of_k_by_ifd_and_by_the_checker():
    found = [one(f"s{i}", right=i % 2 == 0) for i in range(8)]
    ifd = {f"s{i}": i / 10 for i in range(1, 8)}  # s0 has none

    def names(choice, k=3):
        return [m.sample.id for m in chosen(choice, found, ifd, k, 0)]

    half = [m.sample.id for m in controls.shuffled(found, 0)[:4]]
    assert names("random") == half[:3]
    ranked = sorted((n for n in half if n in ifd), key=ifd.__getitem__)
    assert names("lowest IFD", 2) == ranked[:2]
    assert names("highest IFD", 2) == ranked[-2:]
    assert names("middle IFD", 1) == ranked[(len(ranked) - 1) // 2 :][:1]
    assert all(int(n[1:]) % 2 == 0 for n in names("checker"))


def test_differences_are_paired_over_parts_that_both_have():
    a = Config("g", "a", 4, ([one("a", part=0), one("b", part=0, right=False), one("c", part=1), one("d", part=2)],))
    b = Config("g", "b", 4, ([one("e", part=0, right=False), one("f", part=1)],))
    assert deltas("right", a, b, "all") == [0.5, 0.0]
    assert deltas("right", a, b, "unseen") == []


def sides(strong, weak, spread=0.01):
    """Means of (all, unseen) of each checkpoint."""
    def figures(means):
        return {"right": {g: [m, m - spread, m + spread] for g, m in zip(("all", "unseen"), means, strict=True)}}

    return {"strong": figures(strong), "weak": figures(weak)}


@pytest.mark.parametrize(("strong", "weak", "spread", "wanted"), [
    ((0.1, 0.1), (0.05, 0.02), 0.01, True), ((-0.1, -0.1), (-0.05, -0.02), 0.01, True),
    ((0.1, 0.1), (0.05, -0.02), 0.01, False), ((0.1, -0.1), (0.05, 0.02), 0.01, False),
    ((0.1, 0.1), (-0.05, 0.02), 0.01, False), ((0.1, 0.1), (0.05, 0.02), 0.11, False),
    ((0.0, 0.0), (0.0, 0.0), 0.0, False),
])
def test_what_may_be_claimed(strong, weak, spread, wanted):
    assert claimed(sides(strong, weak, spread), "right") is wanted


def test_nothing_is_claimed_by_one_checkpoint_alone():
    both = sides((0.1, 0.1), (0.1, 0.1))
    assert joined({c: {"a over b": figures} for c, figures in both.items()})["a over b"]["claimed"] == ["right"]
    assert joined({"strong": {"a over b": both["strong"]}})["a over b"]["claimed"] == []


def test_students_are_compared_seed_by_seed():
    a, b = EFFECTS["rounds 0-1 over 0"]
    configs = {path: Config(*path.split("/"), 1, ([one("a")],)) for path in (a, b)}
    taught = {a: {"all": [0.5, 0.7, 0.6]}, b: {"all": [0.4, 0.5, 0.3]}}
    found = measured(configs, taught)["rounds 0-1 over 0"]["student"]["all"]
    assert found[0] == 0.2
    assert measured(configs, {a: taught[a], b: None})["rounds 0-1 over 0"].keys() == {"right", "valid"}


def test_every_prediction_is_about_an_effect_that_is_measured():
    for prediction in load():
        assert {bound.effect for bound in prediction.bounds} <= {*EFFECTS, *effects.PLAIN}, prediction.name


def test_effects_that_are_nothing_are_told_in_a_line_and_single_figures_without_interval():
    nothing, some = {"all": [0.0, 0.0, 0.0]}, {"all": [0.831, None, None]}
    lines = list(_effects({"empty over random": {"strong": {"right": nothing}, "claimed": []},
                           "rouge over no gate": {"strong": {"share": some}, "claimed": []}}))
    assert lines[1].splitlines()[2] == "| rouge over no gate | share | strong | +83.1 |  |  | not claimed |"
    assert len(lines[1].splitlines()) == 3
    assert lines[2] == "Nothing at all: empty over random.\n"


def test_gates_that_drop_nothing_are_told_in_a_line():
    rows = [{"name": "no gate", "kept": 9}, {"name": "empty", "kept": 9}, {"name": "empty, random", "kept": 9},
            {"name": "exact", "kept": 8}]
    assert telling(rows) == ([rows[0], rows[3]], ["empty"])
