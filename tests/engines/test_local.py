"""`Local` on a random model of two layers and a byte-level tokenizer, both built here."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gen.core import Message, Request, Sampling, replace
from gen.engines import local as module
from gen.engines import logprobs, sampling
from gen.engines.local import Local
from gen.errors import EngineError, RecipeError

TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined %}T={{ enable_thinking }};{% endif %}"
    "{% endif %}"
)
SPECIAL = ["<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
LIMIT = 200
EOS = [2, 40, 41, 42, 43]


def build_tokenizer(folder: Path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {c: i for i, c in enumerate([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIAL)
    core.post_processor = processors.TemplateProcessing(
        single="<|bos|> $A", pair="<|bos|> $A $B", special_tokens=[("<|bos|>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>",
        model_max_length=LIMIT, chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A checkpoint whose generation_config.json tries to decide how we sample."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = build_tokenizer(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4 * LIMIT, initializer_range=0.35, tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.1, top_k=1, repetition_penalty=5.0, eos_token_id=EOS, pad_token_id=0
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(folder):
    from transformers import AutoModelForCausalLM, GenerationConfig

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config = GenerationConfig()
    return model.eval()


def ask(text: str, seed: int = 0, **sampling_) -> Request:
    sampling_ = {"max_tokens": 24, **sampling_}
    return Request("answerer", (Message("user", text),), Sampling(**sampling_), "step", seed=seed)


def with_engine(folder, use, **options):
    async def main():
        engine = Local(folder, **options)
        await engine.open()
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def complete_all(folder, requests, **options):
    return with_engine(folder, lambda e: asyncio.gather(*(e.complete(r) for r in requests)), **options)


MIXED = [
    ask("x" * (7 * i % 101), seed=i, max_tokens=5 + 3 * i, top_p=1 - i / 40, temperature=i % 4 / 2) for i in range(17)
]


def test_a_request_alone_and_in_a_batch_of_17_mixed_lengths_gives_the_same(folder, monkeypatch):
    sizes = []
    monkeypatch.setattr(module, "generate", spy(module.generate, lambda m, rows, *_, **__: sizes.append(len(rows))))
    together = complete_all(folder, MIXED)
    assert sizes == [17]
    assert complete_all(folder, MIXED, batch_size=1) == together
    assert sizes[1:] == [1] * 17
    assert complete_all(folder, MIXED[::-1], batch_size=5)[::-1] == together


def spy(function, see):
    def seen(*args, **options):
        see(*args, **options)
        return function(*args, **options)

    return seen


def test_the_seed_decides_the_text(folder):
    a, again, b = complete_all(folder, [ask("go", 1), ask("go", 1), ask("go", 2)])
    assert a == again
    assert a.text != b.text


def test_temperature_zero_is_plain_greedy_whatever_the_checkpoint_asks_for(folder, model):
    import torch

    async def use(engine):
        prompt = engine.encode(ask("hello").messages)
        found = await engine.complete(ask("hello", temperature=0.0))
        return engine.tokenizer, prompt, found

    tokenizer, prompt, found = with_engine(folder, use)
    out = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=24, eos_token_id=EOS, pad_token_id=0)
    new = out[0, len(prompt) :].tolist()
    assert found.text == tokenizer.decode(new, skip_special_tokens=True).strip()
    assert (found.prompt_tokens, found.completion_tokens) == (len(prompt), len(new))


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.3, 0.8)])
def test_first_tokens_of_2000_seeds_follow_the_softmax_inside_the_nucleus(model, temperature, top_p):
    import torch

    prompt, n = [1, 3, 90, 91, 2, 4], 2000
    rows = [sampling.Row(prompt, 1, Sampling(temperature, top_p), seed) for seed in range(n)]
    ids = sampling.generate(model, rows, lambda i: False, eos=(2,), pad=0)
    with torch.no_grad():
        p = (model(torch.tensor([prompt])).logits[0, -1].double() / temperature).softmax(-1)
    order = p.argsort(descending=True)
    kept = order[: int((p[order].cumsum(0) < top_p).sum()) + 1] if top_p < 1 else order
    counts = torch.bincount(torch.tensor([row[0] for row in ids]), minlength=len(p)).double()
    assert counts[kept].sum() == n, "drawn outside the nucleus"
    expected = p[kept] / p[kept].sum() * n
    common = expected >= 5
    observed = torch.cat([counts[kept][common], counts[kept][~common].sum()[None]])
    expected = torch.cat([expected[common], expected[~common].sum()[None]])
    chi2 = ((observed - expected) ** 2 / expected.clamp_min(1e-9)).sum().item()
    freedom = len(expected) - 1
    assert freedom > 20
    assert chi2 < freedom + 4 * (2 * freedom) ** 0.5


def test_a_wide_vocabulary_and_a_flat_distribution_find_the_same_nucleus():
    import torch

    scores = torch.randn(3, 5000, generator=torch.Generator().manual_seed(0)) / 10
    top_p = torch.tensor([[0.1], [0.5], [0.99]])
    kept = sampling.nucleus(scores, top_p).isfinite()
    p = scores.softmax(-1)
    mass = (p * kept).sum(-1, keepdim=True)
    least = p.masked_fill(~kept, 1).amin(-1, keepdim=True)
    assert (mass >= top_p - 1e-5).all()
    assert (mass - least < top_p).all()
    assert (p.masked_fill(kept, 0) <= least).all()


def test_the_growing_cache_changes_no_token(model, monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK", 8)
    rows = [sampling.Row([1, 3, *range(90, 95 + 9 * i)], 30 - i, Sampling(temperature=i % 2), i) for i in range(4)]
    grown = sampling.generate(model, rows, lambda i: False, eos=(), pad=0)
    assert [len(ids) for ids in grown] == [30, 29, 28, 27]
    monkeypatch.setattr(sampling, "_growing_cache", lambda model: {})
    assert sampling.generate(model, rows, lambda i: False, eos=(), pad=0) == grown


def test_a_batch_that_nobody_waits_for_ends_at_its_next_token(model):
    rows = [sampling.Row([1, 3, 90 + i], 100, Sampling(), i) for i in range(3)]
    new = sampling.generate(model, rows, lambda i: True, eos=(2,), pad=0)
    assert [len(ids) for ids in new] == [1, 1, 1]


def test_finish_tells_an_end_from_a_cut(folder):
    found = complete_all(folder, [ask("abc", seed, max_tokens=12) for seed in range(40)])
    stopped = [c for c in found if c.finish == "stop"]
    assert 3 < len(stopped) < 37
    assert all(1 <= c.completion_tokens <= 12 for c in stopped)
    assert all(c.completion_tokens == 12 for c in found if c.finish == "length")


def test_overlong_says_so_and_max_tokens_is_cut_to_what_the_context_leaves(folder):
    requests = [ask("x" * LIMIT), ask("x" * (LIMIT - 18), max_tokens=99, temperature=0.0)]
    long, near = complete_all(folder, requests)
    assert (long.finish, long.note) == ("overlong", f"limit {LIMIT}, prompt {LIMIT + 12}")
    assert near.prompt_tokens == LIMIT - 6
    assert near.completion_tokens <= 6
    assert near.note == f"max_tokens clamped to 6 (limit {LIMIT}, prompt {LIMIT - 6})"


def test_what_the_template_or_the_tokenizer_refuses_is_a_completion(folder):
    system = replace(ask("hi"), messages=(Message("system", "be"), Message("user", "hi")))
    found = complete_all(folder, [system, ask("\ud800"), ask("fine")])
    assert [c.finish == "refused" for c in found] == [True, True, False]
    assert "no system turn" in found[0].note


def test_the_template_is_applied_once_with_one_bos_and_the_thinking_switch(folder):
    def text(**options):
        async def use(engine):
            return engine.tokenizer.decode(engine.encode(ask("hi").messages))

        return with_engine(folder, use, **options)

    assert text(thinking="default") == "<|bos|><|user|>hi<|end|><|assistant|>"
    assert text() == "<|bos|><|user|>hi<|end|><|assistant|>T=False;"
    assert text(thinking="on").endswith("T=True;")


@pytest.mark.parametrize(
    ("reply", "finish", "answer", "reasoning"),
    [
        ("<think>hm</think> 4 <|end|>", "stop", "4", "hm"),
        ("<think>hm</think> 4", "length", "4", "hm"),
        ("<think>hm", "reasoning_truncated", "", "hm"),
        ("<think>hm<|end|>", "stop", "", "hm"),
        ("<think>hm</think>\n", "reasoning_truncated", "", "hm"),
    ],
)
def test_reasoning_is_set_apart(folder, monkeypatch, reply, finish, answer, reasoning):
    found = complete_reply(folder, monkeypatch, reply)
    assert (found.finish, found.text, found.reasoning) == (finish, answer, reasoning)


def test_reasoning_that_the_template_opened_is_recognised(folder, monkeypatch):
    found = complete_reply(folder, monkeypatch, "so it is", chat_template="{{ messages[0]['content'] }}<think>\n")
    assert (found.finish, found.text, found.reasoning) == ("reasoning_truncated", "", "so it is")


def complete_reply(folder, monkeypatch, reply, **changes):
    """What a request comes to when the model says `reply`."""
    ids = []
    monkeypatch.setattr(module, "generate", lambda *_, **__: [ids])

    async def use(engine):
        ids.extend(engine.tokenizer.encode(reply, add_special_tokens=False))
        for key, value in changes.items():
            setattr(engine.tokenizer, key, value)
        return await engine.complete(ask("2+2"))

    return with_engine(folder, use)


PAIRS = [([1, *range(6, 7 + 5 * i)], list(range(50, 51 + (11 * i) % 23))) for i in range(12)]


def test_log_probabilities_batched_equal_one_by_one_and_the_loss_of_transformers(folder, model, monkeypatch):
    import torch

    async def use(engine):
        single = [await engine.logprobs(p, c) for p, c in PAIRS]
        many = await engine.logprobs_many(PAIRS)
        monkeypatch.setitem(logprobs.MAX_LOGITS, "cpu", 262 * 30)
        return single, many, await engine.logprobs_many(PAIRS), await engine.logprobs([1], [])

    single, many, capped, empty = with_engine(folder, use)
    assert empty == []
    for (prompt, continuation), one, two, three in zip(PAIRS, single, many, capped, strict=True):
        assert one == pytest.approx(two, abs=1e-4)
        assert one == pytest.approx(three, abs=1e-4)
        ids = torch.tensor([prompt + continuation])
        labels = torch.tensor([[-100] * len(prompt) + continuation])
        loss = model(input_ids=ids, labels=labels).loss.item()
        assert -sum(one) / len(one) == pytest.approx(loss, abs=1e-5)


def test_what_cannot_be_scored_is_refused_in_words(folder):
    with pytest.raises(ValueError, match="give BOS"):
        with_engine(folder, lambda e: e.logprobs([], [5]))
    with pytest.raises(ValueError, match=f"limit {LIMIT}"):
        with_engine(folder, lambda e: e.logprobs([5] * LIMIT, [5]))


def test_a_failure_in_the_worker_reaches_every_caller(folder, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("device lost\nlong trace")

    monkeypatch.setattr(module, "generate", fail)

    async def use(engine):
        return await asyncio.gather(*(engine.complete(ask("x", i)) for i in range(5)), return_exceptions=True)

    found = with_engine(folder, use, batch_size=2)
    assert [type(e) for e in found] == [EngineError] * 5
    assert "device lost" in str(found[0])


def test_memory_running_out_halves_the_batch(folder, monkeypatch):
    real, sizes = module.generate, []

    def small(model, rows, *more, **options):
        sizes.append(len(rows))
        if len(rows) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return real(model, rows, *more, **options)

    expected = complete_all(folder, MIXED[:8])
    monkeypatch.setattr(module, "generate", small)
    assert complete_all(folder, MIXED[:8]) == expected
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_the_oldest_question_is_always_in_the_next_batch(folder, monkeypatch):
    batches = []
    watch = spy(module.generate, lambda m, rows, *_, **__: batches.append({r.seed for r in rows}))
    monkeypatch.setattr(module, "generate", watch)
    lengths = [100, 1, 2, 3, 99, 98, 1, 2]
    complete_all(folder, [ask("x" * n, seed=i, max_tokens=2) for i, n in enumerate(lengths)], batch_size=3)
    assert batches == [{0, 4, 5}, {1, 2, 6}, {3, 7}]
    batches.clear()
    monkeypatch.setattr(sampling, "MAX_TOKENS", 250)
    complete_all(folder, [ask("x" * n, seed=i, max_tokens=2) for i, n in enumerate(lengths)], batch_size=3)
    assert batches == [{0, 4}, {1, 2, 6}, {3, 7}, {5}]


def test_a_cancelled_caller_is_dropped(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "generate", spy(module.generate, lambda m, rows, *_, **__: seen.append(rows)))

    async def use(engine):
        tasks = [asyncio.create_task(engine.complete(ask("x", i))) for i in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = with_engine(folder, use)
    assert sorted(row.seed for row in seen[0]) == [0, 2]
    assert isinstance(found[1], asyncio.CancelledError)


def test_close_cancels_what_is_pending_and_may_be_called_again(folder):
    async def main():
        engine = Local(folder, batch_size=2)
        await engine.open()
        tasks = [asyncio.create_task(engine.complete(ask("x", i, max_tokens=190))) for i in range(6)]
        await asyncio.sleep(0.03)
        await engine.close()
        await engine.close()
        assert all(isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*tasks, return_exceptions=True))
        with pytest.raises(EngineError, match="not open"):
            await engine.complete(ask("x"))

    asyncio.run(main())


def altered(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_pickled_checkpoint_is_refused(folder, tmp_path):
    copy = altered(folder, tmp_path)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(RecipeError, match=r"no \*\.safetensors, and pickled"):
        asyncio.run(Local(copy).open())


TURNS = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}<|assistant|>"
HEARS = TURNS + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"  # as Qwen3's
DEAF = TURNS + "<think>"  # as DeepSeek-R1's


def think(folder, tmp_path, monkeypatch, template, max_tokens=24, **options):
    """What a model with this template says of 2+2, if it always thinks ten tokens unless its prompt says that it has
    thought; and what it is reproached with."""
    copy, tokenizer = altered(folder, tmp_path), build_tokenizer(tmp_path / "tokenizer")
    (copy / "chat_template.jinja").write_text(template)

    def generate(_model, rows, *_, **__):
        before = [tokenizer.decode(row.prompt) for row in rows]
        said = ["4" if b.endswith("</think>") else "0123456789</think>4" for b in before]
        said = [s if b.endswith("think>") else f"<think>{s}" for s, b in zip(said, before, strict=True)]
        ids = [[*tokenizer.encode(s, add_special_tokens=False), 2] for s in said]
        return [i[: row.limit] for i, row in zip(ids, rows, strict=True)]

    async def use(engine):
        return await engine.complete(ask("2+2", max_tokens=max_tokens)), engine.remark

    monkeypatch.setattr(module, "generate", generate)
    return with_engine(copy, use, **options)


def test_a_template_that_can_switch_thinking_off_is_believed_and_one_that_cannot_is_noticed(folder, tmp_path, monkeypatch):
    found, remark = think(folder, tmp_path / "a", monkeypatch, HEARS)
    assert (found.text, found.reasoning, remark) == ("4", "", "")
    for place, template in (("b", DEAF), ("c", TURNS + "{# <think> #}")):
        found, remark = think(folder, tmp_path / place, monkeypatch, template, max_tokens=40)
        assert (found.text, found.reasoning) == ("4", "0123456789")
        assert "thinks although thinking is off" in remark


def test_thinking_has_tokens_of_its_own(folder, tmp_path, monkeypatch):
    cut, remark = think(folder, tmp_path / "a", monkeypatch, DEAF, max_tokens=5, thinking="on")
    assert (cut.finish, cut.text, cut.reasoning, remark) == ("reasoning_truncated", "", "01234", "")
    whole, _ = think(folder, tmp_path / "b", monkeypatch, DEAF, max_tokens=5, thinking="on", thinking_budget=15)
    assert (whole.finish, whole.text, whole.reasoning) == ("stop", "4", "0123456789")


def test_a_model_without_chat_template_goes_on_with_texts_and_holds_no_chat(folder, tmp_path):
    copy = altered(folder, tmp_path)
    (copy / "chat_template.jinja").unlink()

    async def use(engine):
        told = await engine.complete(replace(ask("a b"), raw=True))
        assert told.completion_tokens > 0
        assert "refused" in await engine.lacks_scoring()
        with pytest.raises(RecipeError, match="no chat_template: a base model goes on with texts, so set --style base"):
            await engine.complete(ask("a b"))

    with_engine(copy, use)


def test_a_raw_text_is_sent_without_template_and_comes_back_as_it_is(folder, model):
    async def use(engine):
        raw, chat = [await engine.complete(r) for r in (replace(ask("a b", temperature=0.0), raw=True), ask("a b"))]
        return engine.tokenizer, raw, chat

    tokenizer, raw, chat = with_engine(folder, use, thinking_budget=50)
    prompt = tokenizer.encode("a b")
    assert prompt[0] == tokenizer.bos_token_id
    [ids] = sampling.generate(model, [sampling.Row(prompt, 24, Sampling(0.0), 0)], lambda _: False, eos=EOS, pad=0)
    assert raw.text == tokenizer.decode(ids, skip_special_tokens=True)
    assert raw.prompt_tokens == len(prompt) < chat.prompt_tokens
    assert raw.completion_tokens == len(ids)
    assert raw.finish == ("stop" if ids[-1] in EOS else "length")


def test_presence_penalty_is_taken_once_from_what_was_said_already():
    import torch

    scores_BV = torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 3)
    said_BT = torch.tensor([[3, 3, 1], [0, 0, 0], [2, 2, 2]])
    found = sampling.penalised(scores_BV, said_BT, [1.5, 0.0, -2.0])
    assert found.tolist() == [[1.0, 0.5, 3.0, 2.5], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 5.0, 4.0]]
    assert scores_BV.tolist() == [[1.0, 2.0, 3.0, 4.0]] * 3
    assert sampling.penalised(scores_BV, said_BT, [0.0] * 3) is scores_BV


def test_a_large_presence_penalty_says_no_token_twice_and_leaves_other_rows_alone(model):
    def rows(penalty):
        return sampling.Row([1, 70, 70, 71], 60, Sampling(0.7, presence_penalty=penalty), 3)

    def generated(*rows):
        return sampling.generate(model, rows, lambda _: False, eos=[], pad=0)

    free, bound = generated(rows(0.0), rows(1000.0))
    assert [free] == generated(rows(0.0))
    assert len({*free}) < len(free) == 60 == len({*bound})


def test_missing_weights_are_refused_not_invented(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = altered(folder, tmp_path)
    weights = load_file(copy / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match=r"model\.norm\.weight"):
        asyncio.run(Local(copy).open())


def test_a_model_found_nowhere_is_the_users_mistake_and_told_in_one_sentence(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub import errors

    def found(name, error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises((RecipeError, EngineError)) as caught:
            asyncio.run(Local(name).open())
        return caught.value

    unknown = found("nobody/nothing", errors.HFValidationError("bad\nUse `repo_type`"))
    offline = found(tmp_path / "gone", errors.LocalEntryNotFoundError("set HF_HUB_OFFLINE=0"))
    assert [type(unknown), type(offline)] == [RecipeError, RecipeError]
    assert str(unknown) == (
        "local engine: no model 'nobody/nothing': neither a folder of this name is here, nor is it in the cache of the "
        "Hugging Face hub or to be had from there (offline? private? misspelt?)"
    )
    assert str(offline).replace(str(tmp_path / "gone"), "nobody/nothing") == str(unknown)
    trouble = found("some/model", OSError("connection lost\nmore"))
    assert isinstance(trouble, EngineError)
    assert "OSError: connection lost)" in str(trouble)


def test_the_fingerprint_follows_the_content_and_not_the_path(folder, tmp_path):
    def fingerprint(path, **options):
        async def use(engine):
            return engine.fingerprint

        return with_engine(path, use, **options)

    original, copy = fingerprint(folder), altered(folder, tmp_path)
    assert fingerprint(copy) == original
    assert fingerprint(folder, thinking="on") != original
    assert fingerprint(folder, dtype="bfloat16") != original
    (copy / "manifest.json").write_text("{}")
    assert fingerprint(copy) == original
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    assert fingerprint(copy) != original
    assert Local(folder).model == "tiny"
    assert Local(folder, name="shown").model == "shown"


def test_loading_and_answering_print_nothing(folder, capfd):
    complete_all(folder, [ask("hi"), ask("hello there")])
    out = capfd.readouterr()
    assert out.out + out.err == ""


def test_importing_the_module_loads_nothing_heavy():
    heavy = "('torch', 'numpy', 'transformers', 'tokenizers', 'huggingface_hub')"
    code = f"import sys, gen.engines.local; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
