"""What must be measured of a candidate before the gate can judge it: asked as soon as its conversation has ended,
in whatever order, and written to the journal. The gate reads it there, in canonical order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gen.core import Sample, Score, Vector
from gen.errors import PoolError
from gen.gate import Facts, Gate, Recall, broken
from gen.journal import vector_key
from gen.rollout import Journal, Talk, replay, together
from gen.text import dominant_script


@dataclass(frozen=True, slots=True)
class Record(Recall):
    """The facts of samples, by the journal alone; `engines` holds the fingerprint of each role."""

    gate: Gate
    journal: Journal
    engines: Mapping[str, str]

    def facts(self, sample: Sample) -> Facts:
        scorers = self.gate.scorers.items()
        return Facts({name: self._score(name, filter, sample) for name, filter in scorers}, self.vectors(sample))

    def vectors(self, sample: Sample) -> Mapping[str, Vector | None]:
        return {name: self._vector(filter, sample) for name, filter in self.gate.encoded.items()}

    def _score(self, name: str, filter: Any, sample: Sample) -> Score | None:
        try:
            return replay(filter.score(sample), self.engines, self.journal)
        except PoolError:
            raise
        except Exception as error:
            raise broken(name, sample, error) from error

    def _vector(self, filter: Any, sample: Sample) -> Vector | None:
        return self.journal.vector(vector_key(self.engines.get("embedder", ""), filter.text(sample)))


@dataclass(slots=True)
class Assessor:
    """Asks for the facts of samples: of those that the rules keep, or, `all_of_them`, of every one."""

    gate: Gate
    talk: Talk
    all_of_them: bool = False
    uncovered: Counter[str] = field(default_factory=Counter)
    """Texts that the encoder was not made for, by their script: never compared."""

    @property
    def has_work(self) -> bool:
        return bool(self.gate.scorers or self.gate.encoded)

    async def ask(self, samples: Iterable[Sample]) -> None:
        """Raises what engines raise, and Interrupted; what fails in a filter's own code is found by the gate."""
        await together(*(self.ask_one(s) for s in samples if self.all_of_them or self.gate.early(s).keep))

    async def ask_one(self, sample: Sample) -> None:
        scorings = (self.talk.hold(f.score(sample), (sample.id, name)) for name, f in self.gate.scorers.items())
        await together(*scorings, self.embed(sample))

    async def embed(self, sample: Sample) -> None:
        for filter in self.gate.encoded.values():
            text = filter.text(sample)
            scripts = self.talk.embedder.scripts if self.talk.embedder else None
            script = dominant_script(text)
            covered = scripts is None or script is None or script in scripts
            if not covered:
                self.uncovered[script or ""] += 1
            await self.talk.embed(text, covered=covered)
