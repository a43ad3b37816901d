"""What the guide and the README show is run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "guide" / "sdk.md", ROOT / "sdk" / "README.md"]


def programs():
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks):
            yield pytest.param(block, id=f"{page.stem}-{number}")


@pytest.mark.parametrize("program", list(programs()))
def test_a_program_that_is_shown_runs_and_logs(tmp_path, request, program, logged, run):
    if "structlog" in program:
        pytest.importorskip("structlog")
        pytest.importorskip("loguru")
    if "127.0.0.1:7800" in program:
        program = program.replace("http://127.0.0.1:7800", request.getfixturevalue("tailrace").url)
    done = run(program, cwd=tmp_path)
    assert done.stderr.count(b"Traceback") == 0
    assert logged(tmp_path / "logs")
