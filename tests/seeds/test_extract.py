"""The texts that extractors find in web pages and papers."""

import gc
import itertools

import pytest

from gen.loop import Document
from gen.seeds import extract_html, extract_pdf
from gen.segments import segments

WORDS = ("Bees carry pollen from flower to flower and bring it home", "The keeper walks to the hive at noon with a slow step",
         "Wax is made by young bees that hang in a chain for hours", "In winter the swarm sits close around its queen and waits")  # fmt: skip
PAGE = """<html><head><title>Of bees | The Site</title></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/forum">Forum</a></li></ul></nav>
<main><article><h1>Of bees</h1>{body}</article></main>
<aside>Subscribe to our newsletter</aside><footer>Copyright 2024 The Site</footer></body></html>"""


def sentence(n):
    return f"{WORDS[n % 4]}, as was seen in year {n}."


def test_a_page_becomes_markdown_without_its_site():
    parts = [f"<h2>Part {k}</h2><p>{' '.join(sentence(10 * k + i) for i in range(10))}</p>" for k in range(3)]
    code = "<pre><code>for bee in hive:\n    print(bee)\n    # no heading</code></pre>"
    title, text = extract_html.extract(PAGE.format(body="".join(parts) + code).encode())
    assert title == "Of bees"
    assert text.startswith(f"# Of bees\n\n## Part 0\n\n{sentence(0)} {sentence(1)}")
    assert "```\nfor bee in hive:\n    print(bee)\n    # no heading\n```" in text
    assert not any(word in text for word in ("Forum", "newsletter", "Copyright"))
    found = list(segments(Document("", text, "", title), min_chars=300, max_chars=900, max_jaccard=1))
    assert [s.heading for s in found] == ["Part 0", "Part 1", "Part 2"]


@pytest.mark.parametrize("page", [b"", b" ", b"\0\1\2", b"<html></html>", b"<frameset>", b"<!-- x -->", b"<html><body><script>x()</script></body></html>"])
def test_a_page_without_text_says_so(page):
    with pytest.raises(ValueError, match=r"no HTML that can be read|no text of its own"):
        extract_html.extract(page)


def test_pages_leave_nothing_behind(caplog):
    page = PAGE.format(body=f"<p>{' '.join(sentence(i) for i in range(20))}</p>").encode()
    extract_html.extract(page)
    gc.collect()
    before = len(gc.get_objects())
    for n in range(60):
        extract_html.extract(page.replace(b"year", b"%d" % n))
    gc.collect()
    assert len(gc.get_objects()) - before < 20_000
    assert not caplog.records


def lines(*said, size=10, top=720, left=72, pitch=12):
    return [(text, size, left, top - pitch * n) for n, text in enumerate(said)]


def wrapped(n, count):
    """A paragraph as lines of full width."""
    return [f"{WORDS[(n + i) % 4]} and then some more of it {n + i}" for i in range(count)]


def test_lines_of_a_paper_become_paragraphs_and_headings(pdf):
    one, two = wrapped(0, 4), wrapped(7, 3)
    page = [*lines("Of bees", size=18), *lines("1 Wax", size=14, top=680), *lines(*one, "and that ends it.", top=650),
            *lines(*two, "so it goes.", top=570), *lines("2 Honey", size=14, top=500), *lines(*wrapped(20, 2), top=480)]  # fmt: skip
    title, text = extract_pdf.extract(pdf([page]))
    assert title == ""
    assert text.split("\n\n") == ["# Of bees", "## 1 Wax", " ".join([*one, "and that ends it."]), " ".join([*two, "so it goes."]),
                                  "## 2 Honey", " ".join(wrapped(20, 2))]  # fmt: skip


def test_short_lines_and_items_keep_their_breaks(pdf):
    full = wrapped(0, 2)
    _, text = extract_pdf.extract(pdf([lines(*full, "Lists follow:", "- wax", "- honey that is sold in jars of glass on the market of the town", "- bread", "The end of it.")]))
    assert text == f"{' '.join(full)} Lists follow:\n- wax\n- honey that is sold in jars of glass on the market of the town\n- bread\nThe end of it."


def test_numbers_and_running_heads_of_pages_are_left_out_and_paragraphs_go_on(pdf):
    pages = [[*lines(f"Chapter 2: Bees {n + 3}", top=760), *lines(*wrapped(5 * n, 5), top=720), *lines(f"- {n + 3} -", top=40)] for n in range(3)]
    _, text = extract_pdf.extract(pdf(pages))
    assert "Chapter" not in text
    assert text.count("\n") == 4  # lines of three pages, none of which ends a sentence and all of which begin anew
    going_on = [lines(*wrapped(0, 3)), lines("and so it goes on until the very end of the page of the book here.", *wrapped(9, 2))]
    assert "\n" not in extract_pdf.extract(pdf(going_on))[1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda pdf: b"", "damaged, or no PDF"), (lambda pdf: b"%PDF-1.4\n" + b"x" * 500, "damaged, or no PDF"),
        (lambda pdf: pdf([["secret"]], locked=True), "encrypted; save it without a password"),
        (lambda pdf: pdf([[], [], []]), r"no text in its pages \(0 letters in 3\): scanned; run OCR over it"),
    ],
)  # fmt: skip
def test_a_paper_without_text_says_why(pdf, make, reason):
    with pytest.raises(ValueError, match=reason):
        extract_pdf.extract(make(pdf))


def test_a_paper_broken_anywhere_brings_nothing_down(pdf):
    """Cut and bent at many places: a text or a reason, never a crash."""
    whole = pdf([lines(*wrapped(n, 5)) for n in range(3)])
    outcomes = set()
    for at, kind in itertools.product(range(0, len(whole), 37), ("cut", "bent")):
        bent = whole[:at] + (b"" if kind == "cut" else bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            outcomes.add(bool(extract_pdf.extract(bent)[1]))
        except ValueError:
            outcomes.add("reason")
    assert outcomes == {True, "reason"}
