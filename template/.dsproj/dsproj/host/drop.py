"""Withdraw a data set: its table or collection, and what declares it. The data file stays, and what was written by hand."""

from __future__ import annotations

import time

from dsproj.errors import Problem
from dsproj.host import documents
from dsproj.host.confirm import confirm
from dsproj.host.engine import Engine
from dsproj.host.loading import ledger, loader
from dsproj.report import Report
from dsproj.sets import DataSet, collections, data_sets, shown
from dsproj.settings import slug


def drop(engine: Engine, report: Report, name: str, force: bool, to: str = "") -> None:
    """Drop what a data set has loaded, and set its .env and SQL file aside: the table, or the collection of this name.

    Of two of one name it is the table, unless `to` is "mongo". A person is asked first where rows go, unless `force`.
    """
    tables = {each.table: each for each in data_sets()}
    stored = {each.table: each for each in collections()}
    if name in stored and (to == "mongo" or name not in tables):
        drop_collection(engine, report, stored[name], force)
    elif name in tables and not to:
        drop_table(engine, report, tables[name], force, also=name in stored)
    else:
        names = ", ".join([*tables, *stored]) or "none"
        raise Problem(f"DROP={name}: there is no such data set; there are: {names}", "make dataset DROP=<one of them>")


def drop_table(engine: Engine, report: Report, known: DataSet, force: bool, also: bool) -> None:
    engine.start("this_postgres", report=report)
    if rows := [entry[1] for entry in ledger(engine) if entry[0] == known.table]:
        what = f"This drops table {known.table}, {rows[0]:,} rows when it was loaded, and your changes to it."
        if also:
            what += f"\nThe collection of that name stays; to drop that one: make dataset DROP={known.table} TO=mongo"
        confirm(what, slug(), force)
    loader(engine, report, "drop", known.table)
    set_aside(report, known)


def drop_collection(engine: Engine, report: Report, known: DataSet, force: bool) -> None:
    engine.start("this_mongo", report=report)
    if loaded := [entry[1] for entry in documents.ledger(engine) if entry[0] == known.table]:
        what = (
            f"This drops collection {known.table}, {loaded[0]:,} documents when it was loaded, and your changes to it."
        )
        confirm(what, slug(), force)
    documents.loader(engine, report, "drop", known.table)
    set_aside(report, known)


def set_aside(report: Report, known: DataSet) -> None:
    """Rename what declares a data set, so that it is none any more, and name its files."""
    for each in reversed(known.all):
        for path in (each.sql, each.env):  # in this order: without the .env file nothing is declared
            if path.exists():
                aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.dropped")
                path.rename(aside)
                report.done("dataset", f"{shown(path)} is {aside.name} now: rename it to have it back, or delete it")
        if each.path.is_file():
            report.done("data", f"{shown(each.path)} stays; delete it if nothing else needs it")
