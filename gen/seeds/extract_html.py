"""The text of a web page without what belongs to its site, headings as Markdown: by trafilatura (Apache-2.0)."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any


def extract(data: bytes) -> tuple[str, str]:
    """Title and text of a page. Raises ValueError that says why there is none."""
    trafilatura = _library()
    tree = trafilatura.load_html(data)
    if tree is None:
        raise ValueError("no HTML that can be read")
    title = _title(tree)
    try:
        text = trafilatura.extract(tree, output_format="markdown", include_comments=False, include_tables=True,
                                   include_links=False, include_images=False)  # fmt: skip
    except Exception as error:  # whatever a page brings it to
        raise ValueError(f"the extractor fails ({type(error).__name__}: {error})") from None
    if not text or not text.strip():
        raise ValueError("no text of its own: a frame, a script, or nothing but links")
    return title, text


@cache
def _library() -> Any:
    import trafilatura

    for name in ("trafilatura", "htmldate", "courlan", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they would say of a page, its row says
    return trafilatura


def _title(tree: Any) -> str:
    """What the page calls itself, without its site ("Bees | The Site")."""
    named = [*tree.xpath("//meta[@property='og:title']/@content"), *(h.text_content() for h in tree.xpath("//h1")[:1])]
    given = next((" ".join(name.split()) for name in named if name.strip()), "")
    found = " ".join((tree.findtext(".//title") or "").split())
    return given or re.split(r" [|–—·-] ", found)[0]
