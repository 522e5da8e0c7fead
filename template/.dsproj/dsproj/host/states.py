"""What runs, and what memory it takes, as tables for people."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dsproj.errors import Problem
from dsproj.host import stores_elsewhere
from dsproj.host.engine import Engine, memory_variable
from dsproj.settings import start_command


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
    yield from stores_elsewhere.states(engine)
    yield from engine.notes(states)


def memory(engine: Engine) -> Iterator[str]:
    """The same for what each uses, its limit, the most that it had, and the variable of .env."""
    if not (states := engine.usage()):
        raise Problem("Nothing runs", start_command(engine.name))
    services = [state.service for state in states]
    yield f"{'SERVICE':<16}{'USED':>10}{'LIMIT':>10}{'PEAK':>10}  IN .env"
    for state in states:
        label = state.service if services.count(state.service) == 1 else state.name
        sizes = ("-" if size is None else f"{size / 2**20:,.0f} MB" for size in (state.used, state.limit, state.peak))
        yield f"{label:<16}{''.join(f'{size:>10}' for size in sizes)}  {memory_variable(state.service)}".rstrip()
    yield engine.counting
