"""PostgreSQL: one connection for each process and thread."""

# pandas is not imported here: a worker forks one process per job, and a job that only runs SQL should not pay the half
# second that importing pandas takes.

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2 import extensions, extras, sql

from dsproj.elsewhere import libpq_reason
from dsproj.kernel.where import Unavailable, gone, postgres, refused

WAIT_SECONDS = 30  # how long a server that is still starting is waited for
# libpq gives no error code for a refused connection. These mean that a server answered: only those of PASSING pass by themselves.
ANSWERS = ("FATAL", "no password supplied", "certificate", "does not support SSL")
FULL = ("too many clients", "connection slots")
PASSING = ("the database system is", *FULL)  # starting, ending, redoing its log after a crash
FREE = "shut down kernels that you do not use: JupyterLab, at the left edge, Running Terminals and Kernels"

OUT_OF_MEMORY = "53200"
LIMIT = "Where it was memory: let the query do less at a time, or set POSTGRES_MEMORY in .env higher, then: make up"

log = logging.getLogger(__name__)
extras.register_uuid()  # uuid columns are uuid.UUID in Python, not text


class Cursor(extras.DictCursor):
    """Rows go by name and by position; numpy's numbers and arrays are valid parameters."""

    def execute(self, query: Any, vars: Any = None) -> None:
        _know_numpy()
        with _limit_named():
            return super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        _know_numpy()
        with _limit_named():
            return super().executemany(query, vars_list)

    def mogrify(self, query: Any, vars: Any = None) -> bytes:
        _know_numpy()
        return super().mogrify(query, vars)


@contextlib.contextmanager
def _limit_named() -> Iterator[None]:
    """Add to an error of PostgreSQL's memory what to do about it."""
    try:
        yield
    except psycopg2.OperationalError as error:
        if error.pgcode == OUT_OF_MEMORY or "closed the connection unexpectedly" in str(error):
            error.add_note(LIMIT)
        raise


def _know_numpy() -> None:
    """Parameters can only be numpy's when it is loaded; importing it here would make every job pay for it."""
    numpy = sys.modules.get("numpy")
    if numpy is None or (getattr(numpy, "generic", None), extensions.ISQLQuote) in extensions.adapters:
        return

    def adapt(value: Any) -> Any:
        if value.ndim and (value.dtype.kind == "f" or not value.size):
            numbers = str(value.astype(float).tolist() if value.size else []).translate({ord("["): "{", ord("]"): "}"})
            return extensions.AsIs(f"'{numbers}'" + ("::double precision[]" if value.dtype.kind == "f" else ""))
        if value.dtype.kind in "mM" and value.dtype.name not in ("datetime64[D]", "datetime64[us]", "timedelta64[us]"):
            value = value.astype(f"{value.dtype.name.partition('[')[0]}[us]")  # else nanoseconds would be integers
        found = value.tolist()  # a long double stays one otherwise
        return extensions.adapt(float(found) if isinstance(found, numpy.generic) else found)

    for kind in (numpy.generic, numpy.ndarray, numpy.float64, numpy.str_, numpy.bytes_):
        extensions.register_adapter(kind, adapt)


class _Connections(threading.local):
    """Each thread's own, by process id: a forked child (a worker's job) finds none of its own and connects afresh."""

    # A connection shared across a fork, or by two threads, would mix up their answers.
    def __init__(self) -> None:
        self.of_process: dict[int, extensions.connection] = {}


_connections = _Connections()


def connect_to_postgres() -> tuple[extensions.connection, Cursor]:
    """Return `(con, cur)`: the connection of this process and thread, and a new cursor.

    A row goes by name and by position: `_id, label = cur.fetchone()`, `row["label"]`, `row[1]`. numpy's numbers and
    arrays are valid parameters. Nothing is committed for you: call `con.commit()`.

    The connection is made once and re-used. Every call checks that it is alive, replaces it if the server went
    away, and clears a transaction that an earlier error left aborted. Raises Unavailable at once when the server
    refuses us (wrong password, no such database), and after WAIT_SECONDS when there is none.
    """
    con = _connections.of_process.get(os.getpid())
    if con is None or not _is_alive(con):
        con = _connections.of_process[os.getpid()] = _connect()
    return con, con.cursor(cursor_factory=Cursor)


def connect_once() -> None:
    """Make this process's connection ahead of time. Raises psycopg2.OperationalError at once where none can be had."""
    _connections.of_process[os.getpid()] = _new(postgres())


@contextlib.contextmanager
def transaction(reading: bool = False) -> Iterator[Cursor]:
    """A cursor for one piece of work, committed at its end, rolled back on an error: `with transaction() as cur:`.

    With `reading`, a transaction that was already open stays open: reading must not commit somebody's half-done work.
    """
    con, cur = connect_to_postgres()
    theirs = reading and con.info.transaction_status != extensions.TRANSACTION_STATUS_IDLE
    autocommit = con.autocommit
    if autocommit and not theirs:
        con.autocommit = False  # else several statements would not be one transaction
    try:
        yield cur
        if not theirs:
            con.commit()
    except BaseException:
        aborted = con.info.transaction_status == extensions.TRANSACTION_STATUS_INERROR
        if not con.closed and (aborted or not theirs):
            con.rollback()
        raise
    finally:
        cur.close()
        if autocommit and not con.closed:
            con.autocommit = True


def identifier(table: str) -> sql.Identifier:
    """Return `table` or `schema.table` quoted for use in SQL, as a `psycopg2.sql` object."""
    return sql.Identifier(*table.split("."))


def exists(cur: Cursor, table: str) -> bool:
    """Is there a table of that name, which is written as SQL has it: with quotes where it needs them?"""
    cur.execute("SELECT WHERE to_regclass(%s) IS NOT NULL", [table])
    return cur.fetchone() is not None


def _is_alive(con: extensions.connection) -> bool:
    """Ask the server; leaves an open transaction open, and an aborted one rolled back."""
    try:
        if con.info.transaction_status == extensions.TRANSACTION_STATUS_INERROR:
            con.rollback()
        idle = con.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
        with con.cursor() as cur:
            cur.execute("SELECT 1")
        if idle:
            con.rollback()
        return True
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        return False


def _new(address: dict[str, Any]) -> extensions.connection:
    # What COPY sends and takes is read as UTF-8, whatever PGCLIENTENCODING says.
    return psycopg2.connect(cursor_factory=Cursor, client_encoding="UTF8", connect_timeout=5, **address)


def _connect() -> extensions.connection:
    """A new connection; waits while the server starts, gives up at once when it gives an answer that will not change."""
    address: dict[str, Any] = postgres()
    place = f"{address.get('host') or os.environ['PGHOST']}:{address.get('port') or os.environ.get('PGPORT', '5432')}"
    deadline = time.monotonic() + WAIT_SECONDS
    pause = 0.1
    while True:
        try:
            return _new(address)
        except psycopg2.OperationalError as error:
            reason = libpq_reason(str(error))
        if any(word in reason for word in ANSWERS) and not any(word in reason for word in PASSING):
            raise Unavailable(
                f"PostgreSQL at {place} refused the connection: {reason}",
                refused("this_postgres") * ("password" in reason),
            )
        if time.monotonic() + pause > deadline:
            if any(word in reason for word in FULL):
                raise Unavailable(f"PostgreSQL at {place} has no connection left: {reason}", FREE)
            raise gone("this_postgres", f"No PostgreSQL at {place} within {WAIT_SECONDS} s: {reason}")
        if pause > 1:
            log.warning("Waiting for PostgreSQL at %s …", place)
        time.sleep(pause)
        pause = min(2 * pause, 2)
