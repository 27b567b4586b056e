"""What a power cut can leave on a disk: a database or a log that is cut or torn anywhere. A pool opens and has all that
was committed, or says how much of it is missing, or refuses with advice; it never gives back anything else."""

import asyncio
import contextlib
import re
import shutil

import pytest

from gen import store
from gen.core import KEEP, Candidate, Completion, Lineage, Message, Request, Sample, Sampling
from gen.disk import torn
from gen.errors import PoolError
from gen.pool import GrownRow, Pool

PAGE, HEAD, FRAME = 4096, 32, 4096 + 24
ROWS = 40


def text(i):
    return f"The {i}th of all replies, which is long enough to be kept apart. " * (i % 7 + 1)


async def commit(pool, i):
    """Four commits: a reply, a conversation, a verdict, a state."""
    await pool.record(f"k{i}", "e", Request("judge", (Message("user", text(i)),), Sampling(), "s"), Completion(text(i)))
    sample = Sample(f"s{i}", text(i), Lineage("r"))
    await pool.commit_grown(GrownRow(0, 0, f"{i:04d}", sample, (Candidate(sample),), (sample,), 1, (f"k{i}",)))
    pool.add_verdicts(1, [(f"s{i}", KEEP)], {"at": i})


@pytest.fixture(scope="module", params=[10_000, 60, 9], ids=["log only", "partly folded", "mostly folded"])
def cut(request, tmp_path_factory):
    """A folder as it is on the disk while its writer is at work."""
    folder = tmp_path_factory.mktemp("pool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SETTINGS", store.SETTINGS.replace("wal_autocheckpoint=8000", f"wal_autocheckpoint={request.param}"))
        with Pool.open(folder / "run") as pool:
            for i in range(ROWS):
                asyncio.run(commit(pool, i))
            shutil.copytree(folder / "run", folder / "copy")
    (folder / "copy/pool.db-shm").unlink()
    return folder / "copy"


def look(folder):
    """How many replies are there, in what the pool says of the others. Raises PoolError as the pool does, and
    AssertionError where anything is there that was never committed, or missing without a word."""
    with Pool.open(folder) as pool:
        found = pool.journal_count()
        assert [pool.lookup(f"k{i}") for i in range(ROWS)] == [Completion(text(i)) if i < found else None for i in range(ROWS)]
        grown = [row.call for row in pool.all_grown()]
        assert grown == [f"{i:04d}" for i in range(len(grown))]
        kept = [sample.instruction for sample in pool.kept(1)]
        assert kept == [text(i) for i in range(len(kept))]
        assert found >= len(grown) >= len(kept) >= found - 1
        assert pool.state("at", -1) == len(kept) - 1
        told = {name: said for said, name in re.findall(r"([\d,]+ of [\d,]+) (replies|conversations|verdicts)", pool.lost)}
        missing = {"replies": found, "conversations": len(grown), "verdicts": len(kept)}
        assert told == {
            name: f"{ROWS - there} of {ROWS}" for name, there in missing.items() if there < ROWS}
        return found


def tried(cut, tmp_path, name, change):
    """What comes of a copy of which one file was changed: rows found, or the words of the refusal."""
    shutil.copytree(cut, tmp_path / "torn")
    path = tmp_path / "torn" / name
    data = bytearray(path.read_bytes())
    path.write_bytes(data if (changed := change(data)) is None else changed)
    try:
        return look(tmp_path / "torn")
    except PoolError as error:
        return str(error) if re.search(r"damaged|not an SQLite database", str(error)) else pytest.fail(str(error))
    finally:
        shutil.rmtree(tmp_path / "torn")


def zeroed(data, begin, end):
    data[begin:end] = bytes(len(data[begin:end]))


def flipped(data, at):
    data[at] ^= 0xFF


def test_an_undamaged_copy_has_everything(cut, tmp_path):
    assert tried(cut, tmp_path, "pool.db-wal", lambda data: None) == ROWS


def test_a_log_cut_anywhere_is_opened_or_refused_and_what_is_missing_is_counted(cut, tmp_path):
    size = (cut / "pool.db-wal").stat().st_size
    borders = [HEAD + n * FRAME for n in range((size - HEAD) // FRAME + 1)]
    step = max(1, len(borders) // 10)
    places = {0, 1, HEAD - 1, *(b + more for b in (*borders[::step], *borders[-3:]) for more in (-1, 0, 1, 24, 2000))}
    found = {place: tried(cut, tmp_path, "pool.db-wal", lambda data, place=place: data[:place]) for place in sorted(places) if place < size}
    counts = [n for n in found.values() if isinstance(n, int)]
    assert counts == sorted(counts), "a longer log never has less"


@pytest.mark.parametrize("change", ["zeroed", "flipped"])
def test_a_log_torn_in_its_middle_loses_what_comes_after_and_says_so(cut, tmp_path, change):
    size = (cut / "pool.db-wal").stat().st_size
    for n in range(0, (size - HEAD) // FRAME, max(1, size // FRAME // 12)):
        at = HEAD + n * FRAME + 700
        tried(cut, tmp_path, "pool.db-wal", lambda data, at=at: zeroed(data, at, at + 512) if change == "zeroed" else flipped(data, at))


def test_a_database_cut_or_zeroed_at_its_end_is_never_read_as_something_else(cut, tmp_path):
    size = (cut / "pool.db").stat().st_size
    for at in {*range(0, size, max(PAGE, size // 12 // PAGE * PAGE)), size - 1, size - PAGE, size - PAGE - 1, size // 2 + 100}:
        tried(cut, tmp_path, "pool.db", lambda data, at=at: data[:at])
        tried(cut, tmp_path, "pool.db", lambda data, at=at: zeroed(data, at, size))
        tried(cut, tmp_path, "pool.db", lambda data, at=at: zeroed(data, at, at + PAGE))


def test_without_the_lock_file_a_torn_log_is_still_found(cut, tmp_path):
    shutil.copytree(cut, tmp_path / "torn")
    (tmp_path / "torn/pool.lock").unlink()
    path = tmp_path / "torn/pool.db-wal"
    data = bytearray(path.read_bytes())
    flipped(data, HEAD + FRAME + 700)
    path.write_bytes(data)
    with contextlib.suppress(PoolError), Pool.open(tmp_path / "torn") as pool:
        assert re.search(r"the last \d+ commits that were recorded are missing", pool.lost) or pool.journal_count() >= ROWS - 1


def test_a_commit_that_nobody_was_told_of_is_no_loss(tmp_path):
    """Half of the last commit reached the disk: as after any kill or power cut."""
    with Pool.open(tmp_path / "run") as pool:
        asyncio.run(commit(pool, 0))
        told = (tmp_path / "run/pool.lock").read_bytes()
        asyncio.run(pool.record("k1", "e", Request("judge", (), Sampling(), "s"), Completion("x" * 20_000)))
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
    data = (tmp_path / "copy/pool.db-wal").read_bytes()
    (tmp_path / "copy/pool.db-wal").write_bytes(data[:-FRAME - 8] + bytes(8) + data[-FRAME:])
    (tmp_path / "copy/pool.lock").write_bytes(told)
    (tmp_path / "copy/pool.db-shm").unlink()
    with Pool.open(tmp_path / "copy") as pool:
        assert (pool.journal_count(), pool.lost) == (1, "")
        assert torn(tmp_path / "copy/pool.db") == 1
