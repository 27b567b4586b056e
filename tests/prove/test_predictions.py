"""What was predicted stands on the page, and is decided by the bounds that were written down."""

from pathlib import Path

from gen.prove.page import page
from gen.prove.predictions import Bound, Prediction, load, outcomes

PAGE = Path(__file__).parents[2] / "docs/micro-world.md"


def effect(mean):
    return {"right": {"all": [mean, mean - 0.02, mean + 0.02]}}


def predicted(*bounds, on=("strong", "weak")):
    return [Prediction("p", "ours", "Claim.", on, bounds)]


def test_every_prediction_is_on_the_page_word_by_word():
    found, text = load(), PAGE.read_text()
    assert len({p.name for p in found}) == len(found)
    assert [p.claim for p in found if p.by == "issue"] == [p.claim for p in found[:3]]
    for prediction in found:
        assert f"| {prediction.claim} |" in text
    assert "micro-world" in text.splitlines()[0]


def test_a_prediction_comes_true_only_where_every_bound_holds_on_every_checkpoint():
    effects = {"a over b": {"strong": effect(0.12), "weak": effect(0.08), "claimed": []}}
    [out] = outcomes(effects, predicted(Bound("a over b", "right", least=0.1)))
    assert out.true is False
    assert [value for _, _, value in out.found] == [0.12, 0.08]
    [out] = outcomes(effects, predicted(Bound("a over b", "right", least=0.1), on=("strong",)))
    assert out.true is True
    [out] = outcomes(effects, predicted(Bound("a over b", "right", least=0.05, most=0.1)))
    assert out.true is False


def test_what_was_not_measured_is_neither_true_nor_false_unless_another_bound_failed():
    effects = {"a over b": {"strong": effect(0.12), "claimed": []}}
    [out] = outcomes(effects, predicted(Bound("a over b", "right", least=0.1)))
    assert out.true is None
    [out] = outcomes(effects, predicted(Bound("a over b", "right", least=0.2)))
    assert out.true is False


def test_losers_and_failures_are_shown():
    figures = {"right": {g: [-0.05, -0.06, -0.04] for g in ("all", "tuning", "unseen")}}
    effects = {"exact over matched": {"strong": figures, "weak": figures, "claimed": ["right"]}}
    rows = [{"name": "none", "kept": 3, "right": 0.5, "difficulty": None}]
    text = page({"effects": effects, "checkpoints": {"strong": {"groups": {"gates": rows}}}, "settings": {"k": 1}})
    assert "for the worse: exact over matched (right)." in text
    assert "Failed: exact alone." in text
    assert "| none | 3 | 50.0% |" in text
