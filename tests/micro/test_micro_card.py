"""The model card says what the manifests say, of both checkpoints, targets missed included."""

import json
import shutil
from pathlib import Path

import pytest

from gen.micro import bundled, card
from gen.micro.measure.targets import TARGETS, reached
from gen.world import VERSION

PAGE = Path(__file__).parents[2] / "docs" / "micro.md"
FIGURES = {"answers by level": {"level 1": [180, 200], "level 4": [150, 200]}, "verdicts": {"equal pairs": [30, 50], "unequal pairs": [40, 50]}}


def test_the_card_is_that_of_the_manifests():
    assert card.page() == PAGE.read_text(), "python -m gen.micro.card"


def test_the_card_says_what_it_is_for_and_not_for_how_it_was_trained_and_whose_text_it_is():
    text = " ".join(PAGE.read_text().split())
    heads = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert heads == ["## What it is for", "## What it is not for", "## How it was trained", "## What it can do", "## Limits", "## All figures", "## Doing it again", "## Licence"]
    assert "micro-world" in text.partition(" ## ")[0]
    assert "all text that the model was trained on are the project's own" in text
    for checkpoint in bundled.shipped():
        manifest = bundled.manifest(checkpoint)
        assert f"{manifest['parameters']:,} parameters" in text
        for training in manifest["trainings"]:
            assert f"| {training['steps']:,} | {training['tokens']:,} | {training['minutes']} |" in text


@pytest.fixture
def both(tmp_path, monkeypatch):
    """The shipped checkpoint as the strong one and a weak one beside it, each with figures of its own."""
    for name, figures in (("strong", FIGURES), ("weak", {"verdicts": {"equal pairs": [50, 50], "unequal pairs": [45, 50]}})):
        folder = Path(shutil.copytree(bundled.weights(), tmp_path / name))
        told = bundled.manifest("strong") | {"world": VERSION, "evaluation": figures, "targets": reached(figures)}
        told["trainings"].append({"began with": "the weights before", "prompts": 40, "steps": 2600, "tokens": 12345678, "minutes": 61})
        (folder / "manifest.json").write_text(json.dumps(told))
    for name in ("strong", "weak"):
        monkeypatch.setitem(bundled.FOLDERS, name, str(tmp_path / name))


@pytest.mark.usefixtures("both")
def test_both_checkpoints_stand_side_by_side_and_what_is_missed_is_said():
    text = card.page()
    assert "| direct answers, level 1 | at least 85% | 90.0%, met | not measured |" in text
    assert "| equality judge | at least 75% | 70.0%, missed | 95.0%, met |" in text
    assert "- Strong misses 1 of the targets that were measured: equality judge." in text
    assert "- Weak misses 0 of the targets that were measured." in text
    assert "| answers by level | strong | weak |\n|---|---|---|\n| level 1 | 90% of 200 | - |\n" in text
    size = f"{(bundled.weights() / 'model.safetensors').stat().st_size / 1e6:.1f} MB"
    assert f"**strong** (`--model micro`, the default; {size}) and **weak** (`--model micro-weak`; {size})." in text
    assert "The weak checkpoint is what the first 2,600 of the\n2,600 steps of the last part" in text
    assert text.count("| the weights before | 40 | 2,600 | 12,345,678 | 61 |") == 2
    assert "which is now at version" not in text
    assert text.count("not measured |") == 2 * len(TARGETS) - 4


def test_weights_of_an_older_world_are_said_to_be_so():
    told = {"strong": bundled.manifest("strong") | {"world": "0"}}
    assert "**These weights were trained on version 0 of the world, which is now at version 2:" in card.page(told)
    assert "which is now at" not in card.page({"strong": told["strong"] | {"world": VERSION}})
