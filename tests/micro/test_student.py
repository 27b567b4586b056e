"""A student is its lessons' doing: equal tokens and steps whatever they are, and better lessons make a better one."""

import json
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from gen.micro import student
from gen.micro.corpus.drafts import wrong
from gen.micro.student import STEPS, TOKENS, K, Lesson, folder, steps, taught
from gen.world import VERSION, families, graded, held_out, solve
from gen.world.clauses import RULES


def tasks(count, seed, held):
    """Tasks of levels 1 to 3, of all families in turn."""
    rng, found = random.Random(seed), []
    while len(found) < count:
        task = graded(rng, 1 + len(found) % 3, families()[len(found) // 3 % len(families())])
        found += [task] if held_out(task) == held else []
    return found


def lessons(count, seed, wrongly=False):
    rng = random.Random(seed)
    return [Lesson(t.instruction, t.input, wrong(t, rng).text if wrongly else solve(t)) for t in tasks(count, seed, False)]


def rows(*lengths):
    return [(str(i), [i] * n, n // 2) for i, n in enumerate(lengths)]


@pytest.mark.parametrize("lengths", [(7,), (TOKENS,), (5, 9, 160, 31), tuple(range(3, 90)), (TOKENS - 1, 2)])
def test_every_step_has_the_same_tokens_and_every_lesson_is_seen_whole(lengths):
    made = list(steps(rows(*lengths), seed=1))
    assert len(made) == STEPS
    assert {sum(len(ids) for _, ids, _ in step) for step in made} == {TOKENS}
    whole = [name for step in made for name, ids, _ in step if len(ids) == lengths[int(name)]]
    assert set(whole) == set(map(str, range(len(lengths))))
    assert max(map(whole.count, whole)) - min(map(whole.count, whole)) <= 1  # they come round in turn
    assert all(start == min(lengths[int(name)] // 2, len(ids)) for step in made for name, ids, start in step)
    cut = [name for step in made for name, ids, _ in step[:-1] if len(ids) < lengths[int(name)]]
    assert not cut  # only the last of a step


def test_the_order_of_lessons_depends_on_the_seed_alone():
    again = [list(steps(rows(5, 9, 16, 31), seed)) for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_long_lessons_are_cut_and_responses_alone_are_learned():
    tokenizer = AutoTokenizer.from_pretrained(folder())
    name, ids, start = student._row(Lesson("Count from 3 to 5.", "", "3, 4, 5"), tokenizer)
    assert tokenizer.decode(ids) == "<|user|>Count from 3 to 5.<|end|><|assistant|>3, 4, 5<|end|>"
    assert tokenizer.decode(ids[start:]) == "3, 4, 5<|end|>"
    _, ids, start = student._row(Lesson("Count.", "- cat\n" * 100, "1"), tokenizer)
    assert len(ids) == start == student.LONGEST
    _, ids, start = student._row(Lesson("Count.", "", "1, " * 200), tokenizer)
    assert len(ids) == student.LONGEST
    assert start < 10


def test_the_base_is_small_has_read_this_world_and_is_asked_as_micro_is():
    assert sum(p.stat().st_size for p in folder().iterdir()) <= 1.5 * 2**20
    manifest = json.loads((folder() / "manifest.json").read_text())
    assert manifest["world"] == VERSION
    assert (manifest["families"], manifest["rules"]) == (sorted(families()), sorted(RULES))
    assert all(training["tokens"] > 0 for training in manifest["trainings"])
    assert manifest["trainings"][-1]["loss"] < 2
    micro = AutoTokenizer.from_pretrained(folder().parent / "weights")
    assert AutoTokenizer.from_pretrained(folder()).chat_template == micro.chat_template


def test_no_right_answer_is_too_long_for_a_lesson_or_a_reply():
    tokenizer = AutoTokenizer.from_pretrained(folder())
    rng = random.Random(0)
    for _ in range(600):
        task = graded(rng, 4)
        _, ids, start = student._row(Lesson(task.instruction, task.input, solve(task)), tokenizer)
        assert len(ids) < student.LONGEST
        assert len(ids) - start <= student.REPLY


def test_no_lesson_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one lesson"):
        taught([], 0)


def test_greedy_answers_are_those_of_transformers():
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder(), dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder())
    prompts = [t.text for t in tasks(12, 3, True)]
    config = GenerationConfig(max_new_tokens=student.REPLY, do_sample=False, eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id)
    reference = []
    for prompt in prompts:
        ids = torch.tensor([student._asked(prompt, tokenizer)])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)[0, ids.shape[1]:].tolist()
        reference.append(tokenizer.decode([t for t in out if t != model.config.eos_token_id]))
    assert student.Student(model, tokenizer).answers(prompts) == reference


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(student, "STEPS", 3)


@pytest.mark.usefixtures("few_steps")
def test_the_same_seed_makes_the_same_student_and_the_base_stays_as_it_was():
    before = {name: p.clone() for name, p in student._loaded(folder())[0].named_parameters()}
    made = [taught(lessons(20, 1), seed) for seed in (5, 5, 6)]
    first, again, other = ([p for p in m.model.parameters()] for m in made)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert all(torch.equal(p, before[name]) for name, p in student._loaded(folder())[0].named_parameters())
    questions = tasks(10, 2, True)
    assert made[0].right(questions) == made[1].right(questions)


def test_right_is_what_the_world_says_of_the_answers(monkeypatch):
    questions = tasks(8, 4, True)
    made = student.Student(None, None)
    said = [solve(t) if i % 2 else "nothing" for i, t in enumerate(questions)]
    monkeypatch.setattr(student.Student, "answers", lambda self, prompts: said)
    assert made.right(questions) == [bool(i % 2) for i in range(8)]


@pytest.mark.slow
def test_right_lessons_make_a_better_student_than_wrong_ones():
    questions = tasks(156, 9, True)
    good, bad = taught(lessons(K, 1), 1), taught(lessons(K, 1, wrongly=True), 1)
    share = [sum(s.right(questions)) / len(questions) for s in (good, bad)]
    assert share[0] > 0.25
    assert share[0] > share[1] + 0.1
