"""The project's data sets: add one, fetch what is missing, load what is not loaded."""
# A file comes to data/, its .env file to docker/postgres/datasets/, beside it the SQL file; then the rows are loaded.
# Each step leaves what the next run of the same command goes on from.

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial as later
from typing import Any

from dsproj.errors import Problem
from dsproj.host.adding import add
from dsproj.host.engine import Engine
from dsproj.host.loading import loader, prepare
from dsproj.report import Report
from dsproj.sets import data_sets


def up(engine: Engine, report: Report) -> None:
    """Load what is not loaded, and fetch only what that needs; this_postgres runs."""
    missing = loader(engine, report, "missing")
    each_of(later(prepare, engine, report, each) for each in data_sets() if each.table in missing)
    loader(engine, report, "once")


def seed(engine: Engine, report: Report, table: str = "", force: bool = False) -> None:
    """Load the data sets, or one of them, each once; `force` drops its table and loads it again."""
    engine.start("this_postgres", report=report)
    loader(engine, report, "force" if force else "once", *filter(None, [table]))


def dataset(engine: Engine, report: Report, source: str = "", table: str = "", **options: str) -> None:
    """Add a data set from a path or link, or without one: fetch every file that is missing and load what is not loaded.

    All as it was typed; options: header ("yes" or "no"), columns (names, with commas between them), encoding, bad.
    """
    if source.strip():
        words = [f"--{name}={value.strip()}" for name, value in options.items() if value.strip()]
        add(engine, report, source.strip(), table.strip(), words)
        return
    declared = data_sets()
    if not declared:
        raise Problem("There is no data set yet; to add one", "make dataset SOURCE=<path or link>")
    engine.start("this_postgres", report=report)
    steps = [later(prepare, engine, report, each) for each in declared]
    each_of([*steps, later(loader, engine, report, "replace-sample")])


def each_of(steps: Iterable[Callable[[], Any]]) -> None:
    """Take every step, also after one that fails; then the Problem of what failed."""
    problems = []
    for step in steps:
        try:
            step()
        except Problem as problem:
            problems.append(problem)
    if problems:
        raise problems[0] if len(problems) == 1 else Problem("\n".join(map(str, problems)))


def ledger(engine: Engine) -> list[list[Any]]:
    """What is loaded: [[table, number of rows, is it the synthetic sample?], …]; this_postgres runs."""
    return list(loader(engine, Report(), "ledger"))
