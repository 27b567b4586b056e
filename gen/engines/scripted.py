"""Canned replies in place of a model: for tests, for recipes under construction, for demonstrations."""

from __future__ import annotations

import asyncio
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, get_args

import msgspec

from gen.core import Completion, Engine, Finish, Request, Role, digest
from gen.errors import EngineError, RecipeError, nearest

Answer: TypeAlias = Callable[[Request], str | Completion]


class Rule(msgspec.Struct, frozen=True):
    """One canned reply and when to give it: all conditions that are set must hold."""

    reply: str | None = None
    replies: tuple[str, ...] = ()
    """Instead of `reply`: one of them, picked by the request's seed."""
    role: Role | None = None
    step: str | None = None
    contains: str = ""
    """A passage of any message, as written."""
    finish: Finish = "stop"
    reasoning: str = ""

    def matches(self, request: Request) -> bool:
        said = any(self.contains in m.content for m in request.messages)
        return said and self.role in (None, request.role) and self.step in (None, request.step)


FORM = (
    "a rule has reply (a text) or replies (texts), and may have role, step, contains, finish, reasoning; "
    f"roles: {', '.join(get_args(Role))}; finishes: {', '.join(get_args(Finish))}"
)


class Scripted(Engine):
    """Answers by rules, the first that matches, or by a function; what it answers depends on the request alone.

    `rules` is a function from a request to its reply, or rules (see `Rule`) as mappings, or a file of them: JSONL
    with a rule a line, or TOML with `[[rule]]` tables. A function is known by its source text (fingerprint): what
    it reads from elsewhere is not seen. `delay` is in seconds. Token counts are counts of words."""

    model = "scripted"

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
                replies = rule.replies or (rule.reply or "",)
                return Completion(replies[request.seed % len(replies)], rule.finish, rule.reasoning)
        row = json.dumps({"role": request.role, "step": request.step, "reply": "..."})
        raise EngineError(
            f"{self._where}: none of {len(self._rules)} rules matches role {request.role!r}, step {request.step!r}, "
            f"which says {request.messages[-1].content[:200]!r}; add a rule such as {row}"
        )


def _read(path: Path) -> list[Any]:
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            tables = tomllib.loads(text)
            if [*tables] != ["rule"] or not isinstance(tables["rule"], list):
                raise ValueError(f"it holds {[*tables]}")
            return tables["rule"]
        rows = []
        for number, line in enumerate(text.split("\n"), 1):
            where = f"{path}:{number}"
            rows += [json.loads(line)] if line.strip() else []
        return rows
    except (OSError, ValueError) as error:
        form = "TOML with [[rule]] tables only, or JSONL with a rule a line"
        raise RecipeError(f"{where}: cannot be read as a script ({error}); expected {form}") from None


def _rule(row: Any, where: str) -> Rule:
    if isinstance(row, dict) and (unknown := next((key for key in row if key not in Rule.__struct_fields__), None)):
        raise RecipeError(f"{where}: unknown key {unknown!r}; {nearest(unknown, Rule.__struct_fields__)}")
    try:
        rule = msgspec.convert(row, Rule)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {error}; {FORM}") from None
    if (rule.reply is None) == (not rule.replies):
        raise RecipeError(f"{where}: give one of 'reply' and 'replies'; {FORM}")
    return rule
