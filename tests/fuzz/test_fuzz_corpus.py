"""The kept inputs of every parser (each of which once found a new line, or a mistake), and some that are made of its words."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import kit

TARGETS = {target.name: target for target in kit.targets()}


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_pass(name):
    for data in kit.corpus(name):
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_of_its_words_pass(name):
    target, rng = TARGETS[name], random.Random(name)
    for _ in range(max(3, min(60, target.runs // 1000))):
        parts = [rng.choice(target.words).encode("utf-8", "surrogatepass") if target.words and rng.random() < 0.7 else rng.randbytes(rng.randrange(9)) for _ in range(rng.randrange(20))]
        target.run(b"".join(parts))


def test_every_corpus_has_its_parser():
    assert {path.stem for path in kit.CORPUS.glob("*.txt")} <= {*TARGETS}
