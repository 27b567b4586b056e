"""Files that hold a document each, as rows of `text` and `title`: plain text, Markdown and reStructuredText as they
are, HTML and PDF through an extractor. A file that gives no text is a row that says why."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from gen.blocks import FRONT
from gen.errors import InputError
from gen.seeds.files import KINDS, kind, opened
from gen.seeds.place import BadRow, Rows

TEXTS = (".txt", ".text", ".md", ".markdown", ".mdx", ".rst")
PAGES, PAPERS = (".html", ".htm", ".xhtml"), (".pdf",)
DOCUMENTS = (*TEXTS, *PAGES, *PAPERS)
ALL = (*DOCUMENTS, *KINDS)
PART = 1 << 20
"""Characters from which a text is read in parts."""
MOST = 1 << 28
"""Bytes that an HTML or PDF file may have."""
MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
         codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}  # fmt: skip
BORDER = re.compile(r"\n(?=#{1,3} )|\n[ \t]*\n")
TITLE = re.compile(r"^title:[ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.M)


def document_rows(path: Path) -> Rows:
    """The document of a file, or its parts where it is a very long text."""
    ending, number = kind(path), 0
    try:
        with opened(path, ALL) as stream:
            for number, (title, text) in enumerate(_read(ending, stream), 1):
                yield BadRow(str(path), number, "", "part"), {"text": text, "title": title}
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
    except ValueError as error:
        reason = str(error)
    else:
        reason = "" if number else "empty; a text is needed"
    if reason:
        yield BadRow(str(path), number + 1, "", "part"), ValueError(reason)


def _read(ending: str, stream: BufferedReader) -> Iterator[tuple[str, str]]:
    """Titles and texts. Raises ValueError that says why there are none."""
    if ending in TEXTS:
        yield from _texts(stream)
        return
    data = stream.read(MOST + 1)
    if len(data) > MOST:
        raise ValueError(f"more than {MOST >> 20} MiB; split it")
    if ending in PAPERS:
        from gen.seeds.extract_pdf import extract
    else:
        from gen.seeds.extract_html import extract
    yield extract(data)


def _texts(stream: BufferedReader) -> Iterator[tuple[str, str]]:
    """A text in parts of about PART characters, each of which ends before a heading or with a paragraph. Line breaks
    become line feeds."""
    head = stream.peek(4)[:4]
    encoding = next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8")
    reader, text, title = io.TextIOWrapper(stream, encoding), "", ""
    try:
        while block := _block(reader):
            title = title or _title(text := text + block)
            borders = [m.start() + 1 for m in BORDER.finditer(text, PART // 2)] if len(text) >= PART else []
            if borders:
                yield title, text[: borders[-1]]
                text = text[borders[-1] :]
            elif len(text) >= 8 * PART:  # no paragraph anywhere: whatever that is, it is not held whole
                yield title, text
                text = ""
        if text.strip():
            yield title, text
    finally:
        reader.detach()


def _block(reader: io.TextIOWrapper) -> str:
    try:
        return reader.read(PART)
    except UnicodeError as error:
        raise ValueError(f"not {reader.encoding} ({error}); convert it: iconv -f LATIN1 -t UTF-8 IN > OUT") from None


def _title(text: str) -> str:
    """What the front matter of a Markdown file says."""
    front = FRONT.match(text)
    found = TITLE.search(front.group()) if front else None
    return found[1] if found else ""

