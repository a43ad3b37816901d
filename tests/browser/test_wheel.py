"""What is packed has the page in it: nobody who installs it needs Node."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.apps.programs import environment

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.mark.slow
def test_the_wheel_contains_the_page_and_its_licence(tmp_path):
    if not UV.exists():
        pytest.skip("uv is not in this environment")
    built = subprocess.run(
        [UV, "build", "--wheel", "--quiet", "--out-dir", tmp_path, ROOT],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        page = packed.read("tailrace/page/index.html").decode()
    for asset in re.findall(r'(?:src|href)="\./([^"]+)"', page):
        assert f"tailrace/page/{asset}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_lock_file_names_no_registry():
    text = (ROOT / "web" / "package-lock.json").read_text()
    assert '"resolved"' not in text
