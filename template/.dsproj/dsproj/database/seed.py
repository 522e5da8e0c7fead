"""Load the data sets, each once: a data set's SQL file is run in one transaction, and noted in the ledger (ledger.py)."""

import os
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor
from psycopg2.sql import SQL, Identifier

from dsproj.database import ledger, server
from dsproj.database.copying import copy
from dsproj.database.explain import Attempt
from dsproj.database.sqlfile import steps
from dsproj.errors import Problem
from dsproj.files import sha256
from dsproj.report import Report, Stopwatch, serve
from dsproj.sets import PROJECT, DataSet, data_sets, shown

DATA = PROJECT / "data"
# once [TABLE]            loads what the ledger does not have
# replace-sample [TABLE]  the same, and the real file where only the synthetic sample is in the table
# add TABLE               the same as once, for a new one: what the server refuses has to be given anew
# append TABLE            adds the rows of a file that is declared since; what the server refuses has to be given anew
# replace TABLE           the same as force, for another file
# drop TABLE              drops the table, if a seed has made it
# force [TABLE]           drops the table and loads it again (TABLE may be left out where there is one data set)
# missing                 the tables that cannot be loaded yet: no data file, or no SQL file
# keep                    what the ledger says now outlives a restore
# vacant TABLE            may a new data set have this table name?
# ledger                  what is loaded: [[table, rows, is it the synthetic sample?, names of appended files], …]
MODES = ("once", "replace-sample", "add", "append", "replace", "drop", "force", "missing", "keep", "vacant", "ledger")
EXISTS = "SELECT to_regclass(quote_ident(%s)) IS NOT NULL"
VACANT = """
SELECT CASE WHEN EXISTS (SELECT FROM pg_get_keywords() WHERE word = %(table)s AND catcode IN ('R', 'T'))
              OR %(table)s = 'dsproj_seed' THEN 'is a reserved word'
            WHEN to_regclass(quote_ident(%(table)s)) IS NOT NULL THEN 'is the name of a table that is there already'
       END
"""


def main(report: Report, mode: str = "once", table: str = "") -> Any:
    """Do what a mode says. Every Problem of several data sets comes out, each of the others is loaded."""
    if mode not in MODES:
        raise Problem(f'what is "{mode}"? There are: {", ".join(MODES)}')
    if os.environ.get("SEED_WAIT", "yes") == "yes":
        server.wait(report)
    try:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            if mode == "keep":
                return ledger.keep(connection)
            if mode == "missing":
                ledger.prepare(connection)
                return missing(cursor)
            if mode == "vacant":
                return check_vacant(cursor, table)
            if mode == "ledger":
                entries = ledger.entries(cursor).values()
                return [[each.table_name, each.row_count, each.synthetic, each.names[1:]] for each in entries]
    except psycopg2.Error as error:
        raise Problem(f"the database does not answer: {error}".strip(), "make up") from None
    return load_all(report, mode, table)


def missing(cursor: Cursor) -> list[str]:
    """Tables that cannot be loaded yet, or not with the rows of all their files."""
    loaded = ledger.entries(cursor)
    waiting = []
    for each in data_sets():
        known = loaded.get(each.table)
        waiting += [part for part in each.parts if not known or not known.part(part.file)] + [each] * (not known)
    return [each.table for each in waiting if not (each.is_written and is_file(file_of(each)))]


def check_vacant(cursor: Cursor, table: str) -> None:
    """Problem where a new data set may not have this table name."""
    if taken := answer(cursor, VACANT, {"table": table}):
        raise Problem(f"{table} {taken}; choose another", f"make dataset SOURCE=… TABLE={table[:50]}_data")


def answer(cursor: Cursor, query: Any, values: Any = None) -> Any:
    """The one value of a query's one row."""
    cursor.execute(query, values)
    (value,) = cursor.fetchone() or (None,)
    return value


def load_all(report: Report, mode: str, table: str) -> list[str]:
    """Load what is chosen; the tables that are left, since their files are read where kernels run."""
    problems, kept, left = list[Problem](), list[ledger.Entry](), list[str]()
    for each in chosen_sets(report, mode, table):
        try:
            stays = load(report, each, mode)
            kept += stays or []
            left += [each.table] * (stays is None)
        except Problem as problem:
            problems.append(problem)
    if kept:
        listed = ", ".join(f"{each.table_name} ({each.row_count} rows)" for each in kept)
        report.done("seed", kept[0].loaded_already if len(kept) == 1 else f"loaded already: {listed}")
    if problems:
        raise problems[0] if len(problems) == 1 else Problem("\n".join(map(str, problems)))
    return left


def chosen_sets(report: Report, mode: str, table: str) -> list[DataSet]:
    declared = data_sets()
    chosen = [each for each in declared if each.table == (table or each.table)]
    names = ", ".join(each.table for each in declared)
    if not chosen and table:
        raise Problem(f"no data set makes a table {table}; there are: {names}", "make seed TABLE=<one of them>")
    if not chosen:
        report.done("seed", "no data set chosen, nothing to load; to add one: make dataset SOURCE=<path or link>")
    if mode == "force" and len(chosen) > 1:
        raise Problem(f"which one? There are: {names}", "make seed TABLE=<one of them> FORCE=1")
    return chosen


def file_of(chosen: DataSet) -> str:
    """The file in data/ to load: the synthetic sample where there is nothing else."""
    there = [name for name in (chosen.file, chosen.sample) if is_file(name)]
    return there[0] if there else chosen.file


def is_file(name: str) -> bool:
    return os.path.isfile(DATA / name)


def load(report: Report, chosen: DataSet, mode: str) -> list[ledger.Entry] | None:
    """Load one data set; its line in the ledger where nothing was to be done or said, None where it cannot be read here."""
    attempt = Attempt(chosen, mode, file_of(chosen))
    try:
        with closing(server.connect()) as connection:
            ledger.prepare(connection)
            with connection, connection.cursor() as cursor:  # all or nothing: the table, its rows, the ledger's line
                known, lines = in_transaction(cursor, report, attempt)
    except psycopg2.Error as error:
        raise attempt.explained(error, lost=not error.pgcode) from None
    for line in lines or ():
        report.done("seed", line)
    return None if lines is None else [known] if known and not lines else []


def in_transaction(cursor: Cursor, report: Report, attempt: Attempt) -> tuple[ledger.Entry | None, list[str] | None]:
    """Load what is not loaded; (what the ledger had, what to say of it, None where it has to be loaded from elsewhere)."""
    chosen, mode, file = attempt.chosen, attempt.mode, attempt.file
    cursor.execute(ledger.LOCK)
    known = ledger.entries(cursor).get(chosen.table)
    if mode == "drop":
        return known, drop(cursor, known, chosen.table)
    stays = known and mode not in ("force", "replace")
    if not stays or is_file(file):
        check_files(chosen, file)
        new = described(chosen, file, known)
        real_at_last = mode == "replace-sample" and known and known.synthetic and not new.synthetic
        if ledger.is_left(chosen, known, anew=not stays or bool(real_at_last)):
            return known, None
        if not stays or real_at_last:
            return known, replace(cursor, report, known, new, attempt)
    assert known
    lines = append_all(cursor, report, known, attempt)
    return known, lines or (keep(cursor, known, new, chosen) if is_file(file) else [])


def check_files(chosen: DataSet, file: str) -> None:
    """Problem where the data file or the SQL file is not there to be read."""
    table, sql = chosen.table, shown(chosen.sql)
    if not file:
        raise Problem(f"{table}: {shown(chosen.env)} names no SEED_FILE", "write it there, then: make up")
    if not is_file(file):
        raise Problem(f"{table}: data/{file} is missing", chosen.fetching)
    denied = "may not be read by the server; allow it"
    if not os.access(DATA / file, os.R_OK):
        raise Problem(f"{table}: data/{file} {denied}", f"chmod a+rx data && chmod a+r data/{file}")
    if not os.access(chosen.sql, os.R_OK) and chosen.sql.exists():
        raise Problem(f"{table}: {sql} {denied}", "chmod -R a+rX docker/postgres")
    if not chosen.is_written:
        raise Problem(f"{table}: {sql} is not written yet; to have it written", "make dataset")


def described(chosen: DataSet, file: str, known: ledger.Entry | None) -> ledger.Entry:
    """The ledger's line for a file, rows not counted yet."""
    found = os.stat(DATA / file)
    state = f"{found.st_size} {int(found.st_mtime)}"
    # A file of the size and time that the ledger has is not read again to learn its checksum.
    same = known and (known.file_name, known.file_state) == (file, state)
    checksum = known.sha256 if known and same else sha256(DATA / file)
    return ledger.Entry(chosen.table, file, checksum, 0, file != chosen.file, sha256(chosen.sql), state, [])


def keep(cursor: Cursor, known: ledger.Entry, new: ledger.Entry, chosen: DataSet) -> list[str]:
    """What to say of a table that stays as it is: [] where its files are what they were."""
    anew = f"has changed since; to drop the table and load it anew: make seed TABLE={known.table_name} FORCE=1"
    lines = []
    if known.synthetic and not new.synthetic:
        lines.append("this is the SYNTHETIC SAMPLE; to load the real file that is in data/ now: make dataset")
    elif known.sha256 != new.sha256:
        lines.append(f"data/{new.file_name} {anew}")
    elif known.sql_sha256 not in (None, new.sql_sha256):
        lines.append(f"{shown(chosen.sql)} {anew}")
    else:
        ledger.note(cursor, new)
    for part in chosen.parts:
        before = known.part(part.file)
        now = described(part, part.file, before) if is_file(part.file) else before
        if before and now and (before.sha256, before.sql_sha256) != (now.sha256, now.sql_sha256):
            lines.append(f"{shown(part.sql) if before.sha256 == now.sha256 else f'data/{part.file}'} {anew}")
    if {each["file_name"] for each in known.appended} - {part.file for part in chosen.parts}:
        lines.append(f"the number of its files {anew}")
    return [f"{known.loaded_already}"] * bool(lines) + lines


def drop(cursor: Cursor, known: ledger.Entry | None, table: str) -> list[str]:
    if known:
        unload(cursor, table)
    return [f"{table}: {'the table is dropped' if known else 'was not loaded'}"]


def append_all(cursor: Cursor, report: Report, known: ledger.Entry, attempt: Attempt) -> list[str]:
    """Add the rows of the files that are declared since a table was loaded; what to say of them."""
    lines = []
    for part in attempt.chosen.parts:
        if not known.part(part.file):
            added, said = append(cursor, report, part, attempt.mode)
            ledger.append(cursor, added)
            lines += [*said, f"{part.table}: {added.row_count} rows from data/{part.file} are added"]
    if lines:
        cursor.execute(SQL("ANALYZE {}").format(Identifier(known.table_name)))
    return lines


def append(cursor: Cursor, report: Report, part: DataSet, mode: str) -> tuple[ledger.Entry, list[str]]:
    """Add the rows of a further file; (the ledger's line for it, the warnings there were)."""
    check_files(part, part.file)
    report.doing(f"adding the rows of data/{part.file} to {part.table} …")
    said, rows = run(cursor, Attempt(part, mode, part.file))
    return described(part, part.file, None)._replace(row_count=rows), said


def replace(
    cursor: Cursor, report: Report, known: ledger.Entry | None, new: ledger.Entry, attempt: Attempt
) -> list[str]:
    """Load a table anew, from all of its files, in the transaction of the cursor; what to say of it."""
    table, watch = new.table_name, Stopwatch()
    name = Identifier(table)
    report.doing(f"loading {table} from data/{new.file_name} …")
    if known:
        unload(cursor, table)
    if answer(cursor, EXISTS, (table,)):
        may_go = f"it is left as it is (if it may go: make psql, DROP TABLE {table})"
        raise attempt.problem(f"there is a table of this name that no seed has made; {may_go}")
    said, _ = run(cursor, attempt)
    if not answer(cursor, EXISTS, (table,)):
        raise attempt.problem(f"{shown(attempt.chosen.sql)} makes no table of this name", "mend that")
    for part in attempt.chosen.parts:
        added, more = append(cursor, report, part, attempt.mode)
        said += more
        new = new._replace(appended=[*new.appended, added.as_part])
    cursor.execute(SQL("ANALYZE {}").format(name))
    rows = answer(cursor, SQL("SELECT count(*) FROM {}").format(name))
    ledger.add(cursor, new._replace(row_count=rows), watch.seconds)
    speed = f"{watch.seconds:.1f} s, {rows / max(watch.seconds, 0.001):.0f} rows/s"
    return [*said, f"{table}: {rows} rows from {new.files} in {speed}" + " (SYNTHETIC SAMPLE)" * new.synthetic]


def unload(cursor: Cursor, table: str) -> None:
    """Drop a table that a seed has made, in the transaction of the cursor."""
    # Not CASCADE: what others have built on the table is not ours to drop.
    drop = "SET LOCAL lock_timeout = '15s'; DROP TABLE IF EXISTS {}; SET LOCAL lock_timeout = 0"
    cursor.execute(SQL(drop).format(Identifier(table)))
    cursor.execute("DELETE FROM dsproj_seed WHERE table_name = %s", (table,))


def run(cursor: Cursor, attempt: Attempt) -> tuple[list[str], int]:
    """Run the SQL file; (the warnings that the server or a program had, rows copied)."""
    sql, connection = attempt.chosen.sql, cursor.connection
    warnings: list[str] = []
    rows = 0
    try:
        all_steps = list(steps(sql.read_text(encoding="utf-8"), shown(sql)))
    except Problem as problem:
        raise attempt.problem(problem.what, "mend that") from None
    for step in all_steps:
        try:
            if step.program:
                warnings += copy(cursor, step, attempt)
                rows += cursor.rowcount
            else:
                cursor.execute(step.sql)
        except psycopg2.Error as error:
            raise attempt.explained(error, bool(connection.closed), step) from None
    return [*warnings, *(notice.strip() for notice in connection.notices)], rows


if __name__ == "__main__":
    serve(main)
