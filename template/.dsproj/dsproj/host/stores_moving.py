"""The stores' contents on the way from one machine to another: nobody writes meanwhile, and the other side has no more than they."""

from __future__ import annotations

from typing import Any

from dsproj.files import sha256
from dsproj.host import backup
from dsproj.host.engine import STORES, Engine
from dsproj.host.loading import loader
from dsproj.report import Report
from dsproj.settings import PROJECT

# As psql runs it: a command for each table, and the table's name as backup.row_counts has it.
TABLES = r"""
SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', table_schema, table_name), format('%s.%s', table_schema, table_name)
FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


def pause(engine: Engine, report: Report) -> None:
    """End kernels, jobs and services, and leave the stores running, with what a backup needs."""
    engine.stop(report)
    engine.start("this_postgres", report=report)
    others = [name for name in STORES[1:] if name != "this_mongo" or engine.settings.mongo]
    engine.start(*others, "this_jupyter", report=report)
    loader(engine, report, "missing")  # waits for the server


def save(engine: Engine, report: Report) -> dict[str, Any]:
    """A backup of a paused stack: {file: its path in the project, sha256, tables: the names of all}."""
    path = backup.save(engine, report, moves=True)
    tables = list(backup.row_counts(engine))
    return {"file": str(path.relative_to(PROJECT)), "sha256": sha256(path), "tables": tables}


def restore(engine: Engine, report: Report, saved: dict[str, Any]) -> None:
    """Put such a backup, which is here now, in the place of all that the stores hold. Tables that it has not, go."""
    backup.restore(engine, report, str(PROJECT / saved["file"]), force=True)
    for database in backup.databases(engine) if engine.here("this_postgres") else ():
        for command, table in backup.sql(engine, TABLES, database):
            if f"{database}: {table}" not in saved["tables"]:
                backup.sql(engine, command, database)
