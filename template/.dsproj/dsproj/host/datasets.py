"""The project's data sets: add one, fetch what is missing, load what is not loaded."""
# A file comes to data/, its .env file to docker/postgres/datasets/, beside it the SQL file; then the rows are loaded.
# Each step leaves what the next run of the same command goes on from.

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial as later
from typing import Any

from dsproj.errors import Problem
from dsproj.host import documents
from dsproj.host.adding import bring
from dsproj.host.again import again, append
from dsproj.host.engine import Engine
from dsproj.host.loading import finish, load, loader, prepare
from dsproj.host.several import files_of
from dsproj.host.source import checked_source, part_of
from dsproj.names import is_link, is_table_name, table_name
from dsproj.report import Report
from dsproj.sets import DataSet, data_sets
from dsproj.settings import PROJECT


def up(engine: Engine, report: Report) -> None:
    """Load what is not loaded, and fetch only what that needs; this_postgres runs."""
    missing = loader(engine, report, "missing")
    each_of(later(prepare, engine, report, part) for each in data_sets() if each.table in missing for part in each.all)
    load(engine, report, "once")


def seed(engine: Engine, report: Report, table: str = "", force: bool = False, to: str = "") -> None:
    """Load the data sets, or one of them, each once; `force` drops its table and loads it again.

    to: "mongo" for the documents, where a table and a collection have one name.
    """
    tables, names = [each.table for each in data_sets()], documents.names()
    if names and (not table or table in names and (to or table not in tables)):
        documents.load(engine, report, "force" if force and table else "once", table)
        if table or not tables:
            return
    engine.start("this_postgres", report=report)
    load(engine, report, "force" if force else "once", *filter(None, [table]))


def dataset(
    engine: Engine, report: Report, source: str = "", table: str = "", mode: str = "", to: str = "", **options: str
) -> None:
    """Add a data set from a path or link, or without one: fetch every file that is missing and load what is not loaded.

    All as it was typed; mode: "append" or "replace", for a table that is there; options: header ("yes" or "no"), columns
    (names, with commas between them), encoding, bad, widths (of the columns of a file that nothing else parts), filename ("1":
    keep it, of several files). files: "one" table of several files, or "each" a table of its own. to: "mongo" for documents.
    """
    if to.strip():
        return documents.dataset(engine, report, to.strip(), source.strip(), table.strip(), mode.strip(), options)
    if source.strip():
        files = options.pop("files", "").strip() or "one"
        if files not in ("one", "each"):
            raise Problem(f"FILES={files}: one (table for all files) or each (a table for each)")
        words = [f"--{name}={value.strip()}" for name, value in options.items() if value.strip()]
        return (add_each if files == "each" else add)(
            engine, report, source.strip(), table.strip(), mode.strip(), words
        )
    declared = data_sets()
    if not declared and not documents.names():
        raise Problem("There is no data set yet; to add one", "make dataset SOURCE=<path or link>")
    steps = [later(prepare, engine, report, part) for each in declared for part in each.all]
    if declared:
        engine.start("this_postgres", report=report)
        steps.append(later(load, engine, report, "replace-sample"))
    each_of([*steps, later(documents.load, engine, report, "real")])


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


def add_each(engine: Engine, report: Report, source: str, table: str, mode: str, options: Sequence[str]) -> None:
    """A data set from each file of a folder or pattern, also after one that is refused; `table` is how their names begin."""
    if not (several := files_of(os.path.abspath(os.path.expanduser(source)))):
        raise Problem(f"SOURCE={source}: FILES=each is for a folder, or for a pattern such as sales-*.csv")
    name = f"{table}_" if table else ""
    each_of(
        later(add, engine, report, str(path), f"{name}{table_name(str(path))}"[:63] if name else "", mode, options)
        for _, path in several
    )


def add(engine: Engine, report: Report, source: str, table: str, mode: str, options: Sequence[str]) -> None:
    """Fetch, declare, infer, load: a data set from a path or link, or what its table is to become."""
    part, source = part_of(source), checked_source(source)
    options = [*options, *[f"--part={part}"] * bool(part)]
    wanted = table or table_name(part or source)
    known, begun = known_as(wanted, mode, any_table=not table)
    engine.start("this_postgres", report=report)
    if known and mode == "append":
        append(engine, report, known, source, options)
    elif known and not begun:
        again(engine, report, known, source, options, mode)
    elif begun and is_link(source) and begun.sources == (source,) and begun.path.is_file():
        finish(engine, report, begun, options)
    else:
        if not begun:
            loader(engine, report, "vacant", wanted)
        elif begun.table != wanted:
            report.done("schema", f"the table is called {begun.table}, as lib/ and the notebooks know it")
        env = PROJECT / "docker" / "postgres" / "datasets" / f"{wanted}.env"
        bring(engine, report, begun or DataSet(env, wanted, "", "", "", (), env.with_suffix(".sql")), source, options)


def known_as(wanted: str, mode: str, any_table: bool) -> tuple[DataSet | None, DataSet | None]:
    """(the data set of this table, one that was begun and not ended); Problem with the table's name, or with MODE."""
    if not is_table_name(wanted):
        rule = 'a table name is 1 to 63 lower-case letters, digits and "_", and starts with a letter'
        raise Problem(f"TABLE={wanted}: {rule}")
    if mode not in ("", "append", "replace"):
        raise Problem(f"MODE={mode}: append adds the rows of a file to a table, replace loads the table from it anew")
    declared = data_sets()
    known = next((each for each in declared if each.table == wanted), None)
    # Also the project's own data set, whose file could not be had or not be read.
    own = [each for each in declared if any_table and each.is_first]
    begun = next((each for each in (*own, known) if each and not each.is_written), None)
    if mode and (known is None or begun):
        raise Problem(
            f"MODE={mode}: {wanted} is no data set that is here; there are: {names_of(declared)}",
            f"make dataset SOURCE=… TABLE=<one of them> MODE={mode}",
        )
    return known, begun


def names_of(declared: Sequence[DataSet]) -> str:
    return ", ".join(each.table for each in declared if each.is_written) or "none"
