"""``python -m tailrace.cli``: the same as ``tailrace``."""

import sys

from tailrace.cli import main

sys.exit(main())
