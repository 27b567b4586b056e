"""`Logprobs` on random models of every common kind, against float64 and one text at a time."""

import random

import pytest
import tiny_models

from gen.engines.logprobs import CHUNK, MAX_LOGITS, Logprobs, passes
from gen.engines.threads import single_threaded


def pairs_of(vocabulary, count=40):
    rng = random.Random(0)
    draw = lambda most: [rng.randrange(vocabulary) for _ in range(rng.randint(1, most))]
    return [(draw(60), draw(30)) for _ in range(count)]


@pytest.fixture(scope="module", params=["llama", "qwen", "gpt2"])
def model(request, tmp_path_factory):
    from transformers import AutoModelForCausalLM

    folder = tiny_models.build(request.param, tmp_path_factory.mktemp(request.param))
    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


def one_by_one(model, pairs):
    import torch

    told = []
    for given, said in pairs:
        with torch.no_grad():
            logs_TV = model(torch.tensor([given + said])).logits[0].double().log_softmax(-1)
        told.append([logs_TV[len(given) + i - 1, token].item() for i, token in enumerate(said)])
    return told


def test_values_are_those_of_one_text_at_a_time_in_float64(model, monkeypatch):
    pairs = pairs_of(model.config.vocab_size)
    expected = one_by_one(model, pairs)
    workers = single_threaded(2, "test")
    score = Logprobs(model, pad=0, workers=workers)
    whole = score(pairs)
    monkeypatch.setitem(MAX_LOGITS, "cpu", 50 * model.config.vocab_size)
    monkeypatch.setitem(CHUNK, "cpu", 7 * model.config.vocab_size)
    pieces = score(pairs)
    for told in (whole, pieces):
        assert [len(values) for values in told] == [len(said) for _, said in pairs]
        for values, right in zip(told, expected, strict=True):
            assert values == pytest.approx(right, abs=1e-5)
    workers.shutdown()


def test_the_head_sees_scored_places_only_and_generation_is_left_alone(model):
    import torch

    seen, pairs = [], pairs_of(model.config.vocab_size, 10)
    watch = model.get_output_embeddings().register_forward_hook(lambda _, given, out: seen.append(given[0].shape[:2]))
    score = Logprobs(model, pad=0)  # its hook comes before
    score(pairs)
    assert seen == [(1, sum(len(said) for _, said in pairs))]
    with torch.no_grad():
        assert model(torch.tensor([pairs[0][0]])).logits.shape[1] == len(pairs[0][0])
    watch.remove()


def test_a_model_that_does_not_call_its_head_is_scored_alike(model, monkeypatch):
    pairs = pairs_of(model.config.vocab_size, 10)
    expected = one_by_one(model, pairs)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: None)
    for values, right in zip(Logprobs(model, pad=0)(pairs), expected, strict=True):
        assert values == pytest.approx(right, abs=1e-5)


def test_a_token_that_is_all_but_certain_keeps_its_digits():
    """Logits 30, 14 and 0: the loss of the first token is ln(1 + e^-16 + e^-30) = 1.1254e-7, and 30 - 30 = 0 in
    float32 had the sum been taken first."""
    import torch

    class Model:
        device = torch.device("cpu")
        config = type("Config", (), {"vocab_size": 3, "get_text_config": lambda self: self})()
        get_output_embeddings = staticmethod(lambda: None)

        def __call__(self, ids_BT, use_cache):
            return type("Told", (), {"logits": torch.tensor([30.0, 14.0, 0.0]).expand(*ids_BT.shape, 3).clone()})()

    [values] = Logprobs(Model(), pad=0)([([1], [0, 1])])
    assert values == pytest.approx([-1.1254e-7, -16.0], rel=0.1)
    assert values[0] < 0


def test_passes_are_of_similar_length_and_bounded():
    pairs = [([1] * given, [2] * said) for given, said in [(5, 5), (1, 1), (50, 50), (6, 4), (1, 2), (300, 1)]]
    assert passes(pairs, 20, 1000) == [[5], [2], [0, 3], [4, 1]]
    assert passes(pairs, 1000, 1000) == [[5, 2, 0], [3, 4, 1]]
    assert passes(pairs, 1000, 7) == [[5], [2], [0], [3, 4, 1]]
    assert sorted(row for each in passes(pairs * 3, 64, 32) for row in each) == list(range(18))
