"""Shapes of personal content: a labelled set, and real texts that hold none."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from gen.core import Lineage, Message, Sample
from gen.export.redact import Redaction, is_card, is_iban, is_identity

PERSONAL = {
    "EMAIL": ["ada.lovelace@gmail.com", "j-doe+news@mail.uni-bonn.de", "x@sub.domain.co.uk", "李雷的邮箱是lilei@qq.com。|lilei@qq.com"],
    "PHONE": ["+49 170 1234567", "+1 (650) 253-0000", "+8613812345678", "+44 20 7946 0958", "(212) 555-2368", "650-253-0000",
              "1-800-273-8255", "030 12345678", "0170/1234567", "(0)30 901820|nothing", "电话13812345678|13812345678",
              "138-1234-5678", "021-38677826", "0039 06 6982", "612 34 56 78|nothing"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "NO9386011117947"],
    "CARD": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005", "6011000990139424", "3530111333300000"],
    "IP": ["81.169.145.78", "203.0.112.9", "2001:4860:4860::8888", "2a02:8109:9440:1198::5"],
    "ID": ["219-09-9999", "11010519491231002X"],
    "KEY": ["sk-" + "a1B2" * 12, "sk-proj-" + "a1B2" * 8, "ghp_" + "a1B2" * 9, "AKIA" + "ABCD" * 4, "AIza" + "abcde" * 7,
            "xoxb-1234567890-abcdef", "hf_" + "aB" * 17, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLi4u",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----", "postgres://ann:hunter2@db|ann:hunter2"],
}  # fmt: skip
HARMLESS = """2024-01-15 15/01/2024 12:30:45 3.14159265358979 1,234,567.89 v1.2.3.4 2.6.18.6 10.0.0.1 127.0.0.1 192.168.1.20 8.8.8.8
255.255.255.0 0x7fff5fbff8c0 1e-10 978-3-16-148410-0 arXiv:2304.12244 user@example.com admin@example.org git@github.com
@app.route std::vector a::b 2:: 1-2-3-4 555-1234 100-200-3000 1000000000000000 4111111111111112 DE00370400440532013000
000-12-3456 900-12-3456 110105194912310021 +1 +5 =12+34567 #1234567890 0.123456789012 20240115123045 1234567890123
5d41402abc4b2a76b9719d911017c592 sk-learn hf_hub ghp_short 3.36.10.0 0900-0130 http://user:pass@host 1999-2004 5 000 000
fe80::1 ::1 AB12 3456 7890 {{user}}:{{password}}@host""".split("\n")


def found(text):
    redaction = Redaction()
    return redaction.text(text, {}), redaction.found


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PERSONAL.items() for text in texts])
def test_what_is_personal_is_replaced_by_its_kind(kind, text):
    text, _, value = text.partition("|")
    if value == "nothing":  # known misses: they look like any other number
        assert found(text)[0] == text
        return
    for before, after in (("Write to ", " today."), ("请联系", "，谢谢。"), ("(", ")"), ("", "")):
        said, counts = found(before + text + after)
        assert said == (before + text + after).replace(value or text, f"[{kind}_1]")
        assert counts == {kind: 1}


@pytest.mark.parametrize("text", [word for line in HARMLESS for word in line.split()] + HARMLESS)
def test_what_only_looks_personal_stays(text):
    assert found(text) == (text, Counter())


def test_checksums_by_hand():
    assert is_card("4539 1488 0343 6467")  # Luhn: 8+5+6+9+2+4+7+8+0+3+8+3+3+4+3+7 = 80
    assert not is_card("4539 1488 0343 6468")
    assert not is_card("1539 1488 0343 6463")  # sums to 70, but no issuer begins with 1
    assert is_iban("GB82 WEST 1234 5698 7654 32")  # ISO 13616's own example: 3214282912345698765432161182 mod 97 = 1
    assert not is_iban("GB83 WEST 1234 5698 7654 32")
    assert is_identity("11010519491231002X")  # GB 11643's own example: sum 167, mod 11 = 2, so X
    assert not is_identity("666-12-3456")


def test_a_number_ends_where_its_checksum_holds():
    assert found("card 4111 1111 1111 1111 2027 please")[0] == "card [CARD_1] 2027 please"
    assert found("IBAN DE89 3704 0044 0532 0130 00 BANK")[0] == "IBAN [IBAN_1] BANK"


def test_the_same_value_has_the_same_placeholder_in_all_fields_of_a_sample():
    mail, other = "ann@gmail.com", "bob@gmail.com"
    sample = Sample(
        "s", f"Mail {mail}", Lineage("s"), input=f"{other} {mail}", response=f"To {other}", reasoning=mail,
        system=f"You are {mail}", turns=(Message("user", other), Message("assistant", mail)),
    )
    redaction = Redaction()
    clean = redaction.clean(sample)
    assert (clean.instruction, clean.input, clean.response) == ("Mail [EMAIL_1]", "[EMAIL_2] [EMAIL_1]", "To [EMAIL_2]")
    assert (clean.reasoning, clean.system) == ("[EMAIL_1]", "You are [EMAIL_1]")
    assert [turn.content for turn in clean.turns] == ["[EMAIL_2]", "[EMAIL_1]"]
    assert (clean.id, clean.lineage) == (sample.id, sample.lineage)
    assert redaction.found == {"EMAIL": 8}
    assert redaction.clean(clean) == clean


def test_hostile_texts_cost_no_time():
    for text in ("+1" + " 1" * 20000, "1." * 20000, "a@" * 20000, "a." * 20000 + "@", "1 " * 40000, ":" * 40000, "A" * 40000,
                 "AA11" + " AAAA" * 9000, "eyJ" + "a" * 40000, "0" * 40000, "-----BEGIN PRIVATE KEY-----" * 900, "://" * 15000):
        found(text)


@pytest.mark.slow
def test_real_texts_without_personal_content_stay_as_they_are(shared):
    """Word problems full of numbers: nothing; technical documents: no dates, versions, sections or hashes."""
    problems = [json.loads(row) for row in (shared / "gsm8k/test.jsonl").read_text().splitlines()]
    assert found("\n".join(p["question"] + p["answer"] for p in problems))[1] == {}
    with gzip.open(shared / "corpus/pep_sections.jsonl.gz", "rt") as file:
        counts = found("\n".join(json.loads(row)["text"] for row in file))[1]
    assert {kind: n for kind, n in counts.items() if kind != "EMAIL"} == {"IP": 2}  # 74.125.224.84 and one of IPv6: real ones
