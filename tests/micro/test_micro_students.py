"""The measure of the instrument: paired students, the lessons that a condition says, figures by hand."""

import json

from gen.micro.measure import students
from gen.micro.measure.students import CONDITIONS, FEW, WITHOUT, Condition, lessons, measured, questions, table
from gen.world import check, families, held_out, parse


def test_conditions_are_what_they_say_and_paired():
    plain, faulty = lessons(Condition(60), 3), lessons(Condition(60, wrong=0.3), 3)
    tasks = [parse(lesson.instruction, lesson.input) for lesson in plain]
    assert [(a.instruction, a.input) for a in plain] == [(b.instruction, b.input) for b in faulty]
    assert all(check(t, a.response) for t, a in zip(tasks, plain, strict=True))
    assert sum(check(t, b.response) for t, b in zip(tasks, faulty, strict=True)) == 42
    assert not any(map(held_out, tasks))
    assert len({t.family for t in tasks}) == 20  # three of each
    few = {parse(lesson.instruction, lesson.input).family for lesson in lessons(Condition(60, families=FEW), 3)}
    assert len(few) == FEW
    assert lessons(Condition(60), 3) == plain != lessons(Condition(60), 4)
    assert len({c.name for c in CONDITIONS}) == len(CONDITIONS)


def test_questions_are_held_out_and_of_all_families():
    found = questions(78)
    assert {t.family for t in found} == set(families())
    assert all(map(held_out, found))


def test_the_table_compares_students_of_the_same_seed():
    worse = Condition(wrong=0.3)
    rows = [{"condition": c.name, "seed": seed, "right": right, "seconds": 4.0}
            for c, rights in ((WITHOUT, (0.5, 0.6, 0.7)), (worse, (0.4, 0.4, 0.4))) for seed, right in enumerate(rights)]
    first, second, last, _ = table(rows).split("\n")
    assert first.split() == [*WITHOUT.name.split(), "60.0%"]
    # differences -0.1, -0.2, -0.3: mean -0.2, deviation 0.1, half 4.3027 * 0.1 / sqrt(3) = 0.2484
    assert second.split() == [*worse.name.split(), "40.0%", "-20.0%", "[-44.8%,", "+4.8%]"]
    assert last == "4.0 s of one core a student"


def test_a_student_is_taught_once(tmp_path, monkeypatch):
    taught = []

    class Student:
        def right(self, tasks):
            return [True, False]

    monkeypatch.setattr(students, "taught", lambda lessons, seed: taught.append(seed) or Student())
    file = tmp_path / "students.jsonl"
    first = list(measured(file, CONDITIONS[:2], [1, 2], 4))
    file.write_text(file.read_text() + '{"key": "cut')
    assert list(measured(file, CONDITIONS[:2], [1, 2], 4)) == first
    assert taught == [1, 1, 2, 2]  # a line that was cut is taught again, none else
    assert [row["right"] for row in first] == [0.5] * 4
    assert list(measured(file, CONDITIONS[:2], [3], 4)) != first
    assert len(file.read_text().splitlines()) == 6
    assert len(json.loads(file.read_text().splitlines()[0])["key"]) == 16
