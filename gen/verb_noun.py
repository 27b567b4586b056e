"""What a task asks for, as verb and noun: "Write a short story about ..." is (write, story).

Self-Instruct (arXiv 2212.10560, figure 3) shows the variety of its tasks as root verbs and their direct objects, found
by a constituency parser. This is a light stand-in without a model, for English only: the verb that opens the first
order in the text, and the head of the noun phrase after it, by closed lists of function words. Questions, and orders
without a direct object, have no pair. A word that opens a sentence and is not in the list of verbs is taken for one
where a determiner follows ("Frobnicate the list")."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

LEADS = re.compile(
    r"\A(?:(?:please|kindly|now|then|and|or|also|first|next|finally|otherwise|try to|try|let's|go ahead and|"
    r"(?:can|could|would|will) you|i (?:want|need|would like|'d like) you to|you (?:need|have|are (?:asked|required)) "
    r"to|you (?:should|must|will)|your (?:task|job|goal) is to|help me(?: to)?)\s+)+",
    re.I,
)
SENTENCE = re.compile(r"(?<![.!?:;\n])[.!?:;\n]+(?:\s|$)|[()\"“”]")
TOKEN = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|\d[\d.,]*|<[^<>\s]+>|[^\s\w]")


class Words(NamedTuple):
    verbs: frozenset[str]
    phrasal: frozenset[tuple[str, ...]]
    determiners: frozenset[str]
    pronouns: frozenset[str]
    boundaries: frozenset[str]
    ly_nouns: frozenset[str]
    s_nouns: frozenset[str]


@cache
def _words() -> Words:
    lists = tomllib.loads(Path(__file__).with_name("verb_noun.toml").read_text(encoding="utf-8"))
    phrasal = frozenset(tuple(phrase.split()) for phrase in lists.pop("phrasal"))
    return Words(phrasal=phrasal, **{name: frozenset(words.split()) for name, words in lists.items()})


def pair(text: str) -> tuple[str, str] | None:
    """Verb and noun of the first order in an English text, in their base forms, or None."""
    for sentence in SENTENCE.split(text.replace("’", "'")):
        clauses = sentence.split(",")
        for i, clause in enumerate(clauses):
            words = [w.lower() for w in TOKEN.findall(LEADS.sub("", clause.strip()))]
            before = i == 0 and len(clauses) > 1 and words[:1] == ["using"]  # "Using the facts, write ..."
            if words and not before and (verb := _verb(words, first=i == 0)):
                noun = _noun(words[len(verb) :])
                return (" ".join(verb), noun) if noun else None
    return None


def _verb(words: list[str], *, first: bool) -> tuple[str, ...]:
    """The words of the verb that opens a clause in base form, or nothing."""
    known, word = _words(), words[0]
    for n in (3, 2):
        if tuple(words[:n]) in known.phrasal:
            return tuple(words[:n])
    if word.endswith("ing"):
        word = next((base for base in (word[:-3], word[:-3] + "e", word[:-4]) if base in known.verbs), word)
    if word in known.verbs:
        return (word,)
    follows = words[1:2] and words[1] in known.determiners
    plain = word.isalpha() and len(word) > 2 and word not in known.boundaries | known.pronouns | known.determiners
    return (word,) if first and follows and plain and not word.endswith(("ing", "ed", "ly")) else ()


def _noun(words: list[str]) -> str:
    """The head of the noun phrase that these words begin with, singular, or nothing."""
    known = _words()
    if words[1:] and words[0] in known.pronouns:  # "give me", "tell us"
        words = words[1:]
    phrase: list[str] = []
    for word in words:
        if word in known.boundaries or word in known.pronouns or not (word[0].isalnum() or word[0] == "<"):
            break
        if word in known.determiners or word[0].isdigit():
            if phrase:
                break
            continue
        if not word.endswith("ly") or word in known.ly_nouns:
            phrase.append(word)
    while len(phrase) > 1 and phrase[-1].endswith(("ed", "ing", "written")):  # "a list sorted by ..."
        phrase.pop()
    return _singular(phrase[-1].strip("<>")) if phrase else ""


def _singular(noun: str) -> str:
    noun = noun.removesuffix("'s")
    if noun in _words().s_nouns:
        return noun
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    if noun.endswith(("sses", "xes", "ches", "shes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) and len(noun) > 3 else noun
