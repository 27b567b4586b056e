"""Reading tasks that a model wrote many of at once, with input and output: as JSON or as labelled text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from gen import text as texts

DECODER = json.JSONDecoder(strict=False)
OPEN = re.compile(r'\{\s*"(instruction|input|output|tasks)"\s*:')
BAD_ESCAPE = re.compile(r'\\(\\|["/bfnrt]|u[0-9a-fA-F]{4})?')
ITEM = re.compile(r"^[ \t*#]*+(?:(\d+)[ \t]*+[.):]?[ \t]*+)?\**Instruction\**[ \t]*:\**", re.M)
INPUT, OUTPUT = (
    re.compile(rf"^[ \t*#]*+(?:\d+[ \t]*+[.):]?[ \t]*+)?\**{name}\**[ \t]*:\**", re.M) for name in ("Input", "Output")
)
END = re.compile(r"(?:\A|\n)[ \t]*#{3,}[ \t]*\d*\Z")


class Triple(NamedTuple):
    """One task; `reason` says why it cannot be read."""

    instruction: str
    input: str = ""
    output: str = ""
    reason: str = ""


def render(instruction: str, input: str, output: str) -> str:
    """One task as it stands in the prompt and is wanted back: `read` finds the very same texts again."""
    return json.dumps({"instruction": instruction, "input": input, "output": output}, ensure_ascii=False)


def read(text: str, *, cut: bool, shown: int | None = None) -> list[Triple]:
    """The tasks of a reply in order; none where it holds none. Objects of JSON wherever they stand, else fields by
    their labels. `shown`: the reply goes on behind the label of the instruction that follows so many tasks. Of a reply
    that was cut, the tail that is no whole task is `task_truncated`."""
    if shown is not None:
        return _labelled(f"{shown + 1}. Instruction:{text}", cut=cut)
    return list(_objects(text, cut=cut)) or _labelled(text, cut=cut)


def tidy(triple: Triple) -> Triple:
    """White space around its texts gone, and words that only say that there is no input."""
    instruction, given, output = (text.strip() for text in triple[:3])
    return Triple(instruction, "" if texts.says_no_input(given) else given, output, triple.reason)


def _objects(text: str, *, cut: bool) -> Iterator[Triple]:
    """Tasks from objects of JSON. A broken one is given up alone: the next begins at its opening."""
    at = 0
    while found := OPEN.search(text, at):
        value, at = _decoded(text, found.start())
        if value is None and found[1] == "tasks":
            at = found.end()
        elif value is None:
            following = OPEN.search(text, found.end())
            at = following.start() if following else len(text)
            value, _ = _decoded(BAD_ESCAPE.sub(_mend, text[found.start() : at]), 0)
        if value is not None:
            yield from map(_triple, _rows(value))
        elif found[1] != "tasks":
            lost = "task_truncated" if cut and at == len(text) else "task_unparsed"
            yield Triple(text[found.start() : at].strip(), reason=lost)


def _decoded(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """The object that begins at `start` and where it ends; None where it is broken. Line breaks in strings pass."""
    try:
        value, end = DECODER.raw_decode(text, start)
        return value, end
    except (ValueError, RecursionError):
        return None, start


def _mend(found: re.Match[str]) -> str:
    """A backslash that escapes nothing stands for itself: models write regular expressions as they are."""
    return found[0] if found[1] else r"\\"


def _rows(value: dict[str, Any]) -> list[Any]:
    tasks = value.get("tasks", [value])
    return tasks if isinstance(tasks, list) else [tasks]


def _triple(row: Any) -> Triple:
    """Numbers and lists, where a text was wanted, as JSON writes them."""
    fields = row if isinstance(row, dict) else {}
    told = [fields.get(name) for name in ("instruction", "input", "output")]
    instruction, given, output = (
        value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
        for value in told
    )
    lost = "" if isinstance(told[0], str) and "output" in fields else "task_unparsed"
    return Triple(instruction, given, output, lost)


def _labelled(text: str, *, cut: bool) -> list[Triple]:
    """Tasks from fields by their labels at the beginnings of lines, whatever their numbers. Where the first task has a
    number, only numbered ones are tasks; hash marks divide nothing, but for those that close a task."""
    marks = [*ITEM.finditer(text)]
    marks = [mark for mark in marks if mark[1] or not marks[0][1]]
    ends = [*(mark.start() for mark in marks), len(text)][1:]
    found = [_fields(END.sub("", text[mark.end() : end].rstrip())) for mark, end in zip(marks, ends, strict=True)]
    if cut and found:
        found[-1] = found[-1]._replace(reason="task_truncated")
    return found


def _fields(body: str) -> Triple:
    output = OUTPUT.search(body)
    given = INPUT.search(body, 0, output.start() if output else len(body))
    instruction = body[: given.start() if given else output.start() if output else len(body)].strip()
    if output is None:
        return Triple(instruction, reason="task_unparsed")
    data = body[given.end() : output.start()].strip() if given else ""
    return Triple(instruction, data, body[output.end() :].strip())
