"""The loopback interface: down in a network namespace that was just made (``unshare -n``), where we can raise it."""

from __future__ import annotations

import fcntl
import socket
import struct

from event_backbone.errors import Fault, SettingsError

# linux/sockios.h and linux/if.h
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_IFREQ = struct.Struct("16sH14x")
_NAME = b"lo"


def _flags(device: socket.socket) -> int:
    _, flags = _IFREQ.unpack(fcntl.ioctl(device, _SIOCGIFFLAGS, _IFREQ.pack(_NAME, 0)))
    return int(flags)


def raise_loopback() -> bool:
    """Bring ``lo`` up if it is down; return whether it had to be.

    Raises:
        SettingsError: when it is down and this process may not change it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        try:
            flags = _flags(device)
            if flags & _IFF_UP:
                return False
            fcntl.ioctl(device, _SIOCSIFFLAGS, _IFREQ.pack(_NAME, flags | _IFF_UP))
        except OSError as error:
            message = f"is down and can't be brought up ({error.strerror}); as root: ip link set lo up"
            raise SettingsError("network", [Fault("loopback interface", "down", message)]) from None
    return True
