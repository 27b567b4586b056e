from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from gen.progress import when_slow


@pytest.mark.parametrize(("seconds", "said"), [(0.5, "Reading\n"), (0.0, "")])
def test_only_what_takes_long_is_announced(seconds, said):
    console = Console(file=io.StringIO())
    with when_slow(console, "Reading", after=0.2):
        time.sleep(seconds)
    time.sleep(0.3)
    assert console.file.getvalue() == said
