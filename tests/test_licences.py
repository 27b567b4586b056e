from __future__ import annotations

import json

import pytest

from gen.engines.licence import license_of
from gen.licences import RANKS, is_non_commercial, normal, outputs, rank, strictest


@pytest.mark.parametrize(
    ("licences", "label"),
    [
        ([], []), (["apache-2.0"], ["apache-2.0"]), (["MIT License", "Apache 2.0"], ["apache-2.0", "mit"]),
        (["mit", "cc0-1.0"], ["mit"]), (["apache-2.0", "CC BY-NC 4.0"], ["cc-by-nc-4.0"]),
        (["cc-by-sa-4.0", "cc-by-4.0"], ["cc-by-sa-4.0"]), (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], ["cc-by-nc-sa-4.0"]),
        ([""], ["unknown"]), (["", "cc-by-nc-4.0"], ["cc-by-nc-4.0", "unknown"]), (["My own terms"], ["other"]),
        (["mit", "My own terms", ""], ["mit", "other", "unknown"]),
    ],
)  # fmt: skip
def test_the_strictest_licence_labels_the_whole(licences, label):
    assert strictest(licences) == label
    assert strictest(reversed(licences)) == label


@pytest.mark.parametrize(
    ("written", "id"),
    [("MIT", "mit"), ("Apache License 2.0", "apache-2.0"), ("Apache-2.0", "apache-2.0"), ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
     ("The Unlicense", "unlicense"), ("cc_by_4.0", "cc-by-4.0")],
)  # fmt: skip
def test_a_licence_is_known_however_it_is_written(written, id):
    assert normal(written) == id
    assert rank(written) is not None


def test_what_forbids_commerce_is_known_by_rank_or_name():
    for name in ("cc-by-nc-4.0", "CC BY-NC-ND 4.0", "qwen-research", "Mistral AI Research License", "non-commercial use only"):
        assert is_non_commercial(name), name
    for name in ("mit", "apache-2.0", "cc-by-sa-4.0", "llama3.1", "", "cncf"):
        assert not is_non_commercial(name), name
    assert all(is_non_commercial(name) for row in RANKS[4:] for name in row)


def test_only_what_is_sure_is_said_of_outputs():
    assert outputs("Apache-2.0") == "asks nothing of outputs"
    assert "Llama" in outputs("llama3.3")
    assert outputs("some-model-licence") == "check"
    assert outputs("") == "unknown: check"


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: qwen-research\nlicense_link: LICENSE\n---\n", "qwen-research"),
        ("---\nlicense_name: mine\n---\n", "mine"), ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", "mit, apache-2.0"), ("---\nlicense: 'a\n\n   b'\n---\n", "a b"),
        ("# No front matter", ""), ("---\nlicense: [\n---\n", ""), ("---\n- a\n---\n", ""), ("---\ntags: [x]\n---\n", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_checkpoints_own_page_states_its_licence(tmp_path, page, licence):
    (tmp_path / "README.md").write_text(page)
    assert license_of(tmp_path) == licence


def test_a_folder_without_a_page_states_none(tmp_path):
    assert license_of(tmp_path) == ""
    (tmp_path / "README.md").write_bytes(b"\xff\xfe\x00")
    assert license_of(tmp_path) == ""


def test_the_local_engine_knows_the_licence_of_its_folder_and_its_fingerprint_does_not_hang_on_it(tmp_path):
    import asyncio
    import shutil

    from gen.engines.local import Local
    from gen.micro.bundled import weights

    async def opened():
        engine = Local(tmp_path / "m")
        await engine.open()
        await engine.close()
        return engine.license, engine.fingerprint

    shutil.copytree(weights(), tmp_path / "m")
    bare = asyncio.run(opened())
    (tmp_path / "m/README.md").write_text("---\nlicense: llama3.2\n---\n")
    assert (bare[0], asyncio.run(opened())) == ("", ("llama3.2", bare[1]))
    assert json.dumps(bare)
