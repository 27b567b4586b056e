"""Canned replies in place of a model: for tests, for recipes under construction, for demonstrations."""

from __future__ import annotations

import asyncio
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast, get_args

from gen.core import Completion, Engine, Finish, Request, Role, digest
from gen.errors import EngineError, RecipeError, nearest

Answer: TypeAlias = Callable[[Request], str | Completion]
KEYS = ("role", "step", "contains", "reply", "replies", "finish", "reasoning")


@dataclass(frozen=True, slots=True)
class Rule:
    """One canned reply and when to give it: all conditions that are set must hold."""

    replies: tuple[str, ...]
    """One of them is picked by the request's seed: other seeds, other replies."""
    role: str | None = None
    step: str | None = None
    contains: str | None = None
    """A passage of any message, as written."""
    finish: Finish = "stop"
    reasoning: str = ""

    def matches(self, request: Request) -> bool:
        return (
            self.role in (None, request.role)
            and self.step in (None, request.step)
            and (self.contains is None or any(self.contains in m.content for m in request.messages))
        )

    def reply(self, request: Request) -> Completion:
        return Completion(self.replies[request.seed % len(self.replies)], self.finish, self.reasoning)


class Scripted(Engine):
    """Answers by rules, the first that matches, or by a function; what it answers depends on the request alone.

    `rules` is a function from a request to its reply, or rules as mappings, or a file of them: JSONL with a rule
    a line, or TOML with `[[rule]]` tables. Keys of a rule: `role`, `step`, `contains` (conditions, all
    optional), `reply` or `replies`, `finish`, `reasoning`. A function is known by its source text (fingerprint):
    what it reads from elsewhere is not seen. `delay` is in seconds, for tests of concurrency. Token counts are counts
    of words."""

    def __init__(
        self, rules: Answer | Sequence[Mapping[str, Any]] | str | Path, width: int = 8, *, delay: float = 0.0,
        model: str = "scripted",
    ) -> None:
        self.width, self.model, self._delay = width, model, delay
        self._where = str(rules) if isinstance(rules, str | Path) else "the script"
        if callable(rules):
            self._answer = rules
            self.fingerprint = digest("scripted", _source(rules))
            return
        rows = _read(Path(rules)) if isinstance(rules, str | Path) else [dict(row) for row in rules]
        self._rules = [_rule(row, f"{self._where}, rule {number}") for number, row in enumerate(rows, 1)]
        self._answer = self._by_rules
        self.fingerprint = digest("scripted", rows)

    async def open(self) -> None:
        """Nothing to load: the rules were checked when the engine was made."""

    async def complete(self, request: Request) -> Completion:
        """Raises EngineError when no rule matches."""
        if self._delay:
            await asyncio.sleep(self._delay)
        reply = self._answer(request)
        if isinstance(reply, Completion):
            done = reply
        else:
            done = Completion(reply)
        if done.prompt_tokens or done.completion_tokens:
            return done
        prompt_tokens = sum(len(message.content.split()) for message in request.messages)
        completion_tokens = len(done.text.split()) + len(done.reasoning.split())
        return Completion(done.text, done.finish, done.reasoning, prompt_tokens, completion_tokens, done.note)

    async def close(self) -> None:
        """Nothing to close."""

    def _by_rules(self, request: Request) -> Completion:
        for rule in self._rules:
            if rule.matches(request):
                return rule.reply(request)
        said = request.messages[-1].content[:200] if request.messages else ""
        row = json.dumps({"role": request.role, "step": request.step, "reply": "..."})
        raise EngineError(
            f"{self._where}: none of {len(self._rules)} rules matches role {request.role!r}, step {request.step!r}, "
            f"which says {said!r}; add a rule such as {row}"
        )


def _source(function: Answer) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a script ({error}); expected UTF-8 JSONL or TOML") from None
    if path.suffix == ".toml":
        return _read_toml(path, text)
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise RecipeError(f"{path}:{number}: not JSON ({error.msg}); expected one rule a line") from None
    return rows


def _read_toml(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not TOML ({error}); expected [[rule]] tables") from None
    if set(table) - {"rule"} or not isinstance(table.get("rule", []), list):
        raise RecipeError(f"{path}: holds {', '.join(map(repr, table))}; expected [[rule]] tables only")
    return cast(list[dict[str, Any]], table.get("rule", []))


def _rule(row: Any, where: str) -> Rule:
    if not isinstance(row, dict):
        raise RecipeError(f"{where}: is a {type(row).__name__}; expected an object with the keys {', '.join(KEYS)}")
    for key in row:
        if key not in KEYS:
            raise RecipeError(f"{where}: unknown key {key!r}; {nearest(key, KEYS)}")
    if ("reply" in row) == ("replies" in row):
        raise RecipeError(f"{where}: has {'both' if 'reply' in row else 'neither'} of 'reply' and 'replies'; give one")
    replies = row["replies"] if "replies" in row else [row["reply"]]
    if not isinstance(replies, list) or not replies or not all(isinstance(reply, str) for reply in replies):
        raise RecipeError(f"{where}: 'replies' must be a list of texts that is not empty, 'reply' a text")
    for key in ("role", "step", "contains", "reasoning"):
        if not isinstance(row.get(key, ""), str):
            raise RecipeError(f"{where}: {key!r} is {row[key]!r}; expected a text")
    for key, allowed in (("role", get_args(Role)), ("finish", get_args(Finish))):
        if key in row and row[key] not in allowed:
            raise RecipeError(f"{where}: {key} {row[key]!r} is unknown; {nearest(str(row[key]), allowed)}")
    rest = {key: row[key] for key in KEYS if key in row and key not in ("reply", "replies")}
    return Rule(tuple(replies), **rest)
