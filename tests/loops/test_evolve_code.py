"""Evol-Instruct for code as dialogues: its own questions, what fences change, tests that the judge writes."""

import random
import tomllib
from collections import Counter

import pytest
from dialogue import hold

from gen import recipe as recipes
from gen.core import Completion, Lineage, Sample
from gen.engines.scripted import Scripted
from gen.errors import RecipeError
from gen.loops.evolve import WEIGHTS, Evolve

SEED = Sample("s1", "Write a Python function that adds two numbers.", Lineage("s1"), response="```python\ndef add(a, b):\n    return a + b\n```")
REWRITE = "<instruction>\nWrite a Python function that adds two numbers given as strings of digits.\n</instruction>"
ANSWER = "```python\ndef add(a, b):\n    return str(int(a) + int(b))\n```"


def only(name):
    return {name: 1.0}


def grow(replies, seed=SEED, **parameters):
    parameters.setdefault("operations", only("constrain"))
    return hold(Evolve(style="code", **parameters).grow(seed, random.Random(0)), replies)


def end(grown):
    [candidate] = grown.candidates
    return candidate.failure.reason if candidate.failure else None


def test_an_evolution_asks_the_prompts_of_its_style_and_the_shared_judge():
    asked, grown = grow([REWRITE, "Not equal", ANSWER])
    assert [r.prompt.split("@")[0] for r in asked] == ["code/constrain", "evolve/equal", "code/answer"]
    assert asked[0].messages[-1].content.startswith("You improve programming tasks")
    assert asked[2].messages[-1].content == "Write a Python function that adds two numbers given as strings of digits."
    assert end(grown) is None
    assert grown.heirs[0].lineage.operation == "constrain"


@pytest.mark.parametrize("operation", WEIGHTS["code"])
def test_every_operation_asks_for_one_thing_and_shows_task_and_data(operation):
    seed = Sample("s", "Sort the list.", Lineage("s"), input="xs = [3, 1]")
    asked, grown = grow([Completion("", "length")], seed, operations=only(operation))
    question = asked[0].messages[-1].content
    assert "<task>\nSort the list.\n</task>\n<data>\nxs = [3, 1]\n</data>" in question
    assert "Add 10 to 20 words" in question
    assert "Rewrite the task, do not solve it" in question
    assert (asked[0].sampling.temperature, asked[0].sampling.top_p, asked[0].sampling.max_tokens) == (1.0, 0.9, 2048)
    assert end(grown) == "rewrite_truncated"


def test_the_style_decides_operations_and_gate_where_nothing_else_is_said():
    loop = Evolve(style="code")
    assert loop.operations == {"constrain": 1.0, "rare_requirement": 1.0, "reason": 1.0, "erroneous_code": 1.0, "complexity": 0.5}
    assert "breadth" not in loop.operations
    assert Evolve(style="code", operations={"reason": 1.0}).operations == {"reason": 1.0}
    assert set(loop.default_gate) - set(Evolve().default_gate) == {"code"}
    assert [p.name for p in loop.asks()] == ["code/constrain", "code/rare_requirement", "code/reason", "code/erroneous_code", "code/complexity", "evolve/equal", "code/answer"]


def test_complexity_is_drawn_half_as_often_as_the_others():
    """9,000 draws: 2,000 of each operation, 1,000 of complexity, within four sigma."""
    loop = Evolve(style="code")
    counts = Counter(next(loop.grow(SEED, random.Random(i)))[0].step for i in range(9000))
    assert set(counts) == set(WEIGHTS["code"])
    for name, count in counts.items():
        share = WEIGHTS["code"][name] / 4.5
        assert abs(count - 9000 * share) < 4 * (9000 * share * (1 - share)) ** 0.5, counts


def test_a_general_recipe_keeps_its_name_and_a_code_recipe_survives_its_own_file(tmp_path):
    general, code = recipes.build({}), recipes.build({"evolve": {"style": "code"}})
    assert not {"style", "write_tests"} & set(general.deciding()["params"])
    assert code.deciding()["params"]["style"] == "code"
    assert general.run_name("s") != code.run_name("s")
    (tmp_path / "r.toml").write_text(recipes.to_toml(code))
    assert recipes.read(tmp_path / "r.toml") == code
    back = recipes.with_values(code, {"evolve": {"style": "general"}})
    assert back.params.operations == general.params.operations


def test_fenced_code_is_not_counted_as_words():
    lines = "\n".join(f"x{i} = {i} + {i} # wrong" for i in range(40))
    rewrite = f"<instruction>Write a Python function that adds two numbers. A colleague wrote:\n```python\n{lines}\n```</instruction>"
    assert end(grow([rewrite, "Not equal", ANSWER], operations=only("erroneous_code"))[1]) is None
    spoken = rewrite.replace("```python\n", "").replace("\n```", "")
    assert end(grow([spoken], operations=only("erroneous_code"))[1]) == "too_long"


def test_erroneous_code_must_survive_the_next_round():
    seed = Sample("s", "Add two numbers. A colleague wrote:\n```\ndef add(a, b): return a - b\n```", Lineage("s"))
    lost = "<instruction>Write a function that adds two numbers of any size.</instruction>"
    assert end(grow([lost], seed)[1]) == "lost_data"


SOLVED = {
    "```python\ndef add(a, b):\n    return a + b\n```": "nothing but code",
    "Write add(a, b) for big numbers.\n\nSolution:\n```python\ndef add(a, b): return a + b\n```": "Solution:",
    "Write add(a, b) for big numbers.\n**Here is the corrected code:**\n```\ndef add(a, b): return a + b\n```": "**Here is the corrected code:",
    "请编写一个函数，把两个数相加。\n参考答案：\n```python\ndef add(a, b): return a + b\n```": None,
}


@pytest.mark.parametrize(("rewrite", "note"), SOLVED.items())
def test_a_rewrite_that_solves_its_task_is_dropped_before_it_costs_more(rewrite, note):
    seed = SEED if note else Sample("s", "写一个加法函数。", Lineage("s"))
    asked, grown = grow([f"<instruction>{rewrite}</instruction>"], seed)
    assert end(grown) == "rewrite_solved"
    assert grown.candidates[0].failure.note.startswith(note or "参考答案")
    assert len(asked) == 1


def test_a_program_may_say_sorry():
    answer = '```python\nprint("Sorry, try again.")\n```'
    assert end(grow([REWRITE, "Not equal", answer])[1]) is None
    assert end(grow([REWRITE, "Not equal", "Sorry, I cannot."])[1]) == "sorry_answer"


TESTS = "<tests>\nassert add('1', '2') == '3'\n</tests>"
WRITTEN = {
    TESTS: {"tests": "assert add('1', '2') == '3'"},
    "<tests>\n```python\nassert add('1', '2') == '3'\n```\n</tests>": {"tests": "assert add('1', '2') == '3'"},
    "assert add('1', '2') == '3'": {"no_tests": "tests_unparsed"},
    "<tests>add of 1 and 2 is 3</tests>": {"no_tests": "tests_unparsed"},
    "<tests></tests>": {"no_tests": "tests_empty"},
    Completion("<tests>", "length"): {"no_tests": "tests_truncated"},
    Completion("", "refused"): {"no_tests": "tests_rejected"},
    Completion("", "overlong"): {"no_tests": "overlong"},
}


@pytest.mark.parametrize(("reply", "meta"), WRITTEN.items())
def test_tests_are_asked_for_after_the_answer_and_their_lack_is_no_fault_of_it(reply, meta):
    asked, grown = grow([REWRITE, "Not equal", ANSWER, reply], write_tests=True)
    assert (asked[3].role, asked[3].step, asked[3].sampling.temperature) == ("judge", "tests", 0.0)
    assert f"<answer>\n{ANSWER}\n</answer>" in asked[3].messages[-1].content
    assert end(grown) is None
    assert grown.heirs[0].meta == meta
    assert grown.heirs[0].lineage.prompts[-1].startswith("code/tests@")


def test_no_tests_are_asked_for_where_there_is_no_python_or_the_seed_has_its_own():
    assert [r.step for r in grow([REWRITE, "Not equal", "```sql\nSELECT 1;\n```"], write_tests=True)[0]][-1] == "answer"
    bare = Sample("s", "Add.", Lineage("s"), meta={"tests": "assert True"})
    asked, grown = hold(Evolve(style="code", write_tests=True).answer(bare), [ANSWER])
    assert [r.step for r in asked] == ["answer"]
    assert grown.candidates[0].sample.meta == {"tests": "assert True"}


def test_tests_are_for_programs():
    with pytest.raises(RecipeError, match='write_tests: tests are written for programs alone; add style = "code"'):
        Evolve(write_tests=True)


def test_what_holds_twenty_and_a_stop_comes_through_whole():
    """Others inherited "20." as a stop string from the lists of Alpaca, and cut tasks and answers at it."""
    rewrite = "<instruction>Write a function that lists:\n19. odd\n20. even\n21. prime numbers up to 20.5</instruction>"
    answer = "```python\nLIMIT = 20.\n# 20. even\nprint(LIMIT)\n```\n20. Done."
    _, grown = grow([rewrite, "Not equal", answer])
    [child] = grown.heirs
    assert child.instruction == "Write a function that lists:\n19. odd\n20. even\n21. prime numbers up to 20.5"
    assert child.response == answer


@pytest.mark.parametrize(("policy", "rows"), [("parent", [4, 4, 3, 4]), ("stop", [4, 4, 3, 3])])
def test_a_row_that_fails_in_round_two_leaves_its_parent_or_leaves_the_chain(policy, rows, tmp_path, hold):
    """arXiv 2306.08568 merges all rounds with the seeds; the specification's case, end to end, "20." included."""
    def reply(request):
        task = request.messages[-1].content.split("<task>\n")[-1].split("\n</task>")[0]
        if request.role == "judge":
            return "Not equal"
        if request.role == "evolver":
            return f"<instruction>{task.removesuffix('.')} and 20.0 more.</instruction>"
        return f"```python\n# 20. {task}\nx = 20.\n```"

    seeds = [Sample(f"{i}" * 16, f"Write a function for task {i} of four.", Lineage(f"{i}" * 16), response="```python\nx = 1\n```") for i in range(4)]
    calls = Counter()

    def once(request):
        text = request.messages[-1].content
        # of the third seed, the second rewrite (one addition in the first task, two in the second) brings nothing new
        if request.role == "judge" and "task 2 " in text and text.count("20.0 more") == 3 and not calls["failed"]:
            calls["failed"] += 1
            return "Equal"
        return reply(request)

    _, kept = hold(tmp_path, seeds, engine=Scripted(once, width=1), evolve={"style": "code", "on_failure": policy}, rounds=3)
    found = Counter(s.lineage.round for s in kept)
    assert [found[r] for r in range(4)] == rows
    assert all(s.response.startswith("```python\n# 20. Write") for s in kept if s.lineage.round)


def test_the_style_decides_the_defaults_of_other_flags(capsys):
    from gen.cli import main

    flags = ["evolve", "--style", "code", "--operations.complexity", "0.1", "--without", "code", "--print-recipe"]
    assert main(flags) == 0
    told = tomllib.loads(capsys.readouterr().out)
    assert told["evolve"]["operations"] == WEIGHTS["code"] | {"complexity": 0.1}
    assert told["gate"]["filters"] == list(Evolve().default_gate)
    assert main(["evolve", "--style", "kode", "--print-recipe"]) == 2
    assert "allowed: general | code" in capsys.readouterr().err
