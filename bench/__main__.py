"""Run the benches: `python -m bench [NAME [PART ...] ...]`. Each prints JSON lines; bench/figure.py has their shape."""

import importlib
import pkgutil
import sys
from pathlib import Path

NOT_BENCHES = {"__main__", "figure", "loggers", "process", "viewers"}


def main() -> int:
    """Run the named benches, or all of them, one after the other."""
    known = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name not in NOT_BENCHES)
    wanted: list[tuple[str, list[str]]] = []
    for word in sys.argv[1:] or known:
        if word in known:
            wanted.append((word, []))
        elif wanted and word in getattr(importlib.import_module(f"bench.{wanted[-1][0]}"), "PARTS", {}):
            wanted[-1][1].append(word)
        else:
            print(f"no bench or part called {word}; there are: {' '.join(known)}", file=sys.stderr)
            return 2
    for name, parts in wanted:
        importlib.import_module(f"bench.{name}").main(*([parts] if parts else []))
    return 0


if __name__ == "__main__":
    sys.exit(main())
