"""What a rewritten answer says of its having been rewritten: "Here is the revised version:", "I apologise for the
error.", "I hope this revision helps." Pure functions, English and Chinese; the expressions are in `phrases.toml`."""

from __future__ import annotations

import re

from gen.text import fold, pattern

_STOP = re.compile(r"(?<=[.!?:])\s+|(?<=[。！？：])")


def strip_remarks(text: str, source: str = "") -> str:
    """A rewritten answer without the sentences at its edges that speak of the rewriting, or apologise for what was
    before; never all of it. Where `source` (the task, earlier answers) says the same, it is the subject."""
    text = text.strip()
    while True:
        head, tail = _sentences(text.partition("\n")[0])[0], _sentences(text.rpartition("\n")[2])[-1]
        if not _apologises(head, source) and not _says("opening", head, source):
            head = text.partition("\n")[0]  # "Sure! Here is the better version:"
            head = head if _says("opening", head, source) else ""
        if 0 < len(head) < len(text):
            text = text[len(head) :].strip()
        elif len(tail) < len(text) and _says("closing", tail, source):
            text = text[: -len(tail)].strip()
        else:
            return text


def find_remark(text: str, source: str = "") -> str | None:
    """Words of a rewritten answer that speak of the rewriting, of feedback or of earlier answers, or apologise at the
    opening; None where `source` says the same."""
    head = _sentences(text.strip().partition("\n")[0])[0]
    return head if _apologises(head, source) else _says("remark", text, source)


def _sentences(line: str) -> list[str]:
    """At least one; an empty line has an empty one."""
    return [sentence for sentence in _STOP.split(line) if sentence] or [""]


def _says(name: str, passage: str, source: str) -> str | None:
    """What a passage says that matches, and `source` does not say."""
    known, passage = source.casefold(), passage.strip()
    spans = (found.span() for found in pattern(name).finditer(fold(passage)))
    return next((p for p in (passage[a:b].strip() for a, b in spans) if p.casefold() not in known), None)


def _apologises(sentence: str, source: str) -> bool:
    return bool(pattern("apology").match(fold(sentence)) and not pattern("apologetic").search(fold(source)))
