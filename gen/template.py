"""Jinja's sandbox with bounds: whatever stands in a prompt file, rendering it takes neither for ever nor all memory.

Bounded are the steps of all loops together, repeated texts and lists, powers, widths of formats, and the length of what
comes out. What is beyond is a TemplateRuntimeError."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateRuntimeError
from jinja2.sandbox import SandboxedEnvironment

STEPS, SIZE, WIDTH = 100_000, 20_000_000, 10_000
"""Steps of loops in one rendering, characters (or items) of one value, and of a width."""
BITS = 4096
"""Of a number."""
_TAGS = re.compile(r"\{[{%#]|\r")
"""What Jinja does not leave as it is."""
_WIDE = re.compile(r"\d{5}")


class Bounded(SandboxedEnvironment):
    """As its base, with the bounds; `begin` before each rendering."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.left = STEPS
        self.filters = {**self.filters, "_steps": self._steps, "center": self._centred, "format": self._formatted}
        self.globals.pop("lipsum", None)

    def begin(self) -> None:
        self.left = STEPS

    def is_plain(self, source: str) -> bool:
        """Whether nothing is to be filled in: what comes out is the source itself."""
        return len(source) <= SIZE and not _TAGS.search(source)

    def text(self, parts: Iterable[str]) -> str:
        """What a template generates, as one text."""
        found, size = list[str](), 0
        for part in parts:
            found.append(part)
            size += len(part)
            if size > SIZE:
                raise TemplateRuntimeError(f"more than {SIZE:,} characters come out")
        return "".join(found)

    def _generate(self, source: nodes.Template, *rest: Any, **named: Any) -> str:
        for loop in source.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_steps", [], [], None, None, lineno=loop.lineno)
        return super()._generate(source, *rest, **named)

    def _steps(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self.left -= 1
            if self.left < 0:
                raise TemplateRuntimeError(f"its loops take more than {STEPS:,} steps")
            yield value

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            return self._formatted(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "*":
            sized = next((v for v in (left, right) if hasattr(v, "__len__")), None)
            times = left if sized is right else right
            if sized is not None and isinstance(times, int) and len(sized) * times > SIZE:
                raise TemplateRuntimeError(f"a text or list of more than {SIZE:,} characters or items")
        if isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
            if bits > BITS:
                raise TemplateRuntimeError(f"a number of more than {BITS:,} bits")
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if (found := super().wrap_str_format(value)) is not None:
            _narrow(value.__self__)
        return found

    def _formatted(self, value: str, *args: Any, **named: Any) -> str:
        if any(isinstance(arg, int) and "*" in str(value) and arg > WIDTH for arg in args):
            raise TemplateRuntimeError(f"a width of more than {WIDTH:,}")
        return str(_narrow(str(value)) % (named or args))

    def _centred(self, value: str, width: int = 80) -> str:
        if width > WIDTH:
            raise TemplateRuntimeError(f"a width of more than {WIDTH:,}")
        return str(value).center(width)


def _narrow(form: str) -> str:
    if _WIDE.search(form):
        raise TemplateRuntimeError(f"a format with a width of more than {WIDTH:,}")
    return form
