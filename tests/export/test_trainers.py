"""What is exported trains: one step of TRL's trainers on the bundled model, from files that `datasets` loads."""

from __future__ import annotations

import asyncio
import math

import pytest

from gen.core import KEEP, Candidate, Lineage, Sample
from gen.export.rows import Form
from gen.export.write import Export, Order
from gen.pool import GrownRow, Pool

pytestmark = pytest.mark.slow
SYSTEM = ("", "Answer with one word.")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    with Pool.open(tmp_path_factory.mktemp("run")) as pool:
        for i in range(8):
            sample = Sample(
                f"s{i}", f"Which of these is a fruit: plum, axe {i}?", Lineage(f"s{i}"), response="plum",
                system=SYSTEM[i % 2], reasoning=f"An axe cuts {i}.", meta={"rejected": "axe"},
            )  # fmt: skip
            asyncio.run(pool.commit_grown(GrownRow(0, 0, f"{i:03}", sample, (Candidate(sample),), (), 0, ())))
            pool.add_verdicts(1, [(sample.id, KEEP)])
        yield pool


@pytest.fixture
def load(pool, tmp_path):
    from datasets import load_dataset

    def load(form, name):
        Export(pool, Order(form)).to_file(tmp_path / name)
        kind = "parquet" if name.endswith("parquet") else "json"
        return load_dataset(kind, data_files=str(tmp_path / name), split="train", cache_dir=str(tmp_path / "cache"))

    return load


@pytest.fixture
def model():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from gen.micro.bundled import weights

    return AutoModelForCausalLM.from_pretrained(weights()), AutoTokenizer.from_pretrained(weights())


def one_step(kind, model, data, tmp_path, **config):
    """The loss of one step."""
    import trl

    config = getattr(trl, f"{kind}Config")(
        output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=4, use_cpu=True, bf16=False,
        report_to="none", save_strategy="no", logging_steps=1, dataloader_pin_memory=False, disable_tqdm=True,
        gradient_checkpointing=False, **config,
    )  # fmt: skip
    trainer = getattr(trl, f"{kind}Trainer")(model[0], args=config, train_dataset=data, processing_class=model[1])
    before = {name: p.detach().clone() for name, p in model[0].named_parameters()}
    loss = trainer.train().training_loss
    assert any((p.detach() != before[name]).any() for name, p in model[0].named_parameters())
    return loss, trainer


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_sft_takes_messages(load, model, tmp_path, name):
    loss, _ = one_step("SFT", model, load(Form("messages"), name), tmp_path)
    assert 0 < loss < 20


@pytest.mark.parametrize("plain", [False, True])
def test_sft_takes_prompt_completion_and_learns_the_completion_alone(load, model, tmp_path, plain):
    loss, trainer = one_step("SFT", model, load(Form("prompt-completion", plain), "a.jsonl"), tmp_path)
    assert 0 < loss < 20
    batch = next(iter(trainer.get_train_dataloader()))
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        learnt = model[1].decode(ids[labels != -100], skip_special_tokens=False)
        assert "plum" in learnt
        assert "fruit" not in learnt


def test_sft_takes_sharegpt_once_the_speakers_have_the_names_of_the_template(load, model, tmp_path):
    names = {"system": "system", "human": "user", "gpt": "assistant"}
    data = load(Form("sharegpt"), "a.jsonl").map(
        lambda row: {"conversations": [{"from": names[t["from"]], "value": t["value"]} for t in row["conversations"]]})
    loss, trainer = one_step("SFT", model, data, tmp_path)  # TRL itself makes from and value role and content
    assert 0 < loss < 20
    assert "<|assistant|>plum<|end|>" in model[1].decode(trainer.train_dataset[0]["input_ids"])


def test_dpo_takes_preference(load, model, tmp_path):
    for plain in (False, True):
        loss, trainer = one_step("DPO", model, load(Form("preference", plain), "a.jsonl"), tmp_path)
        assert math.isclose(loss, math.log(2), abs_tol=1e-3)  # model and reference are equal at the first step


TRAINING = """{% for message in messages %}{{ '<|' + message.role + '|>' }}{% if message.role == 'assistant' %}\
{% generation %}{{ (message.reasoning_content or '') + message.content + '<|end|>' }}{% endgeneration %}\
{% else %}{{ message.content + '<|end|>' }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""


def test_a_template_that_marks_the_answer_learns_it_and_its_reasoning_alone(load, model, tmp_path):
    model[1].chat_template = TRAINING
    data = load(Form("messages", reasoning="include"), "a.parquet")
    loss, trainer = one_step("SFT", model, data, tmp_path, assistant_only_loss=True)
    assert 0 < loss < 20
    batch = next(iter(trainer.get_train_dataloader()))
    for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
        learnt = model[1].decode(ids[labels != -100], skip_special_tokens=False)
        assert "cuts" in learnt
        assert "fruit" not in learnt


@pytest.mark.parametrize("template", ["qwen3", "qwen3_training", "glm4moe_training", "qwen3_8_training"])
def test_templates_read_the_reasoning_as_it_is_exported(pool, template):
    """The chat templates that TRL ships say the thought once, before the answer, from `reasoning_content`."""
    from pathlib import Path

    import trl
    from transformers.utils.chat_template_utils import render_jinja_template

    text = (Path(trl.__file__).parent / f"chat_templates/{template}.jinja").read_text()
    sample = next(pool.kept(1))

    def said(reasoning):
        row = Form("messages", reasoning=reasoning).row(sample)
        return render_jinja_template([row["messages"]], chat_template=text)[0][0]

    assert said("include").count("An axe cuts 0.") == 1
    assert said("include").index("<think>") < said("include").index("An axe cuts 0.") < said("include").rindex("plum")
    assert "An axe" not in said("drop")
    if template in ("qwen3", "qwen3_training"):  # these look into the text, too
        assert said("inline") == said("include")
