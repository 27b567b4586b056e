"""Instruction backtranslation as dialogues: pieces of documents in, instructions out, and what is none; curation in passes."""

import gzip
import json
from collections import Counter
from itertools import islice, pairwise

import pytest
from dialogue import hold

from filters.rules.rating import Rating
from gen.core import Completion, Lineage, Message, Sample, place, replace
from gen.errors import RecipeError
from gen.loop import GATE, RULES, Document
from gen.loops.backtranslate import Backtranslate
from gen.prompts import Prompts
from gen.segments import segments, to_sample

TEXT = "Tea is made of the leaves of a shrub.\n\nPour hot water over them, and wait for three minutes before you drink it."
PLACE = {"document": "d1", "name": "tea.md", "start": 40, "end": 147}
PIECE = Sample("t1", "", Lineage("t1"), response=TEXT, meta=PLACE)
GOOD = "<instruction>\nExplain how a cup of tea is made.\n</instruction>"
ONCE = Backtranslate(retries=0)


def ask(*replies, loop=ONCE, piece=PIECE):
    asked, grown = hold(loop.answer(piece), replies)
    assert grown.heirs == ()
    return asked, grown.candidates


def reason(*replies, loop=ONCE, piece=PIECE):
    [candidate] = ask(*replies, loop=loop, piece=piece)[1]
    return candidate.failure.reason if candidate.failure else None


def test_a_text_gets_the_instruction_that_it_answers():
    asked, [candidate] = ask(GOOD)
    [question] = asked
    assert (question.role, question.step) == ("evolver", "invert")
    assert (question.sampling.temperature, question.sampling.top_p) == (0.7, 0.9)
    assert question.messages[-1].content.endswith("<instruction>\nthe instruction\n</instruction>")
    assert question.messages[-1].content.count("<text>") == 1
    sample = candidate.sample
    assert candidate.failure is None
    assert (sample.instruction, sample.response, sample.meta) == ("Explain how a cup of tea is made.", TEXT, PLACE)
    assert (sample.lineage.root, sample.lineage.parent, sample.lineage.operation) == ("t1", "t1", "backtranslate")
    assert sample.lineage.prompts[0].startswith("backtranslate/invert@")
    assert place(sample, 0, 0, 0).id not in ("", "t1")


def test_four_texts_give_four_pairs_in_as_many_questions():
    """The first case of the notes; its judgements are in test_curate. Answering four tasks (`gen evolve --rounds 0`), the
    other route of arXiv 2308.12711, costs as many."""
    from gen.loops.evolve import Evolve

    pieces = [replace(PIECE, id=f"t{i}", lineage=Lineage(f"t{i}"), response=f"{TEXT} {i}") for i in range(4)]
    made = [ask(GOOD, piece=p) for p in pieces]
    assert sum(len(asked) for asked, _ in made) == len(made) == 4
    assert [c.sample.response for _, [c] in made] == [p.response for p in pieces]
    tasks = [Sample(f"s{i}", f"Name {i} trees.", Lineage(f"s{i}")) for i in range(4)]
    answered = [hold(Evolve().answer(task), ["Ash."]) for task in tasks]
    assert sum(len(asked) for asked, _ in answered) == len(answered) == 4


def test_the_answer_is_the_documents_own_characters():
    words = "Boil the water first.  Then pour it,\tslowly, over the leaves; “strong” tea needs five minutes.\n"
    text = "# Tea\n\n" + words + "\n" + "\n\n".join(f"Part {i}: it is the {w} of all that matter here." for i, w in enumerate("one two three four five six seven eight nine ten eleven twelve".split()))  # fmt: skip
    document = Document("d", text, "tea.md", "Tea")
    [piece] = Backtranslate(min_chars=300).split(document, Counter())
    [candidate] = ask(GOOD, piece=piece)[1]
    sample = candidate.sample
    assert sample.response == text[sample.meta["start"] : sample.meta["end"]]
    assert sample.meta["document"] == "d"


@pytest.mark.parametrize(("length", "pieces"), [(599, 0), (600, 1), (3000, 1), (3001, 0)])
def test_pieces_have_600_to_3000_characters(length, pieces):
    words = " ".join(f"w{i}" for i in range(2000))
    assert len([*ONCE.split(Document("d", f"# Tea\n\n{words[:length - 1]}.", "t.md", "Tea"), Counter())]) == pieces


def test_navigation_and_what_repeats_itself_are_no_pieces():
    body = " ".join(f"Word {i} says something that no other one says." for i in range(20))
    dropped = Counter()
    assert len([*ONCE.split(Document("d", f"# Tea\n\n{body}"), dropped)]) == 1
    assert not [*ONCE.split(Document("d", f"# QUICK LINKS\n\n{body}"), dropped)]
    assert not [*ONCE.split(Document("d", "# Tea\n\n" + "It says again and again the very same thing. " * 20), dropped)]
    assert dropped == {"navigation": 1, "repetitive": 1}


DEMOS = tuple(
    Sample(f"d{i}", f"Ask {i}?", Lineage(f"d{i}"), input="data" if i == 3 else "", response=f"Reply {i}.") for i in range(9)
)


def test_demonstrations_are_drawn_for_each_piece_alone():
    loop = replace(ONCE, demos=DEMOS)
    shown = ask(GOOD, loop=loop)[0][0].messages[-1].content
    assert shown == ask(GOOD, loop=loop)[0][0].messages[-1].content
    assert shown.count("<text>\nReply ") == 2
    assert shown.count("<instruction>\nAsk ") == 2
    others = {ask(GOOD, loop=loop, piece=replace(PIECE, id=f"t{i}"))[0][0].messages for i in range(20)}
    assert len(others) > 10
    assert ask(GOOD, loop=replace(loop, shots=0))[0][0].messages[-1].content.count("<text>") == 1
    everything = ask(GOOD, loop=replace(loop, shots=16))[0][0].messages[-1].content
    assert all(f"<text>\nReply {i}.\n</text>" in everything for i in range(9))
    assert "<instruction>\nAsk 3?\n\ndata\n</instruction>" in everything


def test_pairs_without_an_answer_are_no_demonstrations():
    loop = replace(ONCE, demos=(Sample("x", "Ask?", Lineage("x")),))
    assert ask(GOOD, loop=loop)[0][0].messages[-1].content.count("<text>") == 1


LEAKED = TEXT.split("\n\n")[1]
FAILED = {
    "<instruction></instruction>": "empty_instruction",
    "Explain how tea is made.": "instruction_unparsed",
    "<instruction>Explain how": "instruction_unparsed",
    "": "instruction_unparsed",
    "<instruction>I'm sorry, but I cannot help with that.</instruction>": "instruction_refused",
    "<instruction>Sorry, there is no question here.</instruction>": "instruction_refused",
    "<instruction>It seems that somebody asks about tea.</instruction>": "instruction_refused",
    f"<instruction>{TEXT}</instruction>": "answer_leak",
    f"<instruction>Why is this so: {LEAKED}</instruction>": "answer_leak",
    "<instruction>Explain tea, as in the passage above.</instruction>": "prompt_leak",
    "<instruction>What does the text say about tea?</instruction>": "prompt_leak",
    "<instruction>Write the response about tea.</instruction>": "prompt_leak",
    "<instruction>Explain how tea is made.\nResponse: it is made of leaves.</instruction>": "prompt_leak",
    "<instruction>Explain tea.\n<text>Tea</text></instruction>": "prompt_leak",
    "<instruction>the instruction</instruction>": "prompt_leak",
    "<instruction>Make tea</instruction>": "instruction_too_short",
    f"<instruction>Explain {'at length ' * 80}</instruction>": "instruction_too_long",
    Completion("<instruction>Explain", "length"): "instruction_truncated",
    Completion("", "reasoning_truncated"): "reasoning_truncated",
    Completion("", "overlong", note="limit 8"): "overlong",
    Completion("", "refused", note="bad"): "instruction_rejected",
}


@pytest.mark.parametrize(("reply", "expected"), FAILED.items())
def test_what_is_no_instruction_costs_one_question_and_says_why(reply, expected):
    [candidate] = ask(reply)[1]
    assert (candidate.failure.reason, candidate.failure.by) == (expected, "backtranslate")
    assert candidate.sample.response == TEXT
    assert candidate.sample.meta == PLACE


FINE = {
    "<instruction>Name three games.</instruction>": "Name three games.",
    "Instruction: Name three games.": "Name three games.",
    "**Instruction:** Name three games.": "Name three games.",
    "<instruction>Instruction 1: Name three games.</instruction>": "Name three games.",
    "Sure!\n<instruction>Name three games.</instruction> I hope it fits.": "Name three games.",
    "<instruction>Explain the immune response to a virus.</instruction>": "Explain the immune response to a virus.",
    "<instruction>请简单介绍怎样泡茶。</instruction>": "请简单介绍怎样泡茶。",
    "<instruction>怎样泡茶？</instruction>": "怎样泡茶？",
}


@pytest.mark.parametrize(("reply", "instruction"), FINE.items())
def test_an_instruction_is_stored_without_its_label(reply, instruction):
    [candidate] = ask(reply)[1]
    assert candidate.failure is None
    assert candidate.sample.instruction == instruction
    assert candidate.sample.meta == PLACE


@pytest.mark.parametrize(
    "reply",
    ["<instruction>Name three games.</instruction><instruction>Name two.</instruction>",
     "<instruction>Instruction: Name three games.\n\nInstruction: Name two.</instruction>",
     "Task 1: Name three games.\nTask 2: Name two."],
)  # fmt: skip
def test_of_several_instructions_the_first_one_counts_and_is_marked(reply):
    [candidate] = ask(reply)[1]
    assert candidate.sample.instruction == "Name three games."
    assert candidate.sample.meta == {**PLACE, "instructions_in_reply": 2}


def test_what_the_text_says_itself_is_no_pointer():
    piece = replace(PIECE, response="A browser draws the text of a page after it has read its styles, line by line.")
    assert reason("<instruction>How does a browser draw the text, and when?</instruction>", piece=piece) is None
    assert reason("<instruction>How does a browser draw the text above?</instruction>", piece=piece) == "prompt_leak"


def test_bounds_are_parameters_and_inclusive():
    ten, eleven = "<instruction>Make tea!!</instruction>", "<instruction>Make tea!!!</instruction>"
    assert reason(ten) is None
    assert reason(ten, loop=replace(ONCE, min_instruction_chars=11)) == "instruction_too_short"
    assert reason(eleven, loop=replace(ONCE, max_instruction_chars=10)) == "instruction_too_long"
    assert reason(ten, loop=replace(ONCE, max_instruction_chars=10)) is None
    half = replace(PIECE, response="one two three four five six seven eight")
    leak = "<instruction>Explain one two three four, please.</instruction>"
    assert reason(leak, piece=half) is None
    assert reason(leak, piece=half, loop=replace(ONCE, max_copied=0.49)) == "answer_leak"
    with pytest.raises(RecipeError, match="min_instruction_chars 11 is above max_instruction_chars 10"):
        Backtranslate(min_instruction_chars=11, max_instruction_chars=10)


def test_an_instruction_that_came_to_nothing_is_asked_for_again_and_both_are_told():
    loop = Backtranslate(retries=2)
    asked, candidates = ask("", "<instruction></instruction>", GOOD, loop=loop)
    assert [q.attempt for q in asked] == [0, 1, 2]
    assert [c.failure.reason if c.failure else None for c in candidates] == ["instruction_unparsed", "empty_instruction", None]
    assert len(ask("", "", "", loop=loop)[1]) == 3
    assert len(ask(Completion("", "overlong"), loop=loop)[0]) == 1, "asking again would not help"


def test_language_and_sampling_reach_the_model():
    loop = replace(ONCE, language="Chinese", temperature=0.2, top_p=0.5, max_new_tokens=64)
    [question] = ask(GOOD, loop=loop)[0]
    assert "- Write in Chinese." in question.messages[-1].content
    assert (question.sampling.temperature, question.sampling.top_p, question.sampling.max_tokens) == (0.2, 0.5, 64)


DEMO = Sample("d1", "Name a tree.", Lineage("d1"), response="Ash.", meta={"source": "us"})


def test_system_texts_tell_seed_and_web_apart():
    loop = Backtranslate()
    [web] = ask(GOOD, loop=loop)[1]
    asked, [demo] = ask(loop=loop, piece=DEMO)
    assert (web.sample.system, demo.sample.system) == (loop.text_tag, loop.demo_tag)
    assert loop.text_tag != loop.demo_tag
    assert web.sample.messages[0] == Message("system", loop.text_tag)
    assert (asked, demo.given, demo.sample.id) == ([], True, "d1")
    [brief] = ask(loop=loop, piece=replace(DEMO, system="Be brief."))[1]
    assert brief.sample.system == f"{loop.demo_tag}\n\nBe brief."


def test_without_tags_there_are_no_system_texts():
    loop = Backtranslate(tags=False)
    assert ask(GOOD, loop=loop)[1][0].sample.system == ask(loop=loop, piece=DEMO)[1][0].sample.system == ""


def test_what_lacks_a_text_is_a_failure():
    assert reason(piece=replace(PIECE, response="  \n")) == "empty_text"
    assert reason(piece=replace(DEMO, response=None)) == "unanswered"


def test_parts_are_the_pairs_and_passes_over_all_of_them():
    loop = Backtranslate(iterations=2, rubric="additive", judges=3, judge_of=("", "M1@http://127.0.0.1:8001"))
    pairs, first, second = loop.parts()
    assert (pairs.loop, pairs.gate, pairs.of) == (replace(loop, iterations=0, judge_of=()), (*RULES, "exact"), -1)
    assert pairs.loop.parts() == (pairs,)
    assert (first.of, second.of, first.gate, second.gate) == (0, 0, None, None)
    assert [part.loop.called for part in (first, second)] == ["curation_0", "curation_1"]
    assert (second.loop.rubric, second.loop.judges, second.loop.spare) == ("additive", 3, "seed")
    assert [dict(part.roles) for part in (first, second)] == [{}, {"judge": "M1@http://127.0.0.1:8001"}]
    assert ("rating", *GATE) == loop.GATE


def test_instructions_in_another_language_than_the_text_are_no_fault_where_they_are_asked_for():
    loop = Backtranslate(language="Chinese")
    assert "script" not in (*loop.default_gate, *loop.parts()[0].gate)
    assert "script" in Backtranslate().default_gate
    assert Backtranslate().default_gate == Backtranslate.GATE


def test_more_iterations_only_append_parts():
    parts = [Backtranslate(iterations=n).parts() for n in range(4)]
    for fewer, more in pairwise(parts):
        assert more[: len(fewer)] == fewer
        assert len(more) == len(fewer) + 1
    assert set(Backtranslate.GROWING) == {"iterations", "judge_of"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"iterations": 1, "judge_of": ("a", "b")}, "names 2 judges, iterations is 1"),
     ({"judges": 2, "judge_temperature": 0.0}, "judges = 2 at temperature 0"),
     ({"min_chars": 10, "max_chars": 9}, "min_chars 10 is above max_chars 9")],
)  # fmt: skip
def test_parameters_that_contradict_themselves_are_refused(parameters, message):
    with pytest.raises(RecipeError, match=message):
        Backtranslate(**parameters)


def test_two_passes_rate_every_pair_anew():
    """Judge 0 says 5 3 5, judge 1 says 3 5 5: pair 2 comes back, pair 1 leaves, the instructions stay as they are."""
    pairs = []
    for i in range(3):
        made = ask(GOOD.replace("tea", f"tea {i}"), piece=replace(PIECE, id=f"t{i}", lineage=Lineage(f"t{i}")))[1][0].sample
        pairs.append(place(made, 0, 0, 0))
    _, *passes = Backtranslate(iterations=2).parts()
    kept, seen = [], []
    for part, scores in zip(passes, ([5, 3, 5], [3, 5, 5]), strict=True):
        rated = [hold(part.loop.answer(p), [f"Score: {n}"])[1].candidates[0].sample for p, n in zip(pairs, scores, strict=True)]
        kept.append([p.id for p in rated if Rating().check(p).keep])
        seen.append([p.instruction for p in rated])
        assert [p.meta["ratings"] for p in rated] == [{part.loop.called: float(n)} for n in scores]
    one, two, three = (p.id for p in pairs)
    assert kept == [[one, three], [two, three]]
    assert seen[0] == seen[1] == [p.instruction for p in pairs]


def test_demonstrations_pass_curation_unrated():
    [demo] = ask(piece=DEMO)[1]
    judge = Backtranslate().parts()[1].loop
    asked, grown = hold(judge.answer(place(demo.sample, 0, 0, 0)), [])
    assert (asked, grown.candidates[0].given, grown.candidates[0].sample.id) == ([], True, "d1")


def test_another_wording_is_a_file_and_may_ask_for_less(tmp_path):
    (tmp_path / "backtranslate").mkdir()
    body = "---\npaper='ours'\npurpose='p'\nrole='evolver'\ninputs=['text']\nreply={form='sections', sections=['instruction']}\n---\nWho asked? {{ text }}"
    (tmp_path / "backtranslate/invert.jinja").write_text(body)
    loop = replace(ONCE, prompts=Prompts(tmp_path))
    assert [p.name for p in loop.asks()] == ["backtranslate/invert"]
    assert ask(GOOD, loop=loop)[0][0].messages[-1].content.startswith("Who asked? Tea is made")


def test_real_documents_come_apart_into_pieces_that_ask_well(shared):
    with gzip.open(shared / "corpus/peps.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in islice(lines, 40)]
    count = 0
    for row in rows:
        document = Document(row.get("id", "x"), row["text"], "peps", row.get("title", ""))
        for segment in segments(document):
            [question] = next(ONCE.answer(to_sample(document, segment)))
            assert f"<text>\n{segment.text}\n</text>" in question.messages[-1].content
            assert 600 <= segment.end - segment.start <= 3000
            count += 1
    assert count > 100
