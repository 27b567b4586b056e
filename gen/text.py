"""What can be told of a text without a model: words, scripts, refusals, leaks, fences.

Pure functions, English and Chinese alike; word lists and expressions are in `phrases.toml`, read on first use."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from gen.fences import blocks

_ASCII_TOKEN = re.compile("[a-z0-9]+")
_FENCE = re.compile(r"^[ \t]*(`{3,}+|~{3,}+)[^\n`]*+\n(.*?)(?:^[ \t]*(\1)[`~]*[ \t]*$|\Z)", re.M | re.S)
_LETTER = re.compile("[A-Za-z]")
_BEYOND = re.compile("[^\\x00-\\x7f]+")
_WORDS = bytes(ord(chr(n).lower()) if n < 128 and chr(n).isalnum() else 32 for n in range(256))
"""Letters small, digits as they are, all else a blank."""
_NO_LETTERS = bytes(n for n in range(256) if not (n < 128 and chr(n).isalpha()))
_TABLE_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.M)
_EDGES = " \t.,;:?…\"'`“”‘’«»‹›„「」『』《》。、"
_FOLD = {**{wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}, 0x2019: 0x27}
"""Full-width signs and curly apostrophes, one character for one, so that positions stay."""
_LONGEST_END = 40
"""Characters: more than any word has at which a text can dangle."""
_LETTER_WEIGHT = {"han": 3, "kana": 3, "hangul": 2}


@cache
def _phrases() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8"))


@cache
def pattern(name: str) -> re.Pattern[str]:
    """The expressions of a list as alternatives, with the named parts filled in."""
    pattern = "|".join(_phrases()["patterns"][name])
    for part, expression in _phrases()["parts"].items():
        pattern = pattern.replace(f"<{part}>", expression)
    return re.compile(pattern, re.I)


def fold(text: str) -> str:
    """Full-width signs and curly apostrophes as ASCII has them, one character for one."""
    return text if text.isascii() else text.translate(_FOLD)


@cache
def cjk() -> re.Pattern[str]:
    return re.compile(f"[{_phrases()['letters']['han']}{_phrases()['letters']['kana']}]")


@cache
def _unicode_token() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """One CJK character, or a run of letters and digits with their combining marks; any one character of such."""
    letters = cjk().pattern
    marks = "".join(chr(c) for c in range(0x300, 0xFE30) if unicodedata.category(chr(c))[0] == "M")
    return re.compile(f"{letters}|(?:[^\\W_{letters[1:]}[{marks}]*)+"), re.compile(f"[\\w{marks}]")


def rouge_tokens(text: str, mode: Literal["unicode", "ascii"] = "unicode") -> list[str]:
    """Tokens for ROUGE. `ascii`: rouge-score's own without stemming. `unicode`: the same on ASCII text,
    words of every other script, one token per han or kana character: "用C++写" gives 用 c 写."""
    if mode == "ascii":
        return text.lower().encode("ascii", "replace").translate(_WORDS).decode().split()
    return spaced_tokens(text).decode("utf-8", "surrogatepass").split()


def spaced_tokens(text: str) -> bytes:
    """The `rouge_tokens` of a text in UTF-8, with blanks between them. Of most texts no expression has to find them."""
    if text.isascii():
        return text.encode().translate(_WORDS)
    token, low = _tokenised(text)
    if _unicode_token()[1].search("".join(_BEYOND.findall(low))):
        return " ".join(token.findall(low)).encode("utf-8", "surrogatepass")
    return low.encode("ascii", "replace").translate(_WORDS)


def _tokenised(text: str) -> tuple[re.Pattern[str], str]:
    if text.isascii():
        return _ASCII_TOKEN, text.lower()
    return _unicode_token()[0], unicodedata.normalize("NFKC", text).lower()


def without_code(text: str) -> str:
    """The text without its fenced blocks, a line end for each."""
    return _FENCE.sub("\n", text) if "```" in text or "~~~" in text else text


def has_words(text: str, fewest: int, most: int) -> bool:
    """Whether `count_words` would say so many, of most texts without counting them."""
    if text.isascii() and len(text) <= most:
        return len(text.split(None, fewest)) >= fewest
    return fewest <= count_words(text) <= most


def count_words(text: str) -> int:
    """White-space words; each han or kana character is a word: "用 Python 写诗" has 4."""
    rest, characters = (text, 0) if text.isascii() else cjk().subn(" ", text)
    return characters + sum(any(map(str.isalnum, word)) for word in rest.split()) if characters else len(rest.split())


def normalise(text: str) -> str:
    """The key of exact duplicates: NFKC, case and white space folded, outer quotes and stops removed.
    An exclamation mark stays, since "5!" is not "5"."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(_EDGES) or folded


def is_hollow(text: str) -> bool:
    """Nothing but punctuation, or several stop words (arXiv 2304.12244, elimination rule 3). One word is
    an answer, whatever word ("Which preposition?"), and so is a symbol ("+", ":-)")."""
    hollow, (token, low), count = _hollow(), _tokenised(text), 0
    for count, found in enumerate(token.finditer(low), 1):  # noqa: B007
        if found.group() not in hollow:
            return False  # mostly at once
    return count > 1 if count else bool(pattern("punctuation").fullmatch(fold(text)))


@cache
def _hollow() -> frozenset[str]:
    words = _phrases()["hollow"]
    return frozenset((*words["en"].split(), *words["zh"]))


def says_sorry(text: str, max_words: int = 80) -> bool:
    """The word "sorry" in fewer than `max_words` words (arXiv 2304.12244, elimination rule 2)."""
    return not has_words(text, max_words, len(text)) and bool(pattern("sorry").search(text))


def says_no_input(text: str) -> bool:
    """Whether the whole of an input only says that there is none: "<noinput>", "No input.", "N/A", "无"."""
    return bool(pattern("no_input").fullmatch(fold(text)))


def find_word(text: str, words: Iterable[str]) -> str | None:
    """The first of `words` (or phrases) that a text holds as a whole, any case; in scripts without blanks, anywhere."""
    for word in words:
        body = re.escape(word)
        if re.search(body if cjk().search(word) else rf"(?<!\w){body}(?!\w)", text, re.I):
            return word
    return None


@cache
def _letters() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{script}>[{ranges}]+)" for script, ranges in _phrases()["letters"].items()))


def script_weights(text: str) -> Counter[str]:
    """How much of each script a text has outside code blocks, in letters; a CJK character counts for three.
    Han with at least a fifth as many kana is Japanese, and counted as "kana"."""
    spoken = without_code(text)
    plain = spoken.encode("ascii", "ignore")
    # most texts are ASCII but for a few signs: these are looked at alone, the rest only where letters are among them
    if len(plain) == len(spoken) or not _letters().search("".join(_BEYOND.findall(spoken))):
        return +Counter(latin=len(plain.translate(None, _NO_LETTERS)))
    weights: Counter[str] = Counter()
    for run in _letters().finditer(spoken):
        name = str(run.lastgroup)
        weights[name] += len(run.group()) * _LETTER_WEIGHT.get(name, 1)
    if weights["kana"] * 5 >= weights["han"]:
        weights["kana"] += weights.pop("han", 0)
    return +weights


def dominant_script(text: str) -> str | None:
    """The script of most letters outside code blocks, or None without letters."""
    if text.isascii():
        return "latin" if _LETTER.search(without_code(text)) else None
    weights = script_weights(text)
    return max(weights, key=lambda name: weights[name], default=None)


def spoken_scripts(text: str) -> set[str]:
    """The scripts that whoever wrote this may expect an answer in: any other than latin that is more than a
    symbol, since an order may be short and the text that it is about long; latin from a quarter on, since
    names and terms are latin everywhere. Kanji alone are good Japanese."""
    if text.isascii():
        return {"latin"} if _LETTER.search(without_code(text)) else set()
    weights = script_weights(text)
    least = {name: weights.total() / 4 if name == "latin" else 8 for name in weights}
    spoken = {name for name, weight in weights.items() if weight >= least[name]} or {*weights}
    return spoken | {"han"} if "kana" in spoken else spoken


@cache
def _languages() -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for script, names in _phrases()["languages"].items():
        for name in (script, *names.split()):
            table.setdefault(name, set()).add(script)
    return table


def scripts_of_language(language: str) -> set[str] | None:
    """Scripts that a language is written in, by name, code or own name ("Chinese", "zh-CN", "中文");
    a script's name stands for itself. None if unknown."""
    return _languages().get(re.split(r"[-_ (]", language.strip().casefold())[0])


@cache
def _language_names() -> re.Pattern[str]:
    names = "|".join(name for name in _languages() if len(name) > 3 or not name.isascii())
    return re.compile(rf"(?<![a-z])(?:{names})(?![a-z])", re.I)


def named_scripts(text: str) -> set[str]:
    """Scripts of all languages that a text names: "Translate into Russian" gives {"cyrillic"}. All scripts
    if it asks for a translation and names no language."""
    found = {script for name in _language_names().findall(text) for script in _languages()[name.casefold()]}
    return found or ({*_phrases()["languages"]} if pattern("translation").search(text) else set())


def is_prose(text: str) -> bool:
    """Sentences rather than code, markup or formulas: one ends in a stop, and nine in ten visible
    characters are letters."""
    bare = without_code(text)
    letters = [c.isalpha() for c in bare if not c.isspace()]
    return sum(letters) >= 0.9 * len(letters) and bool(re.search(r"[.!?…][\"'”’)]*(?:\s|$)", bare))


def find_refusal(text: str) -> str | None:
    """The passage that refuses, at the very opening of a reply; apologies further on are its subject."""
    opening = text.lstrip(" \t\r\n\"'“”‘’「*>")[:400]
    found = pattern("refusal").match(fold(opening))
    return opening[: found.end()].strip() if found else None


def find_leak(text: str, source: str = "") -> str | None:
    """Words of a rewriting prompt in a task (arXiv 2304.12244, elimination rule 4, and the words of our
    own prompts). What `source`, the text that was rewritten, says too is no leak."""
    passages = [text[found.start() : found.end()] for found in pattern("leak").finditer(fold(text))]
    known = source.casefold()
    return next((p for p in (*passages, find_tag(text) or "") if p.casefold() not in known), None)


def find_pointer(text: str, source: str = "") -> str | None:
    """Where an instruction speaks of the text that it was made from ("the passage above"), or with the labels of its
    prompt. What `source`, that text, says too is no such thing."""
    passages = (text[found.start() : found.end()].strip() for found in pattern("pointer").finditer(fold(text)))
    known = source.casefold()
    return next((p for p in passages if p.casefold() not in known), None)


def find_evasion(text: str) -> str | None:
    """The opening of a reply that speaks about its task or is sorry ("It seems that ..."), refusals included."""
    found = pattern("evasion").match(fold(text))
    return text[: found.end()].strip() if found else find_refusal(text)


def find_tag(text: str) -> str | None:
    """A tag of our prompts around prose, or left over. Tags around markup, with attributes, inside a
    sentence or in a code block are the subject of an honest task."""
    if not pattern("any_tag").search(text):
        return None
    found = pattern("tag").search(without_code(text).strip())
    return re.findall(r"</?\w+>", found.group())[0].casefold() if found else None


def has_open_fence(text: str) -> bool:
    """A code block is opened and never closed, not even at the end of a line."""
    return ("```" in text or "~~~" in text) and any(not block.closed for block in blocks(text))


def lost_fences(old: str, new: str) -> bool:
    """Some code block, or some row of a markdown table, of `old` is missing from `new`. White space and
    ruling lines do not count; rows may be added and columns appended."""
    blocks = [block.group(2) for block in _FENCE.finditer(old)]
    rows = [row for row in _TABLE_ROW.findall(without_code(old)) if re.search(r"[^\s|:-]", row)]
    have = "".join(new.split())
    return any("".join(block.split()).rstrip("|") not in have for block in (*blocks, *rows))


def dangles(text: str) -> bool:
    """A text of 20 words or more that stops in the middle of a sentence: after a comma or at a word such as "the". The
    closing line of a letter ("Best regards,") does not."""
    line = text.rstrip().rpartition("\n")[2]
    ends = pattern("dangling").search(fold(line), max(0, len(line) - _LONGEST_END))
    return bool(ends) and count_words(line) >= 8 and count_words(text) >= 20


def asks_for_code(task: str) -> bool:
    """Whether a task wants a program, a query or markup written; a task about one ("What does this print?") does
    not."""
    return bool(pattern("asks_code").search(without_code(task)))


def find_solution(task: str) -> str | None:
    """The line of a task that announces its own solution, where code or more follows it."""
    found = next((m for m in re.finditer(rf"(?m){pattern('solution').pattern}", task, re.I)), None)
    return found.group().strip() if found and len(task[found.end() :].split()) > 3 else None
