"""A warm start: what was known is there from the first step, although the tokenizer has other tokens."""

import itertools
import json
import random

import pytest
import torch
from transformers import AutoTokenizer

from gen.micro import warm
from gen.micro.bundled import weights
from gen.micro.corpus.mixture import examples
from gen.micro.learning import reply_loss
from gen.micro.tokenizer import build
from gen.micro.train import Plan, Trainer
from gen.prompts import Prompts


@pytest.fixture(scope="module")
def trainer():
    torch.set_num_threads(1)
    found = Trainer(Plan())
    found.begin(weights())
    return found


def test_what_the_shipped_model_says_of_its_examples_it_says_at_once(trainer):
    made = itertools.islice(examples(Prompts(), random.Random(0), 0), 60)
    rows = [(e.prompt, *trainer.encode(e)) for e in made]
    with torch.inference_mode():
        each, _ = reply_loss(trainer.model, rows)
    assert each.mean().item() < 0.8  # 7 before any training


def test_steps_go_on_counting_and_the_rate_warms_up_anew(trainer):
    before = json.loads((weights() / "manifest.json").read_text())["trainings"]
    assert trainer.state["step"] == trainer.state["begun"] == sum(t["steps"] for t in before) > 0
    assert trainer.rate() == pytest.approx(trainer.plan.rate / trainer.plan.warmup)
    assert trainer.training()["steps"] == 0
    assert trainer.training()["began with"] == "the weights before"


def test_a_warm_started_training_is_the_next_entry_of_the_manifest(trainer, tmp_path):
    trainer.export(tmp_path)
    trainings = json.loads((tmp_path / "manifest.json").read_text())["trainings"]
    assert trainings == [*warm.history(weights()), trainer.training()]


def test_a_token_begins_as_the_mean_of_its_pieces_in_the_old_tokenizer():
    now, before = build(Prompts()), AutoTokenizer.from_pretrained(weights())
    size = len(now) + 5
    old = torch.randn(len(before), 3, generator=torch.Generator().manual_seed(0))
    fresh = warm.embeddings(old, before, now, size)
    assert torch.equal(fresh[len(now):], torch.zeros(5, 3))
    for text in (" cat", "\n</instruction>", " teal", "<|user|>", "<passage>\n", "Revision is not needed.", "\n</tasks>\n\n"):
        [row] = now.encode(text, add_special_tokens=False)
        pieces = before.encode(text, add_special_tokens=False)
        assert torch.allclose(fresh[row], old[pieces].mean(0)), text
