"""What can be told of a text without a model: words, scripts, refusals, leaks, fences, repetition.

Pure functions, English and Chinese alike; the word lists are in `phrases.toml`, read on first use."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

_CJK = (
    "\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
_CJK_CHAR = re.compile(f"[{_CJK}]")
_ASCII_TOKEN = re.compile("[a-z0-9]+")
_ASCII_LETTERS = re.compile("[A-Za-z]+")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)(?:^[ \t]*(\1)[`~]*[ \t]*$|\Z)", re.M | re.S)
_TABLE_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.M)
_EDGES = " \t.,;:?…\"'`“”‘’«»‹›„「」『』《》。、"
_FOLD = {**{wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}, 0x2019: 0x27}
"""Full-width signs and curly apostrophes, one character for one, so that positions stay."""
_LETTER_WEIGHT = {"han": 3, "kana": 3, "hangul": 2}
_LOOP_RUN = re.compile(r"([^\s\-=_*#~.+|/\\<>:])\1{39,}")


@cache
def _phrases() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8"))


@cache
def _patterns(section: str, key: str) -> tuple[re.Pattern[str], ...]:
    """The expressions of a list, with the named parts filled in."""
    parts: dict[str, str] = _phrases()["parts"]
    filled = []
    for pattern in _phrases()[section][key]:
        for name, part in parts.items():
            pattern = pattern.replace(f"<{name}>", part)
        filled.append(re.compile(pattern, re.I))
    return tuple(filled)


def _fold(text: str) -> str:
    return text if text.isascii() else text.translate(_FOLD)


# --- words ---------------------------------------------------------------------------------------


@cache
def _unicode_token() -> re.Pattern[str]:
    """One CJK character, or a run of letters and digits with their combining marks."""
    marks = "".join(chr(c) for c in range(0x300, 0xFE30) if unicodedata.category(chr(c))[0] == "M")
    return re.compile(f"[{_CJK}]|(?:[^\\W_{_CJK}][{marks}]*)+")


def rouge_tokens(text: str, mode: Literal["unicode", "ascii"] = "unicode") -> list[str]:
    """Tokens for ROUGE. `ascii`: rouge-score's own without stemming. `unicode`: the same on ASCII text,
    words of every other script, one token per han or kana character: "用C++写" gives 用 c 写."""
    if mode == "ascii" or text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    return _unicode_token().findall(unicodedata.normalize("NFKC", text).lower())


def count_words(text: str) -> int:
    """White-space words; each han or kana character is a word: "用 Python 写诗" has 4."""
    characters = len(_CJK_CHAR.findall(text))
    if not characters:
        return len(text.split())
    rest = _CJK_CHAR.sub(" ", text).split()
    return characters + sum(any(map(str.isalnum, word)) for word in rest)


def normalise(text: str) -> str:
    """The key of exact duplicates: NFKC, case and white space folded, outer quotes and stops removed.
    An exclamation mark stays, since "5!" is not "5"."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(_EDGES) or folded


def is_hollow(text: str) -> bool:
    """Nothing but punctuation, or several stop words (arXiv 2304.12244, elimination rule 3). One word is
    an answer, whatever word ("Which preposition?"), and so are two kinds of signs (":-)", Morse code)."""
    words = _phrases()["hollow"]
    tokens = rouge_tokens(text)
    if tokens:
        return len(tokens) > 1 and {*tokens} <= {*words["en"].split(), *words["zh"]}
    signs = {*"".join(_fold(text).split())} - {*words["stops"]}
    return len(signs) < 2 and not any(unicodedata.category(c) in {"So", "Sm", "Sc"} for c in signs)


def says_sorry(text: str, max_words: int = 80) -> bool:
    """The word "sorry" in fewer than `max_words` words (arXiv 2304.12244, elimination rule 2)."""
    chinese: list[str] = _phrases()["sorry"]["zh"]
    found = re.search(r"\bsorry\b", text, re.I) or any(word in text for word in chinese)
    return bool(found) and count_words(text) < max_words


@cache
def _letters() -> re.Pattern[str]:
    scripts: dict[str, str] = _phrases()["scripts"]
    return re.compile("|".join(f"(?P<{name}>[{ranges}]+)" for name, ranges in scripts.items()))


def script_weights(text: str) -> Counter[str]:
    """How much of each script a text has outside code blocks, in letters; a CJK character counts for three.
    Han with at least a fifth as many kana is Japanese, and counted as "kana"."""
    bare = _FENCE.sub("\n", text)
    if bare.isascii():
        return +Counter({"latin": sum(map(len, _ASCII_LETTERS.findall(bare)))})
    weights: Counter[str] = Counter()
    for run in _letters().finditer(bare):
        name = str(run.lastgroup)
        weights[name] += len(run.group()) * _LETTER_WEIGHT.get(name, 1)
    if weights["kana"] * 5 >= weights["han"]:
        weights["kana"] += weights.pop("han", 0)
    return +weights


def dominant_script(text: str) -> str | None:
    """The script of most letters outside code blocks, or None without letters."""
    weights = script_weights(text)
    return max(weights, key=lambda name: weights[name]) if weights else None


def spoken_scripts(text: str) -> set[str]:
    """The scripts that whoever wrote this may expect an answer in: any other than latin that is more than a
    symbol, since an order may be short and the text that it is about long; latin from a quarter on, since
    names and terms are latin everywhere."""
    weights = script_weights(text)
    least = {name: weights.total() / 4 if name == "latin" else 8 for name in weights}
    return {name for name, weight in weights.items() if weight >= least[name]} or {*weights}


@cache
def _languages() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {name: {name} for name in _phrases()["scripts"]}
    for script, names in _phrases()["languages"]["scripts"].items():
        for name in names.split():
            table.setdefault(name, set()).add(script)
    return {name: frozenset(scripts) for name, scripts in table.items()}


def scripts_of_language(language: str) -> set[str] | None:
    """Scripts that a language is written in, by name, code or own name ("Chinese", "zh-CN", "中文");
    a script's name stands for itself. None if unknown."""
    name = language.strip().casefold()
    found = _languages().get(name) or _languages().get(re.split(r"[-_ (]", name)[0])
    return set(found) if found else None


@cache
def _language_names() -> re.Pattern[str]:
    names = [name for name in _languages() if len(name) > 3 or not name.isascii()]
    spaced = "|".join(name for name in names if name.isascii())
    return re.compile(rf"\b(?:{spaced})\b|" + "|".join(name for name in names if not name.isascii()), re.I)


def named_scripts(text: str) -> set[str]:
    """Scripts of all languages that a text names: "Translate into Russian" gives {"cyrillic"}."""
    found = {name.casefold() for name in _language_names().findall(text)}
    return {script for name in found for script in _languages()[name]}


def asks_translation(text: str) -> bool:
    return bool(re.search(_phrases()["languages"]["translate"], text, re.I))


def is_prose(text: str) -> bool:
    """Sentences rather than code, markup or formulas: one ends in a stop, and nine in ten visible
    characters are letters."""
    bare = _FENCE.sub("\n", text)
    visible = [c for c in bare if not c.isspace()]
    return sum(map(str.isalpha, visible)) >= 0.9 * len(visible) and bool(re.search(r"[.!?…][\"'”’)]*(?:\s|$)", bare))


# --- refusals and leaks --------------------------------------------------------------------------


def find_refusal(text: str) -> str | None:
    """The passage that refuses, at the very opening of a reply; apologies further on are its subject."""
    opening = text.lstrip(" \t\r\n\"'“”‘’「*>")[:400]
    folded = _fold(opening)
    for pattern in _patterns("refusal", "patterns"):
        if found := pattern.match(folded):
            return opening[: found.end()].strip()
    return None


def find_leak(text: str, source: str = "") -> str | None:
    """Words of a rewriting prompt in a task (arXiv 2304.12244, elimination rule 4, and the words of our
    own prompts). What `source`, the text that was rewritten, says too is no leak."""
    if normalise(text) in _phrases()["leak"]["whole"]:
        return text.strip()
    known, folded = source.casefold(), _fold(text)
    for pattern in _patterns("leak", "phrases"):
        for found in pattern.finditer(folded):
            passage = text[found.start() : found.end()]
            if passage.casefold() not in known:
                return passage
    leak = find_tag(text)
    return None if leak and leak in known else leak


def find_tag(text: str) -> str | None:
    """A tag of our prompts that wraps prose or is left over at an edge. Tags around markup, with
    attributes, inside a sentence or in a code block are the subject of an honest task."""
    if "<" not in text:
        return None
    bare = _FENCE.sub("\n", text).strip().casefold()
    return next((tag for name in _phrases()["leak"]["tags"] for tag in _left_tags(bare, name)), None)


def _left_tags(bare: str, name: str) -> Iterator[str]:
    opened, closed = f"<{name}>", f"</{name}>"
    first, last = bare.partition("\n")[0].rstrip(), bare.rpartition("\n")[2].lstrip()
    wrapped = re.compile(rf"(?:\A|^[ \t]*){opened}[ \t]*$\s*([^<\s])[^\0]*?^[ \t]*{closed}[ \t]*$", re.M)
    if wrapped.search(bare) or re.fullmatch(rf"{opened}\s*[^<\s].*{closed}", bare, re.S):
        yield opened
    elif bare.count(opened) != bare.count(closed):
        if first == opened or (name != "input" and bare.startswith(opened)) or last == opened:
            yield opened
        if bare.endswith(closed) or bare.startswith(closed):
            yield closed


def fences(text: str) -> list[str]:
    """The contents of fenced code blocks; an unclosed one ends with the text."""
    return [block.group(2) for block in _FENCE.finditer(text)]


def has_open_fence(text: str) -> bool:
    """A code block is opened and never closed, not even at the end of a line."""
    return any(block.group(3) is None and block.group(1) not in block.group(2) for block in _FENCE.finditer(text))


def lost_fences(old: str, new: str) -> bool:
    """Some code block, or some row of a markdown table, of `old` is missing from `new`. White space and
    ruling lines do not count; rows may be added and columns appended."""
    rows = [row for row in _TABLE_ROW.findall(_FENCE.sub("\n", old)) if re.search(r"[^\s|:-]", row)]
    have = "".join(new.split())
    return any("".join(block.split()).rstrip("|") not in have for block in (*fences(old), *rows))


def repetition(text: str, n: int = 8, min_words: int = 50) -> float:
    """Share of the tokens that lie in an n-gram which the text had before, 0 to 1; 0 for fewer than
    `min_words` tokens. CJK characters are tokens and take n-grams twice as long. A text said twice has 0.5."""
    tokens = rouge_tokens(text)
    if len(tokens) < min_words:
        return 0.0
    if not text.isascii() and 2 * len(_CJK_CHAR.findall(text)) > len(tokens):
        n *= 2
    seen: set[tuple[str, ...]] = set()
    covered = end = 0
    for start in range(len(tokens) - n + 1):
        gram = tuple(tokens[start : start + n])
        if gram in seen:
            covered += start + n - max(end, start)
            end = start + n
        seen.add(gram)
    return covered / max(1, len(tokens))


def find_loop(text: str) -> str | None:
    """The unit of a degenerate text: a character 40 times on end, or a tail of up to 20 tokens that comes 6
    times (4 from 5 tokens on) and fills 16 tokens, 64 if they are numbers ("ha ha ha ..."). Ruling lines
    are no loop."""
    if run := _LOOP_RUN.search(text):
        return run.group()[:40]
    tokens = rouge_tokens(text)
    for period in range(1, 21):
        same = 0
        while same + period < len(tokens) and tokens[-1 - same] == tokens[-1 - same - period]:
            same += 1
        unit = tokens[-period:]
        least = 64 if all(map(str.isdigit, unit)) else 16
        if same + period >= max((4 if period > 4 else 6) * period, least):
            return " ".join(unit)
    return None


def dangles(text: str, min_words: int = 20) -> bool:
    """A long text that stops in the middle of a sentence: after a comma or at a word such as "the". The
    closing line of a letter ("Best regards,") does not."""
    line = text.rstrip().rpartition("\n")[2]
    if count_words(text) < min_words or count_words(line) < 8:
        return False
    last = re.findall(r"[^\s]+", line)[-1].casefold()
    return _fold(last)[-1] in ",、([" or last in _phrases()["dangling"]["en"].split()
