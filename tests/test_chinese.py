"""Chinese seeds are first-class: a whole run on seeds that the project wrote, every drop for its right reason."""

import json
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from gen import text
from gen.cli import main
from gen.core import Lineage, Sample, seed_id
from gen.engines.scripted import Scripted
from gen.seeds import read_seeds

TASKS = ["写一首关于秋天的短诗。", "解释为什么海水是咸的。", "把下面的数字从小到大排列。", "给出三条节约用水的建议。",
         "用一句话介绍你的家乡。", "写一封感谢老师的短信。", "说明如何泡一杯绿茶。"]  # fmt: skip
REWRITES = {
    "秋天": ("写一首关于秋天的七言绝句，诗中要提到落叶和远山，并在最后一句押韵。", None),
    "海水": ("请按照改写后的提示解释海水为什么是咸的，并举例说明原因。", "prompt_leak"),
    "数字": ("Sort the numbers below from small to large and explain each step.", "wrong_script"),
    "用水": ("给出三条节约用水的建议" + "，还要写出每一条建议的理由和例子" * 6 + "。", "too_long"),
    "家乡": ("用一句话介绍你的家乡", "unchanged"),
    "老师": ("写一封感谢老师的短信，信里要写到一件具体的往事，并且不超过八十个字。", "sorry_answer"),
    "绿茶": ("说明如何泡一杯绿茶，要写出水温、茶叶的用量和冲泡的时间，并解释原因。", "no_gain"),
}
ANSWERS = {"秋天": "落叶纷纷满院红，远山如画映天空。", "老师": "对不起，我无法完成这个请求。"}


def reply(request):
    text = request.messages[-1].content
    key = next(k for k in REWRITES if k in text)
    if request.role == "evolver":
        return f"<instruction>\n{REWRITES[key][0]}\n</instruction>"
    if request.role == "judge":
        return "Equal" if key == "绿茶" else "Not equal"
    return ANSWERS[key]


@pytest.fixture
def tasks():
    roots = [(seed_id(t, "", "好的，答案在这里。"), t) for t in TASKS]
    return [Sample(root, t, Lineage(root), input="九、三、七" if "数字" in t else "", response="好的，答案在这里。") for root, t in roots]


def test_every_drop_has_its_reason_and_the_good_rewrite_is_kept(tmp_path, tasks, hold):
    operations = {"evolve": {"operations": {"constrain": 1.0}}}
    run, kept = hold(tmp_path / "run", tasks, engine=Scripted(reply), rounds=1, **operations)
    expected = [reason for _, reason in REWRITES.values() if reason]
    assert dict(run.admission.position.dropped) == dict.fromkeys(expected, 1)
    [poem] = [s for s in kept if s.lineage.round == 1]
    assert poem.instruction == REWRITES["秋天"][0]
    assert len(kept) == len(TASKS) + 1


def test_the_gate_reads_chinese(tmp_path, tasks, hold):
    """Seeds with bad answers: refused, hollow, in another language, repeated without end, the same task twice."""
    bad = {
        "refusal": "抱歉，作为一个人工智能语言模型，我无法回答这个问题。",
        "hollow_response": "的了吗呢。",
        "wrong_script": "This is an English answer to a Chinese question, which nobody had asked for here.",
        "repetitive": "我们要节约用水。" * 60,
    }
    seeds = [Sample(f"s{i}", t, Lineage(f"s{i}"), response=a) for i, (t, a) in enumerate(zip(TASKS, bad.values(), strict=False))]
    twin = Sample("s9", "写一首关于秋天的短诗 ", Lineage("s9"), response="秋风起，叶满地。")
    seeds += [Sample("s8", "写一首关于秋天的短诗。", Lineage("s8"), response="秋风起，叶满地。"), twin]
    run, kept = hold(tmp_path / "run", seeds, engine=Scripted(reply), rounds=0)
    assert dict(run.admission.position.dropped) == {**dict.fromkeys(bad, 1), "duplicate": 1}
    assert [s.id for s in kept] == ["s8"]


def test_rouge_novelty_counts_chinese_characters(tmp_path, tasks, hold):
    near = Sample("n", "写一首关于秋天的小短诗。", Lineage("n"), response="秋风起，叶满地。")
    gate = {"gate": {"filters": ["rouge"]}}
    run, kept = hold(tmp_path / "run", [*tasks, near], engine=Scripted(reply), rounds=0, **gate)
    assert dict(run.admission.position.dropped) == {"near_duplicate": 1}
    assert len(kept) == len(TASKS)


SHIPPED = Path(str(resources.files("gen.recipes"))) / "seeds_zh.jsonl"
SCRIPT = Path(__file__).parent / "scripts" / "chinese.toml"


def test_the_shipped_seeds_are_fifty_varied_chinese_tasks():
    found = read_seeds([SHIPPED])
    assert (len(found.samples), found.bad, found.repeats) == (50, [], [])
    kinds = Counter(s.meta["category"] for s in found.samples)
    assert len(kinds) == 8
    assert min(kinds.values()) >= 5
    assert 20 <= sum(s.response is not None for s in found.samples) <= 30
    assert sum(bool(s.input) for s in found.samples) >= 15
    assert {s.meta["license"] for s in found.samples} == {"apache-2.0"}
    assert {text.dominant_script(s.instruction) for s in found.samples} == {"han"}


def test_fifty_chinese_seeds_run_from_end_to_end(tmp_path, capsys):
    recipe = Path(str(resources.files("gen.recipes"))) / "chinese.toml"
    command = ["evolve", "--recipe", str(recipe), "--model", f"script:{SCRIPT}", "--out", str(tmp_path / "run"), "--json"]
    assert main([*command, "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    ends = {(row["round"], "" if row["keep"] else row["reason"]) for row in report["funnel"]}
    dropped = Counter(row["reason"] for row in report["funnel"] if row["round"] == 0 and not row["keep"])
    assert dropped == {"sorry_answer": 1, "wrong_script": 1, "repetitive": 1}
    assert {(1, "prompt_leak"), (1, "wrong_script"), (1, "rewrite_unparsed"), (1, "")} <= ends
    rows = [json.loads(line) for line in (tmp_path / "run" / "dataset.jsonl").read_text().splitlines()]
    seeds = [row for row in rows if row["meta"]["round"] == 0]
    assert len(seeds) == 47
    english = {row["instruction"] for row in seeds if text.dominant_script(row["output"]) == "latin"}
    assert len([i for i in english if "英" in i]) == 3  # translations, and what is explained in English, are kept
    assert {text.dominant_script(row["instruction"]) for row in rows} == {"han"}
    grown = [row for row in rows if row["meta"]["round"]]
    assert len(grown) >= 8
    assert all(text.count_words(row["instruction"]) > 20 for row in grown)
    card = (tmp_path / "run" / "README.md").read_text()
    assert "seeds\\_zh.jsonl" in card
    assert "apache-2.0" in card
    assert main([*command, "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["why"] == "finished"


@pytest.mark.slow
def test_meaning_in_a_script_that_the_encoder_does_not_know_is_said_and_skipped(tmp_path, capsys):
    recipe = Path(str(resources.files("gen.recipes"))) / "chinese.toml"
    command = ["evolve", "--recipe", str(recipe), "--model", f"script:{SCRIPT}", "--out", str(tmp_path / "run")]
    assert main([*command, "--rounds", "0", "--gate", "empty", "exact", "semantic", "--quiet", "--json"]) == 0
    out, told = capsys.readouterr()
    assert "han texts were not compared in meaning: the encoder was not made for them (--embedder)" in told
    assert not [row for row in json.loads(out)["funnel"] if row["by"] == "semantic"]
    assert json.loads(out)["kept"] >= 47
