"""From the user's files to seed samples: JSONL, JSON and `.gz` of both, told apart by content.

Shapes read without a mapping: Self-Instruct tasks (the first instance; the others stay in `meta`),
Alpaca rows, `messages` or `conversations` (OpenAI or ShareGPT roles), prompt/completion, question/answer,
a lone instruction, prompt or text, and a JSON string. Whatever else a row carries goes to `Sample.meta`.
Bad rows are data (`BadRow`); a file that cannot be read at all is an InputError.

Above 300 lines, because most of it is refusals, which belong beside the reading that they guard. Rows become
samples in the first half; from `iter_rows` on, bytes become rows."""

from __future__ import annotations

import difflib
import gzip
import itertools
import json
import math
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gen.core import Lineage, Message, Sample, digest, seed_id
from gen.errors import InputError, nearest

MAX_LINE = 10_000_000
MAX_DOCUMENT = 1_000_000_000
MAX_DEPTH = 100
ODD = re.compile("[\0\ud800-\udfff]")
BOM = b"\xef\xbb\xbf"
KINDS = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv", ".parquet", ".arrow", ".xlsx")
FIELDS = ("instruction", "input", "response", "system")
COLUMNS = {
    "instruction": ("instruction", "prompt", "question", "text"), "input": ("input", "context"),
    "response": ("output", "response", "completion", "answer"), "system": ("system", "system_prompt"),
}
"""Where a field is looked for when no mapping says so; the first column that a row has wins."""
CHATS = ("messages", "conversations")
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "gpt": "assistant",
}
NO_INPUT = {"noinput", "noinputrequired", "noinputneeded", "n/a", "none"}
"""Whole inputs by which Alpaca's model said that there is none, without case, blanks, quotes and brackets."""
TYPES = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object",
         type(None): "null", str: "a text"}


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON value of a file. `line` counts from 1: lines of JSONL, elements of a JSON list."""

    file: str
    line: int
    value: Any
    unit: str = "line"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no seed, and why: what was found and what is allowed."""

    file: str
    line: int
    reason: str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class SeedFile:
    samples: list[Sample]
    digest: str
    """Hash of the accepted seeds' content in order, `meta` included; never of names or paths."""
    bad: list[BadRow] = field(default_factory=list)
    repeats: list[BadRow] = field(default_factory=list)
    """Exact duplicates that were left out; the reason names the row that each one repeats."""

    @property
    def duplicates(self) -> int:
        return len(self.repeats)


class _Bad(Exception):
    """Why a row is no seed."""


Named: TypeAlias = tuple[Row, Sample]


def read_seeds(
    paths: Sequence[Path], *, mapping: Mapping[str, str] | None = None, limit: int | None = None,
    strict: bool = False, id_prefix: str | None = None, max_line: int = MAX_LINE,
) -> SeedFile:
    """The seeds of all files in order, at most `limit` of them, without exact duplicates.

    With a `mapping` (field -> column) only the mapped columns are read; the rest is `meta`. A seed's id is the
    hash of its content, or `<id_prefix>:<file name>:<line>`. Raises InputError when a file cannot be read or has
    no good row, for a mapping that fits no row, and, if `strict`, at the first bad row."""
    if limit is not None and limit < 1:
        raise InputError(f"limit = {limit}: at least 1 is allowed; leave it out to read all seeds")
    samples: list[Sample] = []
    bad: list[BadRow] = []
    repeats: list[BadRow] = []
    seen: dict[str, Row] = {}
    for item in _read(paths, mapping, id_prefix, max_line):
        if isinstance(item, BadRow):
            if strict:
                raise InputError(f"{item}; mend the row, or read without strict to skip it")
            bad.append(item)
            continue
        row, sample = item
        here = Row(row.file, row.line, None, row.unit)
        first = seen.setdefault(_content_id(sample), here)
        if first is not here:
            repeats.append(BadRow(row.file, row.line, f"the same as {first.file}, {first.unit} {first.line}", row.unit))
            continue
        samples.append(sample)
        if len(samples) == limit:
            break
    content = digest("seeds", [(_content_id(s), dict(s.meta)) for s in samples])
    return SeedFile(samples, content, bad, repeats)


def read_against(
    paths: Sequence[Path], *, mapping: Mapping[str, str] | None = None, bad: list[BadRow] | None = None
) -> Iterator[Sample]:
    """Streams the rows that new samples must differ from, duplicates included. Id and root of each are
    `against:<file name>:<line>`; `bad` collects the rows that cannot be read. Paths are checked at once."""
    for path in paths:
        _check(path)
    items = _read(paths, mapping, "against", MAX_LINE)

    def stream() -> Iterator[Sample]:
        for item in items:
            if not isinstance(item, BadRow):
                yield item[1]
            elif bad is not None:
                bad.append(item)

    return stream()


def _read(
    paths: Sequence[Path], mapping: Mapping[str, str] | None, prefix: str | None, max_line: int
) -> Iterator[Named | BadRow]:
    if not paths:
        raise InputError("no seed file was named; give at least one .jsonl or .json file")
    for path in paths:
        _check(path)
    for place, path in enumerate(paths):
        # Two files of one name in different folders must not give the same ids.
        same = sum(other.name == path.name for other in paths[:place])
        label = f"{prefix}:{path.name}" + (f"#{same + 1}" if same else "")
        rows = iter_rows(path, max_line=max_line)
        if mapping is not None:
            rows = _check_mapping(path, mapping, rows)
        yield from _file(path, rows, mapping, None if prefix is None else label)


def _file(
    path: Path, rows: Iterable[Row | BadRow], mapping: Mapping[str, str] | None, label: str | None
) -> Iterator[Named | BadRow]:
    good = 0
    first: dict[str, str] = {}
    for row in rows:
        item = row if isinstance(row, BadRow) else _named(row, mapping, label)
        if not isinstance(item, BadRow):
            good += 1
        elif not good and len(first) < 3:
            first.setdefault(item.reason, f"{item.unit} {item.line}: {item.reason}")
        yield item
    if not good:
        found = "; ".join(first.values()) or "it has no rows at all"
        raise InputError(f"{path}: no row is a seed ({found}); see `--map field=column`, fields {', '.join(FIELDS)}")


def _named(row: Row, mapping: Mapping[str, str] | None, label: str | None) -> Named | BadRow:
    try:
        return row, _sample(row.value, mapping, None if label is None else f"{label}:{row.line}")
    except _Bad as error:
        return BadRow(row.file, row.line, str(error), row.unit)


def _sample(value: Any, mapping: Mapping[str, str] | None, name: str | None) -> Sample:
    row, turns = _flat(value, mapping is not None)
    _check_characters(row, turns)
    picked = dict(mapping) if mapping is not None else {
        f: next((c for c in columns if c in row), "") for f, columns in COLUMNS.items()
    }
    if picked["instruction"] not in row:
        wanted = picked["instruction"] or " or ".join((*COLUMNS["instruction"], *CHATS))
        raise _Bad(f"no column {wanted}; columns found: {_names(row)}")
    texts = {f: _text(row, column) for f, column in picked.items()}
    instruction, response = texts["instruction"], texts.get("response", "")
    given, system = texts.get("input", ""), texts.get("system", "")
    if not instruction.strip():
        raise _Bad(f"{picked['instruction']!r} is empty; a text is needed")
    told = given.casefold().strip(" \t\r\n<>()[]\\`\"'.").replace(" ", "")
    sample = Sample(
        "", instruction, Lineage(""), input="" if not given.strip() or told in NO_INPUT else given,
        response=response if response.strip() else None, system=system if system.strip() else "", turns=turns,
        meta={c: v for c, v in row.items() if c not in picked.values()},
    )
    name = name or _content_id(sample)
    return replace(sample, id=name, lineage=Lineage(name))


def _names(columns: Iterable[str]) -> str:
    names = [f"{c:.40}" for c in columns]
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if names[20:] else "") or "none"


def _content_id(sample: Sample) -> str:
    # A system text is part of what a seed says, so it counts as an earlier turn here.
    before = (Message("system", sample.system), *sample.turns) if sample.system else sample.turns
    return seed_id(sample.instruction, sample.input, sample.response, before)


def _flat(value: Any, mapped: bool) -> tuple[dict[str, Any], tuple[Message, ...]]:
    """The row with its instances or messages brought to the columns instruction, input, output, system."""
    if isinstance(value, str):
        return {"instruction": value}, ()
    if not isinstance(value, dict):
        raise _Bad(f"the row is {TYPES[type(value)]}; an object or a text is allowed")
    if mapped:
        return value, ()
    if chat := next((c for c in CHATS if isinstance(value.get(c), list)), None):
        return _chat(value, chat)
    if "instances" in value and "instruction" in value:
        return _instances(value), ()
    return value, ()


def _instances(value: dict[str, Any]) -> dict[str, Any]:
    found = value["instances"]
    if not isinstance(found, list) or not all(isinstance(i, dict) for i in found):
        raise _Bad("'instances' is not a list of objects; [{\"input\": ..., \"output\": ...}] is allowed")
    rest = {c: v for c, v in value.items() if c != "instances"}
    return rest | (found[0] if found else {}) | ({"instances": found[1:]} if found[1:] else {})


def _chat(value: dict[str, Any], column: str) -> tuple[dict[str, Any], tuple[Message, ...]]:
    said = [_message(turn, f"{column}[{i}]") for i, turn in enumerate(value[column])]
    system = said.pop(0).content if said and said[0].role == "system" else None
    for i, turn in enumerate(said):
        if turn.role != ("user", "assistant")[i % 2]:
            raise _Bad(f"turn {i + 1} of {column} is {turn.role}'s; user and assistant take turns, user first")
    answer = said.pop().content if len(said) % 2 == 0 and said else None
    if not said:
        raise _Bad(f"{column!r} has no user turn; at least one is needed")
    if empty := [i + 1 for i, turn in enumerate(said) if not turn.content.strip()]:
        raise _Bad(f"turn {empty[0]} of {column} is empty; a text is needed")
    last = said.pop().content
    # Our own dataset rows say the split beside the messages; it holds where it makes the same prompt.
    split = (value.get("instruction"), value.get("input"))
    told, given = split if last == f"{split[0]}\n\n{split[1]}" else (last, "")
    rest = {c: v for c, v in value.items() if c not in (column, "instruction", "input", "output")}
    rest |= {"instruction": told, "input": given, "output": answer} | ({} if system is None else {"system": system})
    return rest, tuple(said)


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, dict):
        raise _Bad(f"{where} is {TYPES[type(turn)]}; an object with role and content is allowed")
    role, content = (turn.get(new, turn.get(old)) for new, old in (("role", "from"), ("content", "value")))
    if not isinstance(role, str) or role not in ROLES:
        raise _Bad(f"{where} has the role {role!r:.40}; allowed: {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise _Bad(f"the content of {where} is {TYPES[type(content)]}; a text is allowed")
    return Message(ROLES[role], content)


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if value is not None and not isinstance(value, str):
        raise _Bad(f"{column!r} is {TYPES[type(value)]}; a text is allowed")
    return value or ""


def _check_characters(row: Mapping[str, Any], turns: Iterable[Message]) -> None:
    """Refuses what UTF-8 and JSON cannot carry on: it would break the store or the dataset much later."""
    for column, value in (*row.items(), *((t.role, t.content) for t in turns)):
        todo = [(column, 0), (value, 0)]
        while todo:
            part, depth = todo.pop()
            if isinstance(part, dict | list):
                if depth == MAX_DEPTH:
                    raise _Bad(f"{column!r:.40} is nested deeper than {MAX_DEPTH} levels; flatten it")
                inside = (*part, *part.values()) if isinstance(part, dict) else part
                todo += [(inner, depth + 1) for inner in inside]
            elif isinstance(part, float) and not math.isfinite(part):
                raise _Bad(f"{column!r:.40} holds the number {part}, which JSON has not; use null")
            elif isinstance(part, str) and (odd := ODD.search(part)):
                raise _Bad(f"{column!r:.40} holds {_odd(odd[0])}; only whole Unicode text is allowed")


def _odd(character: str) -> str:
    if character == "\0":
        return "a NUL character"
    # Documents are decoded with surrogateescape, so that one broken byte costs one row and not the file.
    if "\udc80" <= character <= "\udcff":
        return f"a byte that is not UTF-8 or half of a surrogate pair ({character!r})"
    return f"half of a surrogate pair ({character!r})"


def iter_rows(path: Path, *, max_line: int = MAX_LINE) -> Iterator[Row | BadRow]:
    """Every row of a file, one at a time: JSONL is streamed and never held whole, and of a line above
    `max_line` bytes no more than that is read at once. Raises InputError when the file cannot be read."""
    with _opened(path) as stream:
        if _is_document(path, stream, max_line):
            for number, value in enumerate(_elements(_document(path, stream)), 1):
                yield Row(str(path), number, value, "element")
            return
        for number in itertools.count(1):
            line = stream.readline(max_line + 1)
            if not line:
                return
            if len(line) > max_line and not line.endswith(b"\n"):
                size = len(line) + _skip(stream)
                yield BadRow(str(path), number, f"{size:,} bytes; at most {max_line:,} a line are allowed")
            elif line.removeprefix(BOM).strip():
                yield _line(str(path), number, line)


def _skip(stream: BufferedIOBase) -> int:
    size = 0
    while chunk := stream.readline(1 << 20):
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return size


def _line(file: str, number: int, line: bytes) -> Row | BadRow:
    try:
        return Row(file, number, _parse(line))
    except _Bad as error:
        return BadRow(file, number, str(error))


def _parse(line: bytes) -> Any:
    if b"\0" in line:
        raise _Bad("holds a NUL character; remove it")
    try:
        return json.loads(line.removeprefix(BOM).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _Bad(f"byte {error.object[error.start]:#04x} at {error.start + 1} is not UTF-8; save as UTF-8") from None
    except json.JSONDecodeError as error:
        raise _Bad(f"not valid JSON ({error.msg} at character {error.pos + 1}); one JSON value a line") from None
    except (ValueError, RecursionError) as error:
        raise _Bad(f"not readable JSON ({error})") from None


def _is_document(path: Path, stream: BufferedIOBase, max_line: int) -> bool:
    """Whether the file is one JSON value that holds the rows, rather than a row a line. Content decides, and
    the name only where the first line is no whole JSON value. Leaves the stream at its beginning."""
    head = stream.read(4)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
        raise InputError(f"{path}: UTF-16, UTF-32 or no text at all; convert it: iconv -f UTF-16 -t UTF-8 IN > OUT")
    stream.seek(0)
    first = _content_line(stream, max_line)
    if not first:
        raise InputError(f"{path}: empty; at least one seed is needed")
    more = bool(_content_line(stream, 1024))
    stream.seek(0)
    try:
        value = _parse(first)
    except _Bad:
        # A list broken over lines, by its look; a broken row of JSONL must not cost the whole file.
        is_opening = first.startswith(b"[") and first.endswith((b"[", b"{", b",")) and len(first) < max_line
        return is_opening or _kind(path) == ".json"
    return not more and _elements(value) != [value]


def _content_line(stream: BufferedIOBase, size: int) -> bytes:
    """The next line that is not blank, or its first `size` bytes; empty at the end."""
    while line := stream.readline(size):
        if content := line.removeprefix(BOM).strip():
            return content
    return b""


def _elements(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return [value]
    if isinstance(value.get("data"), list):
        return list(value["data"])
    is_row = any(c in value for c in (*COLUMNS["instruction"], *CHATS))
    lists = [v for v in value.values() if isinstance(v, list)]
    return [value] if is_row or len(lists) != 1 else lists[0]


def _document(path: Path, stream: BufferedIOBase) -> Any:
    data = bytearray()
    while chunk := stream.read(1 << 20):
        data += chunk
        if len(data) > MAX_DOCUMENT:
            raise InputError(f"{path}: above {MAX_DOCUMENT:,} bytes; make it JSONL, which is streamed: jq -c '.[]'")
    try:
        return json.loads(data.removeprefix(BOM).decode("utf-8", "surrogateescape"), strict=False)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise InputError(f"{path}: not valid JSON ({where}); if it has one value a line, name it .jsonl") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error})") from None


def _kind(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    _check(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b" or path.suffix.lower() == ".gz"
            raw.seek(0)
            yield gzip.GzipFile(fileobj=raw) if packed else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip ({error}); `gzip -t` checks it; copy or pack it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _check(path: Path) -> None:
    """Refuses at once what is no readable kind of file, and says what to do."""
    try:
        found = path.stat()
        mode, size = found.st_mode, found.st_size
        if stat.S_ISDIR(mode):
            inside = ", ".join(_neighbours(path)) or "none"
            raise InputError(f"{path}: a folder; name its files (.jsonl and .json in it: {inside})")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {nearest(path.name, _neighbours(path.parent, path.name))}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: a pipe or device; a regular file is needed")
    if _kind(path) in TABLES:
        raise InputError(f"{path}: {_kind(path)} is read from the next version on; until then make it JSONL: "
                         "pandas' `frame.to_json(\"seeds.jsonl\", orient=\"records\", lines=True)`")
    if _kind(path) not in KINDS:
        raise InputError(f"{path}: unknown kind {path.suffix!r}; allowed: {', '.join(KINDS)}, each also with .gz")
    if not size:
        raise InputError(f"{path}: empty; at least one seed is needed")
    if _kind(path) == ".json" and size > MAX_DOCUMENT:
        raise InputError(f"{path}: {size:,} bytes; a JSON file may have {MAX_DOCUMENT:,}; make it JSONL: jq -c '.[]'")


def _neighbours(folder: Path, name: str = "") -> list[str]:
    """The readable files of a folder, at most 20, those nearest in name to `name`."""
    try:
        names = sorted(p.name for p in folder.iterdir() if _kind(p) in KINDS)
    except OSError:
        return []
    return difflib.get_close_matches(name, names, n=20, cutoff=0.0) if name else names[:20]


def _check_mapping(
    path: Path, mapping: Mapping[str, str], rows: Iterator[Row | BadRow]
) -> Iterator[Row | BadRow]:
    """The same rows, once the mapping is found to fit the columns of the first ones."""
    for name, column in mapping.items():
        if name not in FIELDS:
            raise InputError(f"--map {name}={column}: unknown field {name!r}; {nearest(name, FIELDS)}")
    if "instruction" not in mapping:
        raise InputError(f"--map {dict(mapping)}: says no column for instruction; add `--map instruction=COLUMN`")
    head = list(itertools.islice(rows, 20))
    columns = {c for row in head if isinstance(row, Row) and isinstance(row.value, dict) for c in row.value}
    for name, column in mapping.items():
        if columns and column not in columns:
            raise InputError(f"{path}: --map {name}={column}: no such column; {nearest(column, columns)}")
    return itertools.chain(head, rows)
