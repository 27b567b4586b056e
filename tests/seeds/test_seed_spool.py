"""What stands in for memory: samples on disk, their rolling hash, and what has been seen."""

from __future__ import annotations

import errno
import gc
import random
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from gen.core import Lineage, Message, Sample, digest
from gen.errors import InputError, RecipeError
from gen.recipe import build
from gen.seeds import read_seeds
from gen.seeds.place import SHOWN, BadRow
from gen.seeds.spool import Rolling, Seen, Spool

SHIPPED = Path(__file__).parents[2] / "gen" / "recipes" / "seeds.jsonl"


def sample(n):
    return Sample(
        f"{n:016x}", f"Task {n} 甲\n\u2028", Lineage("r"), input="i" * (n % 3), response=None if n % 2 else "", system="s",
        turns=(Message("user", "a"), Message("assistant", "b")),
        meta={"n": n, "f": 0.1 * n, "big": 2**64 - 1, "low": -(2**63), "none": None, "deep": [{"a": [True, "x"]}]},
    )  # fmt: skip


def test_samples_come_back_equal_in_any_order():
    spool, samples = Spool(), [sample(n) for n in range(300)]
    for n, one in enumerate(samples):
        spool.add(one)
        assert spool[n // 2] == samples[n // 2]  # reads between writes disturb nothing
    assert len(spool) == 300
    assert list(spool) == samples
    assert spool[-1] == samples[-1]
    assert spool[10:20:3] == samples[10:20:3]
    for n in random.Random(0).sample(range(300), 100):
        assert spool[n] == samples[n]
    with pytest.raises(IndexError):
        spool[300]
    assert not Spool()


def test_many_threads_may_read_at_once():
    spool, wrong = Spool(), []
    for n in range(500):
        spool.add(sample(n))

    def read(seed):
        rng = random.Random(seed)
        wrong.extend(n for n in (rng.randrange(500) for _ in range(400)) if spool[n] != sample(n))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    before, _ = sys.getswitchinterval(), sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []


def test_the_file_has_no_name_and_goes_with_its_object(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gc.collect()  # what other tests left open
    descriptors = Path("/proc/self/fd")
    before = [*descriptors.glob("*")]
    spool = Spool()
    spool.add(sample(1))
    assert spool[0] == sample(1)
    assert list(tmp_path.iterdir()) == []
    del spool
    gc.collect()
    assert len([*descriptors.glob("*")]) == len(before)


def test_a_full_disk_is_told_with_the_folder(monkeypatch):
    spool = Spool()

    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    spool._file.close()
    spool._file = Full()
    with pytest.raises(InputError, match=r"seeds cannot be put aside \(No space left on device\); free .* TMPDIR"):
        spool.add(sample(1))


@pytest.mark.parametrize("head", [(), ("seeds",), ("a", "乙")])
@pytest.mark.parametrize("values", [[], [1], [{"b": "\u2028", "a": [None, 1.5]}, "\ud800", ["x", {}]]])
def test_a_rolling_hash_is_that_of_the_whole_list(head, values):
    rolling = Rolling(*head)
    for value in values:
        rolling.add(value)
    assert str(rolling) == str(rolling) == digest(*head, values)


def test_what_was_seen_first_is_known_as_a_dictionary_would_know_it():
    rng, seen, known = random.Random(1), Seen(), {}
    for line in range(20_000):
        key = f"{rng.randrange(1 << 13) << rng.choice((0, 3)):016x}"  # many keys want the same slots
        row = BadRow(rng.choice(("a", "b")), line, "", rng.choice(("line", "row")))
        assert seen.first(key, row) == known.get(key)
        known.setdefault(key, row)
    assert len(known) > 8000


def test_what_was_seen_takes_few_bytes():
    seen, row = Seen(), BadRow("a", 1, "")
    tracemalloc.start()
    try:
        for n in range(20_000):
            seen.first(digest(n), row)
        assert tracemalloc.get_traced_memory()[0] / 20_000 < 45
    finally:
        tracemalloc.stop()


def test_a_million_bad_rows_are_counted_and_a_thousand_kept(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"instruction": "a"}\n' + "x\n" * 3000 + '{"instruction": "a"}\n' * 2000)
    result = read_seeds([tmp_path / "a.jsonl"])
    assert (len(result.bad), result.bad.total) == (SHOWN, 3000)
    assert (len(result.repeats), result.repeats.total) == (SHOWN, 2000)


def test_a_limit_reads_no_more_than_it_must(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"instruction": "{n} {"x" * 1000}"}}\n' for n in range(20)))
    with path.open("ab") as file:
        file.truncate(1 << 36)  # 64 GB of zeros, which are on no disk
    assert len(read_seeds([path], limit=20).samples) == 20
    listed = tmp_path / "a.json"
    listed.write_text('[{"instruction": "a"},\n{"instruction": "b"},\n')
    with listed.open("ab") as file:
        file.truncate(1 << 36)
    assert len(read_seeds([listed], limit=2).samples) == 2


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("", "c82bd55e2763bb06"), ("self_instruct/seed_tasks.jsonl", "fa992babc6a5f9b9"),
        ("alpaca/alpaca_data.json.gz", "1c2d37a9df85c557"), ("gsm8k/train.jsonl", "ca66d874dd277ba5"),
    ],
)  # fmt: skip
def test_the_digest_of_known_data_never_changes(request, name, wanted):
    """It names run folders: another digest is another run."""
    path = request.getfixturevalue("shared") / name if name else SHIPPED
    assert read_seeds([path]).digest == wanted


def test_turn_is_checked():
    assert build({"source": {"turn": -2}}).source.turn == -2
    assert build({"source": {"turn": "all"}}).source.turn == "all"
    for wrong in (0, "lats", 1.5, True):
        with pytest.raises(RecipeError, match=r"\[source\].*turn"):
            build({"source": {"turn": wrong}})
