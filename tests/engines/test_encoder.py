"""`LocalEmbedder` with the bundled encoder, offline."""

import asyncio
import random
import shutil

import numpy as np
import pytest

from gen.engines import encoder, threads
from gen.engines.embedder import bundled, open_embedder
from gen.engines.vector import unit
from gen.errors import EngineError, RecipeError

TEXTS = [
    "Name three rivers of Europe.",
    "List three European rivers.",
    "Write a haiku about winter.",
    "What is the sum of 17 and 25?",
    "Translate 'good morning' into French and say when one uses it.",
    *(" ".join(["Sort these words:", *["pear", "fig", "plum", "quince"] * n]) for n in range(1, 30)),
]


def embed(texts, name="", *, width=256):
    """The vectors of texts, asked at once in this order, and the embedder, closed."""

    async def run():
        embedder = open_embedder(str(name), device="cpu", width=width)
        await embedder.open()
        try:
            return await asyncio.gather(*map(embedder.embed, texts)), embedder
        finally:
            await embedder.close()
            await embedder.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def told():
    return embed(TEXTS)


def test_vectors_are_those_of_sentence_transformers_as_float16(told):
    from sentence_transformers import SentenceTransformer

    theirs_ND = SentenceTransformer(str(bundled()), device="cpu", local_files_only=True).encode(
        TEXTS, normalize_embeddings=True, show_progress_bar=False
    )
    ours_ND = np.stack([np.frombuffer(vector, "<f2") for vector in told[0]])
    assert ours_ND.shape == (len(TEXTS), 384)
    assert abs(ours_ND.astype("f8") - theirs_ND).max() < 1e-4
    assert abs(np.linalg.norm(ours_ND.astype("f8"), axis=1) - 1).max() < 1e-3


def test_a_text_has_the_same_vector_whatever_it_is_embedded_with(told):
    known = dict(zip(TEXTS, told[0], strict=True))
    for seed, width in ((1, 256), (2, 3), (3, 1)):
        order = random.Random(seed).sample(TEXTS * 2, 2 * len(TEXTS))
        assert embed(order, width=width)[0] == [known[text] for text in order]


def test_what_it_says_of_itself(told):
    embedder = told[1]
    assert (embedder.model, embedder.license, embedder.scripts) == ("all-MiniLM-L6-v2", "apache-2.0", {"latin"})


def test_nothing_to_embed_is_no_vector_and_no_text_is_too_odd():
    blank, odd, long, begin = embed([" \n", "a \ud800 \x00 b", "river " * 5000, "river " * 254])[0]
    assert blank == b""
    assert len(odd) == 2 * 384
    assert long == begin


def test_what_is_cut_off_is_told_once(caplog):
    embed(["word " * 300, "word " * 400, "short"])
    assert [r.getMessage() for r in caplog.records if r.name == "gen.engines.embedder"] == [
        "2 texts were longer than the encoder reads: only their beginning was compared"
    ]


def test_the_fingerprint_is_of_the_content_not_of_the_place(told, tmp_path):
    shutil.copytree(bundled(), tmp_path / "encoder")
    copied = embed(TEXTS[:2], tmp_path / "encoder")
    assert copied[1].model == "encoder"
    assert copied[1].fingerprint == told[1].fingerprint
    assert copied[0] == told[0][:2]
    pooling = tmp_path / "encoder/1_Pooling/config.json"
    pooling.write_text(pooling.read_text().replace('mean_tokens": true', 'mean_tokens": false').replace(
        'cls_token": false', 'cls_token": true'))  # fmt: skip
    other = embed(TEXTS[:2], tmp_path / "encoder")
    assert other[1].fingerprint != told[1].fingerprint
    assert other[0] != told[0][:2]


def test_pickled_weights_are_not_read(tmp_path):
    shutil.copytree(bundled(), tmp_path / "pickled")
    (tmp_path / "pickled/model.safetensors").rename(tmp_path / "pickled/pytorch_model.bin")
    with pytest.raises(RecipeError, match=r"--embedder pickled: found pytorch_model.bin; expected weights in safetens"):
        embed(["a"], tmp_path / "pickled")


def test_a_model_that_is_not_there_and_one_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RecipeError, match=r"--embedder 'nobody/nothing': neither a folder of this name is here, nor"):
        embed(["a"], "nobody/nothing")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(EngineError, match="could not be loaded on cpu"):
        embed(["a"], tmp_path)


def test_asked_while_closed():
    with pytest.raises(EngineError, match="asked while closed"):
        asyncio.run(open_embedder().embed("a"))


def test_a_model_beside_it_keeps_its_threads():
    import torch

    before = torch.get_num_threads()
    workers = threads.single_threaded(2, "test")
    assert {workers.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
    assert torch.get_num_threads() == before
    workers.shutdown()


@pytest.mark.parametrize(
    ("languages", "scripts"),
    [(["en"], {"latin"}), (["en", "zh"], {"latin", "han"}), (["ja"], {"kana", "han"}), (["multilingual", "en"], None)],
)
def test_scripts_by_the_model_card(languages, scripts):
    assert encoder._scripts(languages, None) == scripts


def test_languages_of_the_model_card(tmp_path):
    for card, languages in (
        ("---\nlanguage: en\n---\n", ["en"]), ("---\nlanguage:\n- en\n- zh\n---\n", ["en", "zh"]),
        ("---\nlicense: mit\n---\n", []), ("---\nlanguage: [\n---\n", []), ("# none", []),
    ):  # fmt: skip
        (tmp_path / "README.md").write_text(card)
        assert encoder._languages(tmp_path) == languages
    assert encoder._languages(tmp_path / "nowhere") == []


def test_scripts_by_the_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    assert encoder._scripts([], AutoTokenizer.from_pretrained(bundled())) == {"latin"}

    def words_of(scripts):
        words = [word for script in scripts for word in encoder.SENTENCES[script].split()]
        core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
        core.pre_tokenizer = pre_tokenizers.Whitespace()
        return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")

    assert encoder._scripts([], words_of(["latin", "cyrillic"])) == {"latin", "cyrillic"}
    assert encoder._scripts([], words_of(["latin"])) == {"latin"}
    core = Tokenizer(models.BPE({char: i for i, char in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert encoder._scripts([], PreTrainedTokenizerFast(tokenizer_object=core)) is None


def test_passes_are_of_one_padded_length_and_not_too_large():
    lengths = [3, 16, 17, 200, 40, 5, 5, 5, 256, 256, 256, 256, 256]
    passes = encoder._passes(lengths, 1, 512)
    assert sorted(row for rows in passes for row in rows) == list(range(len(lengths)))
    for rows in passes:
        [padded] = {-(-lengths[row] // 16) * 16 for row in rows}
        assert len(rows) == 1 or len(rows) * padded <= 512


def test_unit():
    assert np.frombuffer(unit([3, 4]), "<f2").tolist() == pytest.approx([0.6, 0.8], abs=3e-4)
    for wrong in ([0, 0], [float("nan"), 1], [[1, 2]]):
        with pytest.raises(ValueError, match="without a direction"):
            unit(wrong)
