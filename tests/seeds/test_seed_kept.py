"""A long reading is kept, and taken again only where the very same files would be read in the very same way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gen.errors import InputError
from gen.material import read_material
from gen.recipe import build
from gen.seeds import hold_against, kept, read_seeds, samples


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "SLOW_S", 0.0)
    monkeypatch.setattr(kept, "SETTLED_S", -60.0)  # the time of change of a file just written cannot be set back
    return tmp_path / "cache" / "seeds"


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    rows = [{"instruction": f"Task {n % 50} 甲", "output": None if n % 3 else "b", "n": n % 50} for n in range(60)]
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no JSON\n[]\n")
    return path


def reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each row that is read from now on."""
    seen, whole = list[object](), samples.Shape.seeds
    monkeypatch.setattr(samples.Shape, "seeds", lambda self, value: seen.append(value) or whole(self, value))
    return seen


def told(found: object) -> tuple[object, ...]:
    return (*(getattr(found, name) for name in ("digest", "names", "notes", "licences")), [*found.samples],
            [*found.bad], found.bad.total, [*found.repeats], found.repeats.total)  # fmt: skip


def test_the_same_files_are_read_once(cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_seeds([seeds])
    assert (len(first.samples), first.repeats.total, first.bad.total) == (57, 3, 2)
    seen = reads(monkeypatch)
    again = read_seeds([seeds])
    assert not seen
    assert told(again) == told(first)
    assert again.samples[56] == first.samples[56]


def test_data_to_differ_from_is_kept_too(cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = build({"source": {"seeds": [str(seeds)], "against": [str(seeds)]}, "gate": {"filters": ["exact"]}})
    first = read_material(recipe)
    assert len(first.against) == 60
    seen = reads(monkeypatch)
    again = read_material(recipe)
    assert not seen
    assert ([*again.against], again.against_digest, again.content) == (
        [*first.against],
        first.against_digest,
        first.content,
    )
    assert hold_against([]).digest == ""


@pytest.mark.parametrize(
    "change", [{"limit": 5}, {"turn": "all"}, {"mapping": {"instruction": "output"}}, {"max_line": 300}]
)
def test_another_way_of_reading_is_another_reading(
    cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    read_seeds([seeds])
    seen = reads(monkeypatch)
    read_seeds([seeds], **change)
    assert seen


def test_a_file_that_changed_is_read_again(cache: Path, seeds: Path) -> None:
    before = read_seeds([seeds])
    text, stat = seeds.read_text(), seeds.stat()
    seeds.write_text(text.replace("Task 7 ", "Task X "))  # of the same size
    os.utime(seeds, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # and the same time
    assert read_seeds([seeds]).digest != before.digest


def test_another_card_beside_the_file_is_another_reading(cache: Path, seeds: Path) -> None:
    assert read_seeds([seeds]).licences == ("",)
    (seeds.parent / "README.md").write_text("---\nlicense: mit\n---\n")
    assert read_seeds([seeds]).licences == ("mit",)


def test_a_file_of_this_very_moment_is_not_kept(cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SETTLED_S", 2.0)
    os.utime(seeds)
    read_seeds([seeds])
    assert not cache.exists()


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = samples.Shape.seeds
    monkeypatch.setattr(samples.Shape, "seeds", lambda self, value: os.utime(seeds, (1, 1)) or whole(self, value))
    read_seeds([seeds])
    assert not cache.exists()


def test_quick_readings_are_not_kept(cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SLOW_S", 60.0)
    read_seeds([seeds])
    assert not cache.exists()


def test_nothing_is_kept_where_the_user_says_so(
    cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GEN_CACHE", "")
    read_seeds([seeds])
    assert not (tmp_path / "home").exists()
    assert not cache.exists()
    monkeypatch.delenv("GEN_CACHE")
    read_seeds([seeds])
    [path] = (tmp_path / "home" / "gen" / "seeds").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("at", [0, 3, 8, 20, 200, -1])
def test_what_is_damaged_is_not_used(cache: Path, seeds: Path, at: int, caplog: pytest.LogCaptureFixture) -> None:
    first = told(read_seeds([seeds]))
    [path] = cache.iterdir()
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(data)
    assert told(read_seeds([seeds])) == first
    assert "damaged" in caplog.text
    caplog.clear()
    assert told(read_seeds([seeds])) == first  # and is replaced
    assert not caplog.text


@pytest.mark.parametrize("size", [0, 5, 16, 100, -1])
def test_what_is_cut_is_not_used(cache: Path, seeds: Path, size: int) -> None:
    first = told(read_seeds([seeds]))
    [path] = cache.iterdir()
    path.write_bytes(path.read_bytes()[:size])
    assert told(read_seeds([seeds])) == first


def test_the_latest_readings_stay(cache: Path, tmp_path: Path) -> None:
    for n in range(kept.LATEST + 3):
        path = tmp_path / f"{n}.jsonl"
        path.write_text(json.dumps({"instruction": f"task {n}"}) + "\n")
        read_seeds([path])
        read_seeds([tmp_path / "0.jsonl"])  # always in use
    names = [*cache.iterdir()]
    assert len(names) == kept.LATEST
    assert sum(b"task 0" in path.read_bytes() for path in names) == 1


def test_a_folder_that_cannot_be_written_does_not_matter(
    cache: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEN_CACHE", str(tmp_path / "file"))
    assert len(read_seeds([seeds]).samples) == 57


def test_errors_are_told_each_time(cache: Path, seeds: Path) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="line 61"):
            read_seeds([seeds], strict=True)
    assert not cache.exists()


def test_a_kept_reading_that_is_replaced_can_still_be_read(cache: Path, seeds: Path) -> None:
    read_seeds([seeds])
    found = read_seeds([seeds])
    for path in cache.iterdir():
        path.unlink()
    assert found.samples[3].instruction == "Task 3 甲"
