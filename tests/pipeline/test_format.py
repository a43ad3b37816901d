from zoneinfo import ZoneInfo

import pytest

from tailrace.errors import ConfigError
from tailrace.pipeline.format import WORDS, format_of, zone_of
from tailrace.pipeline.layouts import NAMES


@pytest.mark.parametrize("name", [*WORDS, *NAMES])
def test_every_name_of_the_reference_is_a_format(name):
    assert format_of(name) != format_of("")


@pytest.mark.parametrize(("wrong", "meant"), [("jsno", "json"), ("ngnix-error", "nginx-error"), ("CRI", "cri")])
def test_a_name_that_is_nearly_right_is_suggested(wrong, meant):
    with pytest.raises(ConfigError) as caught:
        format_of(wrong)
    assert repr(meant) in caught.value.cure


def test_a_zone_is_an_iana_name():
    assert zone_of("Asia/Shanghai") == ZoneInfo("Asia/Shanghai")
    assert zone_of("") is None


@pytest.mark.parametrize("wrong", ["Asia/Shangai", "CEST+1", "../etc/passwd", "/etc/localtime"])
def test_another_zone_is_refused(wrong):
    with pytest.raises(ConfigError, match="no time zone"):
        zone_of(wrong)
