"""Run the benches: `python -m bench [NAME ...]`. Each prints JSON lines; see bench/figure.py for their shape."""

import importlib
import pkgutil
import sys
from pathlib import Path

NOT_BENCHES = {"__main__", "figure", "loggers", "process"}


def main() -> int:
    """Run the named benches, or all of them, one after the other."""
    known = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name not in NOT_BENCHES)
    wanted = sys.argv[1:] or known
    if unknown := set(wanted) - set(known):
        print(f"no bench called {', '.join(sorted(unknown))}; there are: {' '.join(known)}", file=sys.stderr)
        return 2
    for name in wanted:
        importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
