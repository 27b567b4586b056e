"""A corpus in, pieces out, while a run is going on: kinds of files, places, laziness, identity, what is wrong."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import threading
import time
import tracemalloc
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gen.core import Lineage, Sample, digest, seed_id
from gen.errors import InputError
from gen.seeds import identity
from gen.seeds.corpus import read_corpus
from gen.seeds.place import BadRow, Noted
from gen.seeds.reading import Reading
from gen.segments import segments, to_sample

BEES = "Bees carry pollen from flower to flower, and the hive lives on what they bring home in summer. "


def split(document, dropped):
    for segment in segments(document, min_chars=20, max_chars=400, dropped=dropped):
        yield to_sample(document, segment)


def whole(document, dropped):
    """Each document is a piece."""
    from gen.segments import Segment

    yield to_sample(document, Segment(0, len(document.text), document.text))


def read(*named, how=whole, **given):
    """All of it, when it is read to its end."""
    found = read_corpus(named, how, **given)
    for _ in range(1000):
        if found.samples.closed:
            break
        time.sleep(0.02)
    assert found.samples.closed
    if found.samples.error:
        raise found.samples.error
    return found


def texts(found):
    return [sample.response for sample in found.samples]


def names(found):
    return [sample.meta["name"] for sample in found.samples]


def test_a_folder_of_all_kinds_is_read_in_order_with_places_that_hold_elsewhere(tmp_path, pdf):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x.TXT").write_bytes(b"\xef\xbb\xbfFirst line.\r\nSecond.\rThird.")
    (tmp_path / "b.md").write_text('---\ntitle: "Of bees"\n---\n# Bees\n\nText.\n')
    (tmp_path / "c.html").write_text(f"<html><head><title>Bees | The Site</title></head><body><article><p>{BEES * 4}</p></article></body></html>")
    (tmp_path / "d.jsonl").write_text('{"id": "doc-7", "text": "Row one.", "title": "T"}\n{"text": "Row two.", "url": "https://x.org/2"}\n"Row three."\n')
    (tmp_path / "e.csv").write_text("name,content\nx,Cell\n")
    pq.write_table(pa.table({"body": ["Parquet"], "license": ["cc0-1.0"]}), tmp_path / "f.parquet")
    (tmp_path / "g.pdf").write_bytes(pdf([["Words of a paper about bees."]]))
    for ending, module in ((".gz", gzip), (".bz2", bz2), (".xz", lzma)):
        (tmp_path / f"h.txt{ending}").write_bytes(module.compress(ending.encode()))
    with pa.CompressedOutputStream(str(tmp_path / "h.txt.zst"), "zstd") as file:
        file.write(b".zst")
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "image.png").write_text("no")
    found = read(tmp_path)
    assert texts(found) == [
        "First line.\nSecond.\nThird.", '---\ntitle: "Of bees"\n---\n# Bees\n\nText.\n', (BEES * 4).strip(), "Row one.", "Row two.", "Row three.", "Cell",
        "Parquet", "Words of a paper about bees.", ".bz2", ".gz", ".xz", ".zst"]  # fmt: skip
    assert names(found) == [
        "a/deep/x.TXT", "b.md", "c.html", "doc-7 (d.jsonl, line 1)", "https://x.org/2 (d.jsonl, line 2)", "d.jsonl, line 3", "e.csv, line 2",
        "f.parquet, row 1", "g.pdf", "h.txt.bz2", "h.txt.gz", "h.txt.xz", "h.txt.zst"]  # fmt: skip
    assert [s.meta["title"] for s in found.samples][:5] == ["", "Of bees", "Bees", "T", ""]
    assert found.samples[7].meta["license"] == ["cc0-1.0"]
    assert (found.names, found.licences, found.bad) == ((tmp_path.name,), ("", "cc0-1.0"), [])
    [first] = found.samples[:1]
    assert first.id == first.lineage.root == seed_id("", "", first.response)
    assert str(tmp_path) not in json.dumps([s.meta for s in found.samples])


def test_what_gives_no_text_is_a_bad_row_with_its_reason(tmp_path, pdf):
    (tmp_path / "good.txt").write_text("Good.")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes("Caf\xe9 au lait".encode("latin-1"))
    (tmp_path / "nul.txt").write_bytes(b"a\0b")
    (tmp_path / "frames.html").write_text("<html><frameset><frame src=x></frameset></html>")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing else")
    (tmp_path / "locked.pdf").write_bytes(pdf([["secret"]], locked=True))
    (tmp_path / "scan.pdf").write_bytes(pdf([[], []]))
    (tmp_path / "torn.txt.gz").write_bytes(gzip.compress(b"x" * 99)[:-9])
    (tmp_path / "rows.jsonl").write_text('{"test": 1}\n{"text": 5}\n{"text": " "}\nnot json\n{"text": "Row."}\n{"text": "\\ud800"}\n')
    found = read(tmp_path)
    assert texts(found) == ["Good.", "Row."]
    said = {str(bad).removeprefix(f"{tmp_path}/") for bad in found.bad}
    wanted = (
        "empty.txt, part 1: empty; a text is needed",
        "latin.txt, part 1: not utf-8 ('utf-8' codec can't decode byte 0xe9",
        "nul.txt, part 1: a NUL character",
        "frames.html, part 1: no text of its own",
        "broken.pdf, part 1: damaged, or no PDF",
        "locked.pdf, part 1: encrypted; save it without a password",
        "scan.pdf, part 1: no text in its pages (0 letters in 2): scanned; run OCR over it",
        "torn.txt.gz, part 1: damaged .gz",
        "rows.jsonl, line 1: no column text, content, body, document, markdown; columns found: test; see --map response=COLUMN",
        "rows.jsonl, line 2: the text is 5", "rows.jsonl, line 3: empty", "rows.jsonl, line 4: not valid JSON", "rows.jsonl, line 6: a NUL character",
    )  # fmt: skip
    assert [w for w in wanted if not any(line.startswith(w) for line in said)] == []
    assert len(said) == found.bad.total == 13
    assert found.notes == ("2 documents read, 2 pieces",)
    with pytest.raises(InputError, match=r"broken\.pdf, part 1: damaged.*; mend it, or read without strict"):
        read(tmp_path, strict=True)


def test_pieces_are_new_counted_and_bounded(tmp_path):
    one = f"# Bees\n\n{BEES}\n\n# Share\n\nx\n\n# Wax\n\nshort\n"
    (tmp_path / "a.md").write_text(one)
    (tmp_path / "b.md").write_text(f"# Other\n\n{BEES}\n\n# More\n\nThe keeper of the hive comes by at noon.\n")
    found = read(tmp_path, how=split)
    assert texts(found) == [BEES.strip(), "The keeper of the hive comes by at noon."]
    assert [str(row) for row in found.repeats] == [f"{tmp_path / 'b.md'}, part 1: a piece is the same as one of {tmp_path}, document 1"]
    assert found.notes == ("2 documents read, 2 pieces; left out: navigation 1, too_short 1",)
    sample = found.samples[0]
    assert one[sample.meta["start"] : sample.meta["end"]] == sample.response
    assert texts(read(tmp_path, how=split, limit=1)) == [BEES.strip()]


def test_the_places_of_many_files_are_not_held():
    reading = Reading([], whole, "", None, False, Noted(), Noted())
    pieces = [Sample(digest(n), "", Lineage("")) for n in range(20_000)]
    tracemalloc.start()
    try:
        for n, piece in enumerate(pieces):
            assert reading._is_new(piece, BadRow(f"/a/long/path/to/a/folder/of/many/{n}.txt", 1, "", "part"), "many")
        assert tracemalloc.get_traced_memory()[0] / 20_000 < 45
    finally:
        tracemalloc.stop()


def test_what_names_no_corpus_is_refused_at_once(tmp_path):
    (tmp_path / "short.txt").write_text("Too short.")
    (tmp_path / "rows.jsonl").write_text('{"q": "a"}\n')
    (tmp_path / "empty").mkdir()
    for named, mapping, wanted in (
        ([], None, "no corpus was named"),
        ([tmp_path / "shrot.txt"], None, r"no such file; did you mean 'short\.txt'\?"),
        ([tmp_path / "empty"], None, r"no file below this folder is read; allowed: \.txt"),
        ([tmp_path / "rows.jsonl"], None, r"no document in it \(.*rows.jsonl, element 1: no column text.*columns found: q"),
        ([tmp_path / "rows.jsonl"], {"response": "a"}, "no column a; columns found: q"),
        ([tmp_path / "rows.jsonl"], {"instruction": "q"}, "--map instruction=.*say --map response=COLUMN"),
        ([tmp_path / "short.txt"], None, "1 documents read, 0 pieces; left out: too_short 1"),
    ):
        with pytest.raises(InputError, match=wanted):
            read_corpus(named, split, mapping=mapping)
    assert texts(read(tmp_path / "rows.jsonl", mapping={"response": "q"})) == ["a"]
    (tmp_path / "no.docx").write_text("x")
    with pytest.raises(InputError, match=r"'.docx' is not read"):
        read_corpus([tmp_path / "no.docx"], split)


def test_splits_count_for_rows_and_not_for_documents(tmp_path):
    for name in ("train.jsonl", "test.jsonl", "notes.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": name}))
    for name in ("training.md", "how-to-test.md"):
        (tmp_path / name).write_text(name)
    found = read(tmp_path)
    assert texts(found) == ["how-to-test.md", "notes.jsonl", "train.jsonl", "training.md"]
    assert found.notes[1].endswith(f"only train is read, not such as {tmp_path / 'test.jsonl'}; another one: {tmp_path}#SPLIT")
    assert texts(read(f"{tmp_path}#test")) == ["test.jsonl"]
    (tmp_path / "README.md").write_text("Just a text.")
    assert texts(read(tmp_path))[0] == "Just a text."
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\nA card.")
    carded = read(tmp_path)
    assert (texts(carded), carded.licences) == (texts(found), ("mit",))


def test_a_very_long_text_is_read_in_parts_that_end_with_a_paragraph(tmp_path, monkeypatch):
    monkeypatch.setattr("gen.seeds.documents.PART", 1000)
    paragraphs = [f"Paragraph {n}. " + BEES * 2 for n in range(60)]
    (tmp_path / "a.txt").write_text("\n\n".join(paragraphs))
    found = read(tmp_path / "a.txt")
    assert [p.strip() for text in texts(found) for p in text.strip().split("\n\n")] == [p.strip() for p in paragraphs]
    assert names(found)[:2] == ["a.txt", "a.txt, part 2"]
    assert len(found.samples) > 5
    (tmp_path / "b.txt").write_text("x" * 20_000)
    assert "".join(texts(read(tmp_path / "b.txt"))) != ""


def test_a_run_begins_with_the_first_piece_while_the_rest_is_read(tmp_path):
    for n in range(40):
        (tmp_path / f"{n:02}.txt").write_text(f"Text {n}")
    gate, seen = threading.Event(), []

    def slow(document, dropped):
        seen.append(document.name)
        if len(seen) > 20:
            assert gate.wait(60)
        yield from whole(document, dropped)

    found = read_corpus([tmp_path], slow)
    while len(found.samples) < 20:
        time.sleep(0.01)
    assert (found.samples[0].response, found.samples.closed, found.notes) == ("Text 0", False, ())
    told = threading.Event()
    found.samples.watch(told.set)
    gate.set()
    assert told.wait(60)
    while not found.samples.closed:
        time.sleep(0.01)
    assert texts(found) == [f"Text {n}" for n in range(40)]


def test_what_goes_wrong_later_is_the_error_of_the_supply(tmp_path):
    for n in range(40):
        (tmp_path / f"{n:02}.txt").write_text(f"Text {n}")
    gate = threading.Event()

    def fails(document, dropped):
        if document.text == "Text 30":
            assert gate.wait(60)
            raise KeyError("a fault of the loop")
        yield from whole(document, dropped)

    found = read_corpus([tmp_path], fails)
    gate.set()
    while not found.samples.closed:
        time.sleep(0.01)
    assert isinstance(found.samples.error, KeyError)
    assert len(found.samples) == 30


def test_reading_ends_when_nobody_holds_the_samples(tmp_path):
    for n in range(2000):
        (tmp_path / f"{n}.txt").write_text(f"Text {n}")
    done = Counter()

    def slow(document, dropped):
        done["documents"] += 1
        time.sleep(0.005)
        yield from whole(document, dropped)

    read_corpus([tmp_path], slow)
    for thread in threading.enumerate():
        if thread.name == "corpus":
            thread.join(20)
            assert not thread.is_alive()
    assert done["documents"] < 2000


def test_a_corpus_without_end_begins_at_once(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"{n} {BEES}"}) + "\n" for n in range(100)))
    with path.open("ab") as file:
        file.truncate(1 << 36)  # 64 GB of zeros, which are on no disk
    began = time.monotonic()
    found = read(path, limit=50)
    assert len(found.samples) == 50
    assert time.monotonic() - began < 20  # 0.1 s on a quiet machine; reading it takes minutes


def digests(*folders):
    return [read_corpus([folder], whole).digest for folder in folders]


def test_the_identity_is_that_of_the_data(tmp_path, monkeypatch):
    for name in "ab":
        (tmp_path / name / "in").mkdir(parents=True)
        for n in range(5):
            (tmp_path / name / "in" / f"{name}{n}.txt").write_text(f"Text {n}")
    one, two = digests(tmp_path / "a", tmp_path / "b")
    assert one == two  # neither names nor places count
    monkeypatch.chdir(tmp_path)
    assert digests("a", os.path.relpath(tmp_path / "b")) == [one, one]
    (tmp_path / "b" / "in" / "b3.txt").write_text("Text 4")
    assert digests(tmp_path / "b") != [one]
    assert read_corpus([tmp_path / "a"], whole, limit=2).digest != one
    (tmp_path / "a" / "x.json").write_text('["Text"]')
    assert digests(tmp_path / "a") != [one]


def test_the_identity_of_a_large_corpus_is_told_by_sizes_and_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "FILES", 16)
    monkeypatch.setattr(identity, "SAMPLED", 4)
    paths = [tmp_path / f"{n:03}.txt" for n in range(100)]
    for path in paths:
        path.write_text("a" * 50)
    [before] = digests(tmp_path)
    paths[57].write_text("a" * 51)
    assert digests(tmp_path) != [before]  # of every file the size counts
    paths[57].write_text("a" * 50)
    assert digests(tmp_path) == [before]
    paths[0].write_text("b" * 50)
    assert digests(tmp_path) != [before]  # of some the content, too
    paths[0].write_text("a" * 50)
    paths[1].write_text("b" * 50)
    assert digests(tmp_path) == [before]  # and not of the others, as is said


def test_the_identity_of_a_large_file_takes_in_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "WHOLE", 1000)
    path = tmp_path / "a.txt"
    data = bytearray(b"word " * (1 << 22))
    found = set()
    for place in (None, 0, len(data) - 1, len(data) // 2 // 5 * 5):
        changed = bytearray(data)
        if place is not None:
            changed[place] = 120
        path.write_bytes(changed)
        found.add(identity.identity([str(path)]))
    assert len(found) >= 3  # the beginning and the end for certain


def test_real_corpora(shared):
    found = read(shared / "corpus" / "pep_sections.jsonl.gz", how=bounded)
    assert (len(found.samples), found.bad.total, found.repeats.total) == (6355, 0, 19)
    assert found.notes == ("7,830 documents read, 6,355 pieces; left out: too_short 1,637, repetitive 211, too_long 5",)


def bounded(document, dropped):
    for segment in segments(document, dropped=dropped):
        assert document.text[segment.start : segment.end] == segment.text
        yield to_sample(document, segment)
