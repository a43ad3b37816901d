"""Numbers as a person reads them."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """Return a number of bytes for a person: ``310 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def count_text(count: float) -> str:
    """Return a number of things for a person: ``1.2 M``."""
    for unit in ("", " k", " M"):
        if count < 999.5:
            return f"{count:.0f}{unit}" if not unit or count >= 99.95 else f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g} G"
