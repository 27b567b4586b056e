"""The text of a PDF in the order of its content: by PDFium (Apache-2.0 and BSD). It knows lines only, so what lines
make is told by their look: a larger font makes headings (as Markdown), a wider gap or an indent parts paragraphs, a
line that does not reach the margin keeps its break. Page numbers, and what stands at the edge of several pages, are
left out."""

from __future__ import annotations

import atexit
import itertools
import logging
import re
import statistics
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

LOCK = threading.Lock()
"""PDFium works for one thread at a time."""
NUMBER = re.compile(r"\W*(?:page\s*)?(?:\d{1,4}|[ivxlc]{1,7})(?:\s*(?:/|of)\s*\d{1,4})?\W*", re.I)
LEADERS = re.compile(r"(?:\s?[.·…]){5,}\s*\w{1,6}$")
ENDED = re.compile(r"[.!?:;。！？：；…][\"'”’)\]』」]*$")
ITEM = re.compile(r"(?:[•·▪◦‣*–-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
CJK = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
JUNK = re.compile(r"(?i)untitled|microsoft word|.*\.(docx?|odt|tex|dvi|indd|pdf|rtf|pptx?)$|\W*$")
LARGER = 1.12
"""Times the size of most of the text, from which a line is a heading."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its place on the page, in points from the lower left corner."""

    text: str
    size: float
    left: float
    right: float
    base: float
    bottom: float
    """Of its end: below `base`, that of its beginning, where PDFium joins two lines at a parted word."""


def extract(data: bytes) -> tuple[str, str]:
    """Title and text of a PDF. Raises ValueError that says why there is none."""
    pdfium, halted = _library()
    with LOCK:
        try:
            document = pdfium.PdfDocument(data)
        except pdfium.PdfiumError as error:
            if error.err_code == pdfium.raw.FPDF_ERR_PASSWORD:
                raise ValueError("encrypted; save it without a password") from None
            raise ValueError(f"damaged, or no PDF ({error})") from None
        try:
            pages = [[*_lines(pdfium, page)] for page in _pages(document, halted)]
            title = document.get_metadata_value("Title").strip()
        except pdfium.PdfiumError as error:
            raise ValueError(f"damaged ({error})") from None
        finally:
            document.close()
    text = "\n\n".join(_paragraphs(_without_edges(pages)))
    _check(text, len(pages))
    return "" if JUNK.match(title) else title, text


@cache
def _library() -> tuple[Any, threading.Event]:
    import pypdfium2

    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)
    halted = threading.Event()

    def halt() -> None:
        """Before PDFium is put away at exit: a thread that is inside it would bring the process down."""
        halted.set()
        LOCK.acquire(timeout=5)

    atexit.register(halt)
    return pypdfium2, halted


def _pages(document: Any, halted: threading.Event) -> Iterator[Any]:
    for number in range(len(document)):
        if halted.is_set():
            return
        page = document[number]
        text = page.get_textpage()
        yield text
        text.close()
        page.close()


def _lines(pdfium: Any, page: Any) -> Iterator[Line]:
    """The lines of a page that hold something. Hyphens at which a word was parted are taken out."""
    raw, at = pdfium.raw, 0
    for text in page.get_text_range().split("\n"):
        bare = text.strip()
        begin = at + text.find(bare)
        first, last = (raw.FPDFText_GetCharIndexFromTextIndex(page.raw, i) for i in (begin, begin + len(bare) - 1))
        at += len(text) + 1
        if bare and not LEADERS.search(bare) and min(first, last) >= 0:
            left, base, _, _ = page.get_charbox(first, loose=True)
            _, bottom, right, _ = page.get_charbox(last, loose=True)
            shown = bare.replace("\ufffe", "").replace("\x02", "").replace("\0", "")
            yield Line(shown, raw.FPDFText_GetFontSize(page.raw, first), left, right, base, bottom)


def _without_edges(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """The pages without their numbers, and without first and last lines that are the same elsewhere, numbers apart."""
    edges = Counter(_key(line) for page in pages for line in {*page[:2], *page[-2:]})

    def is_edge(line: Line) -> bool:
        return bool(NUMBER.fullmatch(line.text)) or edges[_key(line)] >= 2

    kept = []
    for page in pages:
        first, last = 0, len(page)
        while first < min(2, last) and is_edge(page[first]):
            first += 1
        while last > max(first, len(page) - 2) and is_edge(page[last - 1]):
            last -= 1
        kept.append(list(page[first:last]))
    return kept


def _key(line: Line) -> tuple[str, int]:
    return re.sub(r"\d+", "0", line.text), round(line.base)


def _paragraphs(pages: Iterable[Sequence[Line]]) -> Iterator[str]:
    """Paragraphs and headings, these with `#` by the rank of their size."""
    pages = [page for page in pages if page]
    lines = [line for page in pages for line in page]
    if not lines:
        return
    sizes = Counter[float]()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    usual = sizes.most_common(1)[0][0]
    larger = sorted({_step(line.size) for line in lines if _is_heading(line, usual)}, reverse=True)
    gaps = (above.bottom - below.base for page in pages for above, below in itertools.pairwise(page))
    pitch = statistics.median([gap for gap in gaps if gap > 0] or [12])
    margin = max(line.right for line in lines if round(line.size, 1) == usual)
    held: list[Line] = []
    for line in lines:
        if held and _parts(held[-1], line, usual, pitch):
            yield _written(held, usual, larger, margin)
            held = []
        held.append(line)
    yield _written(held, usual, larger, margin)


def _step(size: float) -> int:
    return round(size * 2)


def _is_heading(line: Line, usual: float) -> bool:
    return line.size >= LARGER * usual and len(line.text) <= 150 and any(map(str.isalpha, line.text))


def _parts(above: Line, below: Line, usual: float, pitch: float) -> bool:
    """Whether a paragraph ends between two lines."""
    gap = above.bottom - below.base
    if _is_heading(above, usual) or _is_heading(below, usual):
        return _step(above.size) != _step(below.size) or not 0 < gap < 2.5 * max(pitch, above.size)
    if gap <= 0 or gap > 8 * pitch:  # another column or page
        return bool(ENDED.search(above.text)) or not below.text[0].islower()
    indented = below.left - above.left > 0.8 * usual and bool(ENDED.search(above.text))
    return gap > 1.35 * pitch or indented


def _written(lines: Sequence[Line], usual: float, larger: Sequence[int], margin: float) -> str:
    if _is_heading(lines[0], usual):
        level = min(larger.index(_step(lines[0].size)) + 1, 6)
        return f"{'#' * level} {' '.join(line.text for line in lines)}"
    text = lines[0].text
    for above, below in itertools.pairwise(lines):
        full = above.right - lines[0].left > 0.8 * (margin - lines[0].left) and not ITEM.match(below.text)
        tight = CJK.match(above.text[-1]) and CJK.match(below.text[0])
        text += ("" if tight else " ") + below.text if full else f"\n{below.text}"
    return text


def _check(text: str, pages: int) -> None:
    letters = sum(map(str.isalnum, text))
    if letters < 10 * min(pages, 10):
        raise ValueError(f"no text in its pages ({letters} letters in {pages}): scanned; run OCR over it (ocrmypdf)")
    odd = len(re.findall(r"[\ufffd\ue000-\uf8ff\x01-\x08\x0e-\x1f]", text))
    if odd > len(text) / 10:
        raise ValueError("its fonts do not say which letters they show; run OCR over it (ocrmypdf --force-ocr)")
