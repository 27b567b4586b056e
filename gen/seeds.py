"""From the user's files to seed samples: JSONL, JSON and `.gz` of both, told apart by content.

Shapes read without a mapping: Self-Instruct tasks (the first instance; the others stay in `meta`), Alpaca rows,
`messages` or `conversations` (OpenAI or ShareGPT roles), prompt/completion, question/answer, a lone instruction,
prompt or text, and a JSON string. Whatever else a row carries goes to `Sample.meta`. Bad rows are data
(`BadRow`); a file that cannot be read at all is an InputError."""

from __future__ import annotations

import difflib
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from gen.core import Lineage, Message, Sample, digest, seed_id
from gen.errors import InputError, nearest

MAX_LINE, MAX_DOCUMENT, MAX_DEPTH = 10_000_000, 1_000_000_000, 100
BOM = b"\xef\xbb\xbf"
KINDS = (".jsonl", ".ndjson", ".json")
COLUMNS = {
    "instruction": ("instruction", "prompt", "question", "text"), "input": ("input", "context"),
    "response": ("output", "response", "completion", "answer"), "system": ("system", "system_prompt"),
}
"""Where a field is looked for when no mapping says so; the first column that a row has wins."""
ROLES: dict[str, Any] = {"system": "system", "developer": "system", "user": "user", "human": "user",
                         "assistant": "assistant", "gpt": "assistant"}
NO_INPUT = re.compile(r"(?i)[\s<>()\[\]\\`\"'.]*(no ?input( ?(required|needed))?|n/a|none)[\s<>()\[\]\\`\"'.]*")
"""Whole inputs by which Alpaca's model said that there is none."""
BROKEN = re.compile(r"[\ud800-\udfff]|\\u0000")
"""What neither UTF-8 nor the store can hold, in a row written as JSON without its `\\\\`."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no seed, and why. `line` counts from 1: lines of JSONL, elements of a JSON list."""

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


def read_seeds(
    paths: Sequence[Path], *, mapping: Mapping[str, str] | None = None, limit: int | None = None,
    strict: bool = False, max_line: int = MAX_LINE,
) -> SeedFile:
    """The seeds of all files in order, at most `limit` of them, without exact duplicates.

    With a `mapping` (field -> column) only the mapped columns are read; the rest is `meta`. A seed's id is the
    hash of its content. Raises InputError when a file cannot be read or has no good row, for a mapping that fits
    no row, and, if `strict`, at the first bad row."""
    found, seen = SeedFile([], ""), dict[str, BadRow]()
    for row, sample in _read(paths, mapping, None, max_line):
        if sample is None:
            if strict:
                raise InputError(f"{row}; mend the row, or read without strict to skip it")
            found.bad.append(row)
        elif (first := seen.setdefault(_content_id(sample), row)) is not row:
            found.repeats.append(replace(row, reason=f"the same as {first.file}, {first.unit} {first.line}"))
        else:
            found.samples.append(sample)
            if len(found.samples) == limit:
                break
    metas = [dict(s.meta) for s in found.samples]
    return replace(found, digest=digest("seeds", list(zip(seen, metas, strict=True))))


def read_against(
    paths: Sequence[Path], *, mapping: Mapping[str, str] | None = None, bad: list[BadRow] | None = None
) -> Iterator[Sample]:
    """Streams the rows that new samples must differ from, duplicates included. Id and root of each are
    `against:<file name>:<line>`; `bad` collects the rows that cannot be read."""
    for row, sample in _read(paths, mapping, "against", MAX_LINE):
        if sample is not None:
            yield sample
        elif bad is not None:
            bad.append(row)


def _read(
    paths: Sequence[Path], mapping: Mapping[str, str] | None, prefix: str | None, max_line: int
) -> Iterator[tuple[BadRow, Sample | None]]:
    """Each row's place with its sample, or with the reason why it has none."""
    if not paths:
        raise InputError("no seed file was named; give at least one .jsonl or .json file")
    for path in paths:
        with _opened(path):  # a missing second file is told before the first is read
            pass
    for path in paths:
        rows = _rows(path, max_line)
        head = list(itertools.islice(rows, 20))
        if mapping is not None:
            _check_mapping(path, mapping, {c for _, value in head if isinstance(value, dict) for c in value})
        good, why = False, ""
        for row, value in itertools.chain(head, rows):
            try:
                yield row, _sample(value, mapping, prefix and f"{prefix}:{path.name}:{row.line}")
                good = True
            except (ValueError, RecursionError) as error:
                why = why or f"{row.unit} {row.line}: {error}"
                yield replace(row, reason=str(error)), None
        if not good:
            raise InputError(f"{path}: no row is a seed ({why or 'it has no rows at all'}); see `--map field=column`, "
                             f"fields {', '.join(COLUMNS)}")


def _check_mapping(path: Path, mapping: Mapping[str, str], columns: set[str]) -> None:
    for name, column in mapping.items():
        if name not in COLUMNS:
            raise InputError(f"--map {name}={column}: unknown field {name!r}; {nearest(name, COLUMNS)}")
        if columns and column not in columns:
            raise InputError(f"{path}: --map {name}={column}: no such column; {nearest(column, columns)}")
    if "instruction" not in mapping:
        raise InputError(f"--map {dict(mapping)}: says no column for instruction; add `--map instruction=COLUMN`")


def _deep(value: Any, left: int = MAX_DEPTH) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return left < 0 or (isinstance(value, list | dict) and any(_deep(v, left - 1) for v in inner))


def _sample(value: Any, mapping: Mapping[str, str] | None, name: str | None) -> Sample:
    if isinstance(value, ValueError):
        raise value
    if _deep(value):  # it could not be written and read again
        raise ValueError(f"nested more than {MAX_DEPTH} deep; flatten it")
    if found := BROKEN.search(json.dumps(value, ensure_ascii=False, allow_nan=False).replace(r"\\", "")):
        before = found.string[:found.start()][-30:]
        raise ValueError(f"a NUL character, a byte that is not UTF-8 or half of a surrogate pair after {before!r}")
    row, turns = (value, ()) if mapping and isinstance(value, dict) else _flat(value)
    usual = {f: next((c for c in names if c in row), None) for f, names in COLUMNS.items()}
    picked: dict[str, Any] = usual if mapping is None else dict.fromkeys(COLUMNS) | dict(mapping)
    if picked["instruction"] not in row:
        wanted = picked["instruction"] or ", ".join((*COLUMNS["instruction"], "messages or conversations"))
        raise ValueError(f"no column {wanted}; columns found: {', '.join(row)[:200] or 'none'}")
    if wrong := [c for c in picked.values() if c in row and not isinstance(row[c], str | None)]:
        raise ValueError(f"{wrong[0]!r} is {row[wrong[0]]!r:.60}; a text is needed")
    text = {f: said if (said := row.get(c) or "").strip() else "" for f, c in picked.items()}
    if not text["instruction"]:
        raise ValueError(f"{picked['instruction']!r} is empty; a text is needed")
    sample = Sample(
        "", text["instruction"], Lineage(""), input="" if NO_INPUT.fullmatch(text["input"]) else text["input"],
        response=text["response"] or None, system=text["system"], turns=turns,
        meta={c: v for c, v in row.items() if c not in picked.values()},
    )
    name = name or _content_id(sample)
    return replace(sample, id=name, lineage=Lineage(name))


def _content_id(sample: Sample) -> str:
    # A system text is part of what a seed says, so it counts as an earlier turn here.
    system = (Message("system", sample.system),) if sample.system else ()
    return seed_id(sample.instruction, sample.input, sample.response, (*system, *sample.turns))


def _flat(value: Any) -> tuple[dict[str, Any], tuple[Message, ...]]:
    """The row with its instances or messages brought to columns, and its earlier turns."""
    match value:
        case str():
            return {"instruction": value}, ()
        case {"messages": [*turns], **rest} | {"conversations": [*turns], **rest}:
            return _chat(rest, [_message(turn) for turn in turns])
        case {"instruction": told, "instances": [dict(first), *others], **rest}:
            return {**rest, "instruction": told, **first} | ({"instances": others} if others else {}), ()
        case {"instruction": _, "instances": found} if found != []:
            raise ValueError(f"'instances' is {found!r:.60}; [{{\"input\": ..., \"output\": ...}}] is allowed")
        case dict():
            return value, ()
    raise ValueError(f"the row is {value!r:.60}; an object or a text is needed")


def _chat(row: dict[Any, Any], said: list[Message]) -> tuple[dict[str, Any], tuple[Message, ...]]:
    if said and said[0].role == "system":
        row["system"] = said.pop(0).content
    answer = said.pop().content if said and said[-1].role == "assistant" else None
    roles = [turn.role for turn in said]
    if [*roles, "assistant"] != ["user", "assistant"] * (len(roles) // 2 + 1):
        raise ValueError(f"turns of {', '.join(roles)[:60] or 'no user'}; user and assistant take turns, user first")
    if not all(turn.content.strip() for turn in said):
        raise ValueError("a turn is empty; a text is needed")
    # Our own dataset rows say the split beside the messages; it holds where it makes the same prompt.
    last, told, given = said.pop().content, row.get("instruction"), row.get("input")
    if last != f"{told}\n\n{given}":
        told, given = last, ""
    return row | {"instruction": told, "input": given, "output": answer}, tuple(said)


def _message(turn: Any) -> Message:
    match turn:
        case {"role": str(role), "content": str(text)} | {"from": str(role), "value": str(text)} if role in ROLES:
            return Message(ROLES[role], text)
    raise ValueError(f"the turn {turn!r:.80} needs a role ({', '.join(ROLES)}) and a text as content")


def _rows(path: Path, max_line: int) -> Iterator[tuple[BadRow, Any]]:
    """Each row's place and its JSON value, or the ValueError that says why it has none. JSONL is streamed. Content
    says whether it is JSONL, and the name only where the first line is no whole JSON value."""
    with _opened(path) as stream:
        head = stream.read(4)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
            raise InputError(f"{path}: UTF-16, UTF-32 or no text at all; convert it: iconv -f UTF-16 -t UTF-8 IN > OUT")
        start = stream.seek(len(BOM) if head.startswith(BOM) else 0)
        begin = [line for _, line in itertools.islice(_lines(stream, max_line), 2)]
        stream.seek(start)
        if not begin:
            raise InputError(f"{path}: empty; at least one seed is needed")
        is_document = len(begin) == 1
        if isinstance(_parse(begin[0], max_line), ValueError):
            # A list broken over lines, by its look; a broken row of JSONL must not cost the whole file.
            opens = len(begin[0]) <= max_line and re.fullmatch(rb"\s*\[(.*[\[{,])?\s*", begin[0])
            is_document = _kind(path) == ".json" or bool(opens)
        if is_document:
            for number, value in enumerate(_document(path, stream), 1):
                yield BadRow(str(path), number, "", "element"), value
        else:
            for number, line in _lines(stream, max_line):
                yield BadRow(str(path), number, ""), _parse(line, max_line)


def _lines(stream: BufferedIOBase, max_line: int) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; of one above `max_line` bytes no more than that is held."""
    for number in itertools.count(1):
        line = rest = stream.readline(max_line + 1)
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(1 << 20)
        if line.strip():
            yield number, line
        elif not line:
            return


def _parse(data: bytes, most: int) -> Any:
    if len(data.rstrip()) > most:
        return ValueError(f"more than {most:,} bytes in one piece; make it lines of less (jq -c '.[]' splits a list)")
    try:
        # Broken bytes become half surrogates, which are refused later: one of them costs one row and not the file.
        return json.loads(data.decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not valid JSON ({error}); JSONL has one value a line, and its name ends in .jsonl")


def _document(path: Path, stream: BufferedIOBase) -> list[Any]:
    """The rows of a file that is one JSON value: a list, the list under `data`, or the value itself."""
    match _parse(stream.read(MAX_DOCUMENT + 1), MAX_DOCUMENT):
        case ValueError() as error:
            raise InputError(f"{path}: {error}")
        case list(rows) | {"data": list(rows)}:
            return rows
        case value:
            return [value]


def _kind(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    """The bytes of a file, unpacked. What stands in the way becomes an InputError that says what to do."""
    try:
        if not path.is_file():
            folder = path if path.is_dir() else path.parent
            near = (p.name for p in folder.glob("*") if p.is_file() and _kind(p) in KINDS)
            names = difflib.get_close_matches(path.name, near, 20, 0)
            what = "a folder, pipe or device" if path.exists() else "no such file"
            raise InputError(f"{path}: {what}; {nearest(path.name, names)}")
        if _kind(path) not in KINDS:
            raise InputError(f"{path}: {path.suffix!r} is not read; allowed: {', '.join(KINDS)}, each also with .gz; "
                             "make a table JSONL: pandas' `frame.to_json(\"a.jsonl\", orient=\"records\", lines=True)`")
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b" or path.suffix.lower() == ".gz"
            raw.seek(0)
            yield gzip.GzipFile(fileobj=raw) if packed else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip ({error}); `gzip -t` checks it; copy or pack it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
