"""Prompts are Jinja files with a passport: find, check, render, and parse what comes back.

A file opens with TOML between two `---` lines (the passport), then comes the template, which renders
to the user's message. Files whose names begin with `_` are frames that others extend; they have no
passport. The hash of a prompt covers its own bytes and those of every frame it extends."""

from __future__ import annotations

import functools
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import jinja2
import msgspec
from jinja2 import meta

from gen.core import Message, Request, Role, Sampling, digest
from gen.errors import ParseError, PromptError, nearest
from gen.template import Bounded

BOUNDS = {"temperature": (0, 2), "top_p": (1e-9, 1), "max_tokens": (1, 131072), "presence_penalty": (-2, 2)}
"""Of the sampling in a passport."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a reply is read: `plain` text, tagged `sections`, one `choice` of some words, or `json`."""

    form: Literal["plain", "sections", "choice", "json"] = "plain"
    sections: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    last: bool = False
    """Of a section that comes several times the last one counts: for replies that work in steps."""
    choices: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passport:
    """What the file says of itself."""

    paper: str
    purpose: str
    role: Role
    inputs: tuple[str, ...]
    changed: str = ""
    """How it differs from the paper, and why the reply has the form that it has."""
    raw: bool = False
    """For base models: the text is sent without a chat template, and the reply goes on where it ends."""
    system: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    reply: Reply = field(default_factory=Reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(Passport):
    name: str
    """Its path without `.jinja`, such as `evolve/deepen`."""
    hash: str
    templates: tuple[jinja2.Template | str, jinja2.Template]
    """Of the system text (where nothing is filled in, itself), which may come out empty, and of the user's message."""

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.hash}"

    def render(self, **values: Any) -> tuple[Message, ...]:
        """The messages to send. Raises PromptError where a value is missing or not an input."""
        if set(values) != set(self.inputs):
            odd = ", ".join(sorted(set(values) ^ set(self.inputs)))
            raise PromptError(f"prompt {self.name}: inputs are {', '.join(self.inputs)}; missing or unknown: {odd}")
        bounds = cast(Bounded, self.templates[1].environment)
        bounds.begin()
        told = (t if isinstance(t, str) else bounds.text(t.generate(**values)) for t in self.templates)
        try:
            system, user = map(str.strip, told)
        except Exception as error:  # whatever the expressions of a template come to
            raise PromptError(f"prompt {self.name}: cannot be rendered: {_told(error)}; mend the template") from error
        return (*((Message("system", system),) if system else ()), Message("user", user))

    def ask(self, *, sampling: Sampling | None = None, attempt: int = 0, **values: Any) -> Request:
        """The rendered prompt as a request; its step is the file's own name."""
        how = sampling or self.sampling, self.name.rpartition("/")[2], attempt, self.reply.schema, self.ref, self.raw
        return Request(self.role, self.render(**values), *how)


def parse_sections(text: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
    """The tagged sections of a reply, stripped. Each tag may occur once; text around them is ignored.

    Raises ParseError when a required section is missing, or any is doubled or unclosed.
    >>> parse_sections("Sure! <instruction>\\nSort 3 1 2\\n</instruction>", ("instruction",))
    {'instruction': 'Sort 3 1 2'}
    """
    found = {}
    for tag in (*required, *optional):
        opened, closed = text.count(f"<{tag}>"), text.count(f"</{tag}>")
        if not opened and not closed and tag in optional:
            continue
        body = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) if opened == closed == 1 else None
        if body is None:
            raise ParseError("reply_unparsed", f"expected one <{tag}>...</{tag}>, found {opened} and {closed}")
        found[tag] = body[1].strip()
    return found


def parse_last(text: str, required: tuple[str, ...]) -> dict[str, str]:
    """The last occurrence of each tagged section, in whatever case, bold or spaced; text around it is ignored.

    Raises ParseError when a section is missing or unclosed.
    >>> parse_last("<b>x</b> so: **< B >** y **</b>** Done.", ("b",))
    {'b': 'y'}
    """
    found = {}
    for tag in required:
        opened, closed = rf"<\s*{tag}\s*>", rf"<\s*/\s*{tag}\s*>"
        body = rf"(\*\*)?{opened}(?(1)(?:\*\*)?)((?:(?!{opened}).)*?)(?:\*\*(?={closed}\*\*))?{closed}"
        bodies = re.findall(body, text, re.DOTALL | re.IGNORECASE)
        if not bodies:
            raise ParseError("reply_unparsed", f"expected <{tag}>...</{tag}>, found {text[-80:]!r}")
        found[tag] = bodies[-1][1].strip()
    return found


def read_sections(reply: Reply, text: str) -> dict[str, str]:
    """The sections that a passport asks for. Raises ParseError."""
    return parse_last(text, reply.sections) if reply.last else parse_sections(text, reply.sections, reply.optional)


def parse_choice(text: str, choices: tuple[str, ...]) -> str:
    """The one of `choices` that occurs first, as whole words, any case; longer choices win, so that
    "not equal" is never read as "equal". Raises ParseError when there is none.

    >>> parse_choice("They are not equal.", ("equal", "not equal"))
    'not equal'
    """
    ordered = sorted(choices, key=len, reverse=True)
    words = "|".join(f"({re.escape(c)})" for c in ordered)
    match = re.search(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE)
    if match is None or match.lastindex is None:
        raise ParseError("reply_unparsed", f"expected one of {', '.join(choices)}, found {text[:80]!r}")
    return ordered[match.lastindex - 1]


_LOADED: dict[tuple[Any, ...], tuple[dict[str, tuple[str, str]], Prompt]] = {}
"""Folders and name -> the texts that a prompt was made of, and the prompt: made again only when they change."""


class Prompts:
    """The shipped prompts, overridden file by file by those of `folder` (`--prompts DIR`)."""

    def __init__(self, folder: Path | None = None) -> None:
        shipped = Path(str(resources.files("prompts")))
        if folder is not None and not os.path.isdir(folder):  # noqa: PTH112 (of any name, however long)
            raise PromptError(f"--prompts {folder}: not a folder; `gen prompts copy NAME --to DIR` makes one")
        self.folders = [f for f in (folder, shipped) if f is not None]
        self.environment = Bounded(
            loader=jinja2.FunctionLoader(self._body),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            keep_trailing_newline=False,
        )
        self.get = functools.lru_cache(maxsize=None)(self._known)
        self._ast = functools.lru_cache(maxsize=None)(self._parsed)

    def names(self) -> Iterator[str]:
        """Every prompt that can be asked for, in order."""
        found = {p.relative_to(f).with_suffix("").as_posix() for f in self.folders for p in f.rglob("*.jinja")}
        yield from sorted(n for n in found if not n.rpartition("/")[2].startswith("_"))

    def path(self, name: str) -> Path:
        """The file that `name` means: the user's where there is one, else the shipped one."""
        for folder in self.folders:
            if os.path.isfile(path := folder / f"{name}.jinja"):  # noqa: PTH113
                return path
        raise PromptError(f"no prompt is called {name[:100]!r}: {nearest(name, self.names())}")

    def closure(self, name: str) -> list[str]:
        """`name` and the frames that it extends or includes."""
        found, todo = [], [name]
        while todo:
            current = todo.pop()
            found.append(current)
            references = meta.find_referenced_templates(self._ast(current))
            todo += [r.removesuffix(".jinja") for r in references if r and r.removesuffix(".jinja") not in found]
        return found

    def _split(self, name: str) -> tuple[str, str]:
        path = self.path(name)
        try:
            text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise PromptError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
        except OSError as error:
            raise PromptError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
        if name.rpartition("/")[2].startswith("_"):
            return "", text
        head, mark, body = text.removeprefix("---\n").partition("\n---\n")
        if not text.startswith("---\n") or not mark:
            raise PromptError(f"{path}: opens with no passport; expected TOML between two lines of '---'")
        return head, body

    def _body(self, name: str) -> str:
        return self._split(name.removesuffix(".jinja"))[1]

    def _parsed(self, name: str) -> Any:
        body = self._body(name)
        try:
            return self.environment.parse(body)
        except jinja2.TemplateSyntaxError as error:
            raise PromptError(f"{self.path(name)}: line {error.lineno} of the template: {error.message}") from error
        except Exception as error:  # nested too deeply, a number without end
            raise PromptError(f"{self.path(name)}: the template cannot be read: {_told(error)}; simplify it") from error

    def _known(self, name: str) -> Prompt:
        texts, known = _LOADED.get((*self.folders, name), ({}, None))
        if known is None or any(self._split(n) != text for n, text in texts.items()):
            known = self._load(name)
            _LOADED[*self.folders, name] = {n: self._split(n) for n in self.closure(name)}, known
        return known

    def _load(self, name: str) -> Prompt:
        path, (head, _) = self.path(name), self._split(name)
        passport = _read_passport(path, head)
        names = self.closure(name)
        asts = [self._ast(n) for n in names]
        try:
            asts += [self.environment.parse(passport.system)]
            templates = self.environment.from_string(passport.system), self.environment.get_template(name)
            for template in templates:  # a chain of mappings is copied for each rendering, name by name
                template.globals = dict(template.globals)
        except jinja2.TemplateSyntaxError as error:
            part = f"of the template {error.name}" if error.name else "of the system text"
            raise PromptError(f"{path}: line {error.lineno} {part}: {error.message}") from error
        except PromptError:
            raise
        except Exception as error:  # what parses and cannot be compiled
            raise PromptError(f"{path}: the template cannot be read: {_told(error)}; simplify it") from error
        used = set().union(*(meta.find_undeclared_variables(ast) for ast in asts))
        if used != set(passport.inputs):
            found = f"inputs are {sorted(passport.inputs)}, the template uses {sorted(used)}"
            raise PromptError(f"{path}: {found}; make them equal")
        content = digest(*(self._split(n) for n in sorted(names)), size=12)
        given = {f.name: getattr(passport, f.name) for f in fields(passport)}
        system = passport.system if self.environment.is_plain(passport.system) else templates[0]
        return Prompt(name=name, hash=content, templates=(system, templates[1]), **given)


def _read_passport(path: Path, head: str) -> Passport:
    try:
        table = tomllib.loads(head)
        _check_names(path, "passport", table, Passport)
        passport = msgspec.convert(table, Passport)
    except msgspec.ValidationError as error:
        raise PromptError(f"{path}, passport: {error}; mend it") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a bare ValueError
        raise PromptError(f"{path}: the passport is not valid TOML: {_told(error)}; mend it") from error
    _check_values(path, passport.reply, passport.sampling)
    if passport.raw and passport.system:
        raise PromptError(f"{path}: both raw and system; a text to go on with has no system turn, so drop one of them")
    return passport


def _check_values(path: Path, reply: Reply, sampling: Sampling) -> None:
    """Refuse a form of reply that nothing could be read by, and sampling that no server would take."""
    for name, (least, most) in BOUNDS.items():
        if not least <= (value := getattr(sampling, name)) <= most:
            raise PromptError(f"{path}, sampling: {name} = {value}; allowed: {least} to {most}")
    tags = (*reply.sections, *reply.optional)
    if odd := next((tag for tag in tags if not re.fullmatch(r"\w[\w-]*", tag)), None):
        raise PromptError(f"{path}, reply: section {odd!r}; a section has the name of a tag: letters, digits, _ and -")
    if reply.form == "choice" and not all(reply.choices or [""]):
        raise PromptError(
            f"{path}, reply: choices = {[*reply.choices]}; the form choice needs some, none of them empty"
        )


def _told(error: Exception) -> str:
    """What an error of a library says, on one line."""
    said = " ".join(str(error).partition("; use sys.")[0].split())[:300] or type(error).__name__
    return said if isinstance(error, jinja2.TemplateError | ValueError) else f"{type(error).__name__}: {said}"


def _check_names(path: Path, where: str, table: Mapping[str, Any], kind: type[Any]) -> None:
    """Refuse keys and choices that are not known, naming the nearest; msgspec would pass over them, or name none."""
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in hints:
            raise PromptError(f"{path}, {where}: unknown key {key[:100]!r}; {nearest(key, hints)}")
        if get_origin(hints[key]) is Literal and isinstance(value, str) and value not in get_args(hints[key]):
            raise PromptError(f"{path}, {where}: {key} = {value!r}; {nearest(value, get_args(hints[key]))}")
        if hints[key] in (Reply, Sampling) and isinstance(value, dict):
            _check_names(path, key, value, hints[key])
