"""What runs, as a table for people."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dsproj.host.engine import Engine


def table(engine: Engine) -> Iterator[str]:
    """A line for each process or container of a service."""
    states = engine.states()
    services = [state.service for state in states]
    yield f"{'SERVICE':<16}{'ID':<14}{'PORT':<7}{'UP':<11}STATE"
    for state in states:
        label = state.service if services.count(state.service) == 1 else state.name
        up = "" if state.seconds is None else time.strftime("%H:%M:%S", time.gmtime(state.seconds))
        health = f"{state.health}: {state.reason}" if state.reason else state.health
        yield f"{label:<16}{state.pid:<14}{state.port:<7}{up:<11}{health}"
    yield from engine.notes(states)
