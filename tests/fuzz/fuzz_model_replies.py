"""What models write: functions that read it never fail but with ParseError, and what they wrote themselves they read."""

from __future__ import annotations

import random

from kit import Target
from shapes import Take

from gen import fences, remarks, repeats, text, verb_noun
from gen.core import Completion
from gen.errors import ParseError
from gen.export.redact import Redaction
from gen.loops import _chain, _invert, _listed, _method, _notes, _official, _pairs, _trials, _triples
from gen.loops.curate import parse_score
from gen.loops.extract import locate
from gen.world import task as world

TAGS = ("<instruction>", "</instruction>", "<input>", "</input>", "<output>", "</output>", "<answer>", "</answer>", "<comments>", "</comments>", "<score>", "</score>", "<verdict>", "</verdict>",
        "Revision is needed.", "Revision is not needed.", "no need", "correctness: 4\n", "4/5", " of 10", "1. ", "2) ", "- ", "\n", "\n\n", "### Feedback 1\n", "### Revision 1\n", "\\", "Example 1\n",
        "Input: ", "Output: ", "Class label: ", "Task: ", "Instruction: ", '{"instruction": "', '", "input": "', '", "output": "', '"}', '{"tasks": [', "]}", "case 1", "[[TASK]]", "{% endraw %}", "**",
        "Score: 4", "None", "<noinput>", "：", "无", "4", "-1", "10", "9" * 50, "٣", "²", "½", "1e5", ".")  # fmt: skip
PROSE = ("Sure, here is ", "the revised version", ":", "I apologise ", "I'm sorry, but ", "as an AI model ", "I cannot ", "```python\n", "```\n", "~~~\n", "def f(): pass\n", "print(1)\n", "| a | b |\n", "甲乙丙", "Привет ",
         "the text above ", "Translate into French ", "ha ", "Write a poem ", "please ", ". ", "! ", "\n", "</task>", "<input>", "a@b.co ", "4111 1111 1111 1111", "10.0.0.1", "8.8.8.8", "+1 555 010 9999", "sk-", "2001:db8::1", "GB82 WEST 1234 5698 7654 32")  # fmt: skip
WORLD = ("Which words in this list are fruits: ", "plum, pear, cat", "?", "Then put the parts of the answer in reverse order.", " ", "the list below", "- plum\n", "- cat\n", "row | item", "| 1 | plum |\n",
         "Write the whole answer in capital letters, without any small letters.", "Begin the answer with the words My answer and a colon.", "Anna", "plum", ", ", ".", "\n", "1 to 5", "What is the sum of ", "3")  # fmt: skip


def texts(data: bytes) -> None:
    said = Take(data).rest()
    clean = said.encode("utf-8", "replace").decode()
    for told in (said, clean):
        for name in (
            "is_hollow",
            "says_sorry",
            "says_no_input",
            "spoken_scripts",
            "named_scripts",
            "is_prose",
            "find_tag",
            "has_open_fence",
            "dangles",
            "asks_for_code",
            "find_solution",
        ):
            getattr(text, name)(told)
        for name in ("find_refusal", "find_evasion", "find_leak", "find_pointer"):
            found = getattr(text, name)(told)
            assert found is None or isinstance(found, str)
        assert 0 <= repeats.repetition(told) <= 1
        repeats.find_loop(told)
        assert text.count_words(told) >= 0
        text.normalise(told)
        assert not text.lost_fences(told, told)
        verb_noun.pair(told)
        assert remarks.find_remark(told, told) is None
        mended = remarks.strip_remarks(told)
        assert mended in told
        for block in fences.blocks(told):
            assert isinstance(fences.python_error(block.text), str)
            fences.guess(block)
        fences.prose(told)
        fences.python_of(told)


def secrets(data: bytes) -> None:
    said = Take(data).rest()
    redaction = Redaction()
    told = redaction.text(said, {})
    assert (told == said) == (not redaction.found)


def lists(data: bytes) -> None:
    """Tasks, instances, triples, instructions."""
    take = Take(data)
    kind, told = take.byte(), take.rest()
    cut = bool(kind & 1)
    assert all(item == item.strip() for item in _listed.items(told, kind % 12))
    assert _listed.until_gap(told) in told
    for classify in (False, True):
        pairs = _pairs.read(told, cut=cut, is_classification=classify)
        _pairs.clean(pairs, 3, random.Random(0))
        _official.instances(told, cut=cut, is_classification=classify)
    for triple in [
        *_triples.read(told, cut=cut),
        *_triples.read(told, cut=cut, shown=kind % 5),
        *_official.triples(told, kind % 5, cut=cut),
    ]:
        _triples.tidy(triple)
    _official.new_instructions(told)
    instruction, several, failure = _invert._read(Completion(told), "x")
    assert failure or several >= 1
    assert 0 <= _invert.copied(instruction, told) <= 1
    half = told[len(told) // 3 : len(told) // 2]
    span, share = locate(told[:400], half[:60], min_overlap=0.5)
    assert span is None or 0 <= span[0] <= span[1] <= len(told)
    assert 0 <= share <= 1


def ratings(data: bytes) -> None:
    """Scores, verdicts, critiques, chains, methods."""
    take = Take(data)
    kind, told = take.byte(), take.rest()
    for read in (
        lambda: _notes.read_scores(told, ("correctness", "clarity"), 5),
        lambda: _notes.read_score(told, 10, bare=bool(kind & 1)),
        lambda: _chain.parse(told),
    ):
        try:
            read()
        except ParseError as error:
            assert error.reason
    for official in (False, True):
        _, _, score, _ = _chain.read_critique(told, official=official)
        assert score is None or 1 <= score <= 10
    value = parse_score(told, bool(kind & 1))
    assert value is None or 0 <= value <= 5
    _chain.gives_away(told, told[: kind % 9], ("x",))
    pairs = [(told[::2], told[1::2]), (told[: kind % 60], "")]
    if pairs[0][1].strip():
        assert _chain.parse(_chain.render(pairs)) == [(a.strip(), b.strip()) for a, b in pairs]
    _trials.fault_of_feedback(told, kind % 5)
    method = _method.tidy(told)
    if not _method.fault_of(method, 200)[0]:
        _method.around(method)


def worlds(data: bytes) -> None:
    take = Take(data)
    words = take.text(WORLD), take.text(WORLD)
    found = world.parse(*words)
    for form in world.FORMS:
        world.base(words[0], form)
    if found is not None:
        assert world.check(found, world.solve(found))
        assert world.parse(found.instruction, found.input) == found
        world.check(found, words[1])


TARGETS = (
    Target("model.texts", texts, ("gen.text", "gen.repeats", "gen.fences", "gen.remarks", "gen.verb_noun"), PROSE, 40_000),
    Target("model.secrets", secrets, ("gen.export.redact",), PROSE, 60_000),
    Target(
        "model.lists",
        lists,
        ("gen.loops._listed", "gen.loops._pairs", "gen.loops._triples", "gen.loops._official"),
        TAGS,
        60_000,
    ),
    Target(
        "model.ratings",
        ratings,
        ("gen.loops._chain", "gen.loops._notes", "gen.loops._method", "gen.loops._trials"),
        TAGS,
        60_000,
    ),
    Target("model.worlds", worlds, ("gen.world.task", "gen.world.wordwork", "gen.world.numberwork"), (), 20_000),
)
