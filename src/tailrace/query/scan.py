"""The scanner: the text of a query and how far it is read. It knows characters and spaces, not the grammar."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from tailrace.errors import QueryError
from tailrace.query.text import quoted

_SPACE = re.compile(r"\s*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/ntrbf])|\\')
_NAME = re.compile(r"[\w.@$/-]+")
_NUMBER = re.compile(r"\d+")


@dataclass
class Scanner:
    """``position`` is the index of the next character; ``depth`` counts open brackets and *not*s."""

    text: str
    now_ns: int
    position: int = 0
    depth: int = 0

    def fail(self, message: str, position: int | None = None, *, cure: str = "") -> NoReturn:
        """Raise QueryError at a position, by default here."""
        at = self.position if position is None else position
        raise QueryError(message, text=self.text, position=at, cure=cure)

    def skip(self) -> None:
        """Pass white space."""
        found = _SPACE.match(self.text, self.position)
        self.position = found.end() if found else self.position

    @property
    def rest(self) -> str:
        """The character here, or an empty text at the end."""
        return self.text[self.position : self.position + 1]

    @property
    def found(self) -> str:
        """What stands here, for a message."""
        return f"'{self.rest}'" if self.rest else "the end"

    def ahead(self, text: str) -> bool:
        """Tell whether exactly this stands here."""
        return self.text.startswith(text, self.position)

    def take(self, text: str) -> bool:
        """Pass exactly this, after white space, if it stands here."""
        self.skip()
        if not self.ahead(text):
            return False
        self.position += len(text)
        return True

    def expect(self, text: str, why: str = "") -> None:
        """Pass this after white space, or fail."""
        if not self.take(text):
            self.fail(f"expected '{text}'{why}, found {self.found}")

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Pass what the pattern finds exactly here."""
        found = pattern.match(self.text, self.position)
        if found is None or found.end() == self.position:
            return None
        self.position = found.end()
        return found[0]

    def keyword(self, *words: str) -> str | None:
        """Pass one of these words, in any case, after white space, if it stands here as a whole word."""
        self.skip()
        found = _NAME.match(self.text, self.position)
        if found is None or found[0].lower() not in words or self.text[found.end() : found.end() + 1] in (":", "("):
            return None
        self.position = found.end()
        return found[0].lower()

    def string(self) -> str:
        """Pass a quoted text that begins here; return what it means."""
        start = self.position
        found = self.match(_STRING)
        if found is None:
            self.fail("this quote is not closed", cure='end the text with "')
        for escape in _ESCAPE.finditer(found):
            if escape[0] == "\\":
                self.fail(
                    "this escape is not known",
                    start + escape.start(),
                    cure='write \\\\ for a backslash; known are \\" \\n \\t \\r \\u0041',
                )
        # Raw control characters (a pasted tab) are allowed here, though not in JSON.
        text = json.loads(found, strict=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("half of a surrogate pair is not a character", start)
        return text

    def name(self, what: str = "the name of a field") -> str:
        """Pass a field's name, plain or quoted, after white space."""
        self.skip()
        if self.rest == '"':
            return self.string()
        found = self.match(_NAME)
        if found is None:
            self.fail(f"expected {what}, found {self.found}")
        return found

    def names(self) -> tuple[str, ...]:
        """Pass field names with commas between them."""
        found = [self.name()]
        while self.take(","):
            found.append(self.name())
        return tuple(found)

    def whole_number(self, what: str) -> int:
        """Pass a number without sign or fraction, after white space."""
        self.skip()
        found = self.match(_NUMBER)
        if found is None or len(found) > 15:
            self.fail(f"expected {what}, found {self.found}")
        return int(found)


def listed(names: tuple[str, ...]) -> str:
    """Return names as ``Scanner.names`` reads them."""
    return ", ".join(name if _NAME.fullmatch(name) else quoted(name) for name in names)
