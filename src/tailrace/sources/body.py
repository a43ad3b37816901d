"""The body of a push: bytes from the wire become pieces of whole lines, decompressed, bounded, cut at the same places.

A piece ends with the last newline within PUSH_BATCH_BYTES (or behind the first, when a line is longer), whatever the
chunks of the network were, so that a retry with the same key consists of the same pieces.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from tailrace.errors import BadInput, TooLarge, Unsupported
from tailrace.limits import MIB, PUSH_BATCH_BYTES, PUSH_BYTES_MAX, PUSH_ZSTD_WINDOW_LOG_MAX

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = ("identity", "gzip", "zstd")
_STEP_BYTES = 1 * MIB


class Decoder(Protocol):
    """Decompresses step by step: ``step(more)`` gives at most _STEP_BYTES, nothing when it needs more input."""

    def step(self, data: bytes) -> bytes:
        """Take more input (or none) and return some output."""
        ...

    def end(self) -> None:
        """Raise BadInput when the body ended too early."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._one = zlib.decompressobj(wbits=31)
        self._rest = b""

    def step(self, data: bytes) -> bytes:
        data = self._rest + data
        if self._one.eof and data:  # a gzip file may be several, one behind the other
            self._one = zlib.decompressobj(wbits=31)
        try:
            out = self._one.decompress(data, _STEP_BYTES)
        except zlib.error as error:
            raise BadInput(f"the body is not gzip: {error}", cure="Check Content-Encoding.") from error
        self._rest = self._one.unused_data if self._one.eof else self._one.unconsumed_tail
        return out

    def end(self) -> None:
        if not self._one.eof:
            raise BadInput("the gzip body is not complete", cure="Send it again.")


class _Zstd:
    def __init__(self) -> None:
        self._rest = b""
        self._one = self._new()

    def _new(self) -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: PUSH_ZSTD_WINDOW_LOG_MAX})

    def step(self, data: bytes) -> bytes:
        if self._one.eof:
            data = self._rest + data
            if not data:
                return b""
            self._one, self._rest = self._new(), b""
        try:
            out = self._one.decompress(data, _STEP_BYTES)
        except zstd.ZstdError as error:
            raise BadInput(f"the body is not zstd: {error}", cure="Check Content-Encoding.") from error
        if self._one.eof:
            self._rest = self._one.unused_data
        return out

    def end(self) -> None:
        if not self._one.eof:
            raise BadInput("the zstd body is not complete", cure="Send it again.")


class _Identity:
    def step(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        return


_DECODERS: dict[str, Callable[[], Decoder]] = {"identity": _Identity, "": _Identity, "gzip": _Gzip, "zstd": _Zstd}


class Body:
    """Gathers what was decoded, and gives it out in pieces."""

    def __init__(self, encoding: str) -> None:
        """Read a body of this Content-Encoding. Raises Unsupported."""
        make = _DECODERS.get(encoding.strip().lower())
        if make is None:
            raise Unsupported(f"Content-Encoding {encoding[:40]!r} is not known", cure=f"Use {', '.join(ENCODINGS)}.")
        self._decoder = make()
        self._waiting = bytearray()
        self._looked = 0
        self.bytes = 0

    @property
    def plain(self) -> bool:
        """Whether there is nothing to decompress."""
        return isinstance(self._decoder, _Identity)

    def feed(self, data: bytes) -> bool:
        """Decode some; tell whether there is more to decode without more input. Raises BadInput, TooLarge."""
        out = self._decoder.step(data)
        self.bytes += len(out)
        if self.bytes > PUSH_BYTES_MAX:
            raise TooLarge(
                f"a push has at most {PUSH_BYTES_MAX} bytes after decompression", cure="Send it in several pushes."
            )
        self._waiting += out
        return bool(out) and not self.plain

    def end(self) -> None:
        """Tell that no more comes. Raises BadInput when it ended too early."""
        self._decoder.end()
        if self._waiting and self._waiting[-1] != ord("\n"):
            self._waiting += b"\n"

    def first(self) -> bytes:
        """Return the first byte that is not white space, as far as it has come."""
        return bytes(self._waiting[:64]).lstrip()[:1]

    def piece(self, *, ended: bool) -> bytes:
        """Return the next piece of whole lines, or nothing while it is not complete."""
        waiting = self._waiting
        if not ended and len(waiting) < PUSH_BATCH_BYTES:
            return b""
        cut = waiting.rfind(b"\n", 0, PUSH_BATCH_BYTES) + 1
        if not cut:
            cut = waiting.find(b"\n", self._looked) + 1
            self._looked = 0 if cut else len(waiting)
        piece = bytes(memoryview(waiting)[:cut])
        del waiting[:cut]
        return piece

    def whole(self) -> bytes:
        """Return everything that has come; the body has ended."""
        return bytes(self._waiting)
