"""The client against a real vLLM server with the bundled model."""

from dataclasses import replace

import serving

from gen.prompts import Prompts

TASK = {"instruction": "Find the word in this list that belongs to the fruits: plum, axe.", "input": ""}


def rewrites(count):
    values = TASK | {"domain": "", "language": "English", "min_added": 2, "max_added": 20}
    asked = Prompts().get("evolve/constrain").ask(**values)
    return [replace(asked, sampling=replace(asked.sampling, max_tokens=60), seed=seed) for seed in range(count)]


def test_the_same_seed_gives_the_same_text_and_another_seed_another(vllm_server):
    def said():
        return [done.text for done in serving.ask([vllm_server.url], *rewrites(8), patience=60.0)]

    texts = said()
    assert texts == said()
    assert len(set(texts)) > 2
    assert all("<instruction>" in text for text in texts)
