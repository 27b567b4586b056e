from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from msgspec import Meta

from filters import sandbox
from filters.base import drop
from gen.catalog import component
from gen.core import KEEP, Sample, Verdict
from gen.errors import RecipeError
from gen.fences import python_of


@component("tests", source="ours; arXiv 2306.08568 never runs an answer")
@dataclass(frozen=True, slots=True)
class Tests:
    """Runs the Python of an answer, then the tests that come with its sample (a column of your data, or the judge's,
    see `write_tests` of evolve), in a sandbox, see `filters/sandbox.py`, about 0.1 s each; drops what fails them. Off
    by default. Where programs cannot be isolated, the run is refused before it begins."""

    slow: ClassVar[bool] = True
    __test__: ClassVar[bool] = False  # no test case, whatever its name

    column: str = "tests"
    """the column of your data that holds them: Python statements, as a text or a list"""
    need: bool = False
    """drop what has no tests"""
    seconds: Annotated[int, Meta(ge=1, le=600)] = 5
    """CPU time; four times as long by the clock"""
    memory: Annotated[int, Meta(ge=64, le=65536)] = 256
    """MiB of each process"""
    processes: Annotated[int, Meta(ge=1, le=64)] = 8
    """processes and threads at once"""

    def require(self) -> None:
        """Raises RecipeError where programs cannot be isolated."""
        if why := sandbox.lacking():
            raise RecipeError(
                f"filter 'tests': programs that a model wrote cannot be isolated here, so none is run: {why}; run gen "
                "where user namespaces are allowed (kernel.unprivileged_userns_clone, user.max_user_namespaces, "
                "kernel.apparmor_restrict_unprivileged_userns; a container needs --privileged), or leave 'tests' out"
            )

    def check(self, sample: Sample) -> Verdict:
        if not (tests := self._tests(sample)):
            why = str(sample.meta.get("no_tests", ""))
            return drop("tests", "no_tests", why) if self.need else KEEP
        code = "\n\n".join(python_of(sample.response or ""))
        if not code:
            return drop("tests", "no_code", sample.response or "")
        limits = sandbox.Limits(self.seconds, 4.0 * self.seconds, self.memory, self.processes)
        outcome = sandbox.run(code, tests, limits)
        return KEEP if outcome.passed else drop("tests", outcome.reason, outcome.note)

    def _tests(self, sample: Sample) -> str:
        given = sample.meta.get(self.column) or ""
        return (given if isinstance(given, str) else "\n".join(map(str, given))).strip()
