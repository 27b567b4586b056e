"""Auto Evol-Instruct as a dialogue with a scripted model: which method wins, when it ends, what it asks."""

import random
import re
from collections import Counter

import pytest

from gen.core import Completion, Lineage, Message, Sample, replace
from gen.errors import PromptError, RecipeError
from gen.loops._abreast import abreast, metered
from gen.loops._auto_evol import AutoEvol
from gen.loops._failures import FailureRule
from gen.prompts import Prompts

FIRST = AutoEvol().first_method()
SEEDS = [Sample(f"s{i}", f"Describe the river number {i} of the land.", Lineage(f"s{i}")) for i in range(100)]
WORDS = "and name every town on its banks in the order in which the water passes them"


def method(name):
    return f"{name}: make it harder.\n\n[[TASK]]\n\n<instruction>\nthe new task\n</instruction>"


class Fake:
    """A model whose candidate i of step t writes the method `texts[t - 1][i]`; evolved by a method with the marker `mK`
    (or by the first one, K = `first`) exactly K tasks of the dev set get answers that ask back."""

    def __init__(self, texts, *, first=10, analysis="Case 1: stage 1 asks for no more.", **parameters):
        self.loop = AutoEvol(**{"evolutions": 1, **parameters})
        self.texts, self.first, self.analysis = texts, first, analysis
        self.asked, self.steps = [], []

    def run(self, samples=SEEDS, rng=0):
        self.dev = [s.instruction for s in self.loop.split(samples, random.Random(rng))[0]]
        conversation, answers = self.loop.optimise(samples, random.Random(rng), self.steps), None
        try:
            while True:
                requests = conversation.send(answers)
                self.asked.append(requests)
                answers = [self._reply(r) for r in requests]
        except StopIteration as stop:
            return stop.value

    @property
    def calls(self):
        return Counter(r.step for requests in self.asked for r in requests)

    def said(self, step):
        return [r.messages[-1].content for requests in self.asked for r in requests if r.step == step]

    def _reply(self, request):
        reply = getattr(self, request.step)(request, request.messages[-1].content)
        return reply if isinstance(reply, Completion) else Completion(reply, completion_tokens=2)

    def apply(self, request, text):
        marker, task = re.match(r"m(\d+)", text), text.split("<task>\n")[1].split("\n</task>")[0]
        fails = marker[1] if marker else self.first
        return f"<plan>x</plan>\n<instruction>\n{task} {WORDS} ({fails} of them)\n</instruction>"

    def analyse(self, request, text):
        return f"<failures>\n{self.analysis}\n</failures>"

    def optimise(self, request, text):
        step, index = divmod(request.attempt, self.loop.candidates)
        return f"<method>\n{self.texts[step - 1][index]}\n</method>"

    def answer(self, request, text):
        fails = int(re.findall(r"\((\d+) of them\)", text)[-1])
        return "Sure! Which one?" if self.dev.index(text.split(f" {WORDS}")[0]) < fails else "The Rhine."


def methods(*counts, mark=""):
    return [method(f"m{c} {mark}{i}") for i, c in enumerate(counts)]


def test_the_lowest_rate_wins_the_lower_index_of_equals_and_without_a_fall_it_ends():
    """c = 9, 4, 4, 12, 7 of 50: the rates are .18 .08 .08 .24 .14 and index 1 wins; then nobody is below."""
    fake = Fake([methods(9, 4, 4, 12, 7), methods(4, 5, 6, 4, 8, mark="again ")])
    assert fake.run() == "patience"
    first, one, two = fake.steps
    assert first.best.rate == pytest.approx(0.20)
    assert [t.rate for t in one.trials] == pytest.approx([0.18, 0.08, 0.08, 0.24, 0.14])
    assert (one.best.step, one.best.index) == (1, 1)
    assert [t.rate for t in two.trials] == pytest.approx([0.08, 0.10, 0.12, 0.08, 0.16])
    assert two.best is one.best, "an equal rate does not replace an earlier method"
    assert [t.parent for t in two.trials] == [one.best.id] * 5
    assert one.trials[1].counts == {"unqualified": 4}
    assert one.trials[1].published == one.trials[1].rate


def test_a_step_costs_what_was_announced():
    """batch 10 x l 1, 2 x m 5, 2 x 5 x 50; before it, the first method is tried once."""
    fake = Fake([methods(9, 4, 4, 12, 7)], steps=1)
    assert fake.loop.calls() == (100, 10 + 10 + 500)
    assert fake.run() == "steps"
    assert fake.calls == {"apply": 50 + 10 + 250, "analyse": 5, "optimise": 5, "answer": 50 + 250}
    assert fake.calls.total() == 100 + 520
    assert [s.cost.calls for s in fake.steps] == [100, 520]
    assert sum(s.cost.tokens for s in fake.steps) == 2 * 620
    assert [t.cost.calls for t in fake.steps[1].trials] == [102] * 5


def test_what_can_be_asked_at_once_is_asked_at_once():
    fake = Fake([methods(9, 4, 4, 12, 7)], steps=1)
    fake.run()
    assert [(len(r), r[0].step) for r in fake.asked] == [
        (50, "apply"), (50, "answer"), (10, "apply"), (5, "analyse"), (5, "optimise"), (250, "apply"), (250, "answer"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (method("m0").replace("[[TASK]]", ""), "no_slot"),
        (method("m0").replace("instruction>", "task>"), "no_label"),
        (method("m0 " + "long " * 500), "method_too_long"),
        (FIRST, "repeated"),
        (methods(9)[0], "repeated"),
    ],
)
def test_an_invalid_method_is_never_tried(text, fault):
    """100 calls fewer, and it cannot win, though its rate would have been 0."""
    fake = Fake([[*methods(9, 4, 4, 12), text]], steps=1)
    fake.run()
    assert fake.calls.total() == 100 + 520 - 100
    bad = fake.steps[1].trials[4]
    assert (bad.fault, bad.rate, bad.counts, bad.cost.calls) == (fault, None, {}, 2)
    assert fake.steps[-1].best.index == 1


def test_the_rate_never_rises_and_the_dev_set_never_changes():
    rng, counts = random.Random(5), []
    for _ in range(10):
        counts.append([rng.randrange(2, 50) for _ in range(5)])
    fake = Fake([methods(*c, mark=f"{t} ") for t, c in enumerate(counts)], method_patience=10, first=40)
    assert fake.run() == "steps"
    rates = [s.best.rate for s in fake.steps]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == min(40, *(c for step in counts for c in step)) / 50
    dev = {t.split("<task>\n")[1].split("\n</task>")[0] for t in fake.said("apply")[:50]}
    for requests in fake.asked:
        if len(requests) >= 250 and requests[0].step == "apply":
            asked = Counter(r.messages[-1].content.split("<task>\n")[1].split("\n</task>")[0] for r in requests)
            assert asked == dict.fromkeys(dev, 5)
    shown = {t for text in fake.said("analyse") for t in re.findall(r"Stage 0: (.*)", text)}
    assert len(shown) > 30
    assert not shown & dev, "mini-batches come from the rest"


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_counts_steps_in_a_row_without_a_fall(patience):
    counts = [(9, 9, 9, 9, 9), (9, 9, 9, 9, 9), (8, 9, 9, 9, 9), (9, 9, 9, 9, 9), (9, 9, 9, 9, 9), (9, 9, 9, 9, 9)]
    fake = Fake([methods(*c, mark=f"{t} ") for t, c in enumerate(counts)], method_patience=patience)
    assert fake.run() == "patience"
    assert len(fake.steps) - 1 == {1: 2, 2: 5, 3: 6}[patience]


@pytest.mark.parametrize("said", ["none", "None.", "", "No case has failed.", "No failures: all is well"])
def test_analyses_that_find_nothing_end_it(said):
    fake = Fake([], analysis=said)
    assert fake.run() == "no_failures"
    assert fake.calls == {"apply": 60, "answer": 50, "analyse": 5}
    assert fake.steps[-1].best.text == FIRST
    assert {t.fault for t in fake.steps[-1].trials} == {"no_failures"}


def test_one_analysis_that_finds_nothing_is_one_candidate_less():
    fake = Fake([methods(9, 4, 4, 12, 7)], steps=1)
    fake.analyse = lambda request, text: (
        "<failures>none</failures>" if request.attempt % 5 == 1 else "<failures>Case 2: x</failures>"
    )
    assert fake.run() == "steps"
    assert [t.fault for t in fake.steps[1].trials] == ["", "no_failures", "", "", ""]
    assert fake.steps[1].best.index == 2


@pytest.mark.parametrize("said", ["All went badly.", "Case 11: there are ten.", "Case 0: no."])
def test_feedback_that_names_no_case_is_none(said):
    fake = Fake([], analysis=said)
    assert fake.run() == "patience"
    assert {t.fault for t in fake.steps[1].trials} == {"analysis_unparsed"}
    assert fake.calls["optimise"] == 0


def test_a_method_that_fails_nowhere_leaves_nothing_to_compare():
    fake = Fake([], first=0)
    assert fake.run() == "no_rate"
    assert fake.calls.total() == 100


def cut(finish):
    return Completion("<failures>Case 1: x</failures> <method>y</method>", finish, note="said so")


@pytest.mark.parametrize(
    ("step", "finish", "fault"),
    [
        ("analyse", "length", "analysis_truncated"), ("analyse", "refused", "analysis_rejected"),
        ("analyse", "overlong", "overlong"), ("optimise", "length", "method_truncated"),
        ("optimise", "refused", "method_rejected"), ("optimise", "reasoning_truncated", "reasoning_truncated"),
    ],
)  # fmt: skip
def test_a_cut_analysis_or_method_is_a_candidate_with_a_reason(step, finish, fault):
    fake = Fake([methods(9, 4, 4, 12, 7)], steps=1)
    good = getattr(fake, step)
    setattr(fake, step, lambda request, text: cut(finish) if request.attempt % 5 == 1 else good(request, text))
    fake.run()
    assert [t.fault for t in fake.steps[1].trials] == ["", fault, "", "", ""]
    assert fake.steps[1].best.index == 2


def test_a_reply_without_a_method_is_a_candidate_with_a_reason():
    fake = Fake([methods(9, 4, 4, 12, 7)], steps=1)
    fake.optimise = lambda request, text: "Here is one: make it harder."
    assert fake.run() == "patience"
    assert {t.fault for t in fake.steps[1].trials} == {"method_unparsed"}


BAD_REWRITES = [
    ("rewrite_unparsed", "Here it is."), ("rewrite_unparsed", "<instruction>cut"), ("empty_rewrite", "<instruction> </instruction>"),
    ("rewrite_truncated", Completion("<instruction>x</instruction>", "length")),
    ("rewrite_rejected", Completion("", "refused")), ("overlong", Completion("", "overlong")),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "reply"), BAD_REWRITES)
def test_a_rewrite_that_is_none_counts_as_failure_apart_from_f_and_is_not_answered(fault, reply):
    fake = Fake([[]], candidates=1, steps=1, dev=4, batch=2, analysis="none")
    good = fake.apply
    fake.apply = lambda request, text: reply if fake.dev[0] in text else good(request, text)
    fake.first = 0
    fake.run()
    [tried] = fake.steps[0].trials
    assert (tried.rate, tried.published, tried.counts) == (0.25, 0.0, {fault: 1})
    assert fake.calls["answer"] == 3


def test_a_task_that_comes_back_as_it_was_counts_by_the_guard_alone():
    for guard, rate in ((True, 0.25), (False, 0.0)):
        fake = Fake([[]], candidates=1, steps=1, dev=4, batch=2, analysis="none", guard=guard)
        good = fake.apply
        fake.apply = lambda request, text, fake=fake, good=good: (
            f"<instruction>{fake.dev[0].upper()}</instruction>" if fake.dev[0] in text else good(request, text)
        )
        fake.answer = lambda request, text: "The Rhine."
        fake.run()
        tried = fake.steps[0].best
        assert (tried.rate, tried.published) == (rate, 0.0), "F sees answers alone"
        assert tried.counts == ({"unchanged": 1} if guard else {})


@pytest.mark.parametrize(
    ("fault", "reply"),
    [
        ("empty_answer", " "), ("answer_truncated", Completion("The", "length")),
        ("answer_rejected", Completion("", "refused")), ("overlong", Completion("", "overlong")),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_counts_apart_from_f(fault, reply):
    fake = Fake([[]], candidates=1, steps=1, dev=4, batch=2, analysis="none", first=0)
    fake.answer = lambda request, text: reply if fake.dev[1] in text else "The Rhine."
    fake.run()
    assert (fake.steps[0].best.published, fake.steps[0].best.counts) == (0.0, {fault: 1})


def test_a_refusal_instead_of_a_task_counts():
    fake = Fake([[]], candidates=1, steps=1, dev=4, batch=2, analysis="none")
    fake.apply = lambda request, text: "<instruction>I'm sorry, but I can't help with that.</instruction>"
    fake.answer = lambda request, text: "Which?"
    fake.run()
    assert fake.steps[0].best.counts == {"rewrite_refused": 4}


def test_a_trace_shows_every_stage_and_where_it_broke_off():
    fake = Fake([methods(9, 4, 4, 12, 7)], steps=1, evolutions=3, batch=2)
    fake.run()
    assert fake.calls["apply"] == 50 + 2 * 3 + 250
    text = fake.said("analyse")[0]
    assert re.search(r"Case 1\nStage 0: .*\nStage 1: .*\nStage 2: .*\nStage 3: ", text)
    assert "\n\nCase 2\nStage 0: Describe the river" in text


def test_a_stage_where_nothing_came_is_said_and_ends_the_trace():
    fake = Fake([[]], candidates=1, steps=1, dev=2, batch=1, evolutions=3, analysis="none", first=2)
    good = fake.apply
    fake.apply = lambda request, text: "no tags" if WORDS in text else good(request, text)
    fake.run(samples=SEEDS[:3])
    assert "\nStage 2: [nothing came of it: rewrite unparsed]\n" in fake.said("analyse")[0]
    assert "Stage 3" not in fake.said("analyse")[0]


def test_what_is_asked_says_what_it_must():
    """Each in the temperature that its part has; candidates are told apart by their attempt."""
    fake = Fake([methods(9, 4, 4, 12, 7), methods(1, 1, 1, 1, 1)], steps=2)
    fake.run()
    requests = [r for asked in fake.asked for r in asked]
    assert {(r.role, r.step, r.sampling.temperature, r.sampling.top_p) for r in requests} == {
        ("evolver", "apply", 0.0, 1.0), ("answerer", "answer", 0.0, 0.95), ("judge", "analyse", 0.6, 0.95),
        ("judge", "optimise", 0.6, 0.95),
    }  # fmt: skip
    assert [r.attempt for r in requests if r.step == "analyse"] == [*range(5, 15)]
    improve = fake.said("optimise")
    assert FIRST in improve[0]
    assert "Case 1: stage 1 asks for no more." in improve[0]
    assert fake.steps[1].best.text in improve[5]


def test_data_system_text_and_earlier_turns_are_kept():
    turns = (Message("user", "Hello."), Message("assistant", "Hello!"))
    seed = Sample("s", "Sort the list.", Lineage("s"), input="3 1 2", system="Be brief.", turns=turns)
    fake = Fake([[]], candidates=1, steps=1, dev=1, batch=1, analysis="none", language="English", domain="lists")
    fake.answer = lambda request, text: "1 2 3"
    fake.run(samples=[seed, replace(seed, id="t")])
    asked, answered = fake.asked[0][0], fake.asked[1][0]
    assert "<data>\n3 1 2\n</data>" in asked.messages[-1].content
    assert "Stay within this domain: lists." in asked.messages[-1].content
    assert [m.role for m in answered.messages] == ["system", "system", "user", "assistant", "user"]
    assert answered.messages[-1].content.endswith("(10 of them)\n\n3 1 2")


def test_the_same_seed_gives_the_same_batches_and_another_one_others():
    runs = {}
    for rng in (0, 0, 1):
        fake = Fake([methods(9, 4, 4, 12, 7)], steps=1)
        fake.run(rng=rng)
        runs.setdefault(rng, []).append((fake.said("apply"), fake.steps))
    assert runs[0][0] == runs[0][1]
    assert runs[0][0][0] != runs[1][0][0]


def test_the_sample_bounds_what_is_looked_at():
    dev, rest = AutoEvol(sample=70).split(SEEDS, random.Random(0))
    assert (len(dev), len(rest)) == (50, 20)
    assert not {s.id for s in dev} & {s.id for s in rest}
    assert [len(part) for part in AutoEvol(sample=2).split(SEEDS, random.Random(0))] == [50, 10], "dev and batch fit"
    with pytest.raises(RecipeError, match="59 seeds, but dev 50 and batch 10 take 60"):
        AutoEvol().split(SEEDS[:59], random.Random(0))


def test_failure_rules_are_data():
    rule = FailureRule("stumped", contains=("no idea",))
    fake = Fake([[]], candidates=1, steps=1, dev=4, batch=2, analysis="none", failing=(rule,))
    fake.answer = lambda request, text: "No idea."
    fake.run()
    assert (fake.steps[0].best.counts, fake.steps[0].best.published) == ({"stumped": 4}, 1.0)


BAD = [
    ({"optimiser_temperature": 0.0}, "makes 5 equal candidates"),
    ({"language": "French"}, "the failure rules are English"),
    ({"failing": (FailureRule("unchanged", contains=("x",)),)}, "'unchanged': expected a name of its own"),
    ({"failing": (FailureRule("mine"),)}, "'mine': expected a name of its own, and a condition"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD)
def test_what_cannot_work_is_refused(parameters, message):
    with pytest.raises(RecipeError, match=message):
        AutoEvol(**parameters)


def test_rules_of_ones_own_may_have_another_language():
    assert AutoEvol(language="French", failing=(FailureRule("perdu", contains=("veuillez",)),)).language == "French"
    assert AutoEvol(language="en-GB").language == "en-GB"


def test_a_first_method_of_ones_own_is_checked(tmp_path):
    (tmp_path / "auto_evol").mkdir()
    shipped = Prompts().path("auto_evol/initial").read_text()
    (tmp_path / "auto_evol/initial.jinja").write_text(shipped.replace("[[TASK]]", "").replace("in the place of ", ""))
    with pytest.raises(PromptError, match=r"expected \[\[TASK\]\] once, found it 0 times"):
        AutoEvol(prompts=Prompts(tmp_path)).asks()
    assert [p.name for p in AutoEvol().asks()] == [
        "auto_evol/initial", "auto_evol/analyse", "auto_evol/optimise", "auto_evol/apply", "evolve/answer"
    ]  # fmt: skip


def one(name, questions):
    for n in range(questions):
        [reply] = yield [Completion(f"{name}{n}")]  # anything will do as a question
        assert reply == f"re {name}{n}"
    return name


def held(conversation):
    """What is asked at once, and the result."""
    seen, answers = [], None
    try:
        while True:
            asked = conversation.send(answers)
            seen.append([q.text for q in asked])
            answers = [Reply(f"re {q.text}") for q in asked]
    except StopIteration as stop:
        return seen, stop.value


def test_conversations_abreast_ask_what_all_of_them_ask_next():
    seen, (results, cost) = held(metered(abreast([one("a", 2), one("b", 0), one("c", 3)])))
    assert seen == [["a0", "c0"], ["a1", "c1"], ["c2"]]
    assert (results, cost.calls, cost.tokens) == (["a", "b", "c"], 5, 35)
    assert held(abreast([])) == ([], [])


class Reply(str):
    completion_tokens = 7
