"""What a text says again and again: the share of repeated n-grams, and ends that go in a loop."""

from __future__ import annotations

from collections.abc import Sequence

from gen.text import cjk, pattern, rouge_tokens


def repetition(text: str, tokens: Sequence[str] | None = None) -> float:
    """Share of the tokens that lie in an 8-gram which the text had before, 0 to 1; 0 for fewer than 50
    tokens. CJK characters are tokens and take n-grams twice as long. A text said twice has 0.5."""
    tokens = rouge_tokens(text) if tokens is None else tokens
    if len(tokens) < 50:
        return 0.0
    n = 16 if not text.isascii() and 2 * len(cjk().findall(text)) > len(tokens) else 8
    # where an n-gram comes again, so do four of its tokens: in most texts these are never the same twice
    some = zip(tokens, tokens[2:], tokens[n - 3 :], tokens[n - 1 :], strict=False)
    if len({*some}) == len(tokens) - n + 1:
        return 0.0
    grams = [*zip(*(tokens[start:] for start in range(n)), strict=False)]
    before: set[tuple[str, ...]] = set()
    repeated: set[int] = set()
    for start, gram in enumerate(grams if len({*grams}) < len(grams) else ()):
        if gram in before:
            repeated.update(range(start, start + n))
        before.add(gram)
    return len(repeated) / len(tokens)


def find_loop(text: str, tokens: Sequence[str] | None = None) -> str | None:
    """The unit of a degenerate text: a character 40 times on end, or a tail of up to 20 tokens that comes 6
    times (4 from 5 tokens on) and fills 16 tokens, 64 if they are numbers ("ha ha ha ..."). Ruling lines
    are no loop. `tokens`: its `rouge_tokens`."""
    low = text.lower()  # the expression looks at every character: only where some letter is there 40 times on end
    twice = {a for a, b in zip(low[::20], low[20::20], strict=False) if a == b}  # what is, is at two of these places
    if (not low.isascii() or any(c * 40 in low for c in twice)) and (run := pattern("run").search(text)):
        return run.group()[:40]
    tokens = rouge_tokens(text) if tokens is None else tokens
    for period in range(1, min(20, len(tokens) - 1) + 1):
        if tokens[-1 - period] != tokens[-1]:
            continue
        unit, times = tokens[-period:], 1
        while tokens[-period * (times + 1) : -period * times] == unit:
            times += 1
        least = 64 if all(map(str.isdigit, unit)) else 16
        if times >= (4 if period > 4 else 6) and times * period >= least:
            return " ".join(unit)
    return None
