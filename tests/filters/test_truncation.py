import pytest

from filters.rules.truncation import Truncation
from gen.core import Lineage, Sample

WORDS = " ".join(f"w{i}" for i in range(30))
HAN = "".join(chr(0x4E00 + i) for i in range(30))


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("Rhine", ""),
        ("the", ""),
        ("A, B, and", ""),
        (WORDS, ""),
        (f"{WORDS} which makes it the", "truncated"),
        (f"{WORDS} one, two, three,", "truncated"),
        (f"{WORDS}.\n\nYours sincerely,", ""),
        ("Code:\n```py\nprint(1)", "truncated"),
        ("Code:\n```py\nprint(1)\n```", ""),
        ("Code:\n```py\nprint(1)```", ""),
        (HAN, ""),
        (HAN + "\uff0c", "truncated"),
        (HAN + "、", "truncated"),
        ("长江\uff0c", ""),
        ("代码:\n```py\nprint(1)", "truncated"),
        (None, ""),
    ],
)
def test_responses_that_stop_half_way_are_dropped(response, reason):
    sample = Sample("s", "Write it.", Lineage("s"), response=response)
    assert Truncation().check(sample).reason == reason
