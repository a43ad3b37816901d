"""One measured figure, printed as a JSON line."""

import json
from typing import Literal


def figure(
    name: str, value: float, unit: str, *, asked: float | None = None, better: Literal["less", "more"] = "less"
) -> None:
    """Print a figure, and whether it is what was asked for."""
    line: dict[str, object] = {"figure": name, "value": round(value, 3), "unit": unit}
    if asked is not None:
        line |= {"asked": asked, "reached": value <= asked if better == "less" else value >= asked}
    print(json.dumps(line), flush=True)
