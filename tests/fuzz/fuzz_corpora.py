"""Documents: pieces that stand in them as they are, and do not overlap; or a row that says why there is none."""

from __future__ import annotations

from collections import Counter

from kit import Target, folder
from shapes import Take

from gen.core import digest
from gen.loop import Document
from gen.seeds.documents import document_rows
from gen.segments import segments, windows

MARKS = ("# ", "## ", "\n", "\n\n", "===\n", "---\n", "```\n", "~~~\n", "- ", "1. ", "| a | b |\n", "A sentence of some words. ", "Dr. ", "...", "。",
         "title: x\n", "甲乙丙。", "[a](b)", "{#id}", "**", "Contents\n", "\r\n", "\t", "`", ".. ", "::\n", "See also")  # fmt: skip
HTML = ("<p>", "</p>", "<div>", "</div>", "<h1>", "</h1>", "<title>", "</title>", "<table><tr><td>", "<script>", "<!--", "-->", "<![CDATA[", "&amp;", "&#x110000;",
        "<meta charset='", "utf-16", "<meta property='og:title' content='", "<a href='", "'>", "<body>", "<html>", "<?xml version='1.0' encoding='", "<svg>", "A sentence of some words, for the page. ")  # fmt: skip
PDF = (
    "%PDF-1.4\n",
    " 0 obj\n",
    "endobj\n",
    "<< /Type /Page ",
    "/Kids [",
    "stream\n",
    "endstream\n",
    "/Length ",
    "xref\n",
    "trailer\n",
    "startxref\n",
    "%%EOF\n",
    "BT ",
    " Tj ET",
    " Tf ",
    " Td ",
    "(Hello)",
    "/Font ",
    "/MediaBox [0 0 9 9]",
    ">>",
    "<<",
    " R",
)


def _check(document: Document, found) -> None:
    end = 0
    for piece in found:
        assert piece.text == document.text[piece.start : piece.end]
        assert end <= piece.start < piece.end
        end = piece.end


def pieces(data: bytes) -> None:
    take = Take(data)
    least, most, kind = take.number(40) + 1, take.number(200) + 40, take.byte()
    text = take.rest().replace("\r\n", "\n").replace("\r", "\n")
    document, dropped = Document(digest(text), text, "n", "Bees" if kind & 1 else ""), Counter()
    _check(
        document,
        segments(
            document,
            min_chars=least,
            max_chars=most,
            pack_long=bool(kind & 2),
            keep_upper=bool(kind & 4),
            dropped=dropped,
        ),
    )
    for piece in (found := [*windows(document, most, dropped=dropped)]):
        assert len(piece.text) <= most
    _check(document, found)


def _file(ending: str):
    def run(data: bytes) -> None:
        path = folder() / f"d{ending}"
        path.write_bytes(data)
        found = [*document_rows(path)]
        assert found
        for row, value in found:
            assert row.line >= 1
            if isinstance(value, ValueError):
                assert 0 < len(str(value)) < 2000
            else:
                assert value["text"].strip()
                assert isinstance(value["title"], str)

    return run


TARGETS = (
    Target("corpora.pieces", pieces, ("gen.segments", "gen.blocks", "gen.packing"), MARKS, 60_000),
    Target("corpora.text", _file(".md"), ("gen.seeds.documents",), MARKS, 60_000),
    Target("corpora.html", _file(".html"), ("gen.seeds.extract_html",), HTML, 5_000),
    Target("corpora.pdf", _file(".pdf"), ("gen.seeds.extract_pdf",), PDF, 20_000, 2048),
)
