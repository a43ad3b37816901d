r"""What ``redact`` knows to be secret or personal: a table of rules. All patterns are RE2's: no text makes one slow.

A rule has a ``trigger``, a pattern that is found wherever the rule finds anything; it decides which rows are looked at.
``pattern`` is run on those; what is secret is its first group, or all of it without groups. ``pieces`` then says which
parts of that are meant at all (check digits, words that are no passwords).

Patterns see many texts joined by ``\n\xff\n``: a byte that no character class holds, so nothing is found across texts.
``^`` and ``$`` are the ends of a line. A boundary also stands behind ``_`` and behind escapes (``\n``, and the ``\xHH``
of bytes that were not UTF-8), where ``\b`` alone would see a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Spans = Iterable[tuple[int, int]]


def _whole(_text: bytes, start: int, end: int) -> Spans:
    return [(start, end)]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to mask. ``keep`` is how many characters stay at both ends; without it ``template`` stands instead.

    ``keyed`` says that the trigger is a name and what follows it: a JSON value below such a key is secret as a whole.
    ``field`` limits a rule to one field (``message``, ``trace_id`` or a path such as ``user.mail``).
    """

    name: str
    group: str
    trigger: str
    pattern: str
    keep: tuple[int, int] | None = None
    template: str = ""
    pieces: Callable[[bytes, int, int], Spans] = _whole
    keyed: bool = False
    field: str = ""

    @property
    def replacement(self) -> str:
        """What stands for the secret when nothing of it is kept."""
        return self.template or f"[redacted:{self.name}]"


# -- which parts are meant -------------------------------------------------------------------------------------

_NOT_SECRET = frozenset(
    b"null none nil <nil> true false undefined required optional missing invalid empty expired * ** *** **** ***** "
    b"****** ******** [redacted] <redacted> redacted <hidden> hidden [filtered] %s %v %d".split()
)
_LETTER = re.compile(rb"[^\x00-/:-@\[-`{-\x7f]")


def _said(text: bytes, start: int, end: int) -> Spans:
    """Leave out words that only tell about a secret, and what was masked before."""
    value = text[start:end]
    known = value.lower().rstrip(b".)}];") in _NOT_SECRET or b"[redacted:" in value or value.startswith((b"${", b"{{"))
    return [] if known or not _LETTER.search(value) else [(start, end)]


def _password(text: bytes, start: int, end: int) -> Spans:
    """Leave out a directory in ``PWD``."""
    directory = text[start : start + 1] == b"/" and text[max(0, start - 5) : start].rstrip(b"\"'").endswith(b"PWD=")
    return [] if directory else _said(text, start, end)


_CARD = re.compile(
    rb"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|"
    rb"6(?:011|[245]\d\d)\d{12,15}|(?:5[06-8]|6[37])\d{10,17}"
)
_DIGITS = re.compile(rb"\d+")
_CARD_DIGITS_MIN = 13
_CARD_DIGITS_MAX = 19
_LUHN = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: bytes) -> bool:
    """Tell whether the last digit is the check digit of ISO/IEC 7812-1."""
    numbers = [byte - 48 for byte in reversed(digits)]
    return (sum(numbers[::2]) + sum(_LUHN[number] for number in numbers[1::2])) % 10 == 0


def _fraction(text: bytes, end: int) -> bool:
    return text[end : end + 1] == b"." and text[end + 1 : end + 2].isdigit()


def _cards(text: bytes, start: int, end: int) -> Spans:
    """Yield the cards in digits and single separators: other numbers may stand beside one."""
    if _fraction(text, end):
        return
    groups = [found.span() for found in _DIGITS.finditer(text[start:end])]
    first = 0
    while first < len(groups):
        digits, last = b"", first
        while last < len(groups) and len(digits) < _CARD_DIGITS_MAX:
            begin, stop = groups[last]
            digits += text[start + begin : start + stop]
            last += 1
            if _CARD_DIGITS_MIN <= len(digits) <= _CARD_DIGITS_MAX and _CARD.fullmatch(digits) and luhn(digits):
                yield start + groups[first][0], start + stop
                first = last - 1
                break
        first += 1


_RESIDENT = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _resident(text: bytes, start: int, end: int) -> Spans:
    """Check the last character by GB 11643-1999."""
    number = text[start:end]
    total = sum(weight * (byte - 48) for weight, byte in zip(_RESIDENT, number[:17], strict=True))
    return [(start, end)] if b"10X98765432"[total % 11] == number[17:].upper()[0] else []


def _mobile(text: bytes, start: int, end: int) -> Spans:
    """Leave out numbers with a fraction."""
    return [] if _fraction(text, end) else [(start, end)]


_IBAN_CHARACTERS = (15, 34)


def _iban(text: bytes, start: int, end: int) -> Spans:
    """Check the two digits of ISO 13616 (modulo 97); words may follow behind a space."""
    parts = text[start:end].split(b" ")
    for count in range(len(parts), 0, -1):
        number = b"".join(parts[:count])
        if not _IBAN_CHARACTERS[0] <= len(number) <= _IBAN_CHARACTERS[1]:
            continue
        if int("".join(str(int(chr(byte), 36)) for byte in number[4:] + number[:4])) % 97 == 1:
            return [(start, start + len(b" ".join(parts[:count])))]
    return []


_URL_BYTES = 256


def _mail(text: bytes, start: int, end: int) -> Spans:
    """Leave out ``name:password@host`` of an URL: the password has a rule of its own, and the host is not personal."""
    before = text[max(0, start - _URL_BYTES) : start].split()
    in_url = bool(before) and not text[start - 1 : start].isspace() and b"/" not in before[-1].rpartition(b"://")[2]
    return [] if in_url and b"://" in before[-1] else [(start, end)]


def _key_line(text: bytes, start: int, end: int) -> Spans:
    """Leave out hashes in hex and words: a line of a key has capitals, small letters and digits."""
    line = text[start:end]
    mixed = line != line.lower() and line != line.upper() and any(48 <= byte <= 57 for byte in line)
    return [(start, end)] if mixed else []


# -- the table -------------------------------------------------------------------------------------------------

_EDGE = r"(?:\b|_|\\(?:x[0-9a-f]{2}|[nrt]))"
_NUMBER = r"(?:^|[^0-9A-Za-z.]|[^0-9]\.|\\(?:x[0-9a-f]{2}|[nrt]))"
"""Where a number begins that is not the fraction of another, as times and ratios have them."""
_IS = r"""["'\\\]]*[ \t]*(?:=>|:=|[:=\x{ff1a}])"""
_QUOTED = r"""\\+"((?:[^"\\]|\\+[^"\\])+)|"((?:[^"\\]|(?s:\\.))+)|\\*'([^']+)"""
_VALUE = rf"""[ \t]*(?:(?:bearer|basic|token)[ \t]+([^\s"'\\,;]+)|([^\s"'&,;\\][^\s"'&,;]*)|{_QUOTED})"""


def _named(name: str, keys: str, flags: str, pieces: Callable[[bytes, int, int], Spans] = _said) -> Rule:
    """Return the rule of a value behind one of these names: ``key=value``, ``key: value``, JSON, ``--key value``."""
    head = rf"(?i:(?:{keys}){_IS}|--[\w-]*(?:{flags})\s)"
    return Rule(name, "secrets", head, rf"{head}(?i:{_VALUE})", pieces=pieces, keyed=True)


def _key(name: str, trigger: str, rest: str = "") -> Rule:
    """Return the rule of a key that is known by its beginning."""
    return Rule(name, "secrets", trigger, trigger + rest)


_PEM = r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY[A-Z ]{0,10}-----"
_CARD_RUN = r"\d(?:[ -]?\d)"
_MOBILE = rf"{_NUMBER}(?:(?:\+|00)?86[ -]?)?1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}}"
_RESIDENT_DATE = r"[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}"

RULES: tuple[Rule, ...] = (
    _named("password", r"pass(?:word|wd|phrase|code)|\bpass|_pass|pwd|密码|口令", "password|passwd", _password),
    _named(
        "token",
        r"secret|token|credentials?|(?:api|access|auth|secret|private|account|signing|encryption|master|sas)[_.-]?key|"
        r"(?:secret|shared)[_.-]?access[_.-]?key|accesskey(?:id|secret)|client[_.-]?secret|connection[_.-]?string",
        "token|secret|api-?key|access-?key",
    ),
    _named("session", r"sess(?:ion)?[_.-]?id|sessid|\bsid|connect\.sid|laravel_session", "session-?id"),
    Rule(
        "authorization",
        "secrets",
        rf"(?i:authorization{_IS})",
        rf"""(?i:authorization{_IS}\s*["'\\]*(?:[a-z][\w-]{{2,20}}\s+)?([^\s"'\\,;]+))""",
        pieces=_said,
        keyed=True,
    ),
    Rule(
        "bearer",
        "secrets",
        r"(?i:\bbearer\s+)[\w.~+/-]{12}",
        r"(?i:\bbearer\s+)([\w.~+/-]{12,}=*)",
        pieces=_said,
    ),
    Rule(
        "cookie",
        "secrets",
        rf"(?i:cookie{_IS})",
        rf"""(?i:cookie{_IS})\s*["'\\]*([^"'\\\r\n]+)""",
        pieces=_said,
        keyed=True,
    ),
    Rule("url-password", "secrets", r"""://[^\s/@:"'?#]*:""", r"""://[^\s/@:"'?#]*:([^\s/"'<>?#]+)@""", pieces=_said),
    Rule(
        "url-parameter",
        "secrets",
        r"(?i:[?&](?:key|sig|signature|auth|code|ticket|jwt|x-(?:amz|goog|oss|cos)-[a-z-]+|sign|state)=)",
        r"""(?i:[?&](?:key|sig|signature|auth|code|ticket|jwt|x-(?:amz|goog|oss|cos)-(?:signature|credential|security-token)"""
        r"""|sign)=)([^\s&"'#<>\\]{8,})""",
        pieces=_said,
    ),
    _key("jwt", r"eyJ[\w-]{8,}\.", r"[\w-]*(?:\.[\w-]*){1,3}"),
    _key("aws-key", _EDGE + r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", r"\b"),
    Rule(
        "aws-secret",
        "secrets",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}",
        r"""(?:AKIA|ASIA)[A-Z0-9]{16}[\s:,;/|"']{1,10}([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)""",
    ),
    _key("github-token", r"(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22})", r"\w*"),
    _key("gitlab-token", r"\bgl(?:pat|rt|dt|ptt|oas|soat|cbt|ft|imt|agent)-[\w-]{20}", r"[\w.-]*"),
    _key("slack-token", r"(?:xox[abeoprs]-[A-Za-z0-9-]{10}|xapp-\d-\w{8}|hooks\.slack\.com/services/)", r"[\w/-]*"),
    _key("stripe-key", r"(?:[rs]k_(?:live|test)_|whsec_)[A-Za-z0-9]{16}", r"[A-Za-z0-9]*"),
    _key("openai-key", r"\bsk-[A-Za-z0-9_-]{20}", r"[A-Za-z0-9_-]*"),
    _key("google-key", r"(?:AIza[\w-]{35}|\bya29\.[\w-]{20}|GOCSPX-[\w-]{20})", r"[\w.-]*"),
    _key("azure-key", r"[\w~.-]{3}\dQ~[\w~.-]{31}", r"[\w~.-]*"),
    _key("alibaba-key", _EDGE + r"LTAI[A-Za-z0-9]{12}", r"[A-Za-z0-9]*"),
    _key("tencent-key", _EDGE + r"AKID[A-Za-z0-9]{13}", r"[A-Za-z0-9]*"),
    _key(
        "package-token",
        r"(?:\bnpm_[A-Za-z0-9]{36}|pypi-AgEI[\w-]{20}|\bhf_[A-Za-z0-9]{30}|\bSG\.[\w-]{20})",
        r"[\w.-]*",
    ),
    Rule("private-key", "secrets", _PEM, rf"{_PEM}((?:[^-]|-[^-])+)", pieces=_said),
    Rule(
        "private-key-line",
        "secrets",
        r"^\s*[A-Za-z0-9+/]{20,76}={0,2}\s*$",
        r"^\s*([A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{70}|[A-Za-z0-9+/]{76}|[A-Za-z0-9+/]{20,75}={1,2})\s*$",
        pieces=_key_line,
    ),
    Rule(
        "card",
        "personal",
        rf"{_NUMBER}[2-6]\d{{3}}(?:[ -]?\d){{8}}",
        rf"{_NUMBER}({_CARD_RUN}{{11,}})(?:\b|_)",
        keep=(0, 4),
        pieces=_cards,
    ),
    Rule(
        "email",
        "personal",
        r"[\w.%+-]@[A-Za-z0-9-]+\.",
        r"(?P<first>[A-Za-z0-9])[\w.%+-]*@(?P<domain>(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})",
        template="{first}***@{domain}",
        pieces=_mail,
    ),
    Rule(
        "cn-id",
        "personal",
        _NUMBER + _RESIDENT_DATE,
        rf"{_NUMBER}({_RESIDENT_DATE}[\dXx])(?:\b|_)",
        keep=(1, 1),
        pieces=_resident,
    ),
    Rule(
        "cn-mobile",
        "personal",
        _MOBILE,
        rf"{_NUMBER}(?:(?:\+|00)?86[ -]?)?(1[3-9]\d[ -]?\d{{4}}[ -]?\d{{4}})(?:\b|_)",
        keep=(3, 4),
        pieces=_mobile,
    ),
    Rule(
        "iban",
        "personal",
        _EDGE + r"[A-Z]{2}\d{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}",
        _EDGE + r"([A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,10})(?:\b|_)",
        keep=(4, 4),
        pieces=_iban,
    ),
)

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(rule.group for rule in RULES))
