"""A killed training continues as if never stopped, and what it exports is a plain checkpoint."""

import json
import math
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gen.errors import InputError
from gen.micro import train
from gen.micro.corpus.mixture import NAMES, SAME, STAGES
from gen.micro.learning import reply_loss
from gen.micro.train import DECAY, Plan, Trainer, run

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 64, "tie_word_embeddings": True}


def tiny():
    return Trainer(Plan(batch=6, micro=2, warmup=2, shape=dict(TINY)))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_resumed_training_equals_uninterrupted_training_bit_by_bit(tmp_path):
    whole = tiny()
    run(whole, tmp_path / "whole", steps=8, minutes=None)
    part = tiny()
    for _ in range(3):
        part.state["decay"] = [int(8 * (1 - DECAY)), 8]
        part.step()
    part.save(tmp_path)
    resumed = Trainer.load(tmp_path)
    assert same(part, resumed)
    run(resumed, tmp_path, steps=8, minutes=None)
    assert same(whole, resumed)
    assert whole.state["tokens"] == resumed.state["tokens"] > 0
    assert not same(part, resumed)


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path):
    trainer = tiny()
    trainer.state["vocabulary"] = "other"
    trainer.save(tmp_path)
    with pytest.raises(InputError, match="the tokenizer"):
        Trainer.load(tmp_path)


def test_steps_and_minutes_count_from_where_the_training_began(tmp_path):
    trainer = tiny()
    trainer.state.update(step=100, begun=100)
    assert trainer.rate() == trainer.plan.rate / 2
    run(trainer, tmp_path, steps=4, minutes=None)
    assert (trainer.state["step"], trainer.state["decay"]) == (104, [102, 104])
    timed = tiny()
    timed.state.update(step=109, begun=100, seconds=80.0)
    run(timed, tmp_path, steps=None, minutes=1)
    assert timed.state["decay"] == [110, 100 + round(10 / (1 - DECAY))]


def test_minutes_decide_when_the_rate_falls_and_the_end(tmp_path):
    trainer = tiny()
    trainer.state.update(step=9, seconds=80.0)
    run(trainer, tmp_path, steps=None, minutes=1)
    end = round(10 / (1 - DECAY))
    assert trainer.state["decay"] == [10, end]
    assert trainer.state["step"] == end
    assert trainer.rate() < 0.03 * trainer.plan.rate


def test_only_replies_are_learned_and_padding_changes_nothing():
    trainer = tiny()
    rows = [("long", [7, 8, 9, 10, 11], 2), ("short", [7, 8, 9], 2)]
    both, _ = reply_loss(trainer.model, rows)
    alone = [reply_loss(trainer.model, [row])[0].item() for row in rows]
    assert both.tolist() == pytest.approx(alone, rel=1e-4)


def test_export_is_a_checkpoint_that_transformers_reads_and_names_its_prompts(tmp_path):
    trainer = tiny()
    trainer.step()
    trainer.export(tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert next(model.parameters()).dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.decode(tokenizer.encode("Count from 3 to 6. 你好", add_special_tokens=False)) == "Count from 3 to 6. 你好"
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    [training] = manifest["trainings"]
    assert (training["steps"], training["began with"], training["prompts"]) == (1, "nothing", len(manifest["prompts"]))
    assert training["tokens"] > 0
    assert {p.partition("@")[0] for p in manifest["prompts"]} >= {"evolve/answer", "evolve/equal", "evolve/breadth"}


TOLERANCE = 0.01
"""Nats a token between two trainings of the small plan on different machines; one and two threads are 0.0002 apart, and a
learning rate that is 10 % higher is further away than this."""


@pytest.mark.slow
def test_the_small_plan_trains_as_it_was_logged_through_all_stages_and_another_rate_does_not(tmp_path):
    logged = train.rows(train.LOG)
    assert len(logged) == train.SMALL_STEPS
    seen = {name for row in logged for name in row if "/" in name}
    assert seen <= set(NAMES) - set(SAME)
    assert len(seen) > 0.75 * len(NAMES)
    assert train.SMALL_STEPS * train.SMALL.stride > STAGES[-1].start
    for plan, alike in ((train.SMALL, True), (replace(train.SMALL, rate=1.1 * train.SMALL.rate), False)):
        folder = tmp_path / f"{plan.rate}"
        run(Trainer(plan), folder, train.SMALL_STEPS, None, log=1)
        apart = train.apart(train.rows(folder / "losses.jsonl"), logged)
        assert apart < math.inf, "prompts, world or mixture have changed: python -m gen.micro.train --small --record --threads 1"
        assert (apart < TOLERANCE) is alike


def test_curves_are_apart_by_their_largest_difference_and_other_examples_make_them_incomparable():
    row = {"step": 1, "tokens": 9, "rate": 0.1, "a/b": 2.0, "c/d": 4.0}
    assert train.apart([row, row], [row, {**row, "c/d": 4.5}]) == 0.25
    assert train.apart([row], [{**row, "a/b": 4.0, "c/d": 2.0}]) == 0
    for other in ([], [row, row], [{**row, "tokens": 8}], [{**row, "e/f": 1.0}]):
        assert train.apart([row], other) == math.inf


def test_the_small_plan_begins_anew_and_says_how_far_it_is_from_the_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "SMALL", replace(train.SMALL, batch=4, shape=dict(TINY)))
    monkeypatch.setattr(train, "SMALL_STEPS", 2)
    for _ in range(2):
        train.small(tmp_path)
        assert capsys.readouterr().out == "at most inf from the logged losses\n"
    monkeypatch.setattr(train, "LOG", tmp_path / "log.jsonl")
    train.small(tmp_path, record=True)
    assert "seconds" not in train.LOG.read_text()
    capsys.readouterr()
    train.small(tmp_path)
    assert capsys.readouterr().out == "at most 0.0000 from the logged losses\n"
