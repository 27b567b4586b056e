"""How fast seeds are read, and in how much memory: `python benchmarks/inputs.py [ROWS]`.

Each reader has a process of its own. `gen` parses, checks, hashes and finds repeats, and leaves its seeds on disk; the
others only make each row a Python value. Ratios say more than seconds: the machine cancels out."""

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
READERS = {
    "json.loads": ("jsonl", "import json\nfor line in open(path, 'rb'): json.loads(line); n += 1"),
    "gen jsonl": ("jsonl", "from gen.seeds import read_seeds\nn = len(read_seeds([path]).samples)"),
    "gen json": ("json", "from gen.seeds import read_seeds\nn = len(read_seeds([path]).samples)"),
    "datasets jsonl": ("jsonl", "import datasets\nfor _ in datasets.load_dataset('json', data_files=path, "
                       "split='train', streaming=True): n += 1"),
    "csv.DictReader": ("csv", "import csv\nfor _ in csv.DictReader(open(path, newline='')): n += 1"),
    "gen csv": ("csv", "from gen.seeds import read_seeds\nn = len(read_seeds([path]).samples)"),
    "pyarrow parquet": ("parquet", "import pyarrow.parquet as pq\n"
                        "for b in pq.ParquetFile(path).iter_batches(1024): n += len(b.to_pylist())"),
    "gen parquet": ("parquet", "from gen.seeds import read_seeds\nn = len(read_seeds([path]).samples)"),
    "datasets parquet": ("parquet", "import datasets\nfor _ in datasets.load_dataset('parquet', data_files=path, "
                         "split='train', streaming=True): n += 1"),
}  # fmt: skip
BEFORE = "import sys, time\npath, n = sys.argv[1], 0\nbegin = time.process_time()\n"
AFTER = "\nprint(n, time.process_time() - begin, open('/proc/self/status').read())"


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), rows)
        base = 0.0
        sys.stdout.write(f"{'reader':18}{'rows/s of CPU':>15}{'times json.loads':>19}{'peak MiB':>10}\n")
        for reader, (ending, code) in READERS.items():
            seconds, peak = measure(Path(name) / f"a.{ending}", code, rows)
            base = base or seconds
            sys.stdout.write(f"{reader:18}{rows / seconds:>15,.0f}{seconds / base:>19.1f}{peak:>10,}\n")


def measure(path: Path, code: str, rows: int) -> tuple[float, int]:
    """CPU seconds, imports included, and the most memory of a process that reads the file once."""
    done = subprocess.run([sys.executable, "-c", BEFORE + code + AFTER, path], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found, seconds, status = done.stdout.split(maxsplit=2)
    if int(found) != rows:
        sys.exit(f"{path.name}: {found} rows were read, {rows} are in it")
    peak = re.search(r"VmHWM:\s*(\d+)", status)
    return float(seconds), int(peak[1]) // 1024 if peak else 0


def write(folder: Path, rows: int) -> None:
    """The same rows as JSONL, as one JSON list, as CSV and as Parquet in one row group."""
    import csv

    import pyarrow
    import pyarrow.parquet

    rng, columns = random.Random(0), ("instruction", "input", "output", "source")
    jsonl, listed, table = (folder / f"a.{ending}" for ending in ("jsonl", "json", "csv"))
    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    held = []
    with jsonl.open("w") as a, listed.open("w") as b, table.open("w", newline="") as c:
        cells = csv.writer(c)
        cells.writerow(columns)
        for n in range(rows):
            said = (" ".join(rng.choices(WORDS, k=count)) for count in (14, 20 * (n % 3 == 0), 60))
            row = dict(zip(columns, (f"{n} {next(said)}", *said, "made"), strict=True))
            a.write(json.dumps(row) + "\n")
            b.write(f"{',' if n else '['}{json.dumps(row)}")
            cells.writerow(row.values())
            held.append(row)
        b.write("]")
    whole = pyarrow.Table.from_pylist(held, schema)
    pyarrow.parquet.write_table(whole, folder / "a.parquet", row_group_size=rows)


if __name__ == "__main__":
    main()
