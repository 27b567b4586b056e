import subprocess
import sys

CODE = """
import sys
from pathlib import Path
from gen.export.rows import dataset_row
from gen.export.tables import EXAMPLE, table
import pyarrow.parquet as pq
row = dataset_row(EXAMPLE)
odd = {**row, "id": "2024-01-01T00:00:00", "output": None, "input": "a\\u2028b\\n\\\\ \\x00 中", "messages": []}
with table(Path(sys.argv[1]), row) as write:
    for one in (row, odd):
        write(one)
assert "pandas" not in sys.modules, "pandas was loaded"
assert pq.read_table(sys.argv[1]).to_pylist() == [row, odd]
"""


def test_a_dataset_is_written_without_pandas_and_read_back_as_it_was(tmp_path):
    done = subprocess.run([sys.executable, "-c", CODE, tmp_path / "a.parquet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
