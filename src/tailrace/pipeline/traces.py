r"""Stack traces, as a language over kinds of lines.

Every line that can have to do with a trace has a **kind**, one letter; a block of lines is a word of such letters, and
a trace of some language is a regular expression over them (``TRACE``). So a language costs a few kinds and a line of
grammar, and matching costs the same however many languages there are.

Kinds of indented lines (decided by their first bytes, and remembered by them)
    a  ``at ...`` Java, Kotlin, Scala, .NET, JavaScript, Rust's places     m  ``... 12 more``
    f  ``File "..."`` Python        r  ``from ...`` Ruby        s  ``#0 ...`` PHP, gdb, sanitizers (also not indented)
    g  ``/x/y.go:12 +0x1d`` Go's places, and the memory that sanitizers print
    n  ``4: ...`` Rust              b  ``|`` or ``+`` exception group, B  its first line     c  ``Caused by:``
    i  any other
Kinds of other lines
    L  the beginning of a log line (time or level)           X  an exception's name and message, or a sentence for one
    l  the same, and it says that all is well (info, debug): it announces no trace, yet frames may follow it directly
    T  Python's ``Traceback``       D  its sentences between chained ones     C  ``Caused by:``
    P  Go's panic, fatal error      G  goroutine      U  a function or ``created by``      E  how a process ended
    Q  data race                    z  ``=====``      A  ``==1==``, sanitizers             W  C++ ``terminate called``
    R  Rust's panic, Z with its message on the same line     K  ``stack backtrace:``       N  ``note:``
    t  PHP's ``Stack trace:``       v  ``x.rb:3:in ...``     J  a place in JavaScript      V  ``Node.js v24``
    k  closing brackets             Y  ``--- End of ...``    e  empty                      o  any other
    .  a line that never belongs to a trace (JSON, logfmt)

The lines that can be a trace's beginning are told from those that cannot by their first two bytes (``SEEDS``) in one
look at a column; only the neighbours of those are looked at in a loop over lines.
"""

from __future__ import annotations

import re

import numpy as np

_INDENTED = re.compile(
    r"""\s+(?:
        (?P<a>at\ )
      | (?P<m>\.\.\.\ )
      | (?P<f>File\ ")
      | (?P<r>from\ )
      | (?P<s>\#\d)
      | (?P<n>\d{1,4}:)
      | (?P<B>\+\ Exc)
      | (?P<b>[|+](?:\ |-|$))
      | (?P<c>Caused|Suppre)
      | (?P<g>\S+:\d+(?:\ \+0x[0-9a-f]+)?$|0x[0-9a-f]+:\ |[A-Z][\w\ ]+:\s+[0-9a-f]{2}\b)
      | (?P<k>[}\])]+,?$)
    )""",
    re.VERBOSE,
)
_OTHER = re.compile(
    r"""(?P<dot>[{]|[A-Za-z_][\w.\-]*=\S*\ +[\w.\-]+=)
      | (?P<e>\s*$)
      | (?P<T>(?:.{0,80}\ )?Traceback\ \(most\ recent\ call\ last\):$)
      | (?P<D>The\ above\ exception\ was\ the\ direct\ cause|During\ handling\ of\ the\ above\ exception)
      | (?P<C>Caused\ by:|Suppressed:|Wrapped\ by:)
      | (?P<G>goroutine\ \d+\ )
      | (?P<Q>WARNING:\ DATA\ RACE$)
      | (?P<P>panic:\ |fatal\ error:\ |SIG[A-Z]+:\ |unexpected\ fault\ address)
      | (?P<R>thread\ '.*'\ (?:\(\d+\)\ )?panicked\ at\ [^']*:$)
      | (?P<Z>thread\ '.*'\ (?:\(\d+\)\ )?panicked\ at\ )
      | (?P<K>stack\ backtrace:$)
      | (?P<N>note:\ )
      | (?P<W>terminate\ called\ |libc\+\+abi:\ )
      | (?P<A>==\d+==)
      | (?P<z>={8,}$)
      | (?P<t>Stack\ trace:$|\[stacktrace\]$|Backtrace:$)
      | (?P<s>\#\d+\s)
      | (?P<Y>---\ End\ of\ )
      | (?P<V>Node\.js\ v\d)
      | (?P<E>exit\ status\ \d+$|Aborted|Segmentation\ fault|SUMMARY:\ )
      | (?P<L>[<\[(]*\d\d[-/:.\d]|[IWEFD]\d{4}\ \d
          |[<\[(]*(?:[A-Z][a-z]{2},?\ )?(?:[A-Z][a-z]{2}\ [\ \d]\d|\d\d?\ [A-Z][a-z]{2})\b
          |[<\[(]*(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|FATAL|CRITICAL)\b|[DIWEFA],\ \[
          |(?:fail|crit|warn|info|dbug|trce):\ |[<\[(](?:trace|debug|info|warn|warning|error|fatal)\b)
      | (?P<v>\S+\.rb:\d+:in\ )
      | (?P<J>(?:node:|file:|/|[A-Z]:\\)\S*:\d+$)
      | (?P<k>["}\])]+,?\s*$)
      | (?P<U>created\ by\ |\.\.\.additional\ frames|panic\(|r\w{1,5}\s+0x|[c-gs]s\s+0x)
      | (?P<X>Exception\ |Unhandled\ |Uncaught\ |Task\ exception\ |(?:PHP\ )?(?:Fatal|Recoverable\ fatal)\ error:|Next\s
          |(?:[\w\-]+\ ){0,3}[\w.$\\/]*(?:Error|Exception|Throwable|Failure|Fault|Interrupt|Exit|Warning)\b
          |(?:[a-z_]\w*\.)+\w*[A-Z][\w$]*(?::\ |$))
    """,
    re.VERBOSE,
)

_FRAMES = r"(?:[amigYk]|[Cc][oi]{0,8}?(?=[amCc])|[Cc])*+"
_HEAD = r"(?:L?X[oUig]{0,8}?|L[oi]{0,3}?|[oUl])?"
_PYTHON = r"(?:[Tf][fig]*+[XoUPv]?|Bb*+)"
TRACE = re.compile(
    rf"""(?:Ji{{1,3}}e{{1,2}})?{_HEAD}[am]{_FRAMES}(?:e?V)?
       | (?:Lo{{0,3}}?|X)?{_PYTHON}(?:eDe{_PYTHON})*+(?:o{{0,3}}?a{_FRAMES})?
       | L?(?:P[oPi]{{0,4}}?e{{0,2}})?G[UXig]*+(?:e{{1,2}}G[UXig]*+)*+(?:e?[UE]+)?
       | z?Q(?:[oUX][igUa]+e?)*+z?
       | L?(?:R(?:[^elRTGP.]o{{0,8}}?(?=[KN])|[^elRTGP.]?)|Z)(?:K[nai]*+)?N*+
       | (?:L?X|L|[ov])?r[rv]*+
       | (?:L?Xe?|L)?v{{2,}}+r*+
       | (?:L?[Xo]|L)?ts*+i?k?(?:e?[oX]ts*+i?k?)*+
       | z?A++(?:[oX]{{0,3}}[sig]++e{{0,2}}|E)*+(?:[oE]{{0,9}}?A)?
       | (?:L?X|L|o)?s{{2,}}+
       | Wi?E?
       | P
    """.encode(),
    re.VERBOSE,
)
"""A whole trace, or as much of it as there is."""
HEAD = re.compile(rb"(?:L?X[oi]{0,8}|J[ie]{0,5}|v)\Z")
"""What waits although nothing of a trace has followed yet ..."""
AFTER = re.compile(rb"[eD]{0,3}\Z")
"""... and what may stand between parts of one."""
HEAD_MORE = re.compile(rb"[LzJ]?X?[^LlX.]{0,9}\Z|[Ll]\Z")
AFTER_MORE = re.compile(rb"[^Ll.]{0,10}\Z")
"""The same where more is at hand already, so that it costs nothing to wait: whatever can become a part of a trace."""
BEFORE_ROWS = 16
AFTER_ROWS = 6
"""So many lines around a seed are looked at: what the grammar can reach from it."""

_PREFIX = 8
_PREFIXES_MAX = 4096
_WELL = re.compile(r"\b(?:TRACE|DEBUG|INFO|NOTICE|LOG|[Tt]race|[Dd]ebug|[Ii]nfo|[Nn]otice|[Ii]nformation)\b")
_LEVEL_WITHIN = 80
_LOOK_CHARS = 512
_UNDECIDED = re.compile(r"\s+(?:[^(\"'\w]*\w*|\S*[/.:]\S*|[A-Z][\w ]*)$")
"""A prefix with which a line can still be of another kind than ``i``."""
_known: dict[str, str] = {}


def _seeds() -> np.ndarray:
    table = np.zeros(65_536, bool)
    starts = [b"Tr", b"go", b"th", b"te", b"li", b"pa", b"fa", b"SI", b"==", b"Ca", b"St", b"[s", b"WA"]
    starts += [b"ap", b"/u", b"/v", b"/h", b"/o", b"/r"]  # Ruby's places, which nothing is put before
    starts += [indent + bytes([other]) for indent in (b" ", b"\t") for other in range(256)]
    starts += [b"#%d" % digit for digit in range(10)]
    for start in starts:
        table[int.from_bytes(start, "little")] = True
    return table


SEEDS = _seeds()
"""By the first two bytes of a line (little-endian): whether it can be the first line by which a trace is known."""
SEED_KINDS = frozenset("amfrsngBbcTGQPRZKWAtv")
"""A line of such a kind makes its neighbours worth a look."""


def kind_of(line: str) -> str:
    """Return the kind of a line, from its first _LOOK_CHARS."""
    prefix = line[:_PREFIX]
    kind = _known.get(prefix)
    if kind is not None:
        return kind
    line = line[:_LOOK_CHARS]
    if line[:1] in ("\t", " "):
        text = line.lstrip()
        if not text:
            return "e"
        found = _INDENTED.match(line)
        kind = (found and found.lastgroup) or "i"
        if found is None and kind == "i":
            decided = len(line) >= _PREFIX and not _UNDECIDED.match(prefix)
        else:
            decided = found is not None and found.end() <= _PREFIX and kind not in "kg"
        if decided:
            if len(_known) >= _PREFIXES_MAX:
                _known.clear()
            _known[prefix] = kind
        return kind
    found = _OTHER.match(line)
    kind = (found and found.lastgroup) or "o"
    if kind in "oX" and line.endswith(")"):
        function = line.partition("(")[0]
        return "U" if "." in function and " " not in function else kind
    if kind == "L" and _WELL.search(line, 0, _LEVEL_WITHIN):
        return "l"
    return "." if kind == "dot" else kind
