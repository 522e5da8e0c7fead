"""TCP ports of this machine that are free."""

from __future__ import annotations

import socket
from collections.abc import Collection

from dsproj.errors import Problem

HIGHEST = 32767  # from 32768 on, operating systems hand out ports for outgoing connections


def port_is_free(port: int) -> bool:
    """Can a server listen on this TCP port of 127.0.0.1?"""
    with socket.socket() as probe:
        # As servers do: a port whose last connection is just closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted: int, taken: Collection[int] = ()) -> int:
    """The wanted port, or the next one above it that is free and not among `taken`; Problem where there is none."""
    top = max(HIGHEST, min(wanted + 1000, 65535))
    for port in range(wanted, top + 1):
        if port not in taken and port_is_free(port):
            return port
    raise Problem(f"No port from {wanted} to {top} is free on 127.0.0.1")
