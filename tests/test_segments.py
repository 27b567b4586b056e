"""The rule by which documents become pieces: spans, bounds, headings, packing."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections import Counter

import pytest

from gen.blocks import blocks, sentences
from gen.core import seed_id
from gen.loop import Document
from gen.segments import is_navigation, is_repetitive, segments, to_sample, windows


def document(text, title=""):
    return Document("0123456789abcdef", text, "a.md", title)


def words(n, start=0):
    """A text of exactly n characters, in sentences of which no two are alike."""
    rng, out = random.Random(start), ""
    while len(out) < n:
        word = "".join(rng.choice("abcdefghij") for _ in range(4))
        out += (word.title() if not out or out.endswith(". ") else word) + (". " if rng.random() < 0.1 else " ")
    return out[: n - 1].rstrip().ljust(n - 1, "x") + "."


def cut(text, title="", **given):
    dropped = Counter()
    found = list(segments(document(text, title), dropped=dropped, **given))
    for one in found:
        assert one.text == text[one.start : one.end]
    return found, dict(dropped)


@pytest.mark.parametrize(("n", "reason"), [(599, "too_short"), (600, ""), (3000, ""), (3001, "too_long")])
def test_the_bounds_of_the_paper(n, reason):
    body = words(n)
    assert len(body) == n
    found, dropped = cut(f"# Bees\n\n{body}\n\n")
    assert [s.text for s in found] == ([] if reason else [body])
    assert dropped == ({reason: 1} if reason else {})


def test_one_sentence_said_again_drops_a_piece():
    said = "The old mill by the river was closed for the whole of the winter."
    body = f"{words(400)} {said} {words(400, 1)} {said}"
    assert cut(f"# Mills\n\n{body}\n") == ([], {"repetitive": 1})
    [kept], dropped = cut(f"# Mills\n\n{body}\n", max_jaccard=1)
    assert (kept.text, dropped) == (body, {})


def test_the_share_of_common_ngrams_is_that_of_the_formula():
    # 3-grams: {abc bcd cde def} and {abc bcd cdx dxy}: 2 of 6 in common
    text = "a1 b1 c1 d1 e1 f1. A1 b1 c1 d1 x1 y1."
    assert is_repetitive(text, 3, 0.33)
    assert not is_repetitive(text, 3, 0.34)
    assert not is_repetitive("Do it now. Do it now.", 3, 0.1)  # too few tokens to say anything
    code = "for i in range(10): print(i, i + 1)\n" * 3
    assert not is_repetitive(f"So:\n\n```\n{code}```\n")
    assert is_repetitive("他在河边的老磨坊里住了一整个冬天。后来他走了。他在河边的老磨坊里住了一整个冬天。")


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        ("QUICK LINKS", "navigation"), ("Quick Links:", "navigation"), ("Share this article", "navigation"),
        ("7. References", "navigation"), ("相关文章", "navigation"), ("» Newsletter «", "navigation"),
        ("THE HISTORY OF BEES", "upper_case_heading"), ("", "empty_heading"), ("***", "empty_heading"),
        ("Share classes and their rights", ""), ("Contact lenses", ""), ("Bees", ""), ("蜜蜂的历史", ""),
    ],
)  # fmt: skip
def test_headings_that_promise_nothing(heading, reason):
    body = words(700)
    found, dropped = cut(f"# {heading}\n\n{body}\n")
    assert dropped == ({reason: 1} if reason else {})
    assert [s.heading for s in found] == ([] if reason else [heading])
    if reason == "upper_case_heading":
        assert len(cut(f"# {heading}\n\n{body}\n", keep_upper=True)[0]) == 1


def test_the_largest_subtree_that_fits_is_the_piece():
    small, big = [words(700, n) for n in range(3)], words(2500, 9)
    text = f"# Farm\n\n## Bees\n\n{small[0]}\n\n### Wax\n\n{small[1]}\n\n## Goats\n\n{big}\n\n### Milk\n\n{small[2]}\n"
    found, dropped = cut(text)
    # Farm is too long. Bees fits with Wax. Goats with Milk is too long: its own text, then Milk.
    assert [s.heading for s in found] == ["Bees", "Goats", "Milk"]
    assert [s.text for s in found] == [f"{small[0]}\n\n### Wax\n\n{small[1]}", big, small[2]]
    assert dropped == {}


def test_a_heading_without_text_hands_over_to_its_only_subheading():
    body = words(700)
    [found], _ = cut(f"# Handbook\n\n## Bees\n\n{body}\n", title="Site")
    assert (found.heading, found.text) == ("Bees", body)


def test_navigation_at_the_end_is_cut_off_and_in_the_middle_parts_a_subtree():
    one, two = words(700), words(700, 1)
    [found], dropped = cut(f"# Farm\n\n{one}\n\n## Bees\n\n{two}\n\n## Related articles\n\n- x\n\n## Share\n")
    assert found.text == f"{one}\n\n## Bees\n\n{two}"
    found, dropped = cut(f"# Farm\n\n{one}\n\n## Quick links\n\n- x\n\n### Deeper\n\n{words(900, 5)}\n\n## Bees\n\n{two}\n")
    assert [s.text for s in found] == [one, two]
    assert dropped == {"navigation": 1}


def test_the_title_heads_what_stands_before_the_first_heading():
    one, two = words(700), words(2500, 1)
    text = f"{one}\n\n## Bees\n\n{two}\n"
    found, dropped = cut(text, title="Farm")
    assert [(s.heading, s.text) for s in found] == [("Farm", one), ("Bees", two)]
    found, dropped = cut(text)
    assert ([s.heading for s in found], dropped) == (["Bees"], {"no_heading": 1})


def test_headings_of_restructured_text_and_of_markdown():
    text = "=====\nGuide\n=====\n\nBees\n====\n\nText.\n\nWax\n---\n\nMore.\n\nHoney\n=====\n\nEnd.\n"
    assert [(b.level, b.title) for b in blocks(text) if b.kind == "heading"] == [(1, "Guide"), (2, "Bees"), (3, "Wax"), (2, "Honey")]
    text = "Bees\n---\n\ntext\n\n# [Wax](x.md) **and** `more` ##\n\n#hashtag\n\n```python\n# no heading\n```\n\n    # nor this\n"
    assert [(b.level, b.title) for b in blocks(text) if b.kind == "heading"] == [(2, "Bees"), (1, "Wax and more")]
    text = "---\ntitle: Bees\nlayout: x\n---\nText.\n\n---\n\nOne | Two\n--- | ---\n\n- a\n- b\n\nTwo lines\nof text\n---\n"
    found = [text[b.start : b.end] for b in blocks(text)]
    assert found == ["Text.", "One | Two\n--- | ---", "- a\n- b", "Two lines\nof text\n---"]


def test_a_fence_that_is_never_closed_is_text():
    text = "a\n~~~x\n\n# Bees\n\n````\n```\n````\n\n```x\n"
    assert [(b.kind, text[b.start : b.end]) for b in blocks(text)] == [
        ("paragraph", "a\n~~~x"), ("heading", "# Bees"), ("fence", "````\n```\n````"), ("paragraph", "```x")]  # fmt: skip
    many = "```a\n" * 200_000  # quadratic would take minutes
    assert len(blocks(many)) == 1


def test_paragraphs_are_packed_evenly_and_never_cut():
    parts = [words(500, n) for n in range(9)]
    found, dropped = cut("\n\n".join(parts))
    assert [s.text for s in found] == ["\n\n".join(parts[:4]), "\n\n".join(parts[4:])] or [s.text for s in found] == ["\n\n".join(parts[:5]), "\n\n".join(parts[5:])]
    assert dropped == {}
    # a greedy filling would leave the last paragraph alone, and lose it
    found, dropped = cut("\n\n".join([words(1490), words(1490, 1), words(300, 2)]))
    assert ([len(s.text) for s in found], dropped) == ([1490, 1792], {})
    assert cut("\n\n".join([words(100), words(100, 1)])) == ([], {"too_short": 1})


def test_overlong_paragraphs_are_cut_between_sentences_chinese_ones_too():
    said = [f"第{n}只蜜蜂在花园里飞来飞去，采集花粉和花蜜，然后回到蜂巢里去{n * 7919}。" for n in range(200)]
    found, dropped = cut("".join(said), title="蜜蜂", max_jaccard=1)
    assert "".join(s.text for s in found) == "".join(said)
    assert all(600 <= len(s.text) <= 3000 and s.text.endswith("。") and s.heading == "蜜蜂" for s in found)
    found, dropped = cut(f"{words(700)}\n\n{'x' * 3001}\n\n{words(700, 1)}")
    assert ([s.text for s in found], dropped) == ([words(700), words(700, 1)], {"too_long": 1})


def test_code_is_never_cut():
    code = "```\n" + "".join(f"print({n})\n\n# {n}\n" for n in range(150)) + "```"
    assert 600 < len(code) < 3000
    found, _ = cut(f"{words(2000)}\n\n{code}\n\n{words(2000, 1)}")
    assert [s.text.count("```") for s in found if "print" in s.text] == [2]
    long = "```\n" + "print('all of it')\n" * 300 + "```"
    found, dropped = cut(f"{words(700)}\n\n{long}\n\n{words(700, 1)}")
    assert ([s.text for s in found], dropped) == ([words(700), words(700, 1)], {"too_long": 1})


def test_long_text_under_a_heading_is_packed_on_request():
    parts = [words(900, n) for n in range(5)]
    text = "# Bees\n\n" + "\n\n".join(parts)
    assert cut(text) == ([], {"too_long": 1})
    found, dropped = cut(text, pack_long=True)
    assert ([s.heading for s in found], dropped) == (["Bees", "Bees"], {})
    assert "\n\n".join(s.text for s in found) == "\n\n".join(parts)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Who met J. Smith, e.g. in St. Ives. He left.", ["Dr. Who met J. Smith, e.g. in St. Ives.", "He left."]),
        ("It costs 3.14 at example.org now. \"Good.\" He left", ["It costs 3.14 at example.org now.", '"Good."', "He left"]),
        ("好。“不好。”他走了！是吗？", ["好。", "“不好。”", "他走了！", "是吗？"]),
        ("See:\n- one thing\n- another\n\nNew paragraph", ["See:", "- one thing", "- another", "New paragraph"]),
        ("  \n ", []),
    ],
)  # fmt: skip
def test_sentences(text, wanted):
    assert [text[a:b] for a, b in sentences(text)] == wanted
    assert [f"x\n{text}"[a:b] for a, b in sentences(f"x\n{text}", 2)] == wanted


def test_windows_cover_all_between_paragraphs():
    parts = [words(400, n) for n in range(6)]
    text = f"{parts[0]}\n\n# B\n\n{parts[1]}\n\n{parts[2]}\n\n## C\n\n{parts[3]}\n\n{parts[4]}\n\n{parts[5]}\n"
    found = list(windows(document(text, "Bees"), 1000))
    assert [(w.heading, w.text.count("\n\n")) for w in found] == [("Bees", 2), ("B", 2), ("C", 1)]
    assert "\n\n".join(w.text for w in found) == text.strip()
    [whole] = windows(document(text), 10_000)
    assert (whole.text, whole.heading) == (text.strip(), "")
    dropped = Counter()
    assert [w.text for w in windows(document(f"One.\n\n{'x' * 99}\n\nTwo."), 50, dropped=dropped)] == ["One.", "Two."]
    assert dropped == {"too_long": 1}
    assert list(windows(document(" \n"), 50)) == []


def test_a_piece_becomes_a_seed_with_its_place():
    text = f"# Bees\n\n{words(700)}"
    one = document(text, "Site")
    [segment] = segments(one)
    sample = to_sample(one, segment)
    assert sample.id == sample.lineage.root == seed_id("", "", segment.text)
    assert (sample.instruction, sample.response) == ("", segment.text)
    assert sample.meta == {"document": one.id, "name": "a.md", "title": "Site", "heading": "Bees", "start": 8, "end": 708}


def test_any_text_gives_sound_pieces():
    """Property: spans equal, in order, without overlap, within the bounds; windows leave out no letter."""
    rng = random.Random(7)
    bits = ["# A", "## Bees", "### QUICK", "Title\n===", "Sub\n---", "```", "~~~", "- x", "| a | b |", "text. More text! ", "句子。另一句！", "\n", "\n\n", " ", "\t", "---",
            "    code", "word " * 9, "\r\n", "\u2028", "# ", "End."]  # fmt: skip
    for _ in range(3000):
        text = "".join(rng.choice(bits) + rng.choice(["", "\n", "\n\n"]) for _ in range(rng.randrange(30)))
        title, least = rng.choice(["", "T"]), rng.randrange(1, 40)
        most = least + rng.randrange(80)
        found, _ = cut(text, title, min_chars=least, max_chars=most, pack_long=rng.random() < 0.5)
        assert all(least <= len(s.text) <= most and s.text.strip() for s in found)
        assert all(a.end <= b.start for a, b in itertools.pairwise(found))
        dropped = Counter()
        shown = list(windows(document(text), most, dropped=dropped))
        assert all(len(w.text) <= most and w.text == text[w.start : w.end] for w in shown)
        assert all(a.end <= b.start for a, b in itertools.pairwise(shown))
        gaps = [text[a:b] for a, b in zip([0, *(w.end for w in shown)], [*(w.start for w in shown), len(text)], strict=True)]
        if not dropped:
            assert not [g for g in gaps if any(c.isalpha() for c in g) and not g.lstrip().startswith("---")]


def rows(shared, name):
    with gzip.open(shared / "corpus" / name, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Document(row["id"], row["text"], name, row.get("title", ""))


@pytest.mark.parametrize(
    ("name", "given", "count"),
    [("peps.jsonl.gz", {}, (5684, 187)), ("pep_sections.jsonl.gz", {}, (6374, 211)),
     ("tldr_pages_en.jsonl.gz", {"min_chars": 200}, (6305, 270))],
)  # fmt: skip
def test_real_documents(shared, name, given, count):
    found, dropped = 0, Counter()
    for one in rows(shared, name):
        end = 0
        for segment in segments(one, dropped=dropped, **given):
            assert segment.text == one.text[segment.start : segment.end]
            assert given.get("min_chars", 600) <= len(segment.text) <= 3000
            assert segment.start >= end
            assert not is_navigation(segment.heading)
            end, found = segment.end, found + 1
    assert (found, dropped["repetitive"]) == count
