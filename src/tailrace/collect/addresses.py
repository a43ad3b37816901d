"""The addresses of this machine, which may stand in the name of a key: as the kernel lists them, without names."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

from tailrace.limits import ADDRESSES_MAX

_SIOCGIFCONF = 0x8912
_INTERFACE_BYTES = 40
"""``struct ifreq`` on 64 bits: a name of 16 bytes, then the address."""
_IPV6 = Path("/proc/net/if_inet6")


def addresses() -> list[str]:
    """Return the addresses that others can reach us at, those of version 4 first; none of loopback or one link only."""
    found = [ipaddress.ip_address(address) for address in (*_version_4(), *_version_6())]
    kept = [str(one) for one in found if not (one.is_loopback or one.is_link_local or one.is_unspecified)]
    return list(dict.fromkeys(kept))[:ADDRESSES_MAX]


def _version_4() -> list[bytes]:
    room = array.array("B", bytes(_INTERFACE_BYTES * 4 * ADDRESSES_MAX))
    place, size = room.buffer_info()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFCONF, struct.pack("iL", size, place))
    except OSError:
        return []
    (used, _) = struct.unpack("iL", answer)
    listed = room.tobytes()[:used]
    return [listed[at + 20 : at + 24] for at in range(0, used, _INTERFACE_BYTES)]


def _version_6() -> list[bytes]:
    lines: list[str] = []
    with suppress(OSError):
        lines = _IPV6.read_text("ascii").splitlines()
    return [bytes.fromhex(line.split()[0]) for line in lines]
