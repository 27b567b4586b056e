from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from gen.card import CardFacts, card, clean

FACTS = CardFacts(
    name="evolved-seeds", rows=412,
    seeds=[("seed_tasks.jsonl", 175, "fa992babc6a5f9b9", "apache-2.0"), ("mine.jsonl", 3, "00ff", None)],
    models=[("evolver", "Qwen/Qwen3-8B", "ab12", "apache-2.0"), ("answerer", "my-model", "cd34", None)],
    loops=[("evolve", "arXiv 2304.12244")], prompts=("evolve/deepen@0123456789ab",),
    filters=[("rouge", {"max_rouge_l": 0.7, "tokens": "unicode"}, "arXiv 2212.10560")],
    funnel=[(1, "kept", 140), (1, "near_duplicate", 35)],
    versions={"gen": "0.1.0", "python": "3.11.7"}, command="gen evolve seed_tasks.jsonl --rounds 3",
    promise="Given the same journal, this dataset is the same byte for byte.", licences=("", "apache-2.0"),
    weights=[("Qwen3-8B@ab12 (apache-2.0)", 400), ("people (seeds as they were given)", 12)],
)


def front(text):
    opening, matter, body = text.split("---\n", 2)
    assert opening == ""
    return yaml.safe_load(matter), body


def test_front_matter_is_what_the_hub_reads():
    matter, _ = front(card(FACTS))
    assert matter == {
        "pretty_name": "evolved-seeds", "task_categories": ["text-generation"], "tags": ["synthetic", "gen", "evolve"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "dataset.parquet"}]}],
        "license": ["apache-2.0", "unknown"],
    }


@pytest.mark.parametrize(
    "line",
    [
        "412 examples for instruction tuning, made by gen from 178 seeds with evolve. What is not a seed's was "
        "written by Qwen/Qwen3-8B, my-model: it is synthetic and may be wrong.",
        "| evolver | Qwen/Qwen3-8B | ab12 | apache-2.0 | asks nothing of outputs |",
        "| answerer | my-model | cd34 | unknown | unknown: check |",
        "| Qwen3-8B@ab12 (apache-2.0) | 400 |",
        "No closed model was used: every reply came from the open weights named above. Who or what wrote the seeds is not known to gen.",
        "Labelled apache-2.0, unknown: the strictest licence of the seeds.",
        "| seed\\_tasks.jsonl | 175 | fa992babc6a5f9b9 | apache-2.0 |",
        "| mine.jsonl | 3 | 00ff | unknown |",
        "The licence of mine.jsonl, my-model is unknown: find it out before you publish this.",
        "| evolve | arXiv 2304.12244 |",
        "| evolve/deepen | 0123456789ab |",
        '| rouge | max\\_rouge\\_l = 0.7, tokens = "unicode" | arXiv 2212.10560 |',
        "| 1 | kept | 140 |",
        "| 1 | near\\_duplicate | 35 |",
        "| gen | 0.1.0 |",
        "gen evolve seed_tasks.jsonl --rounds 3",
        "Given the same journal, this dataset is the same byte for byte.",
        'data = load_dataset("path/to/this/folder", split="train")',
    ],
)
def test_the_page_says(line):
    assert line in card(FACTS).splitlines()


def test_equal_facts_give_equal_pages_and_each_section_comes_once():
    page = card(FACTS)
    assert card(replace(FACTS)) == page
    assert [s for s in page.splitlines() if s.startswith("#")] == [
        "# evolved-seeds", "## Models", "## Open weights", "## Seeds", "## Licence", "## Loops", "## Prompts", "## Filters", "## Funnel", "## Versions",
        "## Command", "## Reproducibility", "## Loading"]


def test_an_empty_run_has_a_page_too():
    page = card(CardFacts("x", 0, (), (), (), (), (), (), {}, "gen evolve", "none"))
    _, body = front(page)
    assert body.count("\nNone.\n") == 8
    assert "No licence of this dataset was stated." in body


NASTY = "a|b `c` <script>alert(1)</script>\n## d [e](f) ![g](h) & \"i\": '#j\u2028\x7f\ud83d 中 😀 \\"


def test_text_of_others_is_shown_as_it_is_and_never_obeyed():
    page = card(replace(
        FACTS, name=NASTY, models=[("evolver", NASTY, NASTY, NASTY)], seeds=[(NASTY, 1, NASTY, NASTY)],
        loops=[(NASTY, NASTY)], prompts=(NASTY + "@" + NASTY,),
        filters=[("f", {"words": [NASTY]}, "ours")], funnel=[(1, NASTY, 2)], promise=NASTY,
        versions={NASTY: NASTY},
    ))
    matter, body = front(page)
    assert matter["pretty_name"] == matter["tags"][2]
    assert matter["pretty_name"] == "a|b `c` <script>alert(1)</script> ## d [e](f) ![g](h) & \"i\": '#j    中 😀 \\"
    assert "<script" not in body
    assert "&lt;script&gt;" in body
    assert page.encode().decode().count("\n## ") == 12
    (row,) = [r for r in body.splitlines() if r.startswith("| evolver")]
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 6


def test_a_command_with_fences_stays_in_its_block():
    page = card(replace(FACTS, command="gen evolve '```\n```\n## not a title'"))
    assert "```bash\ngen evolve '``` ``` ## not a title'\n```" in page


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("gen evolve seeds.jsonl --rounds 3", "gen evolve seeds.jsonl --rounds 3"),
        ("gen evolve /home/ada/a.jsonl ../b.jsonl ~/c.jsonl", "gen evolve a.jsonl ../b.jsonl c.jsonl"),
        ("--out=/tmp/run --out '/a/b/c'", "--out=run --out 'c'"),
        (r"C:\Users\ada\seeds.jsonl", "seeds.jsonl"),
        ("/srv/models/Qwen2", "Qwen2"),
        ("/home/ada/run/ 1 / 2", "run/ 1 / 2"),
        ('words = "\\\\d+"', 'words = "\\\\d+"'),
        ("--seeds=/a/b.jsonl,/a/c.jsonl", "--seeds=b.jsonl,c.jsonl"),
        ("--server http://gpu7:8000/v1,https://b.example/v1", "--server ADDRESS,ADDRESS"),
        ("--server 10.0.0.7:8000 localhost gpu7.lan:8000", "--server ADDRESS ADDRESS ADDRESS"),
        ("--api-key sk-1 --token=x --hf-token 'a b' --answerer.api_key z",
         "--api-key SECRET --token=SECRET --hf-token SECRET --answerer.api_key SECRET"),
        ("HF_TOKEN=abc gen evolve", "HF_TOKEN=SECRET gen evolve"),
        ("the same token ids at 12:30", "the same token ids at 12:30"),
        ("--max-tokens 512 --tokenizer qwen --ratio 16:9", "--max-tokens 512 --tokenizer qwen --ratio 16:9"),
        ("Qwen/Qwen3-8B and/or 1/2, arXiv:2304.12244", "Qwen/Qwen3-8B and/or 1/2, arXiv:2304.12244"),
        ("torch 2.13.0+cpu", "torch 2.13.0+cpu"),
        ("/" * 5000 + " //srv//data//a.jsonl", "/" * 5000 + " a.jsonl"),
    ],
)
def test_nothing_that_names_a_machine_gets_in(text, cleaned):
    assert clean(text) == cleaned


def test_licences_are_labelled_by_the_strictest_and_what_forbids_is_said():
    matter, body = front(card(replace(FACTS, licences=("CC BY-NC 4.0", "mit"))))
    assert matter["license"] == "cc-by-nc-4.0"
    assert "CC BY-NC 4.0: no commercial use." in body
    matter, body = front(card(replace(FACTS, licences=("",))))
    assert matter["license"] == "unknown"
    assert "No licence of this dataset was stated." in body
    assert "license" not in front(card(replace(FACTS, licences=())))[0]


def test_a_closed_model_is_named_and_a_served_one_is_not_vouched_for():
    page = card(replace(FACTS, closed=[("judge", "gpt-4o", "OpenAI")]))
    assert "**A closed model was used**, as `--allow-closed` permits: gpt-4o (OpenAI) as judge." in page
    assert "No closed model was used" not in page
    assert "gen saw no file of them" in card(replace(FACTS, served=True))


def test_the_page_of_an_export_names_its_files_columns_and_notes():
    page = card(replace(
        FACTS, files=[("train", "data/train-*"), ("test", "data/test-*")], columns=("prompt", "chosen", "rejected"),
        trainer="DPOTrainer", notes=("Held out: 3 rows.",),
    ))
    assert front(page)[0]["configs"][0]["data_files"][1] == {"split": "test", "path": "data/test-*"}
    assert 'DPOTrainer(model="your/model", train_dataset=data.select_columns(["prompt", "chosen", "rejected"])).train()' in page
    assert page.endswith("Held out: 3 rows.\n")
    assert "trl" not in card(replace(FACTS, trainer=""))


def test_what_a_filter_says_of_its_own_judgement_is_told_beneath_its_parameters():
    page = card(replace(FACTS, caveats={"semantic": "compared with *some* of them"}))
    assert "\n\nsemantic: compared with \\*some\\* of them.\n\n## Funnel" in page


def test_filters_that_were_left_out_are_named_and_who_measures_writes_nothing():
    models = [("answerer", "micro", "ab", "mit"), ("scorer", "judge-7b", "cd", "mit"), ("embedder", "encoder", "ef", "mit")]
    page = card(replace(FACTS, models=models, left_out={"ifd": "the server tells no log-probabilities"}))
    assert "Left out of the gate: ifd (the server tells no log-probabilities)." in page
    assert "was written by micro:" in page
