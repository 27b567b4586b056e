"""How soon a corpus begins, and in how much memory it is read: `python benchmarks/corpus.py [DOCUMENTS] [GIGABYTES]`.

A folder of small documents, the same as one file of rows, and one long text. Each is read in a process of its own:
until the first piece is there, until its identity is known (the run can begin), and to its end. Files are fresh, so
they are in the page cache; reading leaves no time to a run here (`AHEAD`), since there is none."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = ["amber", "birch", "cedar", "describe", "ember", "explain", "grove", "heath", "list", "oasis", "sort", "table"]
READ = """
import sys, threading, time
from gen.segments import segments, to_sample
from gen.seeds import reading
from gen.seeds.corpus import read_corpus

reading.AHEAD = 1 << 60

def split(document, dropped):
    for segment in segments(document, dropped=dropped):
        yield to_sample(document, segment)

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024

first = []
kept = reading.Supply.add
def add(self, sample):
    first or first.append(time.monotonic() - began)
    kept(self, sample)
reading.Supply.add = add
began = time.monotonic()
found = read_corpus([sys.argv[1]], split)
known = time.monotonic() - began
ended = threading.Event()
found.samples.watch(lambda: found.samples.closed and ended.set())
found.samples.closed or ended.wait()
print(first[0], known, time.monotonic() - began, len(found.samples), peak(), time.process_time())
"""


def main() -> None:
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    size = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
    print(f"{'corpus':34}{'first piece':>13}{'identity':>10}{'all':>9}{'pieces':>10}{'per CPU s':>12}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as name:
        for what, make in (("folder", folder), ("rows", rows)):
            measure(f"{what}, {documents:,} documents", make(Path(name), documents))
        measure(f"one text of {size:g} GB", text(Path(name), size))


def measure(what: str, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", READ, path], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    first, known, whole, pieces, peak, used = map(float, done.stdout.split())
    numbers = f"{first:>11.2f} s{known:>8.2f} s{whole:>7.0f} s{pieces:>10,.0f}{pieces / used:>12,.0f}{peak:>10,.0f}"
    print(f"{what:34}{numbers}", flush=True)


def document(rng: random.Random) -> str:
    """A page with a heading and one piece of 600 to 1,200 characters."""
    said = [" ".join(rng.choices(WORDS, k=12)).capitalize() + f" {rng.random():.9f}." for _ in range(9)]
    return f"# {' '.join(rng.choices(WORDS, k=3)).title()}\n\n{' '.join(said)}\n"


def folder(base: Path, count: int) -> Path:
    rng, path = random.Random(0), base / "folder"
    for n in range(count):
        if n % 1000 == 0:
            (path / f"{n // 1000:04}").mkdir(parents=True)
        (path / f"{n // 1000:04}" / f"{n % 1000:03}.md").write_text(document(rng))
    return path


def rows(base: Path, count: int) -> Path:
    rng, path = random.Random(0), base / "rows.jsonl"
    with path.open("w") as file:
        file.writelines(json.dumps({"id": n, "text": document(rng)}) + "\n" for n in range(count))
    return path


def text(base: Path, gigabytes: float) -> Path:
    """Paragraphs without headings; the same megabyte over and over, with other numbers."""
    rng, path = random.Random(0), base / "text.txt"
    block = re.sub(r"# .*\n", "", "".join(document(rng) + "\n" for _ in range(1200)))
    with path.open("w") as file:
        while file.tell() < gigabytes * 1e9:
            file.write(re.sub(r"0\.\d", f"{rng.randrange(10**6)}.1", block))
    return path


if __name__ == "__main__":
    main()
