"""The measuring: conversations are held in batches as one by one, and what is counted is what the checker says."""

import random

import pytest

from gen.core import Completion, Message, Request, Sampling
from gen.loops.refine import Refine
from gen.micro.corpus.auto_evol import first_method
from gen.micro.measure import judging, mending, methods
from gen.micro.measure.model import hold
from gen.micro.measure.rows import Row, mixed, row, sample, share
from gen.prompts import Prompts
from gen.world import check, held_out, parse, solve


class Scripted:
    """Answers each chat by a rule, and remembers how many came at once."""

    def __init__(self, rule):
        self.rule, self.batches = rule, []

    def complete(self, chats, sampling):
        self.batches.append((sampling, len(chats)))
        return [Completion(self.rule(chat[-1].content)) for chat in chats]


def talk(n):
    said = []
    for step in range(n):
        asked = [Request("judge", (Message("user", f"{n}{step}{i}"),), Sampling(temperature=float(i)), "x") for i in range(2)]
        said += [r.text for r in (yield asked)]
    return said


def test_conversations_go_on_side_by_side_and_each_gets_its_own_replies():
    model = Scripted(lambda text: f"re {text}")
    assert hold(model, [talk(2), talk(0), talk(1)]) == [["re 200", "re 201", "re 210", "re 211"], [], ["re 100", "re 101"]]
    assert [size for _, size in model.batches] == [2, 2, 1, 1]


def test_before_and_after_are_the_first_answer_and_the_last():
    tasks = mixed(random.Random(0), 6)
    assert all(map(held_out, tasks))
    right = {t.text: solve(t) for t in tasks}

    def rule(text):
        if text in right:
            return "nonsense"
        body = text.rpartition("\n\nReply")[0]
        task = next(t for t in right if t.partition("\n\n")[0] in body)
        if "Review the answer" in text:
            note = "none" if f"<answer>\n{right[task]}\n</answer>" in text else right[task]
            return f"<change>\n{note}\n</change>\n<add>\nnone\n</add>"
        return f"<answer>\n{right[task]}\n</answer>"

    grown = hold(Scripted(rule), (Refine(keep_trace=True).answer(sample(t)) for t in tasks))
    assert mending.before_and_after("x", tasks, grown) == [Row("x, before", 0, 6), Row("x, after", 6, 6)]


@pytest.mark.parametrize(("name", "text", "said"), [
    ("curate/assistant", "It should be: 3\nThat is what it says.\nScore: 5", True), ("curate/assistant", "Score: 3", False),
    ("curate/additive", "Score: 9", None), ("curate/additive", "Well.", None),
    ("refine/feedback", "<change>\nnone\n</change>\n<add>\nnone\n</add>", True),
    ("refine/feedback", "<change>\nnone\n</change>\n<add>\nmore\n</add>", False), ("refine/feedback", "<change>\nnone", None),
    ("selfee/critique", "<comments>\na\n</comments>\n<score>\n9\n</score>\n<verdict>\nRevision is not needed.\n</verdict>", True),
    ("selfee/critique", "<comments>\na\n</comments>\n<score>\n9\n</score>\n<verdict>\nRevision is needed.\n</verdict>", False),
    ("selfee/critique", "fine", None)])  # fmt: skip
def test_judgements_are_read_as_praise_as_blame_or_not_at_all(name, text, said):
    assert judging.praises(name, text) is said


def test_a_method_that_gives_the_task_back_has_not_made_it_harder():
    task = parse("Count from 3 to 6.")
    assert not methods.evolved(task, "<instruction>\nCount from 3 to 6.\n</instruction>")
    assert not methods.evolved(task, "<instruction>\nCount all the stars of the sky, please.\n</instruction>")
    assert not methods.evolved(task, "Count")
    assert methods.evolved(task, f"<instruction>\n{task.instruction} Use only capital letters in the whole answer.\n</instruction>")
    assert methods.section(f"<method>\n{first_method(Prompts())}\n</method>", "method") == first_method(Prompts())


def test_rows_count_and_shares_add_up():
    assert row("x", iter([True, False, True])) == Row("x", 2, 3)
    assert share([Row("x", 2, 3), Row("y", 2, 5)]) == 0.5
    assert share([]) == 0.0
    assert check(parse("Count from 3 to 6."), solve(parse("Count from 3 to 6.")))
