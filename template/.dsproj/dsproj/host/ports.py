"""TCP ports of this machine: which are free, and what to do about one of .env that is not."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable

from dsproj.errors import Problem
from dsproj.report import Report
from dsproj.settings import Settings, change

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


def move(names: Iterable[str], settings: Settings, report: Report) -> dict[str, int]:
    """Give these variables of .env, whose ports other programs hold, the next free ones: {name: port}."""
    taken = {settings.port(name) for name in settings if name.endswith("PORT")}
    moved: dict[str, int] = {}
    for name in names:
        moved[name] = free_port(settings.port(name) + 1, taken)
        taken.add(moved[name])
        report.done("ports", f"{settings[name]} is taken by another program: {name}={moved[name]} in .env")
    if moved:
        change(moved)
        settings.update({name: str(port) for name, port in moved.items()})
    return moved
