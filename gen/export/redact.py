"""Personal content and secrets by their shape: e-mail addresses, phone and card numbers, IBANs, identity numbers,
public IP addresses, keys and tokens. A shape with a checksum (card, IBAN, identity number) must pass it. What
identifies no one stays: reserved domains (RFC 2606), private, loopback and documentation addresses. Names and postal
addresses have no shape and are not found."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from gen.core import Sample, replace

KEYS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"(?:(?:(?!-----BEGIN )[\s\S])*?-----END [A-Z ]*PRIVATE KEY-----|[\sA-Za-z0-9+/=]*)",
    r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",  # JSON Web Token
    r"\b(?:sk|rk|pk)[-_](?:live|test|proj|ant|or)[-_][\w-]{20,}", r"\bsk-[A-Za-z0-9]{32,}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}\b", r"\bgithub_pat_\w{50,}", r"\bglpat-[\w-]{20,}", r"\bhf_[A-Za-z]{34}\b",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", r"\bAIza[\w-]{35}(?![\w-])", r"\bxox[abeoprs]-[\w-]{10,}",
    r"\bnpm_[A-Za-z0-9]{36}\b", r"\bpypi-AgEI[\w-]{50,}", r"\bSG\.[\w-]{22}\.[\w-]{43}",
    r"(?<=://)[^\s:/@{}\[\]<>$]+:[^\s:/@{}\[\]<>$]+(?=@)",
)  # fmt: skip
RESERVED = re.compile(r"(?i)(?:^|[@.])(?:example(?:\.(?:com|org|net|edu))?|test|invalid|localhost|local)$")


def _digits(text: str) -> list[int]:
    return [int(c) for c in text if c.isascii() and c.isdigit()]


def is_card(text: str) -> bool:
    """Luhn's checksum, and the beginning and length of an issuer's cards."""
    digits = _digits(text)
    doubled = [d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(reversed(digits))]
    first, two, four, n = digits[0], int(f"{digits[0]}{digits[1]}"), int("".join(map(str, digits[:4]))), len(digits)
    issued = (
        (first == 4 and n in (13, 16, 19)) or (n == 15 and two in (34, 37)) or (n == 14 and two in (30, 36, 38))
        or (n == 16 and (51 <= two <= 55 or 2221 <= four <= 2720 or two == 35))
        or (16 <= n <= 19 and (four == 6011 or two in (62, 65) or 6440 <= four <= 6499))
    )  # fmt: skip
    return issued and sum(doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """ISO 13616: the first four characters moved to the end, letters as 10 to 35, the remainder by 97 is 1."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def is_identity(text: str) -> bool:
    """A US social security number that can have been given out, or a Chinese resident number (GB 11643, mod 11-2)."""
    if len(text) == 18:
        weights = [2 ** (17 - i) % 11 for i in range(17)]
        return "10X98765432"[sum(w * int(c) for w, c in zip(weights, text, strict=False)) % 11] == text[17].upper()
    area, group, serial = text[:3], text[4:6], text[7:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_phone(text: str) -> bool:
    return 8 <= len(_digits(text)) <= 15  # E.164 allows 15


def is_national(text: str) -> bool:
    return 9 <= len(_digits(text)) <= 14


def is_public(text: str) -> bool:
    """An address that can be someone's: global unicast. Four numbers below 100 are more often a version, a section or
    a public name server (1 in 40 true addresses looks so and is missed), and `3::` is the end of a sentence."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 4:
        return address.is_global and not address.is_multicast and max(address.packed) >= 100
    return address.is_global and address.packed[0] >> 5 == 1 and sum(map(bool, text.split(":"))) > 2


def is_secret(text: str) -> bool:
    return not re.fullmatch(r"(?i)user(?:name)?:pass(?:word|wd)?", text)  # the password of every manual


def is_someones(text: str) -> bool:
    """An e-mail address outside the reserved domains, and not that of a service that all share."""
    return not RESERVED.search(text) and not text.startswith("git@")


SHAPES: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("KEY", "|".join(KEYS), is_secret),
    ("EMAIL", r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?!\w|\.\w)", is_someones),
    ("IBAN", r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", is_iban),
    ("ID", r"(?<![\w.-])(?:\d{3}-\d{2}-\d{4}|[1-9]\d{5}(?:19|20)\d{9}[\dXx])(?![\w-]|\.\d)", is_identity),
    ("CARD", r"(?<![\w.,-])\d{4}(?:[ -]?\d{2,6}){2,4}(?![\w-]|[.,]\d)", is_card),
    ("IP", r"(?<![\w.:-])(?:\d{1,3}\.){3}\d{1,3}(?![\w:-]|\.\w)", is_public),
    ("IP", r"(?<![\w.:-])(?:[\dA-Fa-f]{0,4}:){2,7}[\dA-Fa-f]{0,4}(?![\w:-]|\.\w)", is_public),
    ("PHONE", r"(?<![\w.+^*])\+[1-9]\d{0,2}(?:[ ./-]?(?:\(\d{1,5}\)|\d{1,5})){2,6}(?!\w|\.\d)", is_phone),
    ("PHONE", r"(?<![\w.+-])(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-.]\d{4}(?![\w-]|\.\d)", is_phone),
    ("PHONE", r"(?<![\w.,/:+-])(?:\(0[1-9]\d{0,3}\)|00?[1-9]\d{0,3})[ /-]\d{2,8}(?:[ -]\d{2,8}){0,3}(?![\w-]|[.,:]\d)",
     is_national),
    ("PHONE", r"(?<![\w.,+-])1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![\w-]|[.,]\d)", is_phone),
)
"""(kind, shape, check), in order: what one has taken the next does not see. The four shapes of phone numbers are
international, North American, national with a leading 0, and Chinese mobile. Measured on the example numbers that
the phonenumbers library has of 245 regions: 99 % are found in international form, 50 % in national form."""
# ASCII: a number may stand right behind a Chinese character.
COMPILED = tuple((kind, re.compile(shape, re.ASCII), check) for kind, shape, check in SHAPES)


class Redaction:
    """What was found, over all samples that it was asked to clean."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        """Kind -> occurrences."""

    def clean(self, sample: Sample, names: dict[str, str] | None = None) -> Sample:
        """The sample with placeholders such as `[EMAIL_1]`. Within one sample, and all that share `names`, the same
        value has the same placeholder."""
        names = {} if names is None else names
        system = self.text(sample.system, names)
        turns = tuple(replace(turn, content=self.text(turn.content, names)) for turn in sample.turns)
        fields = ("instruction", "input", "reasoning")
        texts: dict[str, Any] = {name: self.text(getattr(sample, name), names) for name in fields}
        response = None if sample.response is None else self.text(sample.response, names)
        return replace(sample, system=system, turns=turns, response=response, **texts)

    def text(self, text: str, names: dict[str, str]) -> str:
        for kind, shape, check in COMPILED:
            text = shape.sub(lambda match: self._placeholder(match[0], kind, check, names), text)  # noqa: B023
        return text

    def _placeholder(self, found: str, kind: str, check: Callable[[str], bool], names: dict[str, str]) -> str:
        value = found
        while value and not check(value):  # a number may be followed by another that is not part of it
            value = value.rpartition(" ")[0]
        if not value:
            return found
        self.found[kind] += 1
        number = sum(name.startswith(f"[{kind}_") for name in names.values()) + 1
        return names.setdefault(value, f"[{kind}_{number}]") + found[len(value):]
