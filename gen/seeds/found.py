"""What reading comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gen.core import Sample
from gen.seeds.place import Noted
from gen.seeds.spool import Spool


@dataclass(slots=True, weakref_slot=True)
class SeedFile:
    """What was read of all that was named."""

    samples: Sequence[Sample] = field(default_factory=Spool)
    digest: str = ""
    """Hash of the accepted seeds' content in order, `meta` included; never of names or paths."""
    bad: Noted = field(default_factory=Noted)
    repeats: Noted = field(default_factory=Noted)
    """Exact duplicates that were left out; the reason names the row that each one repeats."""
    names: tuple[str, ...] = ()
    """What was read, as a card may name it: file names, folders, `ORG/NAME@REVISION`."""
    notes: tuple[str, ...] = ()
    """What the reader should know, such as files of a folder that were left out."""
    licences: tuple[str, ...] = ()
    """Licences that the seeds' rows name (`license` or `licence`), or else the card beside the data, sorted; an empty
    one where some seed has none."""
