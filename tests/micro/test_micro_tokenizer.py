"""The model's own tokenizer: any text comes back, fixed passages are cheap, chats are rendered as trained."""

import itertools
import random

import pytest
from tokenizers.decoders import DecodeStream

from gen.micro.corpus.mixture import examples
from gen.micro.tokenizer import END, ROLES, build
from gen.prompts import Prompts

TOKENIZER = build(Prompts())
TEXTS = [
    "", " ", "\n", "\n\n\n", "  two  blanks\tand a tab ", "plain words", "你好，世界！数到三。", "🌍👩🏽‍🚀🇩🇪", "naïve Ünïcödé ß İ",
    "<instruction>\nx\n</instruction>", "<task><|user|x>", "a\r\nb", "\x00\x07\u200b\ufeff", "| row | item |\n| 1 | cat |",
    "Which word in this list belongs to the", "Which word inthis listbelongs Turnings", "12345678 3.14 -7 1e9", "don't I'll we've",
    "Rules:\n- Rewrite the task, do not carry it out.\n", "def f(x):\n    return {'a': [1, 2]}\n", "Ġcat Ċ Ã©", "مرحبا नमस्ते ไทย",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_exactly(text):
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text
    assert TOKENIZER.decode(ids) == text


def test_random_bytes_and_glued_passages_come_back():
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(160, 0xD7FF), rng.randrange(0x10000, 0x1F9FF)]))
                       for _ in range(rng.randrange(30)))
        text = "".join(rng.sample([*TEXTS, text], 4))
        assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False), skip_special_tokens=True) == text


@pytest.mark.parametrize("text", TEXTS)
def test_streamed_tokens_add_up_to_the_same_text(text):
    stream, ids = DecodeStream(skip_special_tokens=True), TOKENIZER.encode(text + "!", add_special_tokens=False)
    assert "".join(stream.step(TOKENIZER.backend_tokenizer, i) or "" for i in ids) == text + "!"


def test_training_examples_are_short():
    made = list(itertools.islice(examples(Prompts(), random.Random(0)), 300))
    sizes = [len(TOKENIZER.encode(e.messages[-1].content, add_special_tokens=False)) for e in made]
    assert sum(sizes) / len(sizes) < 30
    assert max(sizes) < 130


def test_chat_template_renders_roles_ends_each_turn_and_honours_the_generation_prompt():
    chat = [{"role": "system", "content": "Answer in French."}, {"role": "user", "content": "Hi\n"},
            {"role": "assistant", "content": "Salut"}, {"role": "user", "content": "你好"}]
    text = TOKENIZER.apply_chat_template(chat, tokenize=False)
    assert text == ("<|system|>Answer in French.<|end|><|user|>Hi\n<|end|><|assistant|>Salut<|end|><|user|>你好<|end|>")
    assert TOKENIZER.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == text + "<|assistant|>"
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == "Answer in French.Hi\nSalut你好"
    assert TOKENIZER.eos_token == END
    assert len({TOKENIZER.convert_tokens_to_ids(t) for t in ROLES.values()}) == 3


def test_it_is_the_same_whenever_it_is_built():
    assert build(Prompts()).backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()
