"""Canned replies in place of a model: for tests, for recipes under construction, for demonstrations."""

from __future__ import annotations

import asyncio
import inspect
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_args

import msgspec

from gen.core import Completion, Engine, Finish, Likelihood, Request, Role, Scoring, digest, replace
from gen.errors import EngineError, RecipeError, nearest

Answer: TypeAlias = Callable[[Request], str | Completion]


class Rule(msgspec.Struct, frozen=True):
    """One canned reply and when to give it: all conditions that are set must hold."""

    reply: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Of several, one is picked by the request's seed."""
    role: Role | None = None
    step: str | None = None
    contains: str = ""
    """A passage of any message, as written."""
    finish: Finish = "stop"
    reasoning: str = ""

    def matches(self, request: Request) -> bool:
        said = any(self.contains in m.content for m in request.messages)
        return said and self.role in (None, request.role) and self.step in (None, request.step)


class Scripted(Engine):
    """Answers by rules, the first that matches, or by a function; what it answers depends on the request alone.

    `rules` is a function from a request to its reply, or rules (see `Rule`) as mappings, or a TOML file of them as
    `[[rule]]` tables. A function is known by its source text (fingerprint): what it reads from elsewhere is not
    seen. `delay` is in seconds. Token counts are counts of words."""

    model, license, kind = "scripted", "", "script"
    scoring_width = 1

    def __init__(
        self, rules: Answer | Sequence[Mapping[str, Any]] | str | Path, width: int = 8, *, delay: float = 0.0
    ) -> None:
        self.width, self._delay = width, delay
        self._where = str(rules) if isinstance(rules, str | Path) else "the script"
        if callable(rules):
            self._answer, self.fingerprint = rules, digest("scripted", inspect.getsource(rules))
            return
        rows = _read(Path(rules)) if isinstance(rules, str | Path) else [dict(row) for row in rules]
        self._rules = [_rule(row, f"{self._where}, rule {number}") for number, row in enumerate(rows, 1)]
        self._answer, self.fingerprint = self._by_rules, digest("scripted", rows)

    async def open(self) -> None:
        """Nothing to load: the rules were checked when the engine was made."""

    async def close(self) -> None:
        """Nothing to close."""

    async def lacks_scoring(self) -> str:
        return "canned replies have no log-probabilities"

    async def score(self, scoring: Scoring) -> Likelihood:
        raise EngineError(f"{self._where}: {await self.lacks_scoring()}; score with a model")

    async def complete(self, request: Request) -> Completion:
        """Raises EngineError when no rule matches."""
        if self._delay:
            await asyncio.sleep(self._delay)
        reply = self._answer(request)
        done = reply if isinstance(reply, Completion) else Completion(reply)
        if done.prompt_tokens or done.completion_tokens:
            return done
        asked = sum(len(message.content.split()) for message in request.messages)
        return replace(done, prompt_tokens=asked, completion_tokens=len(f"{done.text} {done.reasoning}".split()))

    def _by_rules(self, request: Request) -> Completion:
        for rule in self._rules:
            if rule.matches(request):
                replies = (rule.reply,) if isinstance(rule.reply, str) else rule.reply
                return Completion(replies[request.seed % len(replies)], rule.finish, rule.reasoning)
        row = f'[[rule]]\nrole = "{request.role}"\nstep = "{request.step}"\nreply = "..."'
        raise EngineError(
            f"{self._where}: none of {len(self._rules)} rules matches role {request.role!r}, step {request.step!r}, "
            f"which says {request.messages[-1].content[:200]!r}; add a rule such as\n{row}"
        )


def _read(path: Path) -> list[Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        if [*tables] != ["rule"] or not isinstance(tables["rule"], list):
            raise ValueError(f"it holds {[*tables]}")
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read as a script ({error}); expected [[rule]] tables in TOML") from None
    return tables["rule"]


def _rule(row: Any, where: str) -> Rule:
    if isinstance(row, dict) and (unknown := next((key for key in row if key not in Rule.__struct_fields__), None)):
        raise RecipeError(f"{where}: unknown key {unknown[:100]!r}; {nearest(unknown, Rule.__struct_fields__)}")
    try:
        return msgspec.convert(row, Rule)
    except msgspec.ValidationError as error:
        roles, finishes = ", ".join(get_args(Role)), ", ".join(get_args(Finish))
        form = f"a rule has a reply, a text or several; roles: {roles}; finishes: {finishes}"
        raise RecipeError(f"{where}: {error}; {form}") from None
