"""Students are taught once, whatever happens; inputs are held out and spread."""

from collections import Counter

import pytest

from gen.core import Lineage, Sample
from gen.prove.inputs import graded_tasks, group_of, prepare
from gen.prove.made import Config, made
from gen.prove.students import School
from gen.world import LEVELS, TUNING, UNSEEN, difficulty, held_out, key, solve


def sampled(task, name):
    return made(Sample(name, task.instruction, Lineage(name), input=task.input, response=solve(task)))


@pytest.fixture(scope="module")
def tasks():
    return graded_tasks(104, 1)


class Lessons:
    """Counts what is taught; a student knows the tests whose place its seed divides."""

    def __init__(self, tests):
        self.tests, self.taught = tests, []

    def __call__(self, samples, seed):
        self.taught.append(([m.sample.id for m in samples], seed))
        return [at % (seed + 1) == 0 for at in range(len(self.tests))]


def school(folder, tests, teach, k=8, about=""):
    return School(folder / "strong/students.jsonl", "strong", tests, k, teach, about)


def config(tasks, name="x"):
    return Config("gates", name, len(tasks), ([sampled(task, f"s{i}") for i, task in enumerate(tasks)],))


def test_inputs_are_held_out_and_spread_over_families_and_levels(tasks):
    assert all(map(held_out, tasks))
    assert len({key(task) for task in tasks}) == len(tasks)
    assert Counter(map(group_of, tasks)) == {"tuning": 52, "unseen": 52}
    assert {task.family for task in tasks} == {*TUNING, *UNSEEN}
    by_level = [difficulty(task) for task in tasks]
    assert min(by_level) <= 3
    assert max(by_level) >= 9
    assert len(LEVELS) == 4


def test_tests_are_no_seeds_and_the_same_files_are_written_again(tmp_path):
    inputs = prepare(tmp_path, 26, 26)
    assert not {key(t) for t in inputs.seeds} & {key(t) for t in inputs.tests}
    assert max(map(difficulty, inputs.tests)) < max(map(difficulty, inputs.seeds)), "students are asked easier ones"
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    prepare(tmp_path, 26, 26)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len((tmp_path / "drafts.jsonl").read_text().splitlines()) == 13


def test_exactly_k_lessons_and_no_test_among_them(tasks, tmp_path):
    teach = Lessons(tasks[:10])
    one = school(tmp_path, tasks[:10], teach)
    found = one.lessons(config(tasks), 3)
    assert len(found) == 8
    assert not {m.key for m in found} & {key(t) for t in tasks[:10]}
    assert one.lessons(config(tasks[:17]), 3) is None, "7 of 17 are no tests"
    assert one.accuracies(config(tasks[:17]), 2) is None


def test_the_same_lessons_are_taught_once_for_every_configuration_and_process(tasks, tmp_path):
    teach = Lessons(tasks[:10])
    found = school(tmp_path, tasks[:10], teach).accuracies(config(tasks), 2)
    assert found["all"] == [1.0, 0.5]
    assert found["tuning"] == [1.0, 1.0], "tests at even places are of tuning families"
    again = school(tmp_path, tasks[:10], teach)
    assert again.accuracies(config(tasks, "another"), 2) == found
    assert (len(teach.taught), again.trained) == (2, 0)
    school(tmp_path, tasks[:10], teach, about="more steps").accuracies(config(tasks), 2)
    assert len(teach.taught) == 4
    other = Lessons(tasks[:12])
    school(tmp_path, tasks[:12], other).accuracies(config(tasks), 1)
    assert len(other.taught) == 1, "other tests"


def test_a_line_that_a_kill_cut_is_no_line(tasks, tmp_path):
    teach = Lessons(tasks[:10])
    whole = school(tmp_path, tasks[:10], teach).accuracies(config(tasks), 3)
    file = tmp_path / "strong/students.jsonl"
    text = file.read_text()
    file.write_text(text[: len(text) - 30])
    assert school(tmp_path, tasks[:10], teach).accuracies(config(tasks), 3) == whole
    assert len(teach.taught) == 4
    assert file.read_text() == text
