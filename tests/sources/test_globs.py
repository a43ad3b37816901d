import fnmatch
import glob
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.sources.globs import Fence, Index, fits


@pytest.mark.parametrize(
    ("pattern", "path", "fitting"),
    [
        ("/var/log/*.log", "/var/log/a.log", True),
        ("/var/log/*.log", "/var/log/sub/a.log", False),
        ("/var/log/**/*.log", "/var/log/a.log", True),
        ("/var/log/**/*.log", "/var/log/x/y/a.log", True),
        ("/var/log/**", "/var/log/x/y", True),
        ("/var/log", "/var/log/x/y", True),
        ("/var/log", "/var/logs", False),
        ("/var/log/*", "/var/log/x/y", True),
        ("*.1", "/var/log/a.log.1", True),
        ("*.1", "/var/log.1/a.log", False),
        ("/a/?.log", "/a/b.log", True),
        ("/a/?.log", "/a/bb.log", False),
        ("/a/[!b-d].log", "/a/c.log", False),
        ("/a/[!b-d].log", "/a/e.log", True),
        ("/a/[[]x].log", "/a/[x].log", True),
        ("/a/a+b(c).log", "/a/a+b(c).log", True),
        ("/a/new\nline", "/a/new\nline", True),
    ],
)
def test_a_pattern_fits_as_people_expect(pattern, path, fitting):
    assert fits((pattern,), path) is fitting


PARTS = st.text("ab.[]!*?-^\\", min_size=1, max_size=6).filter(lambda part: part not in (".", "..", "**"))


@given(name=st.text("ab.[]!-^\\", min_size=1, max_size=6).filter(lambda name: name not in (".", "..")), pattern=PARTS)
def test_a_part_fits_when_it_does_for_fnmatch(name, pattern):
    if "**" in pattern or "[" in pattern.replace("[!", "["):
        return  # how a class without an end or backwards is read differs
    assert fits((f"/x/{pattern}",), f"/x/{name}") == fnmatch.fnmatchcase(name, pattern)


def test_an_escaped_path_fits_itself_whatever_is_in_it():
    path = "/a/[b]*?.log"
    assert fits((glob.escape(path),), path)


def test_the_first_pattern_that_covers_a_path_is_found():
    index = Index([("/a/x.log", ()), ("/a/*.log", ("b.log",)), ("/a", ()), ("/*/b.log", ())])
    assert [index.find(path) for path in ("/a/x.log", "/a/y.log", "/a/b.log", "/c/b.log", "/c/x.log")] == [
        0,
        1,
        2,
        3,
        None,
    ]


def test_the_files_of_the_kernel_are_refused_but_not_those_in_memory():
    fence = Fence()
    assert all(map(fence.refuses, ("/proc/kcore", "/sys/x", "/dev/zero")))
    assert not any(map(fence.refuses, ("/dev/shm/a.log", "/var/log/a.log", "/procession")))


def test_what_is_allowed_and_what_is_excluded_is_decided_by_real_paths(tmp_path):
    for name in ("real", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("real")
    real = os.path.realpath(tmp_path)
    assert Fence(exclude=[str(tmp_path / "link")]).refuses(f"{real}/real/a.log")
    fence = Fence(allow=[str(tmp_path / "link")])
    assert not fence.refuses(f"{real}/real/a.log")
    assert fence.refuses(f"{real}/other/a.log")
    assert fence.refuses(f"{real}/really.log")
