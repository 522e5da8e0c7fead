"""Withdraw a data set: its table, and what declares it. The data file stays, and what was written by hand."""

from __future__ import annotations

import time

from dsproj.errors import Problem
from dsproj.host import documents
from dsproj.host.confirm import confirm
from dsproj.host.engine import Engine
from dsproj.host.loading import ledger, loader
from dsproj.report import Report
from dsproj.sets import data_sets, shown
from dsproj.settings import slug


def drop(engine: Engine, report: Report, table: str, force: bool, to: str = "") -> None:
    """Drop the table of a data set, if it is loaded, and set its .env and SQL file aside.

    A person is asked first where rows go, unless `force`. Or the same with a collection, of two of one name with `to` "mongo".
    """
    known = {each.table: each for each in data_sets()}
    if table in documents.names() and (to == "mongo" or table not in known):
        return documents.drop(engine, report, table, force)
    if table not in known or to:
        names = ", ".join([*known, *documents.names()]) or "none"
        raise Problem(f"DROP={table}: there is no such data set; there are: {names}", "make dataset DROP=<one of them>")
    engine.start("this_postgres", report=report)
    if loaded := [entry for entry in ledger(engine) if entry[0] == table]:
        what = f"This drops table {table}, {loaded[0][1]:,} rows when it was loaded, and your changes to it."
        if table in documents.names():
            what += f"\nThe collection of that name stays; to drop that one: make dataset DROP={table} TO=mongo"
        confirm(what, slug(), force)
    loader(engine, report, "drop", table)
    for each in reversed(known[table].all):
        for path in (each.sql, each.env):  # in this order: without the .env file nothing is declared
            if path.exists():
                aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.dropped")
                path.rename(aside)
                report.done("schema", f"{shown(path)} is {aside.name} now: rename it to have it back, or delete it")
        if each.path.is_file():
            report.done("data", f"{shown(each.path)} stays; delete it if nothing else needs it")
