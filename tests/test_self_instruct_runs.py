"""Self-Instruct and Alpaca as whole runs on canned replies: two gates, one funnel, the same bytes at any concurrency."""

import json
from collections import Counter

import pytest

from gen import recipe as recipes
from gen.pool import Pool

LIST = """9. {first}
10. Draw a picture of a dune.
11. Compare an oak with an ash in three sentences."""
SCRIPT = """
[[rule]]
step = "new_instructions"
contains = "Compare an oak with an ash"
reply = "9. Say why leaves of birches turn yellow."

[[rule]]
step = "new_instructions"
reply = '''{list}'''

[[rule]]
step = "is_classification"
contains = "Describe"
reply = "Yes"

[[rule]]
step = "is_classification"
reply = "No"

[[rule]]
step = "instances_output_first"
reply = "<output>\\nyes\\n</output>\\n<input>\\nAn old one.\\n</input>"

[[rule]]
step = "instances_input_first"
reply = "<output>\\nThe oak has rough bark.\\n</output>\\n<output>\\n\\n</output>"
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT.replace("{list}", LIST.format(first="Describe the amber number 0 now.")))
    return path


def build(loop="self_instruct", target=None, gate=(), **parameters):
    budget = {"target": target} if target else {}
    return recipes.build({"loop": loop, "budget": budget, loop: parameters, "gate": {"filters": ["empty", "exact", *gate]}})


def test_ten_seeds_and_three_items_of_which_one_is_new(canned, script, seeds, tmp_path):
    """A near copy of a seed, a banned word and a good task; the good one is shown later and gets its instances."""
    recipe = build(dry_batches=2, prompts_per_batch=2, shown=6, from_pool=2)
    report, rows = canned(recipe, tmp_path / "run", script)
    assert report.why == "exhausted"
    with Pool.open(tmp_path / "run", readonly=True) as pool:
        reasons = Counter({(row.round, row.reason): row.count for row in pool.whole_funnel() if not row.stage and row.round})
        shown = [request for row in pool.all_grown() for request, _ in pool.asked(row.asked) if request.step == "new_instructions"]
    assert reasons[1, "near_duplicate"] == reasons[1, "keyword"] == 2, "two questions, each answered with the three"
    assert (reasons[1, ""], reasons[1, "duplicate"]) == (1, 1)
    assert "Compare an oak" not in shown[0].messages[-1].content
    assert any("Compare an oak with an ash in three sentences." in request.messages[-1].content for request in shown)
    tasks = {row["instruction"]: row for row in rows}
    assert {*tasks} == {"Compare an oak with an ash in three sentences.", "Say why leaves of birches turn yellow."}
    assert tasks["Compare an oak with an ash in three sentences."]["messages"][-1]["content"] == "The oak has rough bark."


def test_seeds_pass_as_they_are_or_get_instances(canned, script, seeds, tmp_path):
    _, rows = canned(build(dry_batches=1, prompts_per_batch=1, seeds_too=True), tmp_path / "run", script)
    told = {row["instruction"]: (row["input"], row["messages"][-1]["content"]) for row in rows}
    answered = {s.instruction: s.response for s in seeds if s.response}
    assert all(told[instruction] == ("", response) for instruction, response in answered.items())
    others = {s.instruction for s in seeds if not s.response}
    assert all(told[instruction] == ("An old one.", "yes") for instruction in others)


@pytest.mark.parametrize(
    ("loop", "parameters"),
    [("self_instruct", {}), ("self_instruct", {"style": "base", "compat": True, "seeds_too": True}), ("alpaca", {"from_pool": 1})],
)
def test_the_dataset_is_the_same_at_any_concurrency_and_of_exactly_the_target(canned, tmp_path, loop, parameters):
    gate = ("keywords", "rouge") if loop == "alpaca" else ()
    found = []
    for width in (1, 64):
        report, rows = canned(build(loop, 60, gate, **parameters), tmp_path / str(width), width=width)
        assert report.why == "target"
        found.append((tmp_path / str(width) / "dataset.jsonl").read_bytes())
        assert len(rows) == 60
    assert found[0] == found[1]


def test_instances_alone_writes_what_a_dataset_lacks(canned, script, seeds, tmp_path):
    report, rows = canned(build("instances", seeds_too=False), tmp_path / "run", script)
    assert report.why == "complete"
    assert {row["instruction"] for row in rows} == {s.instruction for s in seeds if not s.response}
    assert {json.dumps([row["input"], row["messages"][-1]["content"]]) for row in rows} == {'["An old one.", "yes"]'}
