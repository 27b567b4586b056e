"""What can go wrong, as a tree that can be caught at any height.

GenError
├── UserError            exit 2: the user can mend it; printed without a traceback
│   ├── RecipeError      a recipe key, a flag, a component name
│   ├── PromptError      a prompt file, its passport, its variables
│   └── InputError       seeds and other data that the user brought
├── EngineError          exit 1: an engine that cannot do what was asked of it
│   └── Unavailable      exit 75: nothing answers now; the same command goes on later
├── PoolError            exit 1: the store is damaged; 2: locked or on an unfit disk; 75: the disk takes no more
├── Interrupted          exit 75: stopped by Ctrl-C; the same command goes on
└── ParseError           a model reply without the asked-for form: data, caught by the loop that asked

Every message has four parts: where, what was found, what was allowed, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GenError(Exception):
    exit_code = 1


class UserError(GenError):
    exit_code = 2


class RecipeError(UserError): ...


class PromptError(UserError): ...


class InputError(UserError): ...


class EngineError(GenError): ...


class Unavailable(EngineError):
    exit_code = 75


class PoolError(GenError): ...


class Interrupted(GenError):
    exit_code = 75


class ParseError(GenError):
    """`reason` is a key for verdicts, such as `rewrite_unparsed`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


SHOWN, LONG = 100, 80
"""Names that a message lists, and characters of each."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint for a name that is not among the allowed ones: "did you mean ...? (allowed: ...)". Names may be the
    user's own, such as the columns of a table: of very long ones the beginning is shown, of very many some."""
    names = sorted({other if len(other) <= LONG else f"{other[:LONG]}..." for other in allowed})
    close = difflib.get_close_matches(name[:LONG], names, n=1, cutoff=0.5) if len(names) <= 10 * SHOWN else []
    hint = f"did you mean {close[0]!r}? " if close else ""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{hint}(allowed: {', '.join(names[:SHOWN]) or 'none'}{more})"
