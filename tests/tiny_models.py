"""Checkpoints of random weights with tokenizers of the three common kinds, built in seconds: what a test of
log-probabilities needs. `build(kind, folder)` writes one; `losses` is the plain computation with transformers that ours must equal.

llama: Metaspace, a BOS token, a template that trims.     qwen: byte-level, no BOS, a template with `enable_thinking`.
gpt2: byte-level, a BOS that is the EOS and is not added.  thinker: as qwen, but its template always opens a <think>."""

from __future__ import annotations

from pathlib import Path

LIMIT = 256
CORPUS = [
    "Name three rivers of Africa. The Nile, the Congo and the Niger.", "Sort these words by length: pear, fig, banana.",
    "What is 12 plus 30? It is 42, because ten and thirty are forty.", "Écrivez une phrase à propos de l'été.",
    "def add(a, b):\n    return a + b\n", "请用一句话介绍长江。长江是亚洲最长的河流。", "Answer in one word, please: yes or no?",
] * 3  # fmt: skip
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
)
TEMPLATES = {
    "llama": "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] | trim }} {{ eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}",
    "qwen": CHATML + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}",
    "gpt2": "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}",
    "thinker": CHATML + "<think>\n{% endif %}",
}
KINDS = tuple(TEMPLATES)


def build(kind: str, folder: Path) -> Path:
    """A checkpoint of about 200,000 weights in `folder`."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer(kind)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(len(kind))
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    if kind == "gpt2":
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=LIMIT, n_embd=64, n_layer=2, n_head=2,
                            initializer_range=0.3, **ids)  # fmt: skip
        model = GPT2LMHeadModel(config)
    else:
        shape = dict(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, head_dim=32,
                     num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=LIMIT, initializer_range=0.3)
        made = (LlamaConfig, LlamaForCausalLM) if kind == "llama" else (Qwen3Config, Qwen3ForCausalLM)
        model = made[1](made[0](**shape, **ids))
    model.save_pretrained(folder)
    return folder


def _tokenizer(kind: str):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = {"llama": ["<unk>", "<s>", "</s>"], "gpt2": ["<|endoftext|>"]}.get(
        kind, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"])  # fmt: skip
    if kind == "llama":
        core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        core.decoder = decoders.Metaspace(prepend_scheme="first")
        alphabet = [chr(code) for code in range(33, 127)]
    else:
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False))  # fmt: skip
    if kind == "llama":
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    names = {
        "llama": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        "gpt2": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
    }.get(kind, {"eos_token": "<|im_end|>"})
    return PreTrainedTokenizerFast(
        tokenizer_object=core, model_max_length=LIMIT, chat_template=TEMPLATES[kind], **names
    )


def losses(folder: Path, kind: str, messages: list[dict[str, str]], answer: str) -> tuple[list[float], list[float]]:
    """Log-probabilities of the answer's tokens, conditioned and direct, one sequence at a time, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def of(before: list[int], text: list[int]) -> list[float]:
        ids = before + text
        with torch.no_grad():
            told = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        return [told[i - 1, ids[i]].item() for i in range(max(1, len(before)), len(ids))]

    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    prompt += "\n</think>\n\n" if kind == "thinker" else ""
    text = tokenizer(answer, add_special_tokens=False)["input_ids"]
    bos = [tokenizer.bos_token_id] if kind == "llama" else []
    return of(tokenizer(prompt, add_special_tokens=False)["input_ids"], text), of(bos, text)
