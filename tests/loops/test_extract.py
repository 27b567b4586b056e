"""Extract, then generate, as dialogues: hints, grounding to the character, instructions, and the band of perplexity ratios."""

import math
from collections import Counter

import pytest
from dialogue import hold

from filters.scores.ifd import Ifd
from gen.core import Completion, Likelihood, Lineage, Sample, Score, replace
from gen.errors import RecipeError
from gen.loop import GATE, Document
from gen.loops.extract import Extract, locate

TEXT = "Menu | Home | Login\n\nTea is made of the leaves of a shrub. Pour hot water over them and wait.\n\nIt needs three minutes, or five for a “strong” one."
PIECE = Sample("w1", "", Lineage("w1"), response=TEXT, meta={"document": "d", "name": "tea.md", "start": 100, "end": 100 + len(TEXT), "hint_level": "whole"})
BODY = "Tea is made of the leaves of a shrub. Pour hot water over them and wait."
PASSAGE = f"<passage>\n{BODY}\n</passage>"
GOOD = "<instruction>How does one make a cup of tea?</instruction>"
ONCE = Extract(retries=0)


def ask(*replies, loop=ONCE, piece=PIECE):
    asked, grown = hold(loop.answer(piece), replies)
    [candidate] = grown.candidates
    return asked, candidate


def test_a_passage_is_pulled_out_and_asked_for():
    asked, candidate = ask(PASSAGE, GOOD)
    assert [(q.role, q.step) for q in asked] == [("evolver", "whole"), ("evolver", "invert")]
    assert f"<document>\n{TEXT}\n</document>" in asked[0].messages[-1].content
    assert f"<text>\n{BODY}\n</text>" in asked[1].messages[-1].content
    sample = candidate.sample
    assert candidate.failure is None
    assert (sample.instruction, sample.input, sample.response) == ("How does one make a cup of tea?", "", BODY)
    assert (sample.meta["start"], sample.meta["end"]) == (121, 121 + len(BODY))
    assert (sample.meta["hint_level"], sample.meta["response_origin"]) == ("whole", "human_span")
    assert sample.lineage.operation == "extract"
    assert [p.split("@")[0] for p in sample.lineage.prompts] == ["extract/whole", "backtranslate/invert"]


def test_the_case_of_the_notes():
    """"A b c. D e f." holds "D e f." at 7 to 13, and "d  e f." if white space and case do not count."""
    document = "A b c. D e f."
    assert locate(document, "D e f.") == ((7, 13), 1.0)
    assert locate(document, "D e f.", normalise=False) == ((7, 13), 1.0)
    assert locate(document, "D e g.")[0] is None
    assert locate(document, "d  e f.") == ((7, 13), 1.0)
    assert locate(document, "d  e f.", normalise=False)[0] is None
    assert locate(document, "D-e-f", normalise=False)[0] is None
    piece = replace(PIECE, response=document, meta={})
    found = ask("<passage>d  e f.</passage>", GOOD, loop=replace(ONCE, min_passage_chars=1), piece=piece)[1].sample
    assert (found.response, found.meta["start"], found.meta["end"]) == ("D e f.", 7, 13)


@pytest.mark.parametrize(
    ("passage", "found"),
    [
        ('or five for a "strong" one.', "or five for a “strong” one."),
        ("Pour hot water over them and wait. It needs three minutes,", "Pour hot water over them and wait.\n\nIt needs three minutes,"),
        ("tea is made of\nthe leaves", "Tea is made of the leaves"),
        ("the leaves (of) a shrub", "the leaves of a shrub."),
        ("Tea is made of leaves of a shrub.", None),
    ],
)
def test_what_counts_as_copied_and_is_stored_as_it_stands(passage, found):
    span, overlap = locate(TEXT, passage)
    assert (TEXT[slice(*span)] if span else None) == found
    assert (overlap == 1.0) == (found is not None)


def test_a_lower_overlap_puts_back_what_the_model_changed():
    changed = "Tea is made of the leaves of a bush. Pour hot water over them and wait."
    assert locate(TEXT, changed)[0] is None
    span, overlap = locate(TEXT, changed, min_overlap=0.9)
    assert overlap == pytest.approx(15 / 16)
    assert TEXT[slice(*span)] == BODY
    assert locate(TEXT, changed, min_overlap=0.95)[0] is None
    stitched = "Menu Home Login Tea is for a strong one."
    assert locate(TEXT, stitched, min_overlap=0.5)[0] is None, "two ends of a document are no passage"
    assert locate(TEXT, "Nothing of this is there.", min_overlap=0.1) == (None, 0.0)


def test_answers_are_slices_of_their_document():
    text = "\n\n".join(f"Paragraph {i} is about the number {i}. It holds “two” sentences,  no more." for i in range(40))
    document = Document("d", text)
    for piece in Extract(window=400).split(document, Counter()):
        assert text[piece.meta["start"] : piece.meta["end"]] == piece.response
        first = piece.response.partition("\n")[0]
        reply = first.replace("“two”", '"two"').replace("  ", " ").upper()
        sample = ask(f"<passage>{reply}</passage>", GOOD, piece=piece)[1].sample
        assert sample.response == text[sample.meta["start"] : sample.meta["end"]] == first


def test_hints_take_turns_and_depend_on_the_document_alone():
    """Nine windows: three of each level, whoever works on them and in which order."""
    paragraphs = [f"Paragraph {i} of this document tells about the number {i} and nothing besides it at all." for i in range(9)]
    document = Document("d", "\n\n".join(paragraphs))
    pieces = [*Extract(window=100).split(document, Counter())]
    assert len(pieces) == 9
    assert Counter(p.meta["hint_level"] for p in pieces) == {"keywords": 3, "sentence": 3, "whole": 3}
    hints = [ONCE.hint(p) for p in pieces]
    assert hints == [ONCE.hint(p) for p in Extract(window=100).split(document, Counter())]
    assert [h.level for h in hints] == [p.meta["hint_level"] for p in pieces]
    twice = Extract(window=100, levels=("whole", "whole", "sentence")).split(document, Counter())
    assert Counter(p.meta["hint_level"] for p in twice) == {"whole": 6, "sentence": 3}
    first = {next(iter(ONCE.split(Document(f"d{i}", "One short text of some words."), Counter())), PIECE).meta["hint_level"] for i in range(30)}
    assert first == {"keywords", "sentence", "whole"}, "documents of one window differ"


@pytest.mark.parametrize("level", ["keywords", "sentence"])
def test_a_hint_is_of_the_document_and_reaches_the_model(level):
    piece = replace(PIECE, meta={**PIECE.meta, "hint_level": level})
    hint = ONCE.hint(piece)
    asked, candidate = ask(PASSAGE, GOOD, piece=piece)
    assert asked[0].step == hint.level == candidate.sample.meta["hint_level"] == level
    assert hint.text == candidate.sample.meta["hint"]
    assert hint.text in asked[0].messages[-1].content
    if level == "sentence":
        assert hint.text in " ".join(TEXT.split())
    else:
        words = hint.text.split(", ")
        assert 1 <= len(words) <= 4
        assert all(word in TEXT for word in words)
        assert len({*words}) == len(words)


def test_chinese_has_sentences_and_keywords_too():
    text = "茶是用茶树的叶子做成的饮料。把热水倒在茶叶上，等三分钟就可以喝了！"
    for level in ("keywords", "sentence"):
        hint = ONCE.hint(replace(PIECE, response=text, meta={"hint_level": level}))
        assert hint.level == level
        assert all(part in text for part in hint.text.split(", "))


def test_without_a_sentence_there_is_no_hint():
    assert ONCE.hint(replace(PIECE, response="Tea. Hot.", meta={"hint_level": "sentence"})) == ("whole", "")


FAILED = {
    "Here it is: tea": "extraction_unparsed",
    "<passage>Tea is made": "extraction_unparsed",
    "<passage></passage>": "nothing_to_extract",
    "<passage>Coffee is made of beans that somebody roasted before.</passage>": "not_extractive",
    "<passage>Tea is made of</passage>": "passage_too_short",
    Completion("<passage>Tea", "length"): "extraction_truncated",
    Completion("", "reasoning_truncated"): "reasoning_truncated",
    Completion("", "overlong"): "overlong",
    Completion("", "refused"): "extraction_rejected",
}


@pytest.mark.parametrize(("reply", "expected"), FAILED.items())
def test_what_is_no_extraction_costs_one_question_and_says_why(reply, expected):
    asked, candidate = ask(reply)
    assert (candidate.failure.reason, candidate.failure.by, len(asked)) == (expected, "extract", 1)
    assert candidate.sample.meta["hint_level"] == "whole"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("Instruction: Name three games.", None), (f"<instruction>{BODY}</instruction>", "answer_leak"), ("<instruction></instruction>", "empty_instruction")],
)
def test_the_instruction_is_read_and_checked_as_in_backtranslation(reply, expected):
    candidate = ask(PASSAGE, reply)[1]
    assert (candidate.failure.reason if candidate.failure else None) == expected
    assert expected or candidate.sample.instruction == "Name three games."


def test_the_length_of_extractions_is_a_parameter():
    assert [ask(PASSAGE, GOOD, loop=replace(ONCE, passage_tokens=n))[0][0].sampling.max_tokens for n in (None, 99)] == [2048, 99]


def test_the_document_may_be_kept_as_input():
    loop = replace(ONCE, keep_document_as_input=True)
    assert ask(PASSAGE, GOOD, loop=loop)[1].sample.input == TEXT


def test_what_lacks_a_text_is_a_failure_and_a_pair_is_given():
    assert ask(piece=replace(PIECE, response=" "))[1].failure.reason == "empty_text"
    assert ask(piece=replace(PIECE, instruction="Why?", response=None))[1].failure.reason == "unanswered"
    pair = replace(PIECE, instruction="Why?")
    asked, candidate = ask(piece=pair)
    assert (asked, candidate.given, candidate.sample) == ([], True, pair)


def test_levels_are_known_and_the_gate_measures():
    assert {p.name for p in Extract(levels=("keywords",)).asks()} == {"extract/keywords", "extract/whole", "backtranslate/invert"}
    assert Extract.GATE == GATE
    with pytest.raises(RecipeError, match="levels is empty"):
        Extract(levels=())


def test_perplexities_by_hand():
    """exp of the mean loss: 2.71828 with the instruction, 7.38906 without, so 0.367879."""
    found = Ifd(form="ppl").compare(Likelihood((-1.0, -1.0, -2.0, 0.0)), Likelihood((-2.0,) * 4))
    assert math.exp(found.s_cond) == pytest.approx(2.71828, abs=1e-5)
    assert math.exp(found.s_direct) == pytest.approx(7.38906, abs=1e-5)
    assert found.ifd == pytest.approx(0.367879, abs=1e-6)
    assert math.exp(found.s_cond) / math.exp(found.s_direct) == pytest.approx(found.ifd)


def test_the_band_is_inclusive():
    band = Ifd(form="ppl", min=0.5, max=0.95)
    reasons = [band.judge(Score("ifd", ratio)).reason for ratio in (0.37, 0.50, 0.80, 0.95, 1.10)]
    assert reasons == ["too_easy", "", "", "", "misaligned"]
