"""Figures of merit by hand and against scikit-learn, log-probabilities against the model itself, targets met and missed."""

import json
import math
import random

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from gen.core import Message
from gen.micro import evaluate
from gen.micro.bundled import shipped, weights
from gen.micro.measure import levels, likelihood
from gen.micro.measure.figures import balanced, wins
from gen.micro.measure.model import Model
from gen.micro.measure.rows import Row
from gen.micro.measure.targets import TARGETS, reached
from gen.prompts import Prompts
from gen.world import LEVELS, check, families, held_out, parse, solve


@pytest.mark.parametrize(("right", "wrong", "won"), [
    ([3.0, 1.0], [2.0, 0.0], 3.0),  # 3 > 2, 3 > 0, 1 > 0; 1 < 2
    ([1.0], [1.0], 0.5), ([1.0, 1.0], [1.0, 0.0], 3.0), ([2.0], [3.0], 0.0), ([], [1.0], 0.0), ([1.0], [], 0.0),
    ([5.0, 5.0, 1.0], [5.0, 5.0], 2.0)])  # fmt: skip
def test_wins_are_pairs_in_which_the_right_one_scores_higher(right, wrong, won):
    assert wins(right, wrong) == won == sum((r > w) + (r == w) / 2 for r in right for w in wrong)


def test_auc_and_balanced_accuracy_are_those_of_scikit_learn():
    rng = random.Random(0)
    for steps in (3, 20, 10**6):  # many ties, some, none
        scores = [rng.randrange(steps) / 7 for _ in range(200)]
        truths = [rng.random() < 0.3 + score / steps for score in scores]
        right, wrong = ([s for s, t in zip(scores, truths, strict=True) if t is side] for side in (True, False))
        assert wins(right, wrong) / len(right) / len(wrong) == pytest.approx(roc_auc_score(truths, scores), abs=1e-12)
        said = [score > steps / 14 for score in scores]
        shares = [sum(s is side for s, t in zip(said, truths, strict=True) if t is side) / n for side, n in ((True, len(right)), (False, len(wrong)))]
        assert balanced(shares) == pytest.approx(balanced_accuracy_score(truths, said), abs=1e-12)


def test_a_mean_leaves_out_the_token_that_ends_the_answer_or_not():
    assert likelihood.mean([-1.0, -3.0, -8.0], end=False) == -2.0
    assert likelihood.mean([-1.0, -3.0, -8.0], end=True) == -4.0
    assert likelihood.mean([-8.0], end=False) == -8.0  # an empty answer
    told, truths = [[-1.0, -9.0], [-2.0, -1.0], [-3.0, -1.0]], [True, False, False]
    assert likelihood.compared("x", told, truths) == [Row("x", 2.0, 2), Row("x, end included", 0.0, 2)]
    assert likelihood.judged([parse("Count from 3 to 6.")] * 2, ["3, 4, 5, 6", "3, 4, 5"]) == [True, False]


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return Model(weights(), batch=3)


def test_log_probabilities_are_the_models_own_whatever_stands_beside_them(model):
    chats = [[Message("user", "Count from 3 to 6.")], [Message("system", "x"), Message("user", "Sort the numbers in this list from small to large: 9, 12, 2.")]] * 2
    replies = ["3, 4, 5, 6", "2, 9, 12", "", "12, 9, 2, and so on 你好"]
    found = model.logprobs(chats, replies)
    for chat, reply, told in zip(chats, replies, found, strict=True):
        before, after = (model.tokenizer.encode(text, add_special_tokens=False) for text in (model.prompt(chat), reply))
        ids = [*before, *after, model.tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids])).logits[0].double()
        alone = [(logits[i - 1][ids[i]] - torch.logsumexp(logits[i - 1], 0)).item() for i in range(len(before), len(ids))]
        assert told == pytest.approx(alone, abs=2e-4)
        assert all(math.isfinite(x) and x <= 0 for x in told)
    assert sum(found[0]) > sum(model.logprobs(chats[:1], ["6, 5, 4, 3"])[0])


def test_the_greedy_answer_is_what_the_log_probabilities_say(model):
    chat = [Message("user", "Count from 3 to 6.")]
    from gen.micro.measure.model import GREEDY

    [said] = model.reply([chat], GREEDY)
    assert check(parse("Count from 3 to 6."), said)
    [told] = model.logprobs([chat], [said])
    assert math.exp(sum(told)) > 0.3


def figures(**changes):
    found = {
        "answers by level": {"level 1": [90, 100], "level 4": [50, 100]},
        "rewrites of seeds": {n: [40, 50] for n in ("constrain", "deepen", "concretize", "reason", "complicate", "breadth")},
        "rewrites of evolved tasks": {n: [40, 50] for n in ("constrain", "deepen", "concretize", "reason", "complicate", "breadth")},
        "verdicts": {"equal pairs": [50, 50], "unequal pairs": [5, 10]},
        "judgements": {f"{n}: {side} answers": [4, 5] for n in ("curate/assistant", "curate/additive", "selfee/critique", "refine/feedback") for side in ("right", "wrong")},
        "right answers likelier than wrong ones, of all pairs": {"drafts": [76.5, 100]}}
    for title, rows in changes.items():
        found[title.replace("_", " ")] = {**found[title.replace("_", " ")], **rows}
    return found


def test_targets_are_met_at_their_bounds_and_missed_beyond_them():
    found = reached(figures())
    assert list(found) == [t.name for t in TARGETS]
    assert [name for name, row in found.items() if not row["met"]] == []
    assert found["equality judge"] == {"target": "at least 75%", "figure": 0.75, "met": True}
    assert found["direct answers, level 4"] == {"target": "40% to 75%", "figure": 0.5, "met": True}
    for name, changes in {
        "direct answers, level 1": {"answers_by_level": {"level 1": [84, 100]}}, "rewrites: reason": {"rewrites_of_evolved_tasks": {"reason": [39, 50]}},
        "equality judge": {"verdicts": {"unequal pairs": [4, 10]}}, "critique (selfee/critique)": {"judgements": {"selfee/critique: wrong answers": [3, 5]}},
        "AUC of mean answer log-probability": {"right_answers_likelier_than_wrong_ones,_of_all_pairs": {"drafts": [74, 100]}},
    }.items():
        assert [n for n, row in reached(figures(**changes)).items() if not row["met"]] == [name]
    for level_4 in (39, 76):
        assert not reached(figures(answers_by_level={"level 4": [level_4, 100]}))["direct answers, level 4"]["met"]


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert reached({}) == {}
    assert reached({"verdicts": {"equal pairs": [5, 5]}}) == {}
    assert reached({"answers by level": {"level 1": [0, 0]}}) == {}
    assert "rewrites: reason" not in reached({"rewrites of seeds": {"reason": [5, 5]}})


def test_recorded_figures_stand_beside_those_of_other_parts_and_targets_are_those_of_all(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"world": "2", "evaluation": {"answers by level": {"level 1": [1, 2]}, "old": {}}}))
    evaluate.record(path, {"verdicts": figures()["verdicts"]})
    manifest = json.loads(path.read_text())
    assert set(manifest["evaluation"]) == {"answers by level", "old", "verdicts"}
    assert {n: r["met"] for n, r in manifest["targets"].items()} == {"direct answers, level 1": False, "equality judge": True}
    assert manifest["world"] == "2"


def test_the_last_table_shows_for_each_checkpoint_what_is_met_and_missed():
    told = evaluate.summary({"strong": figures(), "weak": figures(verdicts={"equal pairs": [0, 50]})})
    [row] = [line for line in told.splitlines() if "equality judge" in line]
    assert row.split() == ["equality", "judge", "at", "least", "75%", "75.0%", "met", "25.0%", "missed"]
    assert [line for line in evaluate.summary({"strong": {}}).splitlines() if line.startswith("  ")] == []


def test_a_model_is_a_checkpoint_that_ships_or_a_folder(tmp_path, capsys, monkeypatch):
    assert evaluate.folder_of("strong") == weights()
    assert evaluate.folder_of(str(weights())) == weights()
    assert shipped()[0] == "strong"
    monkeypatch.setattr("sys.argv", ["evaluate", "--model", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        evaluate.main()
    assert end.value.code == 2
    assert "expected strong, weak or a folder with a config.json" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert evaluate.folder_of(str(tmp_path)) == tmp_path


class Oracle:
    """Answers every task of the world rightly, if it has so many clauses at most."""

    def __init__(self, clauses):
        self.clauses, self.asked = clauses, []

    def reply(self, chats, sampling):
        assert sampling.temperature == 0
        tasks = [parse(*(chat[-1].content + "\n\n").split("\n\n")[:2]) for chat in chats]
        self.asked += tasks
        return [solve(t) if len(t.clauses) <= self.clauses else "?" for t in tasks]


def test_answers_are_counted_by_level_and_at_the_first_level_by_family():
    model = Oracle(2)
    tables = levels.tables(model, Prompts(), random.Random(0), 2)
    assert all(map(held_out, model.asked))
    assert tables["answers by level"] == [Row(f"level {n}", 0 if n == 4 else 8, 8) for n in LEVELS]
    assert tables["answers at level 1"] == [Row(name, 2, 2) for name in families()]
    assert [t.family for t in model.asked[-2 * len(families()):]] == [f for f in families() for _ in range(2)]


def test_drafts_and_own_samples_are_compared_in_both_ways(model):
    tables = likelihood.tables(model, Prompts(), random.Random(0), 3)
    [rows] = tables.values()
    assert [r.name for r in rows] == ["drafts", "drafts, end included", "own samples", "own samples, end included"]
    assert [r.total for r in rows[:2]] == [144, 144]
    assert all(0 <= r.right <= r.total for r in rows)
