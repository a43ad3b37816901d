"""The addresses of this machine, against what its own sockets use."""

import ipaddress
import socket

import pytest

from tailrace.collect.addresses import addresses


def test_the_address_that_leads_away_is_among_them():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("198.51.100.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no way out")
        assert one.getsockname()[0] in addresses()


def test_none_is_of_this_machine_only():
    for address in addresses():
        one = ipaddress.ip_address(address)
        assert not one.is_loopback
        assert not one.is_link_local
    assert len(set(addresses())) == len(addresses())
