"""Prompt files: one that can be rendered, or a PromptError that names it; and what a passport lets a reply be."""

from __future__ import annotations

from kit import Target, folder
from shapes import Take

from gen.errors import ParseError, PromptError
from gen.prompts import Prompts, Reply, parse_choice, read_sections

HEAD = b'paper = "p"\npurpose = "p"\nrole = "judge"\ninputs = ["text"]\n'
PASSPORT = ("---\n", "\n---\n", "paper = ", "purpose = ", "role = ", "inputs = ", "changed = ", "raw = true\n", "system = ", "[sampling]\n", "temperature = ", "top_p = ", "max_tokens = ",
            "[reply]\n", "form = ", "sections = ", "choices = ", "schema = ", '"judge"', '["text"]', '"x"', "[]", "\n", "{{ text }}", "{% if text %}", "{% endif %}", "{% for x in text %}", "{% endfor %}",
            "{% extends 'x/_f' %}", "{% include 'x/y' %}", "{% block a %}", "{% endblock %}", "{% macro m(a) %}", "{% endmacro %}", "{% set a = ", "%}", "{#", "#}", "{% raw %}", "|", "join", "tojson", "format", "range(", ")", "text", ".__class__", "*", "**", "loop.index", "{{", "}}", "1", "'a'")  # fmt: skip


def _render(text: bytes) -> None:
    path = folder() / "prompts" / "x" / "y.jinja"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    (path.parent / "_f.jinja").write_text("{% block a %}{{ text }}{% endblock %}")
    try:
        prompt = Prompts(folder() / "prompts").get("x/y")
        said = prompt.render(**dict.fromkeys(prompt.inputs, "Some <b>text</b>."))
    except PromptError as error:
        assert 0 < len(str(error)) < 3000
        return
    assert len(said) in (1, 2)


def files(data: bytes) -> None:
    _render(data)


def templates(data: bytes) -> None:
    """With a passport that is right."""
    _render(b"---\n" + HEAD + b"---\n" + data)


TAGS = (
    "<answer>",
    "</answer>",
    "<notes>",
    "</notes>",
    "**",
    " ",
    "\n",
    "< answer >",
    "</ANSWER>",
    "text",
    "not equal",
    "Equal",
    "甲",
)


def replies(data: bytes) -> None:
    take = Take(data)
    kind, text = take.byte(), take.rest()
    try:
        found = read_sections(Reply("sections", ("answer",), () if kind & 1 else ("notes",), last=bool(kind & 1)), text)
        assert "answer" in found
        assert all(body == body.strip() for body in found.values())
    except ParseError as error:
        assert error.reason == "reply_unparsed"
    try:
        assert parse_choice(text, ("equal", "not equal", "相同")) in ("equal", "not equal", "相同")
    except ParseError as error:
        assert error.reason == "reply_unparsed"


TARGETS = (
    Target("prompts.files", files, ("gen.prompts",), PASSPORT, 10_000),
    Target("prompts.templates", templates, ("gen.prompts",), PASSPORT, 10_000, 256),
    Target("prompts.replies", replies, ("gen.prompts",), TAGS, 100_000),
)
