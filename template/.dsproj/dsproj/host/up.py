"""Bring the project up: the one way, for `make up`, for generation and for `python3 local/stack.py up`."""

from __future__ import annotations

from dsproj.host import datasets, first_env
from dsproj.host.engine import Engine, chosen
from dsproj.report import Report


def up(report: Report, made: first_env.Made | None = None) -> Engine:
    """Start everything, load what is not loaded, and return when all of it is healthy.

    `made` says what was done about .env, where that has happened already. The seed goes before the other services: it says
    what is wrong with a data file, where they would only wait for a healthy database.
    """
    if made is None:
        made = first_env.make()
        for note in made.notes:
            report.done("settings", note)
    engine = chosen()
    engine.check(made.fresh)
    engine.start("this_postgres", report=report)
    datasets.up(engine, report)
    engine.start(report=report)
    return engine
