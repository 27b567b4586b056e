"""When has an evolution failed? By the answer to the evolved task (arXiv 2406.00770, section 3.3, the failure function
F), by rules that are data; and, reported apart, by what F cannot see. The published rules are English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gen import text

CLOSING = " \t\r\n\"'`”’»*_)"
"""What may stand after a last question mark and hide it."""


@dataclass(frozen=True, slots=True)
class FailureRule:
    """Holds if every condition that is set does; of its phrases, one is enough."""

    name: str
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()

    def holds(self, answer: str, *, strict: bool = False) -> bool:
        """`strict`: letter by letter, as published. Else upper case, outer white space and closing quotes do not
        matter, and an opening is whole words."""
        if strict:
            begins = answer.startswith(self.starts_with)
            ends, has = answer.endswith(self.ends_with), any(p in answer for p in self.contains)
        else:
            plain = answer.strip().casefold()
            begins = any(_opens(plain, p.casefold()) for p in self.starts_with)
            ends = any(plain.rstrip(CLOSING).endswith(p.casefold()) for p in self.ends_with)
            has = any(p.casefold() in plain for p in self.contains)
        asked = ((self.starts_with, begins), (self.ends_with, ends), (self.contains, has))
        return all(found for phrases, found in asked if phrases)


def _opens(plain: str, phrase: str) -> bool:
    return plain.startswith(phrase) and not plain[len(phrase) : len(phrase) + 1].isalnum()


PUBLISHED = (
    FailureRule("stagnant", ("Understood", "Thank you"), ("?",)),
    FailureRule("unqualified", ("Sure",), ("?",)),
    FailureRule("lost_information", contains=("please provide",)),
)
EXTENDED = (
    FailureRule("stagnant", (*PUBLISHED[0].starts_with, "What", "That is correct", "Great"), ("?",)),
    *PUBLISHED[1:],
)
"""With the openings that only the paper's table has."""


def failures(answer: str, rules: Iterable[FailureRule], *, strict: bool = False) -> list[str]:
    """Names of the rules that hold for an answer."""
    return [rule.name for rule in rules if rule.holds(answer, strict=strict)]


def is_unchanged(old: str, new: str) -> bool:
    """Equal, or so near that nobody would call it an evolution: at most 3 words, and at most 1 in 20 of both texts,
    were added or taken away. F looks at answers alone: a method that returns every task as it was would never fail."""
    before, after = Counter(text.rouge_tokens(old)), Counter(text.rouge_tokens(new))
    differing = ((before - after) + (after - before)).total()
    return text.normalise(old) == text.normalise(new) or differing <= min(3, (before + after).total() // 20)
